"""Rows of tables as text (CSV, TSV) and of plain lines; sheets written as CSV."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alignment_prism.domain import InputError
from alignment_prism.io.files import MAX_LINE_BYTES, read_lines
from alignment_prism.io.problems import FieldError, Intake, Row
from alignment_prism.io.writers import text_writer

MERGED = "lines that each have all fields, and one quoted text over them; kept as one record"
"""Note on a record that a stray quote may have made of several."""
QUOTE_FIX = 'close every quote and double those inside a text (""); or take quotes for characters'


MAX_COLUMNS = 100_000
"""Of a table; a line of commas would name as many as it has characters."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How a text table is written.

    Attributes:
        delimiter: between fields; a comma for .csv and a tabulator for .tsv unless given.
        header: whether the first record names the columns; without it they are `1`, `2`, ...
        quoting: whether double quotes enclose fields (RFC 4180); False takes them as they stand.
    """

    delimiter: str = ""
    header: bool = True
    quoting: bool = True


class _Feed:
    """Lines for `csv.reader`, remembering how many it took and whether one of them was bad."""

    def __init__(self, path: str | Path) -> None:
        self._lines = read_lines(path, keep_ends=True)
        self.line = 0
        self.bad: FieldError | None = None
        self.begin("")

    def begin(self, delimiter: str) -> None:
        """A record begins."""
        self.bad = None
        self._delimiter = delimiter
        self._size = 0
        self.lines = 0
        """Lines of the record that is being read."""
        self.delimiters: set[int] = set()
        """How many each of them has."""

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        self.line, text = next(self._lines)
        if isinstance(text, FieldError):
            self.bad = text
            return text.value if isinstance(text.value, str) else "\n"
        self.lines += 1
        self.delimiters.add(text.count(self._delimiter))
        self._size += len(text)
        if self._size > MAX_LINE_BYTES:
            raise csv.Error(f"longer than {MAX_LINE_BYTES >> 20} MiB")
        return text


def table_rows(path: str | Path, intake: Intake, options: TableOptions, default_delimiter: str) -> Iterator[Row]:
    """Rows of a CSV or TSV file. A blank line is no row; a record with too few or too many fields is a bad row.

    Raises:
        InputError: there is no header, or it names a column twice.
    """
    name = str(path)
    csv.field_size_limit(max(MAX_LINE_BYTES, csv.field_size_limit()))  # of the process; `_Feed` keeps our own limit
    feed = _Feed(path)
    delimiter = options.delimiter or default_delimiter
    try:
        if options.quoting:
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
        else:
            reader = csv.reader(feed, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    except (TypeError, ValueError) as wrong:
        raise InputError(f"the delimiter is {delimiter!r}: {wrong}", fix="give one character") from None
    columns: list[str] | None = None
    number = 0
    while True:
        feed.begin(delimiter)
        line = feed.line + 1
        fields: list[str] = []
        error: FieldError | None = None
        try:
            fields = next(reader)
        except StopIteration:
            if feed.bad is None:
                return
        except csv.Error as fault:
            lines = "" if feed.line <= line else f", lines {line} to {feed.line}"
            what = f"not a valid record ({fault}){lines}"
            error = FieldError("", None, what, QUOTE_FIX, {"quoting": "none"})
        error = feed.bad or error
        if columns is None and error is not None:
            what = f"the first record cannot be read: {error.what}"
            raise InputError(what, where=f"{name}, line {line}", fix=error.fix, settings=error.settings)
        if not fields and error is None:
            continue
        if columns is None:
            if options.header:
                columns = _header(fields, name, delimiter)
                continue
            columns = [str(position) for position in range(1, len(fields) + 1)]
        number += 1
        intake.read()
        if error is None and len(fields) != len(columns):
            what = f"{len(fields)} fields where the header has {len(columns)}"
            error = FieldError(
                "", None, what, "quote fields that hold the delimiter, and give every row all its fields"
            )
        if error is not None:
            raw = {"raw": delimiter.join(fields)} if fields else {"raw": error.value}
            intake.reject(Row(name, number, raw, line), error)
            continue
        row = Row(name, number, dict(zip(columns, fields, strict=True)), line)
        if feed.lines > 1 and feed.delimiters == {len(columns) - 1}:
            intake.note(row, FieldError("", None, MERGED, QUOTE_FIX, {"quoting": "none"}))
        yield row


def _header(fields: list[str], name: str, delimiter: str) -> list[str]:
    if len(fields) > MAX_COLUMNS:
        what = f"the header has {len(fields):,} columns, and no table more than {MAX_COLUMNS:,}"
        raise InputError(what, where=f"{name}, line 1", fix="check that it is the right file")
    columns = [field.strip() or f"column {position}" for position, field in enumerate(fields, start=1)]
    twice = repeated(columns)
    if twice is not None:
        raise InputError(
            f"the header names the column {twice[:40]!r} twice",
            where=f"{name}, line 1",
            fix="rename one; or say that the file has no header, and which column is which by position",
            settings={"header": "False", "mapping": "prompt=1"},
        )
    if len(columns) == 1 and any(other in columns[0] for other in {",", ";", "\t"} - {delimiter}):
        raise InputError(
            f"the header is one field that holds other delimiters than {delimiter!r}",
            where=f"{name}, line 1",
            fix="name the delimiter of the file",
            settings={"delimiter": "';'"},
        )
    return columns


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet takes for a formula."""


def write_table(path: str | Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a table for people's spreadsheets as CSV, atomically.

    Every field is quoted, so that a lone carriage return ends no record, and a cell that a spreadsheet would compute
    begins with an apostrophe, which it shows as a text: replies of models are among the cells.

    Args:
        path: of the file.
        rows: at least one; the keys of the first are the columns.

    Raises:
        StoreError: it cannot be written.
    """
    with text_writer(path) as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"'{text}" if text.startswith(FORMULA) else text for name, text in row.items()})


def repeated(names: Sequence[str]) -> str | None:
    """The first name that occurs more than once."""
    counts = Counter(names)
    return next((name for name in names if counts[name] > 1), None)


def line_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of a plain text file: each line a row with the one column `text`, blank ones too."""
    for number, text in read_lines(path):
        intake.read()
        if isinstance(text, FieldError):
            intake.reject(Row(str(path), number, {"raw": text.value}, number), text)
        else:
            yield Row(str(path), number, {"text": text}, number)
