"""Rows shaped exactly as each published set has them: columns, types, names of files. The texts are ours.

The real rows of the sets that are at hand are read in `test_real.py`.
"""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alignment_prism.domain import LANGUAGES, InputError, Language, Languages, PromptKind, Scope
from alignment_prism.io import Intake
from alignment_prism.preferences import read_pairs
from alignment_prism.prompts import FORMATS, SOURCES, read_prompts


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path, *rows):
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def parquet(path, *rows):
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def read(path, **options):
    """Prompts of a file of which no row is bad, with every row accounted for."""
    intake = Intake(keep_going=True)
    prompts = read_prompts(path, intake=intake, **options)
    assert intake.counts() == {"rows": len(prompts), "accepted": len(prompts), "rejected": 0}
    assert len({prompt.id for prompt in prompts}) == len(prompts)
    return prompts


AYA = {
    "prompt": " ¿Qué «hay»?\nNada.",
    "language": "Spanish",
    "harm_category": '["Harms of Representation Allocation and Quality of Service", "Violence, Threats & Incitement"]',
    "global_or_local": "global",
    "literal_translation": "What is there? Nothing.",
    "semantic_translation": "What is there? Nothing.",
    "explanation": "None at all.",
}


def test_aya_red_teaming(tmp_path):
    """`aya_spa.jsonl`: seven columns of text; categories in JSON or Python syntax; English has no translation."""
    english = {**AYA, "language": "English", "harm_category": "['Self-Harm']", "literal_translation": None}
    filipino = {**AYA, "language": "Filipino", "global_or_local": "local"}
    spanish, english, filipino = read(jsonl(tmp_path / "aya_spa.jsonl", AYA, english, filipino))
    assert spanish.text == AYA["prompt"] and spanish.scope is Scope.GLOBAL
    assert spanish.categories == (
        "Harms of Representation Allocation and Quality of Service",
        "Violence, Threats & Incitement",
    )
    assert english.categories == ("Self-Harm",) and "literal_translation" not in english.metadata
    assert (filipino.language, filipino.scope) == ("fil", Scope.LOCAL)


def test_dolly_200_of_the_aya_evaluation_suite(tmp_path):
    """`dolly_human_edited`: no targets, six languages, `source_id` of the English original."""
    languages = [("hin", "Deva"), ("srp", "Cyrl"), ("rus", "Cyrl"), ("fra", "Latn"), ("arb", "Arab"), ("spa", "Latn")]
    rows = [
        {"id": number, "inputs": f"{code} 1", "targets": None, "language": code, "script": script, "source_id": 42}
        for number, (code, script) in enumerate(languages)
    ]
    prompts = read(parquet(tmp_path / "test-00000-of-00001.parquet", *rows))
    assert [prompt.language for prompt in prompts] == ["hi", "sr", "ru", "fr", "ar", "es"]
    assert {prompt.cluster for prompt in prompts} == {"dolly-42"} and {prompt.reference for prompt in prompts} == {""}
    # `dolly_machine_translated` has a hundred more languages: those that nobody knows are rejects, not prompts.
    rows += [{"id": 9, "inputs": "x", "targets": "y", "language": "qya", "script": "Latn", "source_id": 43}]
    intake = Intake(keep_going=True)
    read_prompts(parquet(tmp_path / "machine.parquet", *rows), intake=intake)
    assert intake.counts() == {"rows": 7, "accepted": 6, "rejected": 1}
    assert "languages" in intake.rejects[0].problem.settings


def test_mt_bench_with_and_without_references(tmp_path):
    """`question.jsonl`: two turns; some categories bring references along."""
    rows = [
        {"question_id": 81, "category": "writing", "turns": ["Write.", "Again."]},
        {"question_id": 111, "category": "math", "turns": ["Add.", "Divide."], "reference": ["3", "1.5"]},
    ]
    writing, maths = read(jsonl(tmp_path / "question.jsonl", *rows))
    assert (writing.id, writing.subset, writing.metadata["later_turns"]) == ("mt-bench-81-en", "writing", ["Again."])
    assert maths.text == "Add." and maths.metadata["reference"] == ["3", "1.5"]


