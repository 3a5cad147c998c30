"""Translations that do not say that they are: prompts of several languages that share ids or an order, and no group."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from alignment_prism.domain import LANGUAGES, Prompt

TRANSLATED_FROM = "translated_from"
"""Key of the metadata of a translation: the language of its source."""

FEWEST = 3
"""Sources that must come in several languages before anything is said."""

MOST = 200_000
"""Prompts that are looked at; larger sets would not fit into memory, and show it in their first ones."""

FEWEST_IN_ORDER = 20
"""Prompts of each language from which on an order is told from chance."""

ALIKE, APART = 0.9, 0.25
"""Languages follow one order if so many of their prompts are alike line by line, and that many more than if one of the
lists is moved by some lines: lists that are sorted, or go through their topics in turn, are alike moved too."""

MOVES = 100
"""By how many lines a list is moved at most."""

ADVICE = (
    "if they are translations of one another, say so by a column `group` with one value for all of one source; "
    "intervals take prompts without a group for independent"
)

_PART = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"\d+")


class Kinship:
    """Prompts that look like translations of one another, counted one at a time; the first `MOST` prompts are."""

    def __init__(self) -> None:
        self._clusters: dict[str, set[str]] = defaultdict(set)
        self._spoken: dict[str, set[str]] = defaultdict(set)
        self._members: Counter[str] = Counter()
        self._orders: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._of_language: dict[str, set[str]] = defaultdict(set)
        self._seen = 0

    def add(self, prompt: Prompt) -> None:
        """Counts one prompt."""
        self._seen += 1
        if self._seen > MOST:
            return
        stem = _stem(prompt)
        self._clusters[stem].add(prompt.cluster)
        self._spoken[stem].add(prompt.language)
        self._members[stem] += 1
        self._orders[prompt.kind, prompt.subset][prompt.language].append(_traits(prompt))
        self._of_language[prompt.language].add(prompt.cluster)

    def note(self) -> str | None:
        """What to say; None for nothing."""
        spoken = self._spoken
        shared = [stem for stem, codes in spoken.items() if len(codes) > 1 and len(self._clusters[stem]) > 1]
        if len(shared) < FEWEST:
            return self._of_order()
        languages = set[str]().union(*(spoken[stem] for stem in shared))
        count = sum(self._members[stem] for stem in shared)
        return (
            f"{count} prompts in {len(languages)} languages share {len(shared)} ids but for their language and have no "
            f"group in common: {ADVICE}"
        )

    def _of_order(self) -> str | None:
        """What to say of languages that have prompts alike line by line."""
        for orders in self._orders.values():
            for first, order in orders.items():
                alike = [
                    code
                    for code, other in orders.items()
                    if code != first
                    and not self._of_language[code] & self._of_language[first]
                    and _follow(order, other)
                ]
                if alike:
                    return (
                        f"{len(order)} prompts in each of {len(alike) + 1} languages have scope, categories, answers "
                        f"and numbers alike line by line and no group in common: {ADVICE}"
                    )
        return None


def translations_note(prompts: Iterable[Prompt]) -> str | None:
    """What to say of prompts that look like translations of one another and are not in one group; None for nothing.

    Prompts look so where their ids are the same but for the name of their language (`12@fr` and `12@en`, `es_7` and
    `hi_7`), or where languages have equally many of a kind and what does not depend on the language (scope, categories,
    answers that are numbers, numbers in the text) is alike line by line, in an order that is not a matter of sorting.
    Nothing is changed: the ids of two sets may be the same by chance, as running numbers are. But intervals
    take prompts without a group for independent, and translations of one source are not. Translations in another order,
    or without anything that is the same in both languages, are not seen.

    Example:
        >>> from alignment_prism.domain import PromptKind, user
        >>> both = [(n, code) for n in range(4) for code in ("en", "fr")]
        >>> asked = [Prompt(f"{n}@{code}", user("?"), code, PromptKind.GENERAL) for n, code in both]
        >>> translations_note(asked)[:67]
        '8 prompts in 2 languages share 4 ids but for their language and hav'
    """
    kinship = Kinship()
    for prompt in prompts:
        kinship.add(prompt)
    return kinship.note()


def _traits(prompt: Prompt) -> int:
    """What a translation has in common with its source, as one number."""
    numbers = tuple(sorted(int(found) for found in _DIGITS.findall(f"{prompt.text} {prompt.reference}")))
    return hash((prompt.scope, tuple(sorted(prompt.categories)), numbers))


def _follow(one: list[int], other: list[int]) -> bool:
    """Whether two lists are alike line by line, and no longer if one of them is moved."""
    n = len(one)
    if n != len(other) or n < FEWEST_IN_ORDER:
        return False

    def alike(lag: int) -> float:
        return sum(a == b for a, b in zip(one, other[lag:] + other[:lag], strict=True)) / n

    if alike(0) < ALIKE:
        return False
    return alike(0) - max(alike(lag) for lag in range(1, min(n, MOVES))) >= APART


def _stem(prompt: Prompt) -> str:
    """The id without the parts that name the prompt's own language."""
    known = LANGUAGES.find(prompt.language).spellings if prompt.language in LANGUAGES else (prompt.language,)
    names = {name.casefold() for name in known}
    return " ".join(part for part in _PART.findall(prompt.id.casefold()) if part not in names)
