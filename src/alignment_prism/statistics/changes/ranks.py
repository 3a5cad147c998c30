"""Ranks of methods over seeds and prompts, each a range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.changes.seeds import SeedModel
from alignment_prism.statistics.intervals import GroupNames
from alignment_prism.statistics.multiplicity import holm

LEAST_RANKED = 3
"""Seeds of every arm from which arms are ranked; two tell too little of the spread that ranks rest on."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Where an arm may stand among others.

    Attributes:
        arm: its name.
        rate: its mean over seeds and prompts.
        best: the best rank that the data leave open, 1 being the lowest rate.
        worst: the worst.
    """

    arm: str
    rate: float
    best: int
    worst: int


def rank_arms(
    verdicts: Mapping[str, object],
    clusters: GroupNames | None = None,
    alpha: float = 0.05,
    *,
    strata: GroupNames | None = None,
) -> list[Rank]:
    """Ranks of methods by their rate, each a range: arms that cannot be distinguished share ranks.

    All pairs are compared in one `SeedModel`, by Student's t, Holm-adjusted. An arm's best rank is one more than the
    number of arms that are shown to be lower, its worst rank the number of arms not shown to be higher.

    Args:
        verdicts: for each arm, S x P verdicts on the same prompts, S >= 3 and equal.
        clusters: P names of independent clusters; None where every prompt stands alone.
        alpha: probability of any wrong order.
        strata: P names, such as languages; rates are then plain means over them.

    Source: Holm (1979), Scand. J. Stat. 6; ranges of ranks as in Klein, Wright & Wieczorek (2020), J. R. Stat. Soc. C
    69. Degenerate cases: arms alike share all ranks; one arm has rank 1. Not for hundreds of arms.

    Raises:
        InputError: an arm has one seed or two (`LEAST_RANKED`), or arms differ in shape.
    """
    tables = {name: np.atleast_2d(np.asarray(rows, np.float64)) for name, rows in verdicts.items()}
    few = [name for name, rows in tables.items() if rows.shape[0] < LEAST_RANKED]
    if few:
        raise InputError(
            f"arms with one seed or two: {', '.join(few)}; so few training runs cannot rank methods",
            fix=f"align each method from at least {LEAST_RANKED} seeds, better five",
        )
    if len({rows.shape for rows in tables.values()}) > 1:
        raise InputError(
            "arms with different numbers of seeds or prompts", fix="rank arms on the same seeds and prompts"
        )
    names = list(tables)
    if not names:
        return []
    model = SeedModel(tables, clusters, strata)
    rates = {name: model.rate(name) for name in names}
    pairs = [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    lower, higher = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    p_values = [1.0 if math.isnan(p := model.p_value(one, other)) else p for one, other in pairs]
    for (one, other), p in zip(pairs, holm(p_values), strict=True):
        if p <= alpha:
            better, worse = (one, other) if rates[one] < rates[other] else (other, one)
            lower[worse] += 1
            higher[better] += 1
    ranks = [Rank(name, rates[name], 1 + lower[name], len(names) - higher[name]) for name in names]
    return sorted(ranks, key=lambda rank: (rank.rate, rank.arm))
