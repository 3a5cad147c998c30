"""Rows of JSON: one object a line, an array of objects, or a single document that holds such an array."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from sys import getsizeof
from typing import Any

from alignment_prism.domain import InputError
from alignment_prism.io.files import MAX_LINE_BYTES, read_chunks, read_lines
from alignment_prism.io.problems import FieldError, Intake, Row

Read = Iterator[tuple[int, str | FieldError]]

MAX_DOCUMENT_BYTES = 256 * 2**20
"""Largest document that is read whole, 256 MiB in memory; a larger one is read as lines."""

MAX_VALUES = 4_000_000
"""That one row or document may hold: an empty list takes two characters in a file, and some seventy bytes in memory."""

OBJECT_FIX = 'write each row as an object: {"prompt": "...", "language": "en"}'
NESTED = "a JSON object inside a JSON text; it was unpacked"
_WHITE = re.compile(r"[ \t\r\n]*")
_BAD_BYTES = re.compile("[\udc80-\udcff]")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_MARKS = re.compile(r'["\\\[\]{},]')


class _DuplicateKey(ValueError):
    """An object names a key twice, so that one value would be lost."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _DuplicateKey(name)
            seen.add(name)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        FieldError: it is not JSON, names a key twice, nests too deeply, holds bytes that were not UTF-8, or more than
            `MAX_VALUES` values.
    """
    if _has_too_many(text):
        what, fix = f"more than {MAX_VALUES:,} values", "write each row on a line of its own (.jsonl)"
        raise FieldError("raw", text, what, fix)
    return _decoding(lambda: _DECODER.decode(text), text)


def _has_too_many(text: str, start: int = 0) -> bool:
    """Whether a JSON text may hold more than `MAX_VALUES`: each is the first of a list or object, or behind a comma."""
    if len(text) - start <= MAX_VALUES:
        return False
    return sum(text.count(mark, start) for mark in "[{,") > MAX_VALUES


def _decoding(decode: Callable[[], Any], text: str) -> Any:
    try:
        return decode()
    except json.JSONDecodeError as error:
        what = f"not JSON: {error.msg} at character {error.pos + 1}"
        raise FieldError("raw", text, what, "write one complete JSON object") from None
    except _DuplicateKey as error:
        raise FieldError(str(error)[:40], None, "a key that occurs twice in one object", "name each key once") from None
    except RecursionError:
        raise FieldError("raw", text, "nested too deeply", "flatten the row") from None
    except ValueError as error:
        raise FieldError("raw", text, f"not usable JSON: {str(error)[:60]}", "write numbers of ordinary size") from None


def json_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of a .json file, whichever of the three shapes it has."""
    first = next((chunk for chunk in read_chunks(path) if isinstance(chunk, str) and chunk.strip()), "")
    start = first.lstrip()
    if start.startswith("["):
        yield from _array_rows(path, intake)
        return
    line, _, rest = start.partition("\n")
    if start.startswith("{") and Path(path).stat().st_size <= MAX_DOCUMENT_BYTES:
        try:
            several = bool(rest.strip()) and isinstance(_DECODER.decode(line), dict)
        except (ValueError, RecursionError):
            several = False
        if not several:
            yield from _document_rows(path, intake)
            return
    yield from jsonl_rows(path, intake)


def _row_list(document: dict[str, Any]) -> list[Any] | None:
    """The only list of objects that a document holds, or None if there is none or more than one.

    A conversation (`messages`, `turns`) is a list of objects too, but belongs to a row.
    """
    lists = [
        value
        for value in document.values()
        if isinstance(value, list) and value and all(isinstance(entry, dict) and "role" not in entry for entry in value)
    ]
    return lists[0] if len(lists) == 1 and len(document) <= 3 else None


