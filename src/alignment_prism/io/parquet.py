"""Rows of Parquet, a few at a time: how much memory they take is found out before they are unpacked.

A cell of 1 GiB can be packed into 30 kB, and a text that stands once in a dictionary can be that of a million rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment_prism.domain import InputError
from alignment_prism.io.delimited import MAX_COLUMNS, repeated
from alignment_prism.io.files import MAX_LINE_BYTES
from alignment_prism.io.problems import FieldError, Intake, Row

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

MAX_COLUMN_BYTES = 128 * 2**20
MAX_COLUMN_RATIO = 200
"""Bytes that the column of a group of rows may unpack to, and from so many times fewer."""
MAX_TABLE_BYTES = 2**28
MAX_TABLE_RATIO = 1000
"""Bytes that the texts of a table may have together, and in a file of so many times fewer."""
MAX_TABLE_VALUES = 4_000_000
MAX_VALUES_RATIO = 100
"""Values that a column of a table may have, and in a file of so many times fewer bytes: those that are missing, or the
same in every row, take no room."""
ROWS = 1024
"""That are read together, at most."""

_ENTIRE = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"}
"""Encodings in which every text stands whole, in the column or in its dictionary; in others it may be a few bytes that
refer to the one before."""


@dataclass(frozen=True)
class Only:
    """Rows that are wanted of a table, found without making plain values of the others.

    Attributes:
        columns: that say so.
        wanted: of their values, in this order.
    """

    columns: tuple[str, ...]
    wanted: Callable[..., bool]

    def rows(self, batch: pa.RecordBatch) -> list[int]:
        """Places of those in a batch; all where it lacks a column."""
        if not set(self.columns) <= set(batch.schema.names):
            return list(range(batch.num_rows))
        values = zip(*(batch.column(name).to_pylist() for name in self.columns), strict=True)
        return [place for place, own in enumerate(values) if self.wanted(*own)]


def parquet_rows(path: str | Path, intake: Intake, only: Only | None = None) -> Iterator[Row]:
    """Rows of a Parquet file; one with more than `MAX_LINE_BYTES` in a column is a bad row.

    Args:
        path: of the file.
        intake: where rows are counted and bad ones go.
        only: rows that are wanted; the others are not counted. None wants all.

    Raises:
        InputError: it is not a Parquet file, a part of it cannot be decoded, or it unpacks to more than any text does.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = str(path)
    number = 0
    if not Path(path).is_file():
        raise InputError("no such file", where=name, fix="check the path")
    try:
        with pq.ParquetFile(name) as file:
            _check_columns(file.schema_arrow.names, name)
            _check_values(file.metadata, Path(path).stat().st_size, name)
            rows, dictionaries = _plan(file.metadata, name)
        texts = 0
        with pq.ParquetFile(name, read_dictionary=dictionaries) as file:
            for batch in file.iter_batches(batch_size=rows):
                sizes = {column: _sizes(batch.column(column)) for column in batch.schema.names}
                texts += sum(int(each.sum()) for each in sizes.values())
                if texts > MAX_TABLE_BYTES and texts > MAX_TABLE_RATIO * Path(path).stat().st_size:
                    raise _too_much(f"the rows up to {number + batch.num_rows}", Path(path).stat().st_size, texts, name)
                for start, stop, fault in _pieces(sizes, batch.num_rows):
                    piece = batch.slice(start, stop - start)
                    if fault is not None:
                        number += 1
                        intake.read()
                        intake.reject(Row(name, number, {}), fault)
                    elif only is None:
                        for each in _values(piece):
                            number += 1
                            intake.read()
                            yield Row(name, number, each)
                    else:
                        places = only.rows(piece)
                        for place, each in zip(places, _values(_taken(piece, places)), strict=True):
                            intake.read()
                            yield Row(name, number + place + 1, each)
                        number += piece.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise InputError(
            f"cannot be read as Parquet: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}",
            where=f"{name}, after row {number}" if number else name,
            fix="write the file again",
        ) from error


def _check_columns(names: list[str], where: str) -> None:
    if len(names) > MAX_COLUMNS:
        what = f"{len(names):,} columns, and no table has more than {MAX_COLUMNS:,}"
        raise InputError(what, where=where, fix="check that it is the right file")
    twice = repeated(names)
    if twice is not None:
        raise InputError(f"the column {twice[:40]!r} occurs twice", where=where, fix="rename one")


def _check_values(metadata: pq.FileMetaData, size: int, where: str) -> None:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    most = max(
        (sum(group.column(place).num_values for group in groups) for place in range(metadata.num_columns)), default=0
    )
    if most > MAX_TABLE_VALUES and most > MAX_VALUES_RATIO * size:
        what = f"{size:,} bytes hold a column of {most:,} values, which is more than any text does"
        raise InputError(what, where=where, fix="check where the file is from; if it is yours, write it as JSONL")


