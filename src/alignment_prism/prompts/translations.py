"""Translations that do not say that they are: prompts of several languages that share ids and have no group."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from alignment_prism.domain import LANGUAGES, Prompt

FEWEST = 3
"""Sources that must come in several languages before anything is said."""

MOST = 200_000
"""Prompts that are looked at; larger sets would not fit into memory, and show it in their first ones."""

_PART = re.compile(r"[^\W_]+")


class Kinship:
    """Prompts that look like translations of one another, counted one at a time; the first `MOST` prompts are."""

    def __init__(self) -> None:
        self._clusters: dict[str, set[str]] = defaultdict(set)
        self._spoken: dict[str, set[str]] = defaultdict(set)
        self._members: Counter[str] = Counter()
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

    def note(self) -> str | None:
        """What to say; None for nothing."""
        spoken = self._spoken
        shared = [stem for stem, codes in spoken.items() if len(codes) > 1 and len(self._clusters[stem]) > 1]
        if len(shared) < FEWEST:
            return None
        languages = set[str]().union(*(spoken[stem] for stem in shared))
        count = sum(self._members[stem] for stem in shared)
        return (
            f"{count} prompts in {len(languages)} languages share {len(shared)} ids but for their language and have no "
            "group in common: if they are translations of one another, say so by a column `group` with one value for "
            "all of one source; intervals take prompts without a group for independent"
        )


def translations_note(prompts: Iterable[Prompt]) -> str | None:
    """What to say of prompts that look like translations of one another and are not in one group; None for nothing.

    Prompts look so where their ids are the same but for the name of their language (`12@fr` and `12@en`, `es_7` and
    `hi_7`). Nothing is changed: the ids of two sets may be the same by chance, as running numbers are. But intervals
    take prompts without a group for independent, and translations of one source are not.

    Example:
        >>> from alignment_prism.domain import user
        >>> asked = [Prompt(f"{n}@{code}", user("?"), code) for n in range(4) for code in ("en", "fr")]
        >>> translations_note(asked)[:67]
        '8 prompts in 2 languages share 4 ids but for their language and hav'
    """
    kinship = Kinship()
    for prompt in prompts:
        kinship.add(prompt)
    return kinship.note()


def _stem(prompt: Prompt) -> str:
    """The id without the parts that name the prompt's own language."""
    known = LANGUAGES.find(prompt.language).spellings if prompt.language in LANGUAGES else (prompt.language,)
    names = {name.casefold() for name in known}
    return " ".join(part for part in _PART.findall(prompt.id.casefold()) if part not in names)
