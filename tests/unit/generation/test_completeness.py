"""Stored replies: read from foreign tables, checked against the prompts, never guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alignment_prism.domain import Generation, InputError, Outcome, Prompt, PromptKind, StopReason, user
from alignment_prism.generation import answered, check_generations, read_generations
from alignment_prism.io import write_records
from alignment_prism.scoring.guards import guard

PROMPTS = [Prompt(name, user(f"text {name}"), "en", PromptKind.HARMFUL) for name in "abc"]


def replies(*names: str, arm: str = "m", sample: int = 0) -> list[Generation]:
    return [Generation(name, arm, "m", f"reply {name}", sample=sample) for name in names]


def table(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_complete_replies_say_their_k() -> None:
    both = [*replies(*"abc"), *replies(*"abc", arm="n"), *replies(*"abc", arm="n", sample=1)]
    assert check_generations(PROMPTS, both) == {"m": 1, "n": 2}


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (replies("a", "b"), "lack a reply of arm 'm': c"),
        ([*replies(*"abc"), *replies("a", "c", sample=1)], "lack a reply of arm 'm': b"),
        ([*replies(*"abc"), *replies("b")], "more than once: b"),
        (replies(*"abcd"), "not among the prompts: d"),
        ([], "no replies"),
    ],
)
def test_replies_that_do_not_fit(found: list[Generation], word: str) -> None:
    with pytest.raises(InputError) as error:
        check_generations(PROMPTS, found, where="file.jsonl")
    assert word in error.value.what and error.value.where == "file.jsonl" and error.value.fix


def test_prompts_that_share_an_id() -> None:
    with pytest.raises(InputError, match="more than once: a"):
        check_generations([*PROMPTS, PROMPTS[0]], replies(*"abc"))


def test_own_files_are_read_as_they_are(tmp_path: Path) -> None:
    written = [Generation("a", "m", "x", "r", stop_reason=StopReason.CONTEXT), *replies("b", "c")]
    write_records(tmp_path / "g.parquet", written)
    assert read_generations(tmp_path / "g.parquet", PROMPTS) == written


def test_foreign_rows_by_id_by_text_and_by_named_columns(tmp_path: Path) -> None:
    by_id = table(tmp_path / "1.jsonl", *({"id": p.id, "completion": f"c {p.id}"} for p in reversed(PROMPTS)))
    by_text = table(tmp_path / "2.jsonl", *({"prompt": f" {p.text}\n", "response": f"c {p.id}"} for p in PROMPTS))
    named = table(tmp_path / "3.jsonl", *({"nr": p.id, "said": f"c {p.id}"} for p in PROMPTS))
    for path, mapping in ((by_id, {}), (by_text, {}), (named, {"prompt_id": "nr", "reply": "said"})):
        found = read_generations(path, PROMPTS, arm="x", mapping=mapping)
        assert {g.prompt_id: g.reply for g in found} == {name: f"c {name}" for name in "abc"}
        assert {(g.arm, g.stop_reason, g.sample) for g in found} == {("x", StopReason.STORED, 0)}


def test_several_replies_of_a_prompt_are_its_samples(tmp_path: Path) -> None:
    rows = [{"prompt_id": p.id, "reply": f"{p.id}{k}", "arm": "q"} for k in range(3) for p in PROMPTS]
    found = read_generations(table(tmp_path / "r.jsonl", *rows), PROMPTS)
    assert check_generations(PROMPTS, found) == {"q": 3}
    assert {(g.sample, g.reply) for g in found if g.prompt_id == "b"} == {(0, "b0"), (1, "b1"), (2, "b2")}


def test_equal_prompts_get_their_replies_in_order(tmp_path: Path) -> None:
    twins = [
        Prompt("one", user("same"), "en", PromptKind.HARMFUL),
        Prompt("two", user("same"), "en", PromptKind.HARMFUL),
    ]
    rows = table(tmp_path / "r.jsonl", {"prompt": "same", "reply": "first"}, {"prompt": "same", "reply": "second"})
    assert [(g.prompt_id, g.reply) for g in read_generations(rows, twins)] == [("one", "first"), ("two", "second")]


def test_a_row_that_names_no_prompt_or_has_no_reply(tmp_path: Path) -> None:
    stranger = table(tmp_path / "s.jsonl", {"prompt": "text a", "reply": "x"}, {"prompt": "what?", "reply": "y"})
    with pytest.raises(InputError) as error:
        read_generations(stranger, PROMPTS)
    assert "row 2" in str(error.value.where)
    with pytest.raises(InputError, match="no column 'reply' or 'response'") as missing:
        read_generations(table(tmp_path / "t.jsonl", {"prompt": "text a", "said": "x"}), PROMPTS)
    assert "said" in str(missing.value.fix)


def test_a_row_that_is_there_twice_costs_its_own_prompt_alone(tmp_path: Path) -> None:
    """It made two replies a prompt the rule, so that all the other prompts lacked one and were left out."""
    rows = [{"prompt_id": name, "reply": name} for name in "aabc"]
    path = table(tmp_path / "r.jsonl", *rows)
    with pytest.raises(InputError, match="1 prompt.s. have more than one reply of arm 'model', where most have one: a"):
        read_generations(path, PROMPTS)
    prompts, kept = answered(PROMPTS, read_generations(path, PROMPTS, left_out=[]))
    assert [prompt.id for prompt in prompts] == ["b", "c"] == [one.prompt_id for one in kept]


def test_a_row_without_a_reply_is_no_empty_reply(tmp_path: Path) -> None:
    rows = [{"prompt_id": "a", "reply": None}, {"prompt_id": "b", "reply": ""}, {"prompt_id": "c", "reply": "c"}]
    found = read_generations(table(tmp_path / "r.jsonl", *rows), PROMPTS)
    said = [guard(prompt, one) for prompt, one in zip(PROMPTS, found, strict=True)]
    assert [one.outcome if one else None for one in said[:2]] == [Outcome.UNJUDGED, Outcome.DEGENERATE]
    assert said[0] is not None and said[0].reason == "the model gave no reply (the row has none)"


def test_strangers_are_counted_at_once_or_left_out_with_the_prompts_that_lack_a_reply(tmp_path: Path) -> None:
    rows = [{"prompt": f"text {name}", "reply": "r"} for name in ("a", "B", "c", "D")]
    path = table(tmp_path / "r.jsonl", *rows)
    with pytest.raises(InputError, match="2 of 4 replies name none of the prompts") as error:
        read_generations(path, PROMPTS)
    assert "row 2, row 4" in (error.value.where or "") and error.value.settings["keep_going"]
    left_out: list[str] = []
    found = read_generations(path, PROMPTS, left_out=left_out)
    assert left_out == ["row 2", "row 4"] and [g.prompt_id for g in found] == ["a", "c"]
    assert [prompt.id for prompt in answered(PROMPTS, found)[0]] == ["a", "c"]
    both = [*found, *replies(*"ab", arm="n"), *replies(*"ab", arm="n", sample=1)]
    prompts, kept = answered(PROMPTS, both)
    assert [prompt.id for prompt in prompts] == ["a"] and len(kept) == 3
    with pytest.raises(InputError, match="none of 1 replies"):
        read_generations(table(tmp_path / "s.jsonl", rows[1]), PROMPTS, left_out=[])
    with pytest.raises(InputError, match="none of 1 replies"):
        strangers = table(tmp_path / "t.jsonl", {"prompt_id": "never", "reply": "r"})
        read_generations(strangers, PROMPTS, left_out=[])