def jsonl_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of a file with one JSON object a line; blank lines are no rows."""
    name = str(path)
    number = 0
    for line, text in read_lines(path):
        if isinstance(text, str) and not text.strip():
            continue
        number += 1
        yield from _row(name, number, line, text, intake)


def _row(name: str, number: int, line: int | None, text: str | FieldError, intake: Intake) -> Iterator[Row]:
    intake.read()
    raw = text if isinstance(text, str) else text.value
    try:
        if isinstance(text, FieldError):
            raise text
        if _BAD_BYTES.search(text):
            raise FieldError("raw", text, "not valid UTF-8", "save the file as UTF-8")
        value = parse_json(text)
        nested = isinstance(value, str) and value.lstrip().startswith("{")
        if nested:
            value = parse_json(value)
        if not isinstance(value, dict):
            raise FieldError("raw", value, "not an object", OBJECT_FIX)
        if _HALF.search(text):
            _require_whole_characters(value)
    except FieldError as error:
        raw = raw.encode("utf-8", "backslashreplace").decode() if isinstance(raw, str) else raw
        intake.reject(Row(name, number, {"raw": raw}, line), error)
        return
    row = Row(name, number, value, line)
    if nested:
        intake.note(row, FieldError("", None, NESTED, "write each row as an object, not as a text"))
    yield row


def _require_whole_characters(row: Mapping[str, Any]) -> None:
    """Refuses a row with half of a surrogate pair anywhere: what is made of it could not be written again."""
    for name, value in row.items():
        try:
            json.dumps({name: value}, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            what = "a character that UTF-8 cannot hold"
            fix = "save the file as UTF-8, and write each character whole, not as half of a surrogate pair"
            raise FieldError(name if name.isascii() else "", None, what, fix) from None


def _document_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of one JSON document: the list of objects it holds, or the document itself as one row."""
    name = str(path)
    pieces: list[str] = []
    size = 0
    for chunk in read_chunks(path):
        if isinstance(chunk, FieldError):
            yield from _row(name, 1, None, chunk, intake)
            return
        pieces.append(chunk)
        size += getsizeof(chunk)  # a character takes one to four bytes
        if size > MAX_DOCUMENT_BYTES:  # a compressed file says little about its size
            pieces.clear()
            yield from jsonl_rows(path, intake)
            return
    text = "".join(pieces)
    pieces.clear()
    if _has_too_many(text):
        what = f"a JSON document of more than {MAX_VALUES:,} values"
        raise InputError(what, where=name, fix="write each row on a line of its own (.jsonl), or one array of all rows")
    try:
        document = parse_json(text)
    except FieldError:
        # Not one document: then it is lines, good ones among them, and each bad one is reported by itself.
        yield from jsonl_rows(path, intake)
        return
    entries = _row_list(document) if isinstance(document, dict) else None
    if entries is None:
        yield from _row(name, 1, 1, text, intake)
        return
    halves = _HALF.search(text) is not None or _BAD_BYTES.search(text) is not None
    for number, entry in enumerate(entries, start=1):
        intake.read()
        row = Row(name, number, entry)
        if halves:
            try:
                _require_whole_characters(entry)
            except FieldError as error:
                intake.reject(row, error)
                continue
        yield row


def _array_rows(path: str | Path, intake: Intake) -> Iterator[Row]:
    """Rows of a JSON array, element by element, so that the array need not fit into memory."""
    for number, element in enumerate(_elements(read_chunks(path)), start=1):
        yield from _row(str(path), number, None, element, intake)


def _elements(chunks: Iterator[str | FieldError]) -> Iterator[str | FieldError]:
    """The texts of an array's elements. A bad element ends at the next comma on its level."""
    buffer, position, ended = "", 0, False
    broken: FieldError | None = None

    def more() -> bool:
        nonlocal buffer, position, ended, broken
        chunk = next(chunks, None)
        if chunk is None or isinstance(chunk, FieldError):
            ended, broken = True, chunk
            return False
        buffer, position = buffer[position:] + chunk, 0
        return True

    def skip_white() -> str:
        nonlocal position
        while True:
            found = _WHITE.match(buffer, position)
            position = found.end() if found else position
            if position < len(buffer) or not more():
                return buffer[position : position + 1]

    skip_white()
    position += 1  # the opening bracket
    while True:
        if skip_white() in ("]", ""):
            break
        while True:
            try:
                end = _DECODER.raw_decode(buffer, position)[1]
                after = _WHITE.match(buffer, end)
                sure = after is not None and after.end() < len(buffer)
            except (ValueError, RecursionError):
                sure = False
            held = len(buffer) - position
            if not sure and _has_too_many(buffer, position):  # it goes on behind all that
                what = f"an entry of more than {MAX_VALUES:,} values; rows after this are not read"
                yield FieldError("", None, what, "take it out, or write each row on a line of its own (.jsonl)")
                return
            if sure or ended or held > MAX_LINE_BYTES or not more():
                break
            while len(buffer) - position < 2 * held and more():
                pass  # a long element is decoded anew only when twice as much of it is there
        if not sure or buffer[after.end()] not in ",]":  # type: ignore[union-attr]
            end = _next_comma(buffer, position)
        yield buffer[position:end]
        position = end
        if skip_white() == ",":
            position += 1
    if broken is not None:
        yield broken
    elif buffer[position : position + 1] != "]":
        yield FieldError("", None, "the array is not closed; rows after this may be missing", "fetch the file again")
    else:
        position += 1
        if skip_white():
            yield FieldError("raw", buffer[position:], "text after the end of the array", "keep one array in the file")


def _next_comma(text: str, position: int) -> int:
    """Where the element that begins at `position` ends: before a comma or bracket on its own level."""
    depth, quoted, escaped_until = 0, False, -1
    for mark in _MARKS.finditer(text, position):
        symbol = mark.group()
        if mark.start() < escaped_until:
            continue
        if symbol == "\\":
            escaped_until = mark.end() + 1
        elif symbol == '"':
            quoted = not quoted
        elif not quoted:
            if depth == 0 and symbol in ",]":
                return max(mark.start(), position)
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(symbol, 0)
    return len(text)