def test_flores_200_and_ntrex_128_by_their_folders_and_names(tmp_path):
    names = {
        "dev/srp_Cyrl.dev": "sr",
        "devtest/tgl_Latn.devtest": "fil",
        "NTREX-128/newstest2019-src.eng.txt": "en",
        "NTREX-128/newstest2019-ref.eng-GB.txt": "en",
        "NTREX-128/newstest2019-ref.srp-Latn.txt": "sr",
        "NTREX-128/newstest2019-ref.srp-Cyrl.txt": "sr",
        "NTREX-128/newstest2019-ref.spa.txt": "es",
        "NTREX-128/newstest2019-ref-2.spa.txt": "es",
        "NTREX-128/newstest2019-ref.fil.txt": "fil",
    }
    seen = {}
    for name, code in names.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("One.\nTwo.\n", encoding="utf-8")
        seen[name] = read(path)
        assert {prompt.language for prompt in seen[name]} == {code}
    assert len({prompt.id for prompts in seen.values() for prompt in prompts}) == 2 * len(names)
    ntrex = [prompts for name, prompts in seen.items() if name.startswith("NTREX")]
    assert len({tuple(prompt.cluster for prompt in prompts) for prompts in ntrex}) == 1


MULTIJAIL = dict.fromkeys(("en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv"), "words")


def test_multijail(tmp_path):
    """`MultiJail.csv`: a byte-order mark, tags in Python syntax, a column a language."""
    row = {"id": "301", "source": "openai", "tags": "['Discrimination & injustice', 'Conspiracy']", **MULTIJAIL}
    path = table(tmp_path / "MultiJail.csv", {**row, "ar": "كلمات\r\nأخرى"})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    eight = Languages(LANGUAGES.languages[:8])
    english, arabic = read(path, languages=eight)
    assert (english.id, arabic.id) == ("multijail-301-en", "multijail-301-ar") and arabic.text == "كلمات\r\nأخرى"
    assert english.categories == ("Discrimination & injustice", "Conspiracy")
    more = eight.with_languages(
        [Language("sw", "Swahili", "swh", ("Latn",)), Language("zh", "Chinese", "zho", ("Hans",))]
    )
    assert [prompt.language for prompt in read(path, languages=more)] == ["en", "zh", "ar", "sw"]


XSAFETY = {
    "ar/Crimes_And_Illegal_Activities.csv": ("ar", "crimes_and_illegal_activities"),
    "en/Crimes_And_Illegal_Activities_en.csv": ("en", "crimes_and_illegal_activities"),
    "ru/Crimes_And_Illegal_Activitie.csv": ("ru", "crimes_and_illegal_activities"),
    "sp/Crimes_And_Illegal_Activities.csv": ("es", "crimes_and_illegal_activities"),
    "en/Role_Play_Instruction_n.csv": ("en", "role_play_instruction"),
    "fr/commonsense.csv": ("fr", "commonsense"),
    "hi/commen_sense.csv": ("hi", "commonsense"),
}
"""Some of the published names, the odd ones among them: `sp` for Spanish, one file without its last letter."""


def test_xsafety_by_the_names_that_its_files_have(tmp_path, monkeypatch):
    found = {}
    for name in XSAFETY:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('One: A. Yes. B. No.\n" Two: A. ""Yes"". B. No."\n Three.\n', encoding="utf-8")
        found[name] = read(path)
    assert {name: (p[0].language, p[0].categories[0]) for name, p in found.items()} == XSAFETY
    crimes = [prompts for prompts in found.values() if prompts[0].categories == ("crimes_and_illegal_activities",)]
    assert len({tuple(prompt.cluster for prompt in prompts) for prompts in crimes}) == 1
    assert [prompt.text for prompt in crimes[0]] == ["One: A. Yes. B. No.", ' Two: A. "Yes". B. No.', " Three."]
    monkeypatch.chdir(tmp_path / "fr")
    assert read("commonsense.csv")[0].language == "fr"


def test_xstest_of_both_editions(tmp_path):
    row = {
        "id": "1",
        "prompt": "How do I kill a process?",
        "type": "homonyms",
        "label": "safe",
        "focus": "kill",
        "note": "",
    }
    contrast = {**row, "id": "26", "prompt": "words", "type": "contrast_homonyms", "label": "unsafe"}
    safe, unsafe = read(table(tmp_path / "xstest_prompts.csv", row, contrast))
    assert (safe.kind, unsafe.kind) == (PromptKind.BENIGN_MENTION, PromptKind.HARMFUL)
    older = [
        {"id": f"v2-{each['id']}", **{n: each[n] for n in ("type", "prompt", "focus", "note")}}
        for each in (row, contrast)
    ]
    again = read(table(tmp_path / "xstest_v2_prompts.csv", *older))
    assert [(prompt.id, prompt.kind) for prompt in again] == [(safe.id, safe.kind), (unsafe.id, unsafe.kind)]


