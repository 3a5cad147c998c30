"""Which concepts the words of a language stand for, ready to be looked up where they stand in a sentence.

`words.txt` has one row a concept and a column a language; this module adds the rules by which a dictionary's entry
becomes what a sentence says: articles, contractions, prepositions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from alignment_prism.nano.oracle.normal import normalise

CODES: tuple[str, ...] = ("en", "hi", "fr", "es", "ar", "ru", "sr", "fil")
"""Columns of `words.txt`."""

NAMEABLE: tuple[str, ...] = ("topics", "materials", "actions", "places", "protections", "classes")
"""Sections whose words a dictionary question may ask for."""

OPPOSITES: dict[str, str] = {
    one: other
    for pair in (
        "big small", "hot cold", "new old", "fast slow", "long short", "bright dark",
        "full empty", "wet dry", "open closed", "strong weak", "clean dirty", "rich poor",
    )
    for one, other in (pair.split(), reversed(pair.split()))
}  # fmt: skip
"""Which adjective is the opposite of which."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one language.

    Attributes:
        language: its code.
        slots: for each section, the text that stands in a sentence -> the concept's key.
        names: any word that a dictionary question may give or want -> the concepts (section, key) it stands for.
    """

    language: str
    slots: dict[str, dict[str, str]]
    names: dict[str, frozenset[tuple[str, str]]]


@cache
def vocabulary(code: str) -> Vocabulary:
    """The vocabulary of a language; KeyError if the oracle does not speak it."""
    column = CODES.index(code) if code in CODES else None
    if column is None:
        raise KeyError(code)
    slots: dict[str, dict[str, str]] = {}
    names: dict[str, set[tuple[str, str]]] = {}
    for section, rows in _table().items():
        slots[section] = {}
        for key, entries in rows:
            for entry in entries[column].split(" / "):
                said = normalise(_in_sentence(code, section, entry))
                slots[section][said] = key
                if section in NAMEABLE:
                    names.setdefault(said, set()).add((section, key))
                    names.setdefault(normalise(entry), set()).add((section, key))
    return Vocabulary(code, slots, {word: frozenset(found) for word, found in names.items()})


@cache
def _table() -> dict[str, list[tuple[str, list[str]]]]:
    text = (resources.files("alignment_prism.nano.oracle") / "words.txt").read_text(encoding="utf-8")
    table: dict[str, list[tuple[str, list[str]]]] = {}
    rows: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("["):
            rows = table.setdefault(line.strip("[] "), [])
        elif line and not line.startswith("#"):
            key, *entries = (cell.strip() for cell in line.split(";"))
            if len(entries) != len(CODES) or not all(entries):
                raise ValueError(f"words.txt: {key!r} has not one entry a language")
            rows.append((key, entries))
    return table


def _in_sentence(code: str, section: str, entry: str) -> str:
    """A dictionary's entry as it stands in a sentence."""
    if section == "topics":
        return {"fr": _of_fr, "es": _of_es, "ru": _with_ru}.get(code, str)(entry)
    if section == "materials" and code == "fr":
        return _of_fr(entry)
    if section == "places":
        rules = {"en": "from the {}".format, "hi": "{} से".format, "fr": _of_fr, "es": _of_es, "ar": "من {}".format}
        rules["fil"] = "sa {}".format
        return rules.get(code, str)(entry)
    if section == "consequences":
        rules = {"fr": _to_fr, "es": _to_es, "ar": "إلى {}".format, "ru": "к {}".format}
        rules |= {"sr": "do {}".format, "fil": "ng {}".format}
        return rules.get(code, str)(entry)
    if section == "classes" and code == "fil":
        return f"isang {entry}"
    if section == "countries":
        return {"fr": _of_fr, "es": _of_es}.get(code, str)(entry)
    return entry


def _contract(preposition: str, entry: str, rules: dict[str, str]) -> str:
    article, _, noun = entry.partition(" ")
    return f"{rules[article]} {noun}" if noun and article in rules else f"{preposition} {entry}"


def _of_fr(entry: str) -> str:
    return _contract("de", entry, {"le": "du", "les": "des"})


def _to_fr(entry: str) -> str:
    return _contract("à", entry, {"le": "au", "les": "aux"})


def _of_es(entry: str) -> str:
    return _contract("de", entry, {"el": "del"})


def _to_es(entry: str) -> str:
    return _contract("a", entry, {"el": "al"})


def _with_ru(entry: str) -> str:
    """With: `со` before a hissing or whistling sound and another consonant, `с` elsewhere."""
    clustered = entry[0] in "сзшжщ" and entry[1] not in "аеёиоуыэюя"
    return f"{'со' if clustered else 'с'} {entry}"
