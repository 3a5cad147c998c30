"""Writing records: under a temporary name, flushed to disk, then renamed, so that no half file is ever seen."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import socket
import tempfile
import threading
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

from alignment_prism.domain import InputError, StoreError
from alignment_prism.io.files import suffix_of
from alignment_prism.io.schemas import columns_of, json_of, schema_for

BATCH = 1024
"""Records per Parquet write."""
PART = ".part"
"""Ends the temporary name of a file that is being written."""
_OURS: set[Path] = set()
"""Temporary paths that this process is writing to."""
_BEGINNING = threading.Lock()


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not.

    Raises:
        StoreError: the folder cannot be written to.
    """
    path = Path(path)
    fix = "check that the folder may be written to and has room, then run the same again"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _BEGINNING:
            _remove_leftovers(path)
            handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=PART, dir=path.parent)
            os.close(handle)
            temporary = Path(name)
            _OURS.add(temporary.absolute())
    except OSError as error:
        raise StoreError(f"cannot write: {error}", where=str(path), fix=fix) from error
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write: {error}", where=str(path), fix=fix) from error
    finally:
        temporary.unlink(missing_ok=True)
        _OURS.discard(temporary.absolute())


@contextlib.contextmanager
def writing_to(*temporary: Path) -> Iterator[None]:
    """Let it be known within this process that paths with its number are being written to."""
    ours = {path.absolute() for path in temporary}
    _OURS.update(ours)
    try:
        yield
    finally:
        _OURS.difference_update(ours)


def is_under_way(temporary: Path, process: int) -> bool:
    """Whether the process that made a temporary path, of this machine, still writes to it.

    Numbers of processes come again: in a container that is started anew, a command has the number that the one before
    it had. What bears this process's own number, and is not its own, was left by such a one.
    """
    if process == os.getpid():
        return temporary.absolute() in _OURS
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):  # no system counts so far
        return False
    except OSError:
        return True  # it exists and is another user's
    return True


def _prefix(path: Path) -> str:
    return f".{path.name}.{socket.gethostname()}-{os.getpid()}-"


def _remove_leftovers(path: Path) -> None:
    """Remove what processes of this machine left that were killed while they wrote the same file."""
    name = re.compile(rf"\.{re.escape(f'{path.name}.{socket.gethostname()}')}-(\d+)-\w+{re.escape(PART)}")
    for other in path.parent.iterdir():
        if (found := name.fullmatch(other.name)) and not is_under_way(other, int(found[1])):
            other.unlink(missing_ok=True)


@contextlib.contextmanager
def text_writer(path: str | Path) -> Iterator[IO[str]]:
    """A UTF-8 text file, written atomically, compressed where its name ends with .gz."""
    with replacing(path) as temporary:
        if Path(path).suffix.lower() == ".gz":
            # No name and no time inside, so that the same content has the same bytes.
            with (
                temporary.open("wb") as stream,
                gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed,
                io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
            ):
                yield text
        else:
            with temporary.open("w", encoding="utf-8", newline="\n") as text:
                yield text


def write_text(path: str | Path, content: str) -> None:
    """Writes a text file atomically.

    Raises:
        StoreError: it cannot be written.
    """
    with text_writer(path) as stream:
        stream.write(content)


def write_json(path: str | Path, value: Any) -> None:
    """Writes a JSON document atomically, readable, in the order given.

    Raises:
        StoreError: it cannot be written.
    """
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def check_suffix(path: str | Path) -> str:
    """The suffix that says how records are written: `.parquet` or `.jsonl`.

    Raises:
        InputError: it is another.
    """
    suffix = suffix_of(path)
    if suffix not in {".parquet", ".jsonl"}:
        fix = "name it .parquet or .jsonl"
        raise InputError(f"records are not written as {suffix!r}", where=str(path), fix=fix)
    return suffix


def write_records(path: str | Path, records: Iterable[Any], record_type: type | None = None) -> int:
    """Writes records as Parquet or JSONL, by suffix, atomically.

    Args:
        path: `.parquet`, or `.jsonl` with or without `.gz`.
        records: of one type; an iterator is written as it comes, without being held in memory.
        record_type: their type; needed only where there may be none.

    Returns:
        How many were written.

    Raises:
        InputError: the suffix is another, or there is no record to take the type from.
        StoreError: the file cannot be written.
    """
    suffix = check_suffix(path)
    iterator = iter(records)
    if record_type is None:
        first = next(iterator, None)
        if first is None:
            raise InputError(
                "no records, and no type to write an empty file of", where=str(path), fix="give record_type"
            )
        record_type, iterator = type(first), chain([first], iterator)
    if suffix == ".parquet":
        return _write_parquet(path, iterator, record_type)
    count = 0
    with text_writer(path) as stream:
        for record in iterator:
            stream.write(json.dumps(json_of(record), ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_parquet(path: str | Path, records: Iterator[Any], record_type: type) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = schema_for(record_type)
    columns = columns_of(record_type)
    count = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        batch: list[dict[str, Any]] = []
        for record in records:
            batch.append({column.name: column.to_parquet(getattr(record, column.name)) for column in columns})
            count += 1
            if len(batch) == BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    return count
