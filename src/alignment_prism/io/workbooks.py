"""Rows of the first sheet of an Excel workbook: its first row names the columns, cells are values and no formulas."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, PrismError
from alignment_prism.io.files import check_unpacked
from alignment_prism.io.problems import FieldError, Intake, Row

MAX_BYTES = 256 * 2**20
"""That a workbook may unpack to; the largest that Excel writes have less."""
MAX_MARKS = 8_000_000
"""Elements of XML that its parts may have, their ends counted: four for a cell with a value or for a text."""
MAX_WIDTH = 2**14
ROW_MARKS = 8 * MAX_WIDTH
"""Those of one row, which is held in memory."""
_ROW = re.compile(rb"<(?:\w+:)?row\b")
MAX_CELLS = 50_000_000
"""That the rows of a sheet may have together up to the last value of each, empty ones counted."""
MAX_ROWS = 2**20
"""That a sheet may have, empty ones counted."""


def workbook_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of the first sheet; a row without any value is none.

    Raises:
        InputError: the file is missing, no workbook, or names a column twice; or it unpacks to more than `MAX_BYTES`.
    """
    from openpyxl import load_workbook

    name = str(path)
    if not Path(path).is_file():
        raise InputError("no such file", where=name, fix="check the path")
    try:
        with zipfile.ZipFile(path) as packed:
            for part in packed.infolist():
                check_unpacked(part.compress_size, part.file_size, name)
            if sum(part.file_size for part in packed.infolist()) > MAX_BYTES:
                raise InputError("a workbook that unpacks to 256 MiB", where=name, fix="save it as CSV")
            if _has_too_many(packed):
                what = "a workbook of more cells and texts than are read"
                raise InputError(what, where=name, fix="save it as CSV")
        book = load_workbook(path, read_only=True, data_only=True)
    except PrismError:
        raise
    except Exception as error:  # of openpyxl, zipfile and the reader of XML, each of its own kinds
        what = f"no Excel workbook: {type(error).__name__}"
        raise InputError(what, where=name, fix="save it as .xlsx again, or as CSV") from error
    number = held = 0
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size hides the rows behind it, or is made up of empty ones
        rows = sheet.iter_rows(values_only=True)
        header = _names(next(rows, ()))
        if "" in header or len(set(header)) < len(header):
            what = "a column without a name" if "" in header else "a column occurs twice"
            raise InputError(what, where=name, fix="give every column of the first sheet a name of its own")
        if alike := [each.title for each in book.worksheets[1:] if header and _header(each) == header]:
            what = f"{len(alike)} further sheets with the columns of the first: {', '.join(alike)[:80]}"
            what = what if len(alike) > 1 else what.replace("sheets", "sheet")
            raise InputError(what, where=name, fix="save each as a file of its own: the first sheet alone is read")
        for number, cells in enumerate(rows, start=1):
            if number >= MAX_ROWS:
                what = f"a row further down than the {MAX_ROWS:,} that a sheet may have"
                raise InputError(what, where=name, fix="save it as .xlsx again, or as CSV")
            held += len(cells)
            if held > MAX_CELLS or len(cells) > MAX_WIDTH:
                what = f"rows with values further right than they may be up to row {number}"
                raise InputError(what, where=name, fix="take out what stands far to the right, or save it as CSV")
            if all(cell is None for cell in cells):
                continue
            intake.read()
            row = Row(name, number, dict(zip_longest(header, cells[: len(header)])))
            if any(cell is not None for cell in cells[len(header) :]):
                fix = "name the column, or take the value out"
                intake.reject(row, FieldError("", None, "a value in a column without a name", fix))
                continue
            yield row
    except PrismError:
        raise
    except Exception as error:  # of openpyxl and the reader of XML, each of its own kinds
        what = f"the first sheet cannot be read: {type(error).__name__}"
        place = f"{name}, after row {number}" if number else name
        raise InputError(what, where=place, fix="save it as .xlsx again, or as CSV") from error
    finally:
        book.close()


def _header(sheet: Any) -> list[str]:
    """The names of a further sheet's columns; none where it is empty."""
    sheet.reset_dimensions()
    return _names(next(sheet.iter_rows(max_row=1, max_col=MAX_WIDTH, values_only=True), ()))


def _names(cells: Iterable[object]) -> list[str]:
    header = ["" if cell is None else str(cell).strip() for cell in cells]
    while header and not header[-1]:
        header.pop()
    return header


def _has_too_many(packed: zipfile.ZipFile) -> bool:
    """Whether parts of a workbook have more elements than `MAX_MARKS`, or one row of a sheet more than `ROW_MARKS`."""
    count = 0
    for part in packed.infolist():
        in_row = -1  # none has begun
        with packed.open(part) as stream:
            while data := stream.read(2**20):
                before, *rows = (piece.count(b"<") + 1 for piece in _ROW.split(data))
                count += before + sum(rows)
                in_row = in_row + before if in_row >= 0 else -1
                if max(in_row, count - MAX_MARKS + ROW_MARKS, *rows) > ROW_MARKS:
                    return True
                in_row = rows[-1] if rows else in_row
    return False
