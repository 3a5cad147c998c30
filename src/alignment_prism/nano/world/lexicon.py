"""The words of the nano world: one YAML file a language in `lexicon/`, read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

SECTIONS: tuple[str, ...] = (
    "topics",
    "materials",
    "actions",
    "places",
    "protections",
    "classes",
    "consequences",
    "items",
    "opposites",
    "capitals",
)
"""Sections of a lexicon that map a concept's key to its form."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of one language.

    Attributes:
        language: its code, or its tag where it is in a second script.
        trick: the noun phrase of a topic by grammatical case, `{x}` standing for the entry of `topics`.
        openers, closers: what stands before and after the question of a prompt.
        ask: questions by intent; slots are `{nom}`, `{gen}` ... for the topic and named values.
        reply: answers by intent, then by grade (`full`, `terse`); `refusal` is a plain list.
        forms: section -> concept key -> form that fits every template (a pair for opposites and capitals).
        names: names of the languages, as they stand in a question about a word.
    """

    language: str
    trick: dict[str, str]
    openers: tuple[str, ...]
    closers: tuple[str, ...]
    ask: dict[str, list[str]]
    reply: dict[str, Any]
    forms: dict[str, dict[str, Any]]
    names: dict[str, str]

    def cases(self, topic_key: str) -> dict[str, str]:
        """The topic's noun phrase in every case, `x` being the bare entry."""
        form = self.forms["topics"][topic_key]
        return {case: pattern.format(x=form) for case, pattern in self.trick.items()}


SECOND_SCRIPTS: dict[str, str] = {"sr": "sr-Latn"}
"""Languages of the lab that are written in two scripts, and the tag of the second one."""

LATIN: dict[str, str] = dict(
    zip(
        "абвгдђежзијклљмнњопрстћуфхцчџш",
        "a b v g d đ e ž z i j k l lj m n nj o p r s t ć u f h c č dž š".split(),
        strict=True,
    )
)
"""Serbian Cyrillic letters in Latin script, one for one but for three letters of two."""
LATIN |= {cyrillic.upper(): latin.capitalize() for cyrillic, latin in LATIN.items()}


def language_of(tag: str) -> str:
    """The language of a tag, which may say a script: `sr` of `sr-Latn`."""
    return tag.partition("-")[0]


def tags_of(language: str) -> tuple[str, ...]:
    """How a language is written in the lab: its code, and a tag for a second script."""
    return (language, SECOND_SCRIPTS[language]) if language in SECOND_SCRIPTS else (language,)


@cache
def lexicon(code: str) -> Lexicon:
    """The lexicon of a language of the lab, in its first script, or in its second (`sr-Latn`).

    Raises:
        FileNotFoundError: the lab does not speak that language.
    """
    import yaml

    folder = resources.files("alignment_prism.nano.world") / "lexicon"
    text = (folder / f"{language_of(code)}.yaml").read_text(encoding="utf-8")
    data = yaml.load(text.translate(_LATIN) if code in SECOND_SCRIPTS.values() else text, Loader=_loader())
    return Lexicon(
        language=code,
        trick=data["trick"],
        openers=tuple(data["openers"]),
        closers=tuple(data["closers"]),
        ask=data["ask"],
        reply=data["reply"],
        forms={section: data[section] for section in SECTIONS},
        names=data["names"],
    )


def concept_keys(section: str) -> tuple[str, ...]:
    """Keys of a section, the same in every language, in a fixed order."""
    return tuple(lexicon("en").forms[section])


_LATIN = str.maketrans(LATIN)


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
