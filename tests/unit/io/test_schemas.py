"""Columns on disk: every record survives both formats, and what does not fit is named."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alignment_prism.domain import (
    Comparison,
    Finding,
    Generation,
    InputError,
    Message,
    Pair,
    Prompt,
    PromptKind,
    Role,
    Scope,
    Score,
    StopReason,
    Winner,
    user,
)
from alignment_prism.io import FieldError, Intake, json_of, read_records, record_from, schema_for, write_records

TURNS = (
    Message(Role.SYSTEM, "Sei kurz."),
    Message(Role.USER, "línea\u2028uno\r\nनमस्ते"),
    Message(Role.ASSISTANT, ""),
    Message(Role.USER, "и?"),
)
RECORDS = [
    Prompt("p", TURNS, "hi", PromptKind.FOREIGN_LOCAL, Scope.LOCAL, ("a, b", "c"), "unseen", "eval", "g", "42", "s@1",
           {"n": 1, "deep": {"list": [1, None, "ü"]}}),
    Prompt("q", user("x"), "en", PromptKind.HARMFUL),
    Pair("r", TURNS, "ja", "nein", "ar", "safety", Scope.GLOBAL, ("c",), "g", "s", {"a": True}),
    Pair("t", user("x"), "a", "b"),
    Generation("p", "base", "m", "réponse\n", "w", 3, 10, 5, StopReason.MAX_TOKENS, 0.7, 9, ""),
    Score("p", "d", "base", "human:A", "outcome", "unjudged", 0.0, 1, "standalone@1", "?", "no verdict"),
    Score("p", "d", "base", "j", "correct", value=1.0, rubric="standalone@1"),
    Comparison("p", "dpo", "base", True, "j", "pairwise@1", Winner.TIE, "raw", ""),
    Finding("s", "dpo", 1, "harmful/unseen", "all", "global", "all", "harm_rate", 0.25, -math.inf, 0.5, "wilson95",
            0.95, 8, 4, True, -0.5, 0.75, 0.01, "harm|k:1"),
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "jsonl.gz"])
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_record_survives_every_format(tmp_path, record, suffix):
    path = tmp_path / f"records.{suffix}"
    assert write_records(path, [record, record]) == 2
    assert read_records(path, type(record)) == [record, record]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_number_that_is_none_stays_none_at_all(tmp_path, suffix):
    finding = Finding("s", "a", 1, "harmful", "en", "all", "all", "harm_relative_change", math.nan)
    write_records(tmp_path / f"f.{suffix}", [finding])
    (found,) = read_records(tmp_path / f"f.{suffix}", Finding)
    assert math.isnan(found.estimate) and math.isnan(found.lower)


def test_json_lines_are_json_even_for_infinity(tmp_path):
    write_records(tmp_path / "f.jsonl", [RECORDS[-1]])

    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    json.loads((tmp_path / "f.jsonl").read_text(), parse_constant=refuse)


def test_the_schema_has_a_documented_column_for_every_field(tmp_path):
    for kind in (Prompt, Pair, Generation, Score, Comparison, Finding):
        schema = schema_for(kind)
        assert schema.names == [field.name for field in fields(kind)]
        for column in schema:
            assert len(column.metadata[b"doc"]) > 3, f"{kind.__name__}.{column.name} is not documented"
    assert schema_for(Prompt).field("categories").type == pa.list_(pa.string())
    assert schema_for(Prompt).field("scope").nullable and not schema_for(Prompt).field("language").nullable


def test_the_documentation_reaches_the_file(tmp_path):
    write_records(tmp_path / "p.parquet", [RECORDS[0]])
    assert b"groups" not in pq.read_schema(tmp_path / "p.parquet").field("group").metadata[b"doc"]
    assert b"stay together" in pq.read_schema(tmp_path / "p.parquet").field("group").metadata[b"doc"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "nasty"}, "kind"),
        ({"scope": "globl"}, "scope"),
        ({"categories": "Profanity"}, "categories"),
        ({"messages": []}, "messages"),
        ({"messages": 7}, "messages"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages"),
        ({"language": None}, "language"),
        ({"metadata": "{"}, "metadata"),
        ({"reference": "\ud800"}, "reference"),
    ],
)
def test_a_value_that_does_not_fit_is_named(change, field):
    values = {"id": "1", "messages": [{"role": "user", "content": "x"}], "language": "en", "kind": "general", **change}
    with pytest.raises(FieldError) as caught:
        record_from(Prompt, values)
    assert caught.value.field_name == field


def test_a_prompt_without_a_kind_is_none():
    """It is not harmful by default, in a file or in Python: a general prompt would enter the rates of harm."""
    with pytest.raises(FieldError, match="needs the column 'kind'"):
        record_from(Prompt, {"id": "1", "messages": [{"role": "user", "content": "x"}], "language": "en"})
    with pytest.raises(TypeError, match="kind"):
        Prompt("1", user("x"), "en")


def test_a_missing_column_is_named_with_its_meaning():
    with pytest.raises(FieldError, match="needs the column 'reply'") as caught:
        record_from(Generation, {"prompt_id": "1", "arm": "a", "model": "m"})
    assert "exactly as decoded" in caught.value.fix


def test_records_of_another_kind_are_called_by_their_name():
    kinds = {type(record): record for record in RECORDS}
    for kind, record in kinds.items():
        for wanted in {*kinds} - {kind}:
            with pytest.raises(FieldError, match="these are .+, not ") as caught:
                record_from(wanted, json_of(record))
            assert "prism " in caught.value.fix and caught.value.value is None


def test_columns_of_others_go_into_the_metadata_or_are_refused():
    values = {"id": "1", "messages": [{"role": "user", "content": "x"}], "language": "en", "kind": "general", "note": 5}
    assert record_from(Prompt, values).metadata == {"note": 5}
    with pytest.raises(FieldError, match="no column 'note'"):
        record_from(Generation, {"prompt_id": "1", "arm": "a", "model": "m", "reply": "", "note": 5})


def test_whole_numbers_only_where_whole_numbers_belong():
    values = {"prompt_id": "1", "arm": "a", "model": "m", "reply": ""}
    assert record_from(Generation, {**values, "sample": 2.0}).sample == 2
    for wrong in (2.5, True, "2"):
        with pytest.raises(FieldError):
            record_from(Generation, {**values, "sample": wrong})


def test_reading_our_records_accounts_for_every_row(tmp_path):
    path = tmp_path / "g.jsonl"
    good = {"prompt_id": "1", "arm": "a", "model": "m", "reply": "x"}
    path.write_text("\n".join(json.dumps(row) for row in (good, {**good, "stop_reason": "tired"}, good, {"arm": 1})))
    intake = Intake(keep_going=True)
    assert len(read_records(path, Generation, intake=intake)) == 2
    assert intake.counts() == {"rows": 4, "accepted": 2, "rejected": 2}
    assert [reject.problem.row for reject in intake.rejects] == [2, 4]
    with pytest.raises(InputError, match="not one of") as caught:
        read_records(path, Generation)
    assert "row 2" in str(caught.value) and "stop_reason" in str(caught.value)
