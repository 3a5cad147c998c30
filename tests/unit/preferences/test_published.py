"""Preference sets as their makers publish them, by the columns of their cards."""

from __future__ import annotations

import json

import pytest
from prism_command import prism

from alignment_prism.domain import InputError, PairKind, user
from alignment_prism.io import Intake
from alignment_prism.preferences import read_pairs
from alignment_prism.preferences.labelled import ALONE, BOTH_WAYS, PROMPT_ALONE, TAKEN_OUT


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


POLYGUARD = [
    {"prompt": "Q", "response": reply, "prompt_harm_label": "yes", "response_refusal_label": refuses,
     "response_harm_label": harmful, "prompt_safety_categories": "S1, S3", "response_safety_categories": categories,
     "metadata": {"language": language, "source": "wildguardmix"}}
    for reply, refuses, harmful, categories, language in (
        ("bad", "no", "yes", "S1, S9", "Hindi"), ("good", "yes", "no", "None", "Hindi"),
        ("good", "yes", "no", "None", "French"), (None, None, None, None, "Hindi"),
    )
]  # fmt: skip
WILDGUARD = [
    {"prompt": "Q", "adversarial": True, "response": "bad", "prompt_harm_label": "harmful",
     "response_harm_label": "harmful", "response_refusal_label": "compliance", "subcategory": "private_information"},
    {"prompt": "Q", "adversarial": True, "response": "good", "prompt_harm_label": "harmful",
     "response_harm_label": "unharmful", "response_refusal_label": "refusal", "subcategory": "private_information"},
]  # fmt: skip
NEMOTRON = [
    {"id": "1", "prompt": "Q", "response": "good", "prompt_label": "unsafe", "response_label": "safe",
     "violated_categories": "", "prompt_label_source": "human"},
    {"id": "2", "prompt": "Q", "response": "bad", "prompt_label": "unsafe", "response_label": "unsafe",
     "violated_categories": "Violence, Threat", "prompt_label_source": "human"},
]  # fmt: skip


def test_labelled_replies_to_one_prompt_in_one_language_are_a_pair(tmp_path):
    intake = Intake()
    (pair,) = read_pairs(write(tmp_path / "poly.jsonl", *POLYGUARD), intake=intake)
    assert (pair.messages, pair.chosen, pair.rejected, pair.language) == (user("Q"), "good", "bad", "hi")
    assert pair.kind is PairKind.SAFETY and pair.group and pair.categories == ("S1", "S9")
    assert (pair.chosen_harmful, pair.rejected_harmful, pair.metadata) == (False, True, {"origin": "wildguardmix"})
    assert intake.rows == intake.accepted == 4
    assert intake.notes == {ALONE: 1, PROMPT_ALONE: 1}  # the French one, and the last
    (pair,) = read_pairs(write(tmp_path / "wild.jsonl", *WILDGUARD), language="en")
    assert (pair.chosen, pair.rejected, pair.language) == ("good", "bad", "en")


def test_a_reply_that_is_labelled_both_ways_gives_no_pair(tmp_path):
    intake = Intake()
    same = {**NEMOTRON[1], "response": "good"}
    (pair,) = read_pairs(write(tmp_path / "x.jsonl", NEMOTRON[0], same, *NEMOTRON), language="en", intake=intake)
    assert (pair.chosen, pair.rejected) == ("good", "bad") and intake.notes == {BOTH_WAYS: 2}


def test_a_folder_names_the_language_of_sets_that_have_one_a_language(tmp_path):
    (pair,) = read_pairs(write(tmp_path / "ar" / "train.jsonl", *NEMOTRON))
    assert (pair.language, pair.categories) == ("ar", ("Violence", "Threat"))
    row = {"id": 7, "question": "Q", "chosen": "good", "rejected": "bad", "category": "S1"}
    (pair,) = read_pairs(write(tmp_path / "lang_de" / "train.jsonl", row), kind="safety")
    assert (pair.messages, pair.language, pair.id, pair.metadata["category"]) == (user("Q"), "de", "7", "S1")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"response_label": None}, "no label"),
        ({"prompt": ""}, "empty"),
        ({"language": "Klingon"}, "unknown language"),
    ],
)
def test_a_labelled_reply_that_cannot_be_used_is_refused(tmp_path, change, what):
    file = write(tmp_path / "x.jsonl", {**NEMOTRON[0], **change}, *NEMOTRON)
    with pytest.raises(InputError, match=what):
        read_pairs(file)
    assert len(read_pairs(file, intake=Intake(keep_going=True))) == 1


