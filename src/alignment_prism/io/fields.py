"""Parsers of single fields: from what a file holds to what a prompt needs, or a `FieldError` that says why not.

Nothing is guessed: a value that is not understood is a problem, and texts are kept exactly as they are.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from alignment_prism.domain import InputError, Languages, Message, Messages, Role, Scope, Taxonomy
from alignment_prism.io.problems import FieldError

K = TypeVar("K", bound=StrEnum)

MAX_LIST_CHARACTERS = 10_000
"""Longest list inside a string that is parsed."""

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_TWICE = re.compile("[\u00c2-\u00c5\u00ce-\u00d1\u00d8\u00d9\u00e0\u00e2\u00f0][^\x00-\x7f]+")
"""Runs that begin as UTF-8 read as Windows-1252 does, for Latin, Greek, Cyrillic, Arabic, Devanagari, signs and emoji.

The letters \u00e8, \u00e9, \u00ea would begin CJK, but before a French quotation mark they are just that."""


def missing(value: object) -> bool:
    """Whether a value says that there is none: None, an empty or blank text, NaN."""
    return value is None or (isinstance(value, str) and not value.strip()) or value != value


def text(values: Mapping[str, Any], name: str) -> str:
    """A text that must be there, exactly as it is.

    Raises:
        FieldError: it is absent, blank, not a text, or cannot be written as UTF-8.
    """
    value = values.get(name)
    if missing(value):
        what = "empty" if name in values else f"no column {name!r}"
        fix = f"give every row a {name}, or say which column holds it"
        raise FieldError(name, value, what, fix, {"mapping": f"{name}=COLUMN"})
    return written(value, name)


def written(value: object, name: str) -> str:
    """A value that is a text that can be written again.

    Raises:
        FieldError: it is not a text, or holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise FieldError(name, value, f"not a text but {_kind(value)}", "put the text in quotes")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        fix = "write the character whole, not as half of a surrogate pair"
        raise FieldError(name, value, "a character that UTF-8 cannot hold", fix) from None
    return value


def _kind(value: object) -> str:
    names: dict[type, str] = {
        list: "a list",
        dict: "an object",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), type(value).__name__)


def optional_text(values: Mapping[str, Any], name: str) -> str:
    """A text, or the empty one where there is none. Numbers are written out: identifiers come as both."""
    value = values.get(name)
    if missing(value):
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else written(value, name)


def language(values: Mapping[str, Any], languages: Languages, name: str = "language") -> str:
    """The code of a language written in any known spelling.

    Raises:
        FieldError: it is absent or unknown.
    """
    value = values.get(name)
    if missing(value):
        what = "no language" if name in values else f"no column {name!r}"
        fix = "name the column, or the language of the whole file"
        raise FieldError(name, value, what, fix, {"mapping": "language=COLUMN", "language": "CODE"})
    try:
        return languages.find(written(value, name)).code
    except InputError as error:
        raise FieldError(name, value, "unknown language", error.fix or "", error.settings) from None


def scope(values: Mapping[str, Any], name: str) -> Scope | None:
    """Reach of the harm, None where the row does not say.

    Raises:
        FieldError: it is neither global nor local.
    """
    value = values.get(name)
    if missing(value):
        return None
    found = written(value, name).strip().casefold()
    if found not in tuple(Scope):
        raise FieldError(name, value, "unknown scope", "write 'global', 'local', or leave it empty")
    return Scope(found)


def optional_truth(values: Mapping[str, Any], name: str) -> bool | None:
    """True or false, also as 1 and 0 or as these words; None where there is none.

    Raises:
        FieldError: it is neither.
    """
    value = values.get(name)
    if missing(value):
        return None
    found = {"true": True, "false": False, "1": True, "0": False}.get(str(value).strip().casefold())
    if found is None:
        raise FieldError(name, value, "neither true nor false", "write true or false")
    return found


def is_name(column: object) -> bool:
    """Whether a column's name looks like one: of a table without a header, the first row is a text that nobody shows.

    One or two words of up to 40 characters of ASCII; in other scripts a word of up to four letters, for six can be a
    request in Chinese.

    Example:
        >>> is_name("prompt_harm_label"), is_name("harm category"), is_name("How is it made"), is_name("如何制造炸弹")
        (True, True, False, False)
    """
    name = str(column)
    return len(name) <= (40 if name.isascii() else 4) and name.count(" ") <= 1 and not name.endswith(("?", ".", "!"))


def column_names(columns: Iterable[object]) -> str:
    """The columns of a file for a message; of what looks like no name only how long it is."""
    return ", ".join(str(name) if is_name(name) else f"({len(str(name))} characters)" for name in columns)[:300]


def member(values: Mapping[str, Any], name: str, kind: type[K], default: K) -> K:
    """A value of a closed set, or the default where there is none.

    Raises:
        FieldError: it is not in the set.
    """
    value = values.get(name)
    if missing(value):
        return default
    try:
        return kind(written(value, name).strip().casefold())
    except ValueError:
        raise FieldError(name, value, f"unknown {name}", "write one of " + ", ".join(kind)) from None


