"""Preference pairs in every format that people have them in, and the real ones."""

from __future__ import annotations

import gzip
import json

import pytest

from alignment_prism.domain import InputError, Message, Pair, Role, Scope, user
from alignment_prism.io import Intake, write_records
from alignment_prism.preferences import read_pairs

ASK = {"role": "user", "content": "Why?"}
GOOD = {"role": "assistant", "content": "Because."}
BAD = {"role": "assistant", "content": "No."}
TALK = [{"role": "system", "content": "Be kind."}, ASK, {"role": "assistant", "content": "What?"}, ASK]

SHAPES = {
    "standard": {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
    "conversational": {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]},
    "ultrafeedback": {"prompt": "Why?", "chosen": [ASK, GOOD], "rejected": [ASK, BAD], "score_chosen": 8.5},
    "implicit": {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
    "transcript": {"chosen": "\n\nHuman: Why?\n\nAssistant: Because.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
    "sharegpt": {"chosen": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}],
                 "rejected": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "No."}]},
    "responses": {"prompt": "Why?", "response_0": "No.", "response_1": "Because.", "better_response_id": 1,
                  "safer_response_id": 0},
}  # fmt: skip


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", SHAPES)
def test_every_format_gives_the_same_pair(tmp_path, name):
    (pair,) = read_pairs(write(tmp_path / "x.jsonl", SHAPES[name]))
    assert (pair.messages, pair.chosen, pair.rejected) == (user("Why?"), "Because.", "No.")
    assert pair.language == "und" and pair.kind == "general" and pair.scope is None
    assert pair.source.startswith("x@")


def test_the_safer_response_is_chosen_when_asked_for(tmp_path):
    (pair,) = read_pairs(write(tmp_path / "x.jsonl", SHAPES["responses"]), prefer="safer")
    assert (pair.chosen, pair.rejected) == ("No.", "Because.")


def test_an_implicit_text_prompt_is_what_both_begin_with(tmp_path):
    (pair,) = read_pairs(write(tmp_path / "x.jsonl", {"chosen": "The sky is blue.", "rejected": "The sky is green."}))
    assert (pair.messages, pair.chosen, pair.rejected) == (user("The sky is"), " blue.", " green.")


def test_several_turns_and_a_system_prompt(tmp_path):
    (pair,) = read_pairs(write(tmp_path / "x.jsonl", {"prompt": TALK, "chosen": [GOOD], "rejected": [*TALK, BAD]}))
    assert [turn.role for turn in pair.messages] == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER]
    assert (pair.chosen, pair.rejected) == ("Because.", "No.")


def test_labels_are_taken_where_they_are(tmp_path):
    row = {**SHAPES["standard"], "language": "Hindi", "kind": "safety", "global_or_local": "local",
           "harm_category": "['Profanity', 'Violence, Threats & Incitement']", "group": "s1", "id": 7,
           "extra": [1]}  # fmt: skip
    (pair,) = read_pairs(write(tmp_path / "x.jsonl", row))
    assert (pair.id, pair.language, pair.kind, pair.scope, pair.group) == ("7", "hi", "safety", Scope.LOCAL, "s1")
    assert pair.categories == ("Profanity", "Violence, Threats & Incitement")
    assert pair.metadata == {"extra": [1]}


def test_what_the_caller_says_fills_in_and_a_map_renames(tmp_path):
    path = write(tmp_path / "x.jsonl", {"q": "Why?", "good": "a", "bad": "b"})
    mapping = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    (pair,) = read_pairs(path, mapping=mapping, kind="safety", language="French", source="mine@1")
    assert (pair.chosen, pair.kind, pair.language, pair.source) == ("a", "safety", "fr", "mine@1")


def test_our_own_pairs_come_back_as_they_were(tmp_path):
    pair = Pair("p1", (Message(Role.USER, "x"),), "a", "b", "sr", "safety", Scope.GLOBAL, ("c",), "g", "s@1", {"k": 1})
    for name in ("x.jsonl", "x.parquet"):
        write_records(tmp_path / name, [pair])
        assert read_pairs(tmp_path / name) == [pair]


