"""Labels, verdicts, prompts and sheets in files, for the commands that compare raters."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alignment_prism.domain import Generation, InputError, Prompt, Score
from alignment_prism.io import read_records, read_rows, write_text
from alignment_prism.labels.ratings import Label, labels_from_scores, understood


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a label file.

    Attributes:
        key: digest of the reply.
        rater: who labelled; a file without it has one rater, named after the file.
        label: what they said.
    """

    key: str = "reply_digest"
    rater: str = "annotator"
    label: str = "label"


SCORE_COLUMNS = frozenset({"reply_digest", "scorer", "name"})
"""Columns that tell our own scores from a sheet of labels."""


def read_labels(path: str, columns: Columns) -> list[Label]:
    """Labels of a file: our own scores of name `outcome` (scorer `human:NAME` or a model), or a filled-in sheet.

    Rows of a sheet whose label is empty are labels not given, and are left out.

    Raises:
        InputError: the file has neither scores nor the columns of a sheet, or is a sheet that nobody filled in.
    """
    rows = read_rows(path)
    first = next(rows, None)
    if first is None:
        raise InputError("no rows", where=path, fix="give a file of labels or scores")
    if set(first.values) >= SCORE_COLUMNS:
        return labels_from_scores(read_records(path, Score))
    missing = [name for name in (columns.key, columns.label) if name not in first.values]
    if missing:
        raise InputError(
            f"no column {missing[0]!r}; the file has {', '.join(map(repr, first.values))}",
            where=path,
            fix="pass scores, a sheet of prism labels sample, or name the columns with --key, --rater, --label",
        )
    labels, empty = [], 0
    for row in (first, *rows):
        key, value = row.values.get(columns.key), row.values.get(columns.label)
        if not key:
            raise InputError(f"{columns.key} is empty", where=f"{path}, row {row.number}", fix="keep the sheet's keys")
        rater = row.values.get(columns.rater)
        if value is not None and str(value).strip():
            labels.append(Label(str(key), str(rater) if rater else Path(path).stem, str(value), row.number))
        else:
            empty += 1
    if not labels:
        raise InputError(
            f"the sheet is not filled in: {columns.label!r} is empty in all {empty} rows",
            where=path,
            fix=f"have people write their labels into that column: {understood()}",
        )
    return labels


def read_scores(paths: Iterable[str], judge: str | None) -> list[Score]:
    """Outcomes of some files by one judge.

    Raises:
        InputError: there are several judges and none is named, or none of that name.
    """
    found = [record for path in paths for record in read_records(path, Score) if record.outcome is not None]
    judges = sorted({record.scorer for record in found})
    if judge is None:
        if len(judges) != 1:
            raise InputError(
                f"outcomes of {len(judges)} judges: {', '.join(judges)}", fix="say which one with --judge NAME"
            )
        return found
    if judge not in judges:
        raise InputError(f"no outcomes by {judge!r}", fix=f"use one of {', '.join(judges) or '(none)'}")
    return [record for record in found if record.scorer == judge]


def read_prompt_index(paths: Iterable[str]) -> dict[str, Prompt]:
    """Prompts by identifier."""
    from alignment_prism.prompts import read_prompts

    return {prompt.id: prompt for path in paths for prompt in read_prompts(path)}


def read_generations(paths: Iterable[str]) -> dict[str, Generation]:
    """Generations by the digest of prompt and reply."""
    return {record.reply_digest: record for path in paths for record in read_records(path, Generation)}


def write_sheet(path: str, lines: Sequence[Mapping[str, str]]) -> None:
    """Write a sheet for people, as CSV or JSONL by the name of the file.

    Raises:
        InputError: the name ends otherwise.
        StoreError: it cannot be written.
    """
    if path.endswith(".jsonl"):
        write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    elif path.endswith(".csv"):
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        write_text(path, buffer.getvalue())
    else:
        raise InputError(f"a sheet is not written as {path!r}", fix="name it .csv or .jsonl")
