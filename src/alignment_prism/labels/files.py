"""Labels in files: sheets that people filled in, tables of any shape, and scores of our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, Label, Score
from alignment_prism.io import Row, read_records, read_rows
from alignment_prism.labels.places import Place
from alignment_prism.labels.ratings import labels_of_scores

SCORE_COLUMNS = frozenset({"reply_digest", "scorer", "name"})
"""Columns that distinguish our own scores from a table of labels."""


PLACES = ("language", "scope", "origin", "cluster")
"""Columns of a table of labels that say where a reply belongs."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table of labels.

    Attributes:
        key: digest of the reply, or any other key that the tables share.
        annotator: who labelled; a table without it has one annotator, named after the file.
        label: what they said.
        wide: columns that hold one annotator's labels each, in place of the two above. The key may be missing then:
            a row is its own key, which no other file has.
    """

    key: str = "reply_digest"
    annotator: str = "annotator"
    label: str = "label"
    wide: tuple[str, ...] = ()


def read_labels(paths: str | Path | Iterable[str | Path], columns: Columns | None = None) -> list[Label]:
    """Labels of files: filled-in sheets, tables with a row a label or a row a reply, or our own scores.

    Rows without a label are labels not given, and are left out. Of scores those of name `outcome` are read.

    Args:
        paths: JSONL, JSON, CSV, TSV or Parquet.
        columns: of the tables.

    Raises:
        InputError: a file has neither scores nor the columns, or nobody filled it in.
    """
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return [label for path in files for label in _read_file(str(path), columns or Columns())]


def read_places(
    paths: Iterable[str | Path], columns: Columns, names: Mapping[str, str] | None = None
) -> dict[str, Place]:
    """Where the replies of tables of labels belong, by their keys.

    Args:
        paths: as of `read_labels`; scores say nothing of it.
        columns: of the tables.
        names: columns of `language`, `scope`, `origin` and `cluster` where they have other names.

    Raises:
        InputError: a column that is named is in none of the files.
    """
    if unknown := set(names or {}) - set(PLACES):
        fix = f"name some of {', '.join(PLACES)}"
        raise InputError(f"{sorted(unknown)[0]!r} is no field of where a reply belongs", fix=fix)
    found: dict[str, Place] = {}
    there: set[str] = set()
    for path in map(str, paths):
        for row in read_rows(path):
            there |= set(row.values)
            key = _key(row, columns, path)
            given = {field: _text(row.values.get((names or {}).get(field, field))) for field in PLACES}
            if key:
                found.setdefault(key, Place(**{**given, "cluster": given["cluster"] or key}))
    if unknown := set((names or {}).values()) - there:
        raise InputError(
            f"no column {sorted(unknown)[0]!r} in the files", fix=f"use some of {', '.join(sorted(there))}"
        )
    return found


def is_scores(path: str | Path) -> bool:
    """Whether a file holds scores of our own."""
    first = next(iter(read_rows(path)), None)
    return first is not None and set(first.values) >= SCORE_COLUMNS


def _read_file(path: str, columns: Columns) -> list[Label]:
    rows = iter(read_rows(path))
    first = next(rows, None)
    if first is None:
        raise InputError("no rows", where=path, fix="give a file of labels or scores")
    if set(first.values) >= SCORE_COLUMNS:
        return labels_of_scores(read_records(path, Score))
    needed = columns.wide or (columns.key, columns.label)
    missing = [name for name in needed if name not in first.values]
    if missing:
        raise InputError(
            f"no column {missing[0]!r}; the file has {', '.join(map(repr, first.values))}",
            where=path,
            fix="give scores or a sheet of labels, or name the columns of key, annotator and label, or those of the "
            "annotators where each has one",
            settings={"key": "COLUMN", "rater": "COLUMN", "label": "COLUMN", "wide": "COLUMN,COLUMN"},
        )
    given = [label for row in _chain(first, rows) for label in _of_row(row, columns, path)]
    labels = [label for label in given if label.label]
    if not labels:
        raise InputError(
            f"the sheet is not filled in: {', '.join(map(repr, columns.wide or (columns.label,)))} "
            f"is empty in all {len(given)} rows",
            where=path,
            fix="have people write their labels there: yes or no, an outcome, or words of your own",
        )
    return labels


def _chain(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _of_row(row: Row, columns: Columns, path: str) -> Iterator[Label]:
    key = _key(row, columns, path)
    if not key:
        raise InputError(f"{columns.key} is empty", where=f"{path}, row {row.number}", fix="keep the sheet's keys")
    design = _text(row.values.get("design"))
    if columns.wide:
        for name in columns.wide:
            yield Label(key, name, _text(row.values.get(name)), design=design, row=row.number)
        return
    annotator = _text(row.values.get(columns.annotator)) or Path(path).stem
    comment = _text(row.values.get("comment"))
    yield Label(key, annotator, _text(row.values.get(columns.label)), comment, design, row.number)


def _key(row: Row, columns: Columns, path: str) -> str:
    if columns.wide and columns.key not in row.values:
        return f"{Path(path).name} row {row.number}"
    return _text(row.values.get(columns.key))


def _text(value: Any) -> str:
    """A value of a table as a word: whole numbers without a point, nothing for nothing."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def read_outcomes(paths: Iterable[str | Path], judge: str | None = None, soft: str = "") -> list[Score]:
    """Outcomes of some files by one judge, and its scores of the name `soft`.

    Args:
        paths: files of scores.
        judge: its name; None if the files have one judge.
        soft: name of its probabilities, which stand beside the outcomes; empty for none.

    Raises:
        InputError: there are several judges and none is named, or none of that name.
    """
    read = [record for path in paths for record in read_records(path, Score)]
    found = [record for record in read if record.outcome is not None or (soft and record.name == soft)]
    judges = sorted({record.scorer for record in found if record.outcome is not None})
    if judge is None and len(judges) != 1:
        raise InputError(
            f"outcomes of {len(judges)} judges: {', '.join(judges)}", fix="name the judge", settings={"judge": "NAME"}
        )
    if judge is not None and judge not in judges:
        raise InputError(f"no outcomes by {judge!r}", fix=f"use one of {', '.join(judges) or '(none)'}")
    return [record for record in found if record.scorer == (judge or judges[0])]
