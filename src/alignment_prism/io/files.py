"""Bytes of a file as text: compression, encodings, byte-order marks, lines, digests.

Text is UTF-8; a byte-order mark is taken off, and UTF-16 is read where its mark says so. A line that is not valid
UTF-8 is a bad row, not the end of the file.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from alignment_prism.domain import InputError
from alignment_prism.io.problems import FieldError

MAX_LINE_BYTES = 32 * 2**20
"""Longest line that is read as one row, 32 MiB; a longer one is a bad row. In memory it takes many times as much."""

BROKEN_STREAM = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a damaged .gz raises."""

MAX_BLANK = 100_000
"""Blank lines in a row: a file with more is none of ours, and to pass over them takes as long as to read rows."""

MAX_UNPACKED = 32 * 2**20
MAX_RATIO = 100
"""What is compressed may unpack to `MAX_UNPACKED` bytes, and to more only if that is less than so many times its size:
texts unpack to 3 to 20 times theirs, and a file made to fill memory to 1,000 times."""

ENCODING_FIX = "save the file as UTF-8"


def suffix_of(path: str | Path) -> str:
    """The suffix that says the format, in lower case, that of compression taken off: `.jsonl` for `a.JSONL.gz`."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def open_bytes(path: str | Path) -> io.BufferedReader:
    """Opens a file for reading bytes, through gzip where its name ends with .gz.

    Read it by `read1`: a damaged .gz then gives what comes before the damage.

    Raises:
        InputError: the file is missing, is a folder or may not be read.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError("a folder where a file is expected", where=str(path), fix="name a file in it")
    try:
        if path.suffix.lower() == ".gz":
            return io.BufferedReader(_Unpacked(path), 2**17)
        return path.open("rb")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), fix="check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot open the file: {error}", where=str(path), fix="check path and permissions") from error


class _Unpacked(io.RawIOBase):
    """What a .gz unpacks to, for as long as it is in proportion to what is read of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packed = path.open("rb")
        self._stream = gzip.GzipFile(fileobj=self._packed, mode="rb")
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read1(len(buffer))
        self._size += len(data)
        check_unpacked(self._packed.tell(), self._size, str(self._path))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        self._packed.close()
        super().close()


def check_unpacked(packed: int, unpacked: int, where: str) -> None:
    """Check that what is compressed unpacks to no more than any text does.

    Args:
        packed: bytes that were read.
        unpacked: bytes that they became.
        where: it is.

    Raises:
        InputError: it does.
    """
    if unpacked > MAX_UNPACKED and unpacked > MAX_RATIO * packed:
        what = f"{packed:,} bytes unpack to more than {MAX_RATIO} times as many, which is more than any text does"
        raise InputError(what, where=where, fix="check where the file is from; if it is yours, unpack it first")


def encoding_of(head: bytes) -> tuple[str, int]:
    """Encoding and length of the byte-order mark that a file begins with; `("utf-8", 0)` without one."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(mark):
            return encoding, len(mark)
    return "utf-8", 0


def read_lines(path: str | Path, *, keep_ends: bool = False) -> Iterator[tuple[int, str | FieldError]]:
    """Lines of a text file with their numbers from 1, without their ends (LF or CRLF) unless `keep_ends`.

    Only LF ends a line: U+2028 and its like may stand inside a JSON text. A line that cannot be decoded, or is
    longer than `MAX_LINE_BYTES`, comes as the error that says so; so does the place where a damaged .gz breaks off.
    """
    with open_bytes(path) as stream:
        head = b""
        try:
            head = stream.read(4)
        except BROKEN_STREAM as error:
            yield 1, _broken(error)
            return
        except OSError as error:
            raise InputError(f"cannot read the file: {error}", where=str(path), fix="check the file") from error
        encoding, mark = encoding_of(head)
        if encoding != "utf-8":
            blank = 0
            for number, text in _wide_lines(stream, head[mark:], encoding, keep_ends):
                blank = blank + 1 if text in ("", "\n", "\r\n") else 0
                if blank > MAX_BLANK:
                    raise _only_blank(path)
                yield number, text
            return
        buffered = io.BufferedReader(_Rejoined(head[mark:], stream), 2**20)
        number = blank = 0
        while True:
            number += 1
            try:
                line = buffered.readline(MAX_LINE_BYTES + 1)
            except BROKEN_STREAM as error:
                yield number, _broken(error)
                return
            if not line:
                return
            blank = blank + 1 if line in (b"\n", b"\r\n") else 0
            if blank > MAX_BLANK:
                raise _only_blank(path)
            if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                size = len(line)
                while line and not line.endswith(b"\n"):
                    line = buffered.readline(MAX_LINE_BYTES)
                    size += len(line)
                fix = "put one record on a line"
                yield number, FieldError("", f"{size} bytes", f"a line longer than {MAX_LINE_BYTES >> 20} MiB", fix)
                continue
            try:
                text = line.decode("utf-8")
                yield number, text if keep_ends else text.rstrip("\r\n")
            except UnicodeDecodeError as error:
                what = f"not valid UTF-8 at byte {error.start + 1} of the line"
                text = line.decode("utf-8", "backslashreplace")
                yield number, FieldError("raw", text if keep_ends else text.rstrip("\r\n"), what, ENCODING_FIX)