def listed(value: object, name: str) -> tuple[str, ...]:
    """The texts of a list, of a list inside a string in JSON or Python syntax, or of a single text.

    A text is never split on commas: a harm category has one in its name.

    Example:
        >>> listed('["Profanity", "Violence, Threats & Incitement"]', "harm_category")
        ('Profanity', 'Violence, Threats & Incitement')
        >>> listed("['Profanity']", "harm_category")
        ('Profanity',)
        >>> listed("Violence, Threats & Incitement", "harm_category")
        ('Violence, Threats & Incitement',)

    Raises:
        FieldError: it looks like a list and is none, or an entry is no text.
    """
    if missing(value):
        return ()
    entries: object = value
    if isinstance(value, str) and value.strip().startswith(("[", "(")):
        entries = _parsed_list(value.strip(), name)
    elif isinstance(value, str):
        entries = [value]
    if not isinstance(entries, (list, tuple)):
        raise FieldError(name, value, "neither a text nor a list of texts", 'write a list: ["...", "..."]')
    if any(missing(entry) for entry in entries):
        raise FieldError(name, value, "a list with an empty entry", "take the empty entry out")
    return tuple(written(entry, name).strip() for entry in entries)


def _parsed_list(value: str, name: str) -> object:
    fix = 'write a list in JSON (["...", "..."]) or Python syntax'
    if len(value) > MAX_LIST_CHARACTERS:
        raise FieldError(name, value, "a list too long to be one of names", fix)
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    raise FieldError(name, value, "looks like a list and cannot be read as one", fix)


def categories(values: Mapping[str, Any], name: str, taxonomy: Taxonomy | None) -> tuple[str, ...]:
    """Harm categories, each once, in the order of the file; spelled as the taxonomy does, where one is given.

    Raises:
        FieldError: the list cannot be read, or the taxonomy lacks a category.
    """
    found = listed(values.get(name), name)
    if taxonomy is None:
        return tuple(dict.fromkeys(found))
    spelled = []
    for entry in found:
        try:
            spelled.append(taxonomy.find(entry))
        except InputError as error:
            raise FieldError(name, entry, "unknown harm category", error.fix or "") from None
    return tuple(dict.fromkeys(spelled))


def conversation(value: object, name: str, system: str = "") -> Messages:
    """A conversation that a model is to continue, from a text or from a list of turns.

    Raises:
        FieldError: it is empty, misses a role or a text, or does not end with the user's turn.
    """
    turns = turns_of(value, name)
    if turns[-1].role is not Role.USER:
        raise FieldError(name, value, "the last turn is not the user's", "end the conversation with the user's turn")
    if missing(turns[-1].content):
        raise FieldError(name, value, "the last turn is empty", "give the user's turn a text")
    if system:
        turns = (Message(Role.SYSTEM, system), *turns)
    return turns


def turns_of(value: object, name: str) -> Messages:
    """The turns of a conversation, from a text (one user turn), a list of turns, or such a list in a string.

    The keys `from`/`value` with `human`/`gpt` are understood as `role`/`content` with `user`/`assistant`.

    Raises:
        FieldError: it is none of these.
    """
    if missing(value):
        raise FieldError(name, value, "empty", f"give every row a {name}")
    if isinstance(value, str):
        return (Message(Role.USER, written(value, name)),)
    if not isinstance(value, (list, tuple)):
        raise FieldError(name, value, f"neither a text nor a list of turns but {_kind(value)}", TURN_FIX)
    if not value:
        raise FieldError(name, value, "no turn", TURN_FIX)
    return tuple(_turn(entry, name, number) for number, entry in enumerate(value, start=1))


TURN_FIX = 'write each turn as {"role": "user", "content": "..."}'
_ROLES = {"human": Role.USER, "gpt": Role.ASSISTANT, **{str(role): role for role in Role}}


def _turn(entry: object, name: str, number: int) -> Message:
    if not isinstance(entry, Mapping):
        raise FieldError(name, entry, f"turn {number} is not an object", TURN_FIX)
    speaker = entry.get("role", entry.get("from"))
    role = _ROLES.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise FieldError(name, speaker, f"turn {number} has an unknown role", TURN_FIX)
    return Message(role, written(entry.get("content", entry.get("value")), name))


def text_notes(value: str, name: str) -> Iterator[FieldError]:
    """What is odd about a text that is kept all the same."""
    if value != value.strip():
        yield FieldError(name, value, "white space at an edge; kept", "strip it if it means nothing")
    if _CONTROLS.search(value):
        yield FieldError(name, value, "control characters; kept", "take them out")
    if value.isascii():
        return
    if not unicodedata.is_normalized("NFC", value):
        yield FieldError(name, value, "not in Unicode form NFC; kept", "normalise it if tokens matter")
    if _INVISIBLE.search(value):
        yield FieldError(name, value, "invisible or direction marks; kept", "take them out if they mean nothing")
    if "\ufffd" in value:
        yield FieldError(name, value, "replacement characters: text was lost before", "find the original")
    if twice_encoded(value):
        yield FieldError(name, value, "encoded as UTF-8 twice in places; kept", "decode it once more")


def twice_encoded(value: str) -> bool:
    """Whether some run of the text is UTF-8 that was read as Windows-1252 (`Ã§` for `ç`)."""
    for run in _TWICE.findall(value):
        try:
            decoded = _bytes_of(run).decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            continue
        if len(decoded) < len(run):
            return True
    return False


def _bytes_of(run: str) -> bytes:
    # Windows-1252 leaves five bytes undefined; decoders pass them through as the controls of the same number.
    undefined = {"\x81", "\x8d", "\x8f", "\x90", "\x9d"}
    return b"".join(each.encode("latin-1" if each in undefined else "cp1252") for each in run)


def rest(values: Mapping[str, Any], used: Iterable[str]) -> dict[str, Any]:
    """The columns that no field of the record took, without the empty ones."""
    taken = set(used)
    return {name: value for name, value in values.items() if name not in taken and value is not None}