def _plan(metadata: pq.FileMetaData, name: str) -> tuple[int, list[str]]:
    """How many rows are read together, so that they take about as much memory as the longest line may, and the columns
    that are read as a dictionary and its indices, since their texts may be many times what the column is.

    Raises:
        InputError: a column unpacks to so many times its size that no text does: it is read as a whole, and a table of
            30 kB would take the memory of 1 GB and more.
    """
    widest = 1
    dictionaries: set[str] = set()
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            size = column.total_uncompressed_size
            if size > MAX_COLUMN_BYTES and size > MAX_COLUMN_RATIO * column.total_compressed_size:
                what = f"the column {column.path_in_schema[:40]!r}"
                raise _too_much(what, column.total_compressed_size, size, name)
            if column.physical_type == "BYTE_ARRAY" and size > MAX_LINE_BYTES // ROWS:
                if not _ENTIRE.issuperset(column.encodings):
                    widest = max(widest, size)
                elif any("DICTIONARY" in encoding for encoding in column.encodings):
                    dictionaries.add(column.path_in_schema)
        widest = max(widest, group.total_byte_size // max(group.num_rows, 1))
    return min(ROWS, max(1, MAX_LINE_BYTES // widest)), sorted(dictionaries)


def _too_much(what: str, packed: int, unpacked: int, where: str) -> InputError:
    what = f"{what} unpacks from {packed:,} bytes to {unpacked:,}, which is more than any text does"
    return InputError(what, where=where, fix="check where the file is from; if it is yours, write it as JSONL")


def _sizes(array: pa.Array) -> NDArray[Any]:
    """Bytes of the texts in each value, int64 in the shape of the array; those within lists and structs count."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    sizes: NDArray[Any] = np.zeros(len(array), np.int64)
    if pa.types.is_dictionary(kind):
        known = _sizes(array.dictionary)
        sizes = np.append(known, 0)[_integers(array.indices, len(known))]
    elif any(
        is_text(kind)
        for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    ):
        sizes = _integers(pc.binary_length(array))
    elif pa.types.is_struct(kind):
        sizes = sum((_sizes(field) for field in array.flatten()), sizes)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        inner = [array.keys, array.items] if pa.types.is_map(kind) else [array.values]
        ends = np.concatenate([[0], np.cumsum(sum(_sizes(each) for each in inner))]).astype(np.int64)
        offsets = _integers(array.offsets)
        sizes = ends[offsets[1:]] - ends[offsets[:-1]]
    return sizes


def _integers(array: pa.Array, missing: int = 0) -> NDArray[Any]:
    """Whole numbers as int64, with one in the place of nulls; from memory, since `to_numpy` and `fill_null` import
    pandas, a quarter of a second in every command that reads a table."""
    import numpy as np

    found: NDArray[Any]
    if array.null_count or not len(array):
        found = np.nan_to_num(array.to_numpy(zero_copy_only=False), nan=missing).astype(np.int64)
    else:
        kind = np.dtype(str(array.type))
        found = np.frombuffer(array.buffers()[1], kind, len(array), array.offset * kind.itemsize).astype(np.int64)
    return found


def _pieces(sizes: dict[str, NDArray[Any]], rows: int) -> Iterator[tuple[int, int, FieldError | None]]:
    """First and last (exclusive) of rows whose texts fit into memory together; a row that does not, with its fault."""
    if sum(int(each.sum()) for each in sizes.values()) <= MAX_LINE_BYTES:
        yield 0, rows, None
        return
    start = held = 0
    for place in range(rows):
        size = sum(int(each[place]) for each in sizes.values())
        longest = max(sizes, key=lambda name: sizes[name][place])
        if sizes[longest][place] > MAX_LINE_BYTES:
            if start < place:
                yield start, place, None
            what = f"a value longer than {MAX_LINE_BYTES >> 20} MiB"
            yield place, place + 1, FieldError(longest, f"{sizes[longest][place]} bytes", what, "take the row out")
            start, held = place + 1, 0
        elif held + size > MAX_LINE_BYTES and start < place:
            yield start, place, None
            start, held = place, size
        else:
            held += size
    if start < rows:
        yield start, rows, None


def _taken(batch: pa.RecordBatch, places: list[int]) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    rows = np.array(places, np.int64)  # as a buffer: an array of Arrow's own making would import pandas
    return batch.take(pa.Int64Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)]))


def _values(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    import pyarrow as pa

    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch.columns
    ]
    rows: list[dict[str, Any]] = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return rows
