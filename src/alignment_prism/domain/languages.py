"""Languages a study can speak of: their names, codes and scripts, and a registry a user can extend.

Eight languages ship: the six of the paper's experiments (arXiv 2406.18682) and the two that its
red-teaming set adds, Serbian and Filipino. A user's own languages come from a file, see `io/languages.py`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from alignment_prism.domain.errors import InputError


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes:
        code: the identifier used in every record, a BCP-47 primary subtag (`ar`).
        name: the English name, capitalised as in the Aya data (`Arabic`).
        iso639_3: the three-letter code (`arb`).
        scripts: ISO 15924 codes of the scripts it is written in, the usual one first (`("Arab",)`).
        flores: the FLORES-200 code (`arb_Arab`), or None where FLORES lacks it.
        rtl: True where the usual script runs from right to left.
        aliases: further spellings that files use (`tgl`, `Tagalog`).
        identified_as: codes that language identifiers return for text of this language and that count
            as right (`hr` and `bs` for Serbian: no identifier separates them in Latin script).
    """

    code: str
    name: str
    iso639_3: str
    scripts: tuple[str, ...]
    flores: str | None = None
    rtl: bool = False
    aliases: tuple[str, ...] = ()
    identified_as: tuple[str, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every spelling under which `Languages.find` knows this language."""
        flores = (self.flores,) if self.flores else ()
        return (self.code, self.name, self.iso639_3, *flores, *self.aliases)


SHIPPED: tuple[Language, ...] = (
    Language("en", "English", "eng", ("Latn",), "eng_Latn"),
    Language("hi", "Hindi", "hin", ("Deva",), "hin_Deva"),
    Language("fr", "French", "fra", ("Latn",), "fra_Latn", aliases=("fre",)),
    Language("es", "Spanish", "spa", ("Latn",), "spa_Latn", identified_as=("gl", "ca")),
    Language(
        "ar",
        "Arabic",
        "arb",
        ("Arab",),
        "arb_Arab",
        rtl=True,
        aliases=("ara", "Modern Standard Arabic"),
        identified_as=("arz", "ary", "ars"),
    ),
    Language("ru", "Russian", "rus", ("Cyrl",), "rus_Cyrl"),
    Language(
        "sr",
        "Serbian",
        "srp",
        ("Latn", "Cyrl"),
        "srp_Cyrl",
        aliases=("bcms",),
        identified_as=("hr", "bs", "sh"),
    ),
    Language("fil", "Filipino", "fil", ("Latn",), "tgl_Latn", aliases=("tl", "tgl", "Tagalog"), identified_as=("tl",)),
)
"""The eight languages of the Aya Red-teaming set; the first six are those of the paper's experiments."""

EXPERIMENT_CODES: tuple[str, ...] = ("en", "hi", "fr", "es", "ar", "ru")
"""Codes of the six languages of the paper's experiments."""


def _fold(spelling: str) -> str:
    return unicodedata.normalize("NFKC", spelling).strip().casefold().replace("_", "-")


@dataclass(frozen=True)
class Languages:
    """A registry of languages, found by any of their spellings.

    Args:
        languages: the members; no two may share a spelling.

    Raises:
        InputError: two languages share a spelling.
    """

    languages: tuple[Language, ...] = SHIPPED
    _by_spelling: dict[str, Language] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index: dict[str, Language] = {}
        for language in self.languages:
            for spelling in language.spellings:
                other = index.setdefault(_fold(spelling), language)
                if other is not language:
                    raise InputError(
                        f"languages {other.code!r} and {language.code!r} share the spelling {spelling!r}",
                        fix="give each language its own code, name and aliases",
                    )
        object.__setattr__(self, "_by_spelling", index)

    def __iter__(self) -> Iterator[Language]:
        return iter(self.languages)

    def __len__(self) -> int:
        return len(self.languages)

    def __contains__(self, spelling: object) -> bool:
        return isinstance(spelling, str) and _fold(spelling) in self._by_spelling

    def find(self, spelling: str) -> Language:
        """The language known under `spelling`: a code, a name or an alias, in any case.

        A region or script subtag is ignored when the full tag is unknown (`fr-CA` finds French).

        Raises:
            InputError: no language is known under it.
        """
        folded = _fold(spelling)
        found = self._by_spelling.get(folded) or self._by_spelling.get(folded.split("-")[0])
        if found is None:
            known = ", ".join(f"{language.code} ({language.name})" for language in self.languages)
            raise InputError(
                f"unknown language {spelling!r}",
                fix=f"use one of: {known}; or add yours",
                settings={"languages": "FILE"},
            )
        return found

    def with_languages(self, more: Iterable[Language]) -> Languages:
        """A registry with `more` added; a language with a known code replaces the one that had it."""
        more = tuple(more)
        replaced = {language.code for language in more}
        return Languages(tuple(kept for kept in self.languages if kept.code not in replaced) + more)


LANGUAGES = Languages()
"""The registry of the shipped languages."""
