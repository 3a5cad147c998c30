"""Translations that do not say that they are: prompts of several languages that share ids and have no group."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from alignment_prism.domain import LANGUAGES, Prompt

FEWEST = 3
"""Sources that must come in several languages before anything is said."""

_PART = re.compile(r"[^\W_]+")


def translations_note(prompts: Sequence[Prompt]) -> str | None:
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
    clusters: dict[str, set[str]] = defaultdict(set)
    spoken: dict[str, set[str]] = defaultdict(set)
    members: dict[str, int] = defaultdict(int)
    for prompt in prompts:
        stem = _stem(prompt)
        clusters[stem].add(prompt.cluster)
        spoken[stem].add(prompt.language)
        members[stem] += 1
    shared = [stem for stem, languages in spoken.items() if len(languages) > 1 and len(clusters[stem]) > 1]
    if len(shared) < FEWEST:
        return None
    languages = set[str]().union(*(spoken[stem] for stem in shared))
    count = sum(members[stem] for stem in shared)
    return (
        f"{count} prompts in {len(languages)} languages share {len(shared)} ids but for their language and have no "
        "group in common: if they are translations of one another, say so by a column `group` with one value for all "
        "of one source; intervals take prompts without a group for independent"
    )


def _stem(prompt: Prompt) -> str:
    """The id without the parts that name the prompt's own language."""
    known = LANGUAGES.find(prompt.language).spellings if prompt.language in LANGUAGES else (prompt.language,)
    names = {name.casefold() for name in known}
    return " ".join(part for part in _PART.findall(prompt.id.casefold()) if part not in names)
