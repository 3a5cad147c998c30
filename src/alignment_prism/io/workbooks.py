"""Rows of the first sheet of an Excel workbook: its first row names the columns, cells are values and no formulas."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from alignment_prism.domain import InputError
from alignment_prism.io.problems import FieldError, Intake, Row

MAX_BYTES = 512 * 2**20
"""That a workbook may unpack to."""


def workbook_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of the first sheet; a row without any value is none.

    Raises:
        InputError: the file is missing, no workbook, or names a column twice; or it unpacks to more than `MAX_BYTES`.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    name = str(path)
    if not Path(path).is_file():
        raise InputError("no such file", where=name, fix="check the path")
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(part.file_size for part in packed.infolist()) > MAX_BYTES:
                raise InputError("a workbook that unpacks to half a gigabyte", where=name, fix="save it as CSV")
        book = load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        what = f"no Excel workbook: {type(error).__name__}"
        raise InputError(what, where=name, fix="save it as .xlsx again, or as CSV") from error
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = ["" if cell is None else str(cell).strip() for cell in next(rows, ())]
        while header and not header[-1]:
            header.pop()
        if "" in header or len(set(header)) < len(header):
            what = "a column without a name" if "" in header else "a column occurs twice"
            raise InputError(what, where=name, fix="give every column of the first sheet a name of its own")
        for number, cells in enumerate(rows, start=1):
            if all(cell is None for cell in cells):
                continue
            intake.read()
            row = Row(name, number, dict(zip(header, cells, strict=False)))
            if any(cell is not None for cell in cells[len(header) :]):
                fix = "name the column, or take the value out"
                intake.reject(row, FieldError("", None, "a value in a column without a name", fix))
                continue
            yield row
    finally:
        book.close()