FAULTS = {
    "no reply": ({"prompt": "x", "chosen": "a"}, "rejected"),
    "empty reply": ({"prompt": "x", "chosen": " ", "rejected": "b"}, "chosen"),
    "null reply": ({"prompt": "x", "chosen": None, "rejected": "b"}, "chosen"),
    "same": ({"prompt": "x", "chosen": "a", "rejected": "a"}, "rejected"),
    "no prompt": ({"chosen": "a", "rejected": "b"}, "prompt"),
    "empty prompt": ({"prompt": "", "chosen": "a", "rejected": "b"}, "prompt"),
    "other prompts": ({"chosen": [ASK, GOOD], "rejected": [{"role": "user", "content": "How?"}, BAD]}, "rejected"),
    "user last": ({"prompt": "Why?", "chosen": [ASK], "rejected": [BAD]}, "chosen"),
    "assistant asks": ({"prompt": [GOOD], "chosen": "a", "rejected": "b"}, "prompt"),
    "two replies": ({"prompt": [ASK], "chosen": [GOOD, ASK, GOOD], "rejected": [BAD]}, "chosen"),
    "role": ({"prompt": [{"role": "boss", "content": "x"}], "chosen": "a", "rejected": "b"}, "prompt"),
    "kind": ({**SHAPES["standard"], "kind": "good"}, "kind"),
    "scope": ({**SHAPES["standard"], "scope": "globl"}, "scope"),
    "language": ({**SHAPES["standard"], "language": "Klingon"}, "language"),
    "label": ({**SHAPES["responses"], "better_response_id": None}, "better_response_id"),
    "surrogate": ({"prompt": "x", "chosen": "\ud800", "rejected": "b"}, "chosen"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_row_is_named_and_counted(tmp_path, name):
    row, field = FAULTS[name]
    path = write(tmp_path / "x.jsonl", SHAPES["standard"], row, SHAPES["conversational"])
    intake = Intake(keep_going=True)
    assert len(read_pairs(path, intake=intake)) == 2
    assert intake.counts() == {"rows": 3, "accepted": 2, "rejected": 1}
    assert intake.rejects[0].problem.field == field and intake.rejects[0].problem.row == 2
    with pytest.raises(InputError) as caught:
        read_pairs(path)
    assert "row 2" in caught.value.where and caught.value.fix


def test_the_same_pair_twice_is_kept_under_two_ids_and_noted(tmp_path):
    intake = Intake()
    one, two = read_pairs(write(tmp_path / "x.jsonl", SHAPES["standard"], SHAPES["implicit"]), intake=intake)
    assert one.id != two.id
    assert intake.notes["the same pair again; kept"] == 1


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "x.jsonl").write_text("\n\n")
    with pytest.raises(InputError, match="no rows"):
        read_pairs(tmp_path / "x.jsonl")


def test_the_real_pairs_with_the_rows_that_are_none(realdata):
    intake = Intake(keep_going=True)
    pairs = read_pairs(
        realdata / "hh_rlhf" / "harmless-base.test.jsonl.gz", intake=intake, kind="safety", language="en"
    )
    assert intake.counts() == {"rows": 2312, "accepted": 2303, "rejected": 9}
    assert intake.reasons == {
        "the last turn is empty": 4,
        "chosen and rejected answer different conversations": 5,
    }
    empty = [reject.problem.row for reject in intake.rejects if "empty" in reject.problem.what]
    assert empty == [87, 517, 926, 1104]
    assert len({pair.id for pair in pairs}) == 2303
    assert all(pair.messages[-1].role is Role.USER and pair.chosen != pair.rejected for pair in pairs)
    # Put together again, each pair is the row it came from.
    packed = (realdata / "hh_rlhf" / "harmless-base.test.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    rejected = {reject.problem.row for reject in intake.rejects}
    good = [row for number, row in enumerate(rows, start=1) if number not in rejected]
    names = {Role.USER: "Human", Role.ASSISTANT: "Assistant"}
    for pair, row in zip(pairs, good, strict=True):
        shared = "".join(f"\n\n{names[turn.role]}: {turn.content}" for turn in pair.messages)
        for said, whole in ((pair.chosen, row["chosen"]), (pair.rejected, row["rejected"])):
            assert f"{shared}\n\nAssistant: {said}".replace(": ", ":") == whole.replace(": ", ":")


@pytest.mark.parametrize(
    ("column", "value"),
    [("language", ["hi"]), ("language", {"code": "hi"}), ("kind", "harmless"), ("kind", ["safety"])],
)
def test_labels_of_the_wrong_type_are_a_fault_of_the_row(tmp_path, column, value):
    path = write(tmp_path / "p.jsonl", {**SHAPES["standard"], column: value})
    with pytest.raises(InputError) as caught:
        read_pairs(path)
    assert column in str(caught.value) and "row 1" in str(caught.value)