def test_rows_of_nemotron_that_give_no_pair_are_counted_by_the_command(tmp_path):
    """As in the published file: rows of prompts alone, and prompts that must be fetched from another set."""
    rows = [
        {**NEMOTRON[0], "language": "ar"}, {**NEMOTRON[1], "language": "ar"},
        {**NEMOTRON[0], "language": "en", "prompt": "REDACTED"},
        *({**NEMOTRON[0], "language": "hi", "response": None, "response_label": None} for _ in range(2)),
    ]  # fmt: skip
    write(tmp_path / "nemotron.jsonl", *rows)
    shown = prism("preferences", "import", "nemotron.jsonl", "--out", "n.parquet", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "1 pairs (1 ar)" in shown.stdout
    assert f"note: 1 row: {TAKEN_OUT}" in shown.stderr and f"note: 2 rows: {PROMPT_ALONE}" in shown.stderr
    (pair,) = read_pairs(tmp_path / "n.parquet")
    assert pair.metadata == {"chosen_id": "1", "rejected_id": "2"}


PKU = {
    "prompt": "Q", "response_0": "good", "response_1": "bad", "prompt_source": "Alpaca3-70B",
    "response_0_source": "Alpaca3-8B", "response_1_source": "WizardLM-30B-Uncensored",
    "is_response_0_safe": True, "is_response_1_safe": False,
    "response_0_harm_category": {"Violence": False, "Cybercrime": False},
    "response_1_harm_category": {"Violence": True, "Cybercrime": True},
    "response_0_severity_level": 0, "response_1_severity_level": 3,
    "better_response_id": 1, "safer_response_id": 0, "response_0_sha256": "a", "response_1_sha256": "b",
}  # fmt: skip
ULTRAFEEDBACK = {
    "prompt": "Q", "prompt_id": "f0e37e9f",
    "chosen": [{"content": "Q", "role": "user"}, {"content": "good", "role": "assistant"}],
    "rejected": [{"content": "Q", "role": "user"}, {"content": "bad", "role": "assistant"}],
    "messages": [{"content": "Q", "role": "user"}, {"content": "good", "role": "assistant"}],
    "score_chosen": 8.5, "score_rejected": 7.0,
}  # fmt: skip
HH = {"chosen": "\n\nHuman: Q\n\nAssistant: good", "rejected": "\n\nHuman: Q\n\nAssistant: bad"}
TRL = {"prompt": [{"role": "user", "content": "Q"}], "chosen": [{"role": "assistant", "content": "good"}],
       "rejected": [{"role": "assistant", "content": "bad"}]}  # fmt: skip
REFUSEU = {"id": 7, "question": "Q", "chosen": "good", "rejected": "bad", "category": "S1"}


@pytest.mark.parametrize(
    ("rows", "options"),
    [([HH], ["--kind", "safety"]), ([PKU], ["--kind", "safety", "--prefer", "safer"]), ([ULTRAFEEDBACK], []),
     ([REFUSEU], ["--kind", "safety"]), (POLYGUARD[:2], []), (NEMOTRON, []), ([TRL], [])],
    ids=["hh-rlhf", "pku-saferlhf", "ultrafeedback", "refuseu", "polyguardmix", "nemotron", "trl"],
)  # fmt: skip
def test_every_set_is_imported_by_the_command(tmp_path, rows, options):
    write(tmp_path / "x.jsonl", *rows)
    said = prism("preferences", "import", "x.jsonl", *options, "--language", "en", "--out", "y.jsonl", folder=tmp_path)
    assert said.returncode == 0, said.stderr
    (pair,) = read_pairs(tmp_path / "y.jsonl")
    assert (pair.messages, pair.chosen, pair.rejected) == (user("Q"), "good", "bad")


@pytest.mark.parametrize(
    ("rows", "column", "named"),
    [
        ([HH], "rejected", "no column 'rejected'"),
        ([PKU], "safer_response_id", "which response is preferred is not said"),
        ([PKU], "response_1", "no column 'response_1'"),
        ([ULTRAFEEDBACK], "chosen", "no column 'chosen'"),
        ([REFUSEU], "question", "no prompt"),
        (POLYGUARD[:2], "prompt", "no column 'prompt'"),
        (NEMOTRON, "response_label", "no column 'response_label'"),
        ([TRL], "rejected", "no column 'rejected'"),
    ],
)
def test_a_column_that_lacks_is_named(tmp_path, rows, column, named):
    write(tmp_path / "x.jsonl", *({name: value for name, value in row.items() if name != column} for row in rows))
    said = prism("preferences", "import", "x.jsonl", "--prefer", "safer", "--language", "en", "--out", "y.jsonl",
                 folder=tmp_path)  # fmt: skip
    assert said.returncode == 2 and named in said.stderr and "fix:" in said.stderr, said.stderr
    assert not (tmp_path / "y.jsonl").exists()


def test_pku_says_who_wrote_which_side_and_what_harm_the_worse_one_does(tmp_path):
    (pair,) = read_pairs(write(tmp_path / "x.jsonl", PKU), prefer="better", language="en")
    assert (pair.chosen, pair.metadata["chosen_model"]) == ("bad", "WizardLM-30B-Uncensored")  # the more helpful one
    assert (pair.metadata["rejected_model"], pair.chosen_harmful, pair.rejected_harmful) == ("Alpaca3-8B", True, False)
    assert pair.categories == ("Violence", "Cybercrime") and pair.metadata["response_1_severity_level"] == 3


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path):
    write(tmp_path / "x.jsonl", {"prompt": "Q", "winner": "good", "rejected": "bad"})
    shown = prism("preferences", "import", "x.jsonl", "--out", "y.jsonl", folder=tmp_path)
    assert shown.returncode == 2 and not (tmp_path / "y.jsonl").exists()
    assert "no column 'chosen'" in shown.stderr and "prompt, winner, rejected" in shown.stderr
    assert "--map" in shown.stderr
    told = prism("preferences", "import", "x.jsonl", "--map", "chosen=winner", "--language", "en", "--kind", "safety",
                 "--out", "y.parquet", folder=tmp_path)  # fmt: skip
    (pair,) = read_pairs(tmp_path / "y.parquet")
    assert told.returncode == 0 and (pair.chosen, pair.language, pair.kind) == ("good", "en", PairKind.SAFETY)
    assert json.loads((tmp_path / "y.parquet.manifest.json").read_text())["languages"] == {"en": 1}
