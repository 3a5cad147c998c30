"""How a number of pairs is drawn: exact quotas of strata, and within a stratum every category in proportion."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence

from alignment_prism.domain import Pair

Stratum = tuple[str, str]
"""Scope (`global`, `local` or `none`) and language code."""

WITHOUT = "(none)"
"""Stands for the category of a pair that has none, so that these keep their share as well."""


def stratum_of(pair: Pair) -> Stratum:
    """The stratum of a pair."""
    return (pair.scope.value if pair.scope else "none", pair.language)


def iterative_selection(pairs: Sequence[Pair], count: int, rng: random.Random) -> list[Pair]:
    """Draws `count` of the pairs so that every category keeps its proportion.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, algorithm 1) with two subsets, the selected and the
    rest, whose sizes are fixed: the rarest category is dealt out first, each of its pairs to the subset that still
    lacks most of that category, then most pairs, then by lot. A full subset takes nothing more, so sizes are exact.

    Args:
        pairs: one stratum.
        count: how many to draw, 0 .. len(pairs).
        rng: decides ties.
    """
    if not 0 <= count <= len(pairs):
        raise ValueError(f"cannot draw {count} of {len(pairs)} pairs")
    if count in (0, len(pairs)):
        return list(pairs[:count])
    members: dict[str, set[int]] = defaultdict(set)
    for index, pair in enumerate(pairs):
        for category in pair.categories or (WITHOUT,):
            members[category].add(index)
    free = [count, len(pairs) - count]
    lacking = {category: [len(indices) * side / len(pairs) for side in free] for category, indices in members.items()}
    selected: list[Pair] = []
    order = list(range(len(pairs)))
    rng.shuffle(order)
    rank = {index: place for place, index in enumerate(order)}
    while members:
        rarest = min(members, key=lambda category: (len(members[category]), category))
        for index in sorted(members[rarest], key=rank.__getitem__):
            side = _needier(lacking[rarest], free, rng)
            free[side] -= 1
            if side == 0:
                selected.append(pairs[index])
            for category in pairs[index].categories or (WITHOUT,):
                lacking[category][side] -= 1
                if category != rarest:
                    members[category].discard(index)
        del members[rarest]
        members = {category: indices for category, indices in members.items() if indices}
    return selected


def _needier(lacking: Sequence[float], free: Sequence[int], rng: random.Random) -> int:
    """Which of two subsets takes the next pair: 0 is the selected one, 1 the rest."""
    if not free[0] or not free[1]:
        return 0 if free[0] else 1
    if not math.isclose(lacking[0], lacking[1], abs_tol=1e-9):
        return 0 if lacking[0] > lacking[1] else 1
    if free[0] != free[1]:
        return 0 if free[0] > free[1] else 1
    return rng.randrange(2)
