"""Reading files: rows of any format, and records of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from alignment_prism.domain import InputError
from alignment_prism.io.delimited import TableOptions, line_rows, table_rows
from alignment_prism.io.files import open_bytes, suffix_of
from alignment_prism.io.jsonrows import json_rows, jsonl_rows
from alignment_prism.io.parquet import Only, parquet_rows
from alignment_prism.io.problems import FieldError, Intake, Row
from alignment_prism.io.schemas import record_from
from alignment_prism.io.workbooks import workbook_rows

R = TypeVar("R")


SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".xlsx", ".txt")
"""Formats by suffix; all but Parquet and workbooks also with .gz behind it."""


def read_rows(
    path: str | Path,
    *,
    intake: Intake | None = None,
    table: TableOptions | None = None,
    as_lines: bool = False,
    only: Only | None = None,
) -> Iterator[Row]:
    """Rows of a JSONL, JSON, CSV, TSV, Parquet or text file as plain values, one at a time.

    Args:
        path: the file; its suffix says the format, a further `.gz` that it is compressed.
        intake: accounts for rows; every row is counted as read, a bad one is rejected. None is strict: the first
            bad row raises. Whoever takes a row accepts or rejects it.
        table: how a CSV or TSV file is written.
        as_lines: read the file as plain lines whatever its suffix.
        only: rows of a Parquet file that are wanted; the others are not counted. None wants all.

    Raises:
        InputError: the file is missing, of no known format, or (strict) has a bad row.
    """
    intake = intake if intake is not None else Intake()
    suffix = suffix_of(path)
    if not as_lines and suffix not in SUFFIXES:
        open_bytes(path).close()  # a file that is not there is an error of its own
        raise InputError(
            f"unknown format {suffix!r}" if suffix else "a file without a suffix",
            where=str(path),
            fix="name it with one of " + ", ".join(SUFFIXES) + " (all but .parquet and .xlsx also with .gz)",
        )
    if suffix == ".parquet" and not as_lines:
        return parquet_rows(path, intake, only)
    if suffix == ".xlsx" and not as_lines:
        return workbook_rows(path, intake)
    if suffix in {".csv", ".tsv"} and not as_lines:
        return table_rows(path, intake, table or TableOptions(), "," if suffix == ".csv" else "\t")
    if suffix == ".json" and not as_lines:
        return json_rows(path, intake)
    if suffix in {".jsonl", ".ndjson"} and not as_lines:
        return jsonl_rows(path, intake)
    return line_rows(path, intake)


def iter_records(
    path: str | Path, record_type: type[R], *, intake: Intake | None = None, only: Only | None = None
) -> Iterator[R]:
    """Records of one of our own files, one at a time; bad rows go to the intake.

    Args:
        path: of the file.
        record_type: of its rows.
        intake: where bad rows go.
        only: as in `read_rows`.

    Raises:
        InputError: as `read_rows`.
    """
    intake = intake if intake is not None else Intake()
    for row in read_rows(path, intake=intake, only=only):
        try:
            record = record_from(record_type, row.values)
        except FieldError as error:
            intake.reject(row, error)
            continue
        intake.accept()
        yield record
    intake.check()


def read_records(
    path: str | Path, record_type: type[R], *, intake: Intake | None = None, only: Only | None = None
) -> list[R]:
    """All records of one of our own files, Parquet or JSONL; with `only` those that are wanted, see `iter_records`.

    Raises:
        InputError: the file is missing or (without a keep-going intake) has a row that is no such record.
    """
    return list(iter_records(path, record_type, intake=intake, only=only))
