"""Languages a study can speak of: their names, codes and scripts, and a registry a user can extend.

Those that ship stand in `languages.json`: the eight of the paper's red-teaming set (arXiv 2406.18682) and about a
hundred more. A user's own come from a file, see `io/languages.py`.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.scripts import check_script


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

    Raises:
        InputError: a code is none: of ISO 639-3 (three letters), ISO 15924, or FLORES (`swh_Latn`).
    """

    code: str
    name: str
    iso639_3: str
    scripts: tuple[str, ...]
    flores: str | None = None
    rtl: bool = False
    aliases: tuple[str, ...] = ()
    identified_as: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for script in self.scripts:
            check_script(script)
        if not re.fullmatch("[a-z]{3}", self.iso639_3):
            raise InputError(f"{self.iso639_3!r} is no code of ISO 639-3", fix="write its three letters, such as swh")
        if self.flores is not None:
            name, _, script = self.flores.partition("_")
            if not re.fullmatch("[a-z]{3}", name):
                raise InputError(f"{self.flores!r} is no code of FLORES-200", fix="write it as swh_Latn")
            check_script(script)

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every spelling under which `Languages.find` knows this language."""
        flores = (self.flores,) if self.flores else ()
        return (self.code, self.name, self.iso639_3, *flores, *self.aliases)


def _shipped() -> tuple[Language, ...]:
    text = resources.files("alignment_prism.domain").joinpath("languages.json").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)
    lists = ("scripts", "aliases", "identified_as")
    return tuple(Language(**row | {name: tuple(row.get(name, ())) for name in lists}) for row in rows)


SHIPPED: tuple[Language, ...] = _shipped()
"""The languages of `languages.json`: first the eight of the Aya Red-teaming set, the six of its experiments first."""

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
                if other is not language and spelling != language.iso639_3:  # zho is Chinese in both scripts
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

        Of a tag that is unknown the last part is left out, and so on (`fr-CA` finds French, `zh-Hant-SG` Traditional
        Chinese).

        Raises:
            InputError: no language is known under it.
        """
        folded = _fold(spelling)
        tag = folded
        while (found := self._by_spelling.get(tag)) is None and "-" in tag:
            tag = tag.rpartition("-")[0]
        if found is None:
            names = {_fold(name): name for language in self.languages for name in (language.name, language.code)}
            near = difflib.get_close_matches(folded, names, n=1, cutoff=0.82)
            hint = f"did you mean {names[near[0]]}? or " if near else ""
            raise InputError(
                f"unknown language {spelling!r}",
                fix=f"{hint}use a code of ISO 639 ({len(self)} languages are known: {self._few()}); or add yours",
                settings={"languages": "FILE"},
            )
        return found

    def _few(self) -> str:
        return ", ".join(language.code for language in self.languages[:12]) + (", ..." if len(self) > 12 else "")

    def with_languages(self, more: Iterable[Language]) -> Languages:
        """A registry with `more` added.

        One with the code, or the ISO 639-3 code, of a language replaces it, and takes its own spellings from the
        aliases of the others; whose name it is stays an error.
        """
        more = tuple(more)
        codes = {language.code for language in more} | {language.iso639_3 for language in more}
        taken = {_fold(spelling) for language in more for spelling in language.spellings}
        kept = (
            replace(one, aliases=tuple(alias for alias in one.aliases if _fold(alias) not in taken))
            for one in self.languages
            if not codes & {one.code, one.iso639_3}
        )
        return Languages((*kept, *more))


LANGUAGES = Languages()
"""The registry of the shipped languages."""
