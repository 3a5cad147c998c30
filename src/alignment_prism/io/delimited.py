"""Rows of tables as text (CSV, TSV), of plain lines, and of Parquet; sheets written as CSV."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alignment_prism.domain import InputError
from alignment_prism.io.files import MAX_LINE_BYTES, read_lines
from alignment_prism.io.problems import FieldError, Intake, Row
from alignment_prism.io.writers import text_writer

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MERGED = "lines that each have all fields, and one quoted text over them; kept as one record"
"""Note on a record that a stray quote may have made of several."""
QUOTE_FIX = 'close every quote and double those inside a text (""); or take quotes for characters'


MAX_COLUMN_BYTES = 128 * 2**20
MAX_COLUMN_RATIO = 200
"""Bytes that the column of a group of Parquet's rows may unpack to, and from so many times fewer."""


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
        self.taken: list[str] = []
        """Lines of the record that is being read."""

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        self.line, text = next(self._lines)
        if isinstance(text, FieldError):
            self.bad = text
            return text.value if isinstance(text.value, str) else "\n"
        self.taken.append(text)
        return text


def table_rows(path: str | Path, intake: Intake, options: TableOptions, default_delimiter: str) -> Iterator[Row]:
    """Rows of a CSV or TSV file. A blank line is no row; a record with too few or too many fields is a bad row.

    Raises:
        InputError: there is no header, or it names a column twice.
    """
    name = str(path)
    csv.field_size_limit(MAX_LINE_BYTES)
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
        feed.bad = None
        feed.taken.clear()
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
        if len(feed.taken) > 1 and all(each.count(delimiter) == len(columns) - 1 for each in feed.taken):
            intake.note(row, FieldError("", None, MERGED, QUOTE_FIX, {"quoting": "none"}))
        yield row


def _header(fields: list[str], name: str, delimiter: str) -> list[str]:
    columns = [field.strip() or f"column {position}" for position, field in enumerate(fields, start=1)]
    twice = _repeated(columns)
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


def _repeated(names: Sequence[str]) -> str | None:
    """The first name that occurs more than once."""
    counts = Counter(names)
    return next((name for name in names if counts[name] > 1), None)


def _large_values(batch: pa.RecordBatch) -> dict[int, FieldError]:
    """Rows with a text longer than a line of a text file may be, and the fault that it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[int, FieldError] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_binary(column.type):
            sizes = pc.binary_length(column)
            if (pc.max(sizes).as_py() or 0) > MAX_LINE_BYTES:
                for place, size in enumerate(sizes.to_pylist()):
                    if (size or 0) > MAX_LINE_BYTES:
                        what = f"a value longer than {MAX_LINE_BYTES >> 20} MiB"
                        found[place] = FieldError(name, f"{size} bytes", what, "take the row out")
    return found


def _rows_at_once(metadata: pq.FileMetaData, name: str) -> int:
    """How many rows are read together, so that they take about as much memory as the longest line may.

    Raises:
        InputError: a column unpacks to so many times its size that no text does: it is read as a whole, and a table of
            30 kB would take the memory of 1 GB and more.
    """
    widest = 1
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            size = column.total_uncompressed_size
            if size > MAX_COLUMN_BYTES and size > MAX_COLUMN_RATIO * column.total_compressed_size:
                what = f"the column {column.path_in_schema[:40]!r} unpacks from {column.total_compressed_size:,} bytes"
                fix = "check where the file is from; if it is yours, write it as JSONL"
                raise InputError(f"{what} to {size:,}, which is more than any text does", where=name, fix=fix)
        widest = max(widest, group.total_byte_size // max(group.num_rows, 1))
    return min(1024, max(1, MAX_LINE_BYTES // widest))


def line_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of a plain text file: each line a row with the one column `text`, blank ones too."""
    for number, text in read_lines(path):
        intake.read()
        if isinstance(text, FieldError):
            intake.reject(Row(str(path), number, {"raw": text.value}, number), text)
        else:
            yield Row(str(path), number, {"text": text}, number)


def parquet_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of a Parquet file, a batch at a time.

    Raises:
        InputError: it is not a Parquet file, or a part of it cannot be decoded.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = str(path)
    number = 0
    if not Path(path).is_file():
        raise InputError("no such file", where=name, fix="check the path")
    try:
        with pq.ParquetFile(name) as file:
            twice = _repeated(file.schema_arrow.names)
            if twice is not None:
                raise InputError(f"the column {twice[:40]!r} occurs twice", where=name, fix="rename one")
            for batch in file.iter_batches(batch_size=_rows_at_once(file.metadata, name)):
                large = _large_values(batch)
                if large:
                    kept = pa.array([place not in large for place in range(batch.num_rows)])
                    rows = iter(batch.filter(kept).to_pylist())
                else:
                    rows = iter(batch.to_pylist())
                for place in range(batch.num_rows):
                    number += 1
                    intake.read()
                    if place in large:
                        intake.reject(Row(name, number, {}), large[place])
                    else:
                        yield Row(name, number, next(rows))
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise InputError(
            f"cannot be read as Parquet: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}",
            where=f"{name}, after row {number}" if number else name,
            fix="write the file again",
        ) from error
