"""Writing systems: their codes, and which of them a text is written in. Unicode's names of letters say it."""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from functools import lru_cache

from alignment_prism.domain.errors import InputError

_BY_UNICODE_NAME = {
    "LATIN": "Latn", "CYRILLIC": "Cyrl", "ARABIC": "Arab", "DEVANAGARI": "Deva", "BENGALI": "Beng", "TAMIL": "Taml",
    "TELUGU": "Telu", "GUJARATI": "Gujr", "GURMUKHI": "Guru", "KANNADA": "Knda", "MALAYALAM": "Mlym",
    "SINHALA": "Sinh", "ORIYA": "Orya", "ETHIOPIC": "Ethi", "GREEK": "Grek", "HEBREW": "Hebr", "ARMENIAN": "Armn",
    "GEORGIAN": "Geor", "THAI": "Thai", "LAO": "Laoo", "KHMER": "Khmr", "MYANMAR": "Mymr", "TIBETAN": "Tibt",
    "HANGUL": "Hang", "HIRAGANA": "Hira", "KATAKANA": "Kana", "CJK": "Hani",
}  # fmt: skip
_COMPOUND = {"Jpan": {"Hira", "Kana", "Hani"}, "Kore": {"Hang", "Hani"}, "Hans": {"Hani"}, "Hant": {"Hani"}}
_NAMES = {name.capitalize(): code for name, code in _BY_UNICODE_NAME.items()} | {
    "Japanese": "Jpan", "Korean": "Kore", "Chinese": "Hans", "Burmese": "Mymr", "Roman": "Latn", "Odia": "Orya",
}  # fmt: skip
OTHERS = (
    "Adlm Bali Batk Bopo Brai Bugi Cakm Cans Cham Cher Copt Goth Java Lepc Limb Lisu Mand Mong Mtei Nkoo Ogam Olck "
    "Phag Rohg Runr Samr Saur Sund Sylo Syrc Tagb Tale Talu Tavt Tfng Tglg Thaa Vaii Yiii Zzzz"
).split()
"""Codes of ISO 15924 of scripts whose letters are counted together, as `Zzzz`."""

SCRIPTS = frozenset({*_BY_UNICODE_NAME.values(), *_COMPOUND, *OTHERS})
"""Codes of ISO 15924 that a language may be written in."""


def check_script(code: str) -> str:
    """The code, if it is one of ISO 15924.

    Raises:
        InputError: it is not; a name (`Japanese`) is answered with its code.
    """
    if code in SCRIPTS:
        return code
    near = _NAMES.get(code.strip().capitalize()) or next(iter(difflib.get_close_matches(code, SCRIPTS, n=1)), None)
    fix = f"write {near!r}" if near else "write its four letters of ISO 15924, such as Latn, Cyrl, Arab, Deva, Jpan"
    raise InputError(f"unknown script {code!r}", fix=fix)


@lru_cache(maxsize=65_536)
def _script(character: str) -> str:
    """Code of a letter's or vowel sign's script, empty for anything else."""
    category = unicodedata.category(character)
    if not (category.startswith("L") or category in ("Mn", "Mc")):
        return ""
    first, _, _ = unicodedata.name(character, "").partition(" ")
    return _BY_UNICODE_NAME.get(first.partition("-")[0], "Zzzz" if category.startswith("L") and first else "")


def script_counts(text: str) -> dict[str, int]:
    """Number of letters (vowel signs included) of `text` in each script, by ISO 15924 code.

    `Zzzz` counts letters of scripts that this package has no name for; digits, signs and spaces count nowhere.
    """
    counts = Counter(map(_script, text))
    counts.pop("", None)
    return dict(counts)


def letters_in(text: str, scripts: tuple[str, ...]) -> tuple[int, int]:
    """Letters of a text in any of some scripts, and letters altogether."""
    counts = script_counts(text)
    wanted = set[str]().union(*(_COMPOUND.get(script, {script}) for script in scripts))
    unknown = wanted - set(_BY_UNICODE_NAME.values())
    own = sum(n for script, n in counts.items() if script in wanted or (unknown and script == "Zzzz"))
    return own, sum(counts.values())
