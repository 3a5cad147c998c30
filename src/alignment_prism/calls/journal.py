"""The journal of model calls: what a model answered is written down at once and never asked again.

One JSON object a line, appended, each with a checksum. A line that is torn, because the process or the machine died
while writing it, or that has changed since, is skipped when the journal is read again: its call is simply made once
more. In memory are the keys and where their answers stand, not the answers.

The line of an answer that was paid for names the model, so that a journal says what its calls came to. Answers may be
shared by several journals through a cache, a journal of its own beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from alignment_prism.calls.budget import Budget, Usage
from alignment_prism.domain.errors import SharedStoreError


def call_key(*parts: object) -> str:
    """Key of a call: SHA-256 over everything that shapes its answer, 64 hexadecimal digits.

    The caller names the parts: model, digest of the weights (two checkpoints may share a name), messages,
    sampling, seed, number of the sample.
    """
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


CHECKSUM = b',"crc32":"%08x"}'
"""Ends a line: of every byte before it."""
_CHECKSUM_BYTES = len(CHECKSUM % 0)


def journal_line(key: str, value: Any, model: str = "") -> bytes:
    """The line of an entry, without its end; it names the model that was paid for it, if one was.

    Example:
        >>> journal_line("a", 1)
        b'{"key":"a","value":1,"crc32":"6b4212e3"}'
    """
    paid = {"model": model} if model else {}
    text = json.dumps({"key": key, **paid, "value": value}, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "surrogatepass")[:-1]
    return data + CHECKSUM % zlib.crc32(data)


def _entry(line: bytes) -> tuple[str, Any, str] | None:
    """Key, value and paid model of a line; None where it is not as it was written."""
    line = line.rstrip(b"\n")
    data = line[:-_CHECKSUM_BYTES]
    if line[-_CHECKSUM_BYTES:] != CHECKSUM % zlib.crc32(data):
        return None
    try:
        entry = json.loads(data.decode("utf-8", "surrogatepass") + "}")
        key, model = entry["key"], entry.get("model", "")
        return (key, entry["value"], model) if isinstance(key, str) and isinstance(model, str) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class Journal(Protocol):
    """What calls need of a journal, such as `CallJournal`."""

    budget: Budget | None

    def get(self, key: str) -> Any:
        """The stored answer or None."""

    def put(self, key: str, value: Any, *, model: str = "", shared: bool = True) -> None:
        """Store an answer, and the model that was paid for it; one that is not shared is of use to this run only."""


class CallJournal:
    """An append-only journal of answers, safe to use from several threads.

    Each entry is handed to the operating system when it is put, so it survives the end of the process, however it
    ends; `close` also flushes it to disk.

    Args:
        path: the JSONL file; it and its folders are made when the first entry is put.
        cache: a journal of answers that other runs share; what is put here is put there too, and what is asked for and
            only there is taken over.
        budget: what may be spent on further calls; None sets no limit. What this journal holds counts.

    Attributes:
        torn: lines that could not be read, or were not as they had been written, and were skipped.
        usage: model -> what its calls came to; also of answers that a later one replaced.
        taken: answers that were taken over from the cache since the journal was opened.
    """

    def __init__(self, path: str | Path, *, cache: CallJournal | None = None, budget: Budget | None = None) -> None:
        self.path = Path(path)
        self.cache = cache
        self.budget = budget
        self.torn = 0
        self.usage: dict[str, Usage] = {}
        self.taken = 0
        self._places: dict[str, tuple[int, int]] = {}
        """Key -> first byte of its line, and how many it has."""
        self._file: int | None = None
        self._lock = threading.Lock()
        self._read()
        if budget is not None:
            budget.begin(self.usage)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def get(self, key: str) -> Any:
        """The value that was put under `key`, here or in the cache, or None.

        Raises:
            SharedStoreError: the journal cannot be read any more.
        """
        value = self._read_again(key) if key in self._places else None
        return self._from_cache(key) if value is None else value

    def put(self, key: str, value: Any, *, model: str = "", shared: bool = True) -> None:
        """Write down `value`, a plain JSON value, under `key`; a later value replaces an earlier one.

        Args:
            key: of the call.
            value: its answer.
            model: that was paid for it; empty where nobody was.
            shared: whether it goes to the cache too.

        Raises:
            SharedStoreError: it cannot be written, for example because the disk is full; what was put before is kept.
        """
        self._write(key, value, model)
        if self.cache is not None and shared:
            self.cache.put(key, value)

    def _write(self, key: str, value: Any, model: str) -> None:
        data = journal_line(key, value, model) + b"\n"
        with self._lock:
            if self._file is None:
                self._file = self._open()
            written = 0
            try:
                while written < len(data):
                    written += os.write(self._file, data[written:])
            except OSError as error:  # half a line would spoil the next one
                end = os.fstat(self._file).st_size
                if not written or end == os.lseek(self._file, 0, os.SEEK_CUR):  # nobody has added to a shared one since
                    os.ftruncate(self._file, end - written)
                fix = "make room there and run the same command again: what was answered is kept"
                raise SharedStoreError(
                    f"cannot write the journal: {error.strerror}", where=str(self.path), fix=fix
                ) from error
            self._places[key] = os.lseek(self._file, 0, os.SEEK_CUR) - len(data), len(data)
            self._count(value, model)

    def close(self) -> None:
        """Flush the journal and its cache to disk and close them; a later `put` opens them again."""
        if self.cache is not None:
            self.cache.close()
        with self._lock:
            if self._file is not None:
                os.fsync(self._file)
                os.close(self._file)
                self._file = None

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                first = 0
                for line in file:
                    found = _entry(line)
                    if found is not None:
                        self._places[found[0]] = first, len(line)
                        self._count(found[1], found[2])
                    elif line.strip():
                        self.torn += 1
                    first += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SharedStoreError(f"cannot read the journal: {error.strerror}", where=str(self.path)) from error

    def _read_again(self, key: str) -> Any:
        """The value of an entry, from the file; None where its line is not as it was written."""
        first, length = self._places[key]
        try:
            with self.path.open("rb") as file:
                found = _entry(os.pread(file.fileno(), length, first))
        except OSError as error:
            raise SharedStoreError(f"cannot read the journal: {error.strerror}", where=str(self.path)) from error
        return found[1] if found is not None and found[0] == key else None

    def _from_cache(self, key: str) -> Any:
        """The value that only the cache has, taken over; None where it has none."""
        value = None if self.cache is None else self.cache.get(key)
        if value is not None:
            self.taken += 1
            self._write(key, value, "")
        return value

    def _count(self, value: Any, model: str) -> None:
        """Add an answer to what the calls of its model came to."""
        if model and isinstance(value, dict):
            tokens = [value.get(name, -1) for name in ("prompt_tokens", "completion_tokens")]
            used = Usage.of_call(*(count if type(count) is int else -1 for count in tokens))
            self.usage[model] = self.usage.get(model, Usage()) + used

    def _open(self) -> int:
        """Open for appending; a torn last line is ended first, so that it spoils no entry but its own."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            fix = "let the folder be written to and run the same command again: what was answered is kept"
            raise SharedStoreError(
                f"cannot write the journal: {error.strerror}", where=str(self.path), fix=fix
            ) from error
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")
        return file
