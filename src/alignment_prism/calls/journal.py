"""The journal of model calls: what a model answered is written down at once and never asked again.

One JSON object a line, appended. A line that is torn, because the process or the machine died while writing it,
is skipped when the journal is read again: its call is simply made once more.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from alignment_prism.domain.errors import StoreError


def call_key(*parts: object) -> str:
    """Key of a call: SHA-256 over everything that shapes its answer, 64 hexadecimal digits.

    The caller names the parts: model, digest of the weights (two checkpoints may share a name), messages,
    sampling, seed, number of the sample.
    """
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class CallJournal:
    """An append-only journal of answers, safe to use from several threads.

    Each entry is handed to the operating system when it is put, so it survives the end of the process, however it
    ends; `close` also flushes it to disk.

    Args:
        path: the JSONL file; it and its folders are made when the first entry is put.

    Attributes:
        torn: lines that could not be read and were skipped.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.torn = 0
        self._entries: dict[str, Any] = {}
        self._file: int | None = None
        self._lock = threading.Lock()
        self._read()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def get(self, key: str) -> Any:
        """The value that was put under `key`, or None."""
        return self._entries.get(key)

    def put(self, key: str, value: Any) -> None:
        """Write down `value`, a plain JSON value, under `key`; a later value replaces an earlier one.

        Raises:
            StoreError: it cannot be written, for example because the disk is full; what was put before is kept.
        """
        line = json.dumps({"key": key, "value": value}, ensure_ascii=False, separators=(",", ":"))
        data = (line + "\n").encode("utf-8", "surrogatepass")
        with self._lock:
            if self._file is None:
                self._file = self._open()
            written = 0
            try:
                while written < len(data):
                    written += os.write(self._file, data[written:])
            except OSError as error:  # half a line would spoil the next one
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                fix = "make room there and run the same command again: what was answered is kept"
                raise StoreError(
                    f"cannot write the journal: {error.strerror}", where=str(self.path), fix=fix
                ) from error
            self._entries[key] = value

    def close(self) -> None:
        """Flush the journal to disk and close it; a later `put` opens it again."""
        with self._lock:
            if self._file is not None:
                os.fsync(self._file)
                os.close(self._file)
                self._file = None

    def _read(self) -> None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"cannot read the journal: {error.strerror}", where=str(self.path)) from error
        for line in content.split(b"\n"):
            if not line.strip():
                continue
            try:
                entry = json.loads(line.decode("utf-8", "surrogatepass"))
                self._entries[entry["key"]] = entry["value"]
            except (ValueError, KeyError, TypeError, RecursionError):
                self.torn += 1

    def _open(self) -> int:
        """Open for appending; a torn last line is ended first, so that it spoils no entry but its own."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            fix = "choose a folder that can be written to"
            raise StoreError(f"cannot write the journal: {error.strerror}", where=str(self.path), fix=fix) from error
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")
        return file