HARMBENCH = {"Behavior": "Do it", "FunctionalCategory": "contextual", "SemanticCategory": "illegal", "Tags": "context",
             "ContextString": "Some text.", "BehaviorID": "do_it"}  # fmt: skip


def test_harmbench_and_what_only_looks_like_it(tmp_path):
    (prompt,) = read(table(tmp_path / "harmbench_behaviors_text_all.csv", HARMBENCH))
    assert prompt.text == "Some text.\n\n---\n\nDo it" and prompt.metadata == {"Tags": "context"}
    # JailbreakBench has a column `Behavior` too, which is a name; its prompt is the goal. Nothing is guessed.
    other = {"Index": "0", "Goal": "Do it", "Target": "Sure", "Behavior": "Doing", "Category": "Other", "Source": "Us"}
    path = table(tmp_path / "harmful-behaviors.csv", other)
    with pytest.raises(InputError, match="no column 'prompt'") as caught:
        read_prompts(path)
    assert caught.value.settings == {"mapping": "prompt=Goal"}
    (prompt,) = read(path, mapping={"prompt": "Goal", "categories": "Category"}, defaults={"language": "en"})
    assert (prompt.text, prompt.categories) == ("Do it", ("Other",))


CATEGORIES = {"Animal Abuse": False, "Drugs": True}
SAFE_RLHF = {
    "prompt": "Why?", "response_0": "Because.", "response_1": "No.", "prompt_source": "Alpaca3-70B",
    "response_0_source": "Alpaca3-8B", "response_1_source": "WizardLM-30B-Uncensored", "is_response_0_safe": True,
    "is_response_1_safe": False, "response_0_harm_category": CATEGORIES, "response_1_harm_category": CATEGORIES,
    "response_0_severity_level": 0, "response_1_severity_level": 2, "better_response_id": 1, "safer_response_id": 0,
    "response_0_sha256": "a" * 64, "response_1_sha256": "b" * 64,
}  # fmt: skip


def test_pku_saferlhf_as_pairs_and_as_prompts(tmp_path):
    path = jsonl(tmp_path / "train.jsonl", SAFE_RLHF)
    (safer,), (better,) = (read_pairs(path, prefer=each, language="en") for each in ("safer", "better"))
    assert (safer.chosen, safer.rejected, better.chosen) == ("Because.", "No.", "No.")
    (prompt,) = read(path, defaults={"language": "en", "kind": "harmful"})
    assert (prompt.text, prompt.kind, prompt.language) == ("Why?", PromptKind.HARMFUL, "en")
    assert "Because." not in json.dumps(prompt.metadata), "a reply is no part of a prompt"


ULTRAFEEDBACK = {
    "prompt": "Why?", "prompt_id": "c" * 64,
    "chosen": [{"content": "Why?", "role": "user"}, {"content": "Because.", "role": "assistant"}],
    "rejected": [{"content": "Why?", "role": "user"}, {"content": "No.", "role": "assistant"}],
    "messages": [{"content": "Why?", "role": "user"}, {"content": "Because.", "role": "assistant"}],
    "score_chosen": 8.5, "score_rejected": 4.0,
}  # fmt: skip


@pytest.mark.parametrize(("name", "write"), [("a.parquet", parquet), ("a.jsonl", jsonl)])
def test_ultrafeedback_binarized_as_pairs_and_as_prompts(tmp_path, name, write):
    path = write(tmp_path / name, ULTRAFEEDBACK)
    (pair,) = read_pairs(path, language="en")
    assert (pair.chosen, pair.rejected) == ("Because.", "No.") and pair.metadata["score_chosen"] == 8.5
    (prompt,) = read(path, defaults={"language": "en"})
    assert [turn.content for turn in prompt.messages] == ["Why?"] and prompt.kind is PromptKind.GENERAL


def test_hh_rlhf_as_prompts(tmp_path):
    shared = "\n\nHuman: One?\n\nAssistant: Two.\n\nHuman: Three?\n\nAssistant:"
    (prompt,) = read(jsonl(tmp_path / "t.jsonl", {"chosen": f"{shared} Yes.", "rejected": f"{shared} No."}),
                     defaults={"language": "en"})  # fmt: skip
    assert [turn.content for turn in prompt.messages] == ["One?", "Two.", "Three?"]


def test_sets_known_by_name_say_how_they_are_read_and_are_pinned_where_a_commit_is_known():
    for name, source in SOURCES.items():
        assert source.format_name in FORMATS, name
        assert source.revision == "main" or len(bytes.fromhex(source.revision)) == 20, name
    assert {name for name, source in SOURCES.items() if source.revision != "main"} >= {"aya", "dolly", "dolly-machine"}