class _Rejoined(io.RawIOBase):
    """A stream with bytes that were read from its head put back."""

    def __init__(self, head: bytes, rest: io.BufferedReader) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._head[: len(buffer)] if self._head else self._rest.read1(len(buffer))
        self._head = self._head[len(data) :] if self._head else b""
        buffer[: len(data)] = data
        return len(data)


def _wide_lines(
    stream: io.BufferedReader, head: bytes, encoding: str, keep_ends: bool
) -> Iterator[tuple[int, str | FieldError]]:
    """Lines of UTF-16 or UTF-32, decoded as a stream because LF is several bytes there."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    pending: list[str] = []  # pieces of a line that is still going on; joined once, for a line may be long
    number, data = 0, head
    skipped = 0  # characters of a line that is too long to be kept
    while True:
        more: bytes = b""
        broken: FieldError | None = None
        try:
            more = stream.read1(2**20)
        except BROKEN_STREAM as error:
            broken = _broken(error)
        text = decoder.decode(data, final=False) + ("" if more else decoder.decode(b"", final=True))
        first, *others = text.split("\n")
        pending.append(first)
        lines: list[str] = []
        if others:
            lines, pending = ["".join(pending), *others[:-1]], [others[-1]]
        held = sum(map(len, pending))
        if not more and (held or skipped):
            lines.append("".join(pending))
        for line in lines:
            number += 1
            if skipped:
                size, skipped = skipped + len(line), 0
                yield number, FieldError("", f"{size} characters", "a line too long", "put one record on a line")
                continue
            text = line + "\n" if keep_ends else line.rstrip("\r")
            if "\ufffd" in text:
                yield number, FieldError("raw", text, f"not valid {encoding.upper()}", ENCODING_FIX)
            elif len(text) > MAX_LINE_BYTES:
                yield number, FieldError("", f"{len(text)} characters", "a line too long", "put one record on a line")
            else:
                yield number, text
        if broken is not None:
            yield number + 1, broken
            return
        if not more:
            return
        if held > MAX_LINE_BYTES:
            skipped, pending = skipped + held, []
        data = more


def _only_blank(path: str | Path) -> InputError:
    what = f"more than {MAX_BLANK:,} blank lines in a row"
    return InputError(what, where=str(path), fix="check that it is the right file")


def _broken(error: Exception) -> FieldError:
    return FieldError(
        "", None, f"the compressed file breaks off here ({error}); rows after this are lost", "fetch the file again"
    )


def read_chunks(path: str | Path, characters: int = 2**20) -> Iterator[str | FieldError]:
    """A text file in pieces, for formats that lines do not divide.

    Bytes that are not valid come as lone surrogates (U+DC80 to U+DCFF), so that only the record that holds them is
    bad. Where a damaged .gz breaks off, the last piece is the error that says so.
    """
    with open_bytes(path) as stream:
        decoder: codecs.IncrementalDecoder | None = None
        while True:
            try:
                data = stream.read1(characters)
            except BROKEN_STREAM as error:
                yield _broken(error)
                return
            except OSError as error:
                raise InputError(f"cannot read the file: {error}", where=str(path), fix="check the file") from error
            if decoder is None:
                encoding, mark = encoding_of(data[:4])
                data = data[mark:] or data[:0]
                handler = "surrogateescape" if encoding == "utf-8" else "replace"
                decoder = codecs.getincrementaldecoder(encoding)(handler)
                if not data:
                    return
            text = decoder.decode(data, final=not data)
            if text:
                yield text
            if not data:
                return


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read the file: {error}", where=str(path), fix="check path and permissions") from error
