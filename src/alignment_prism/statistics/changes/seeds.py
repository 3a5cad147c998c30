"""Seeds and prompts crossed: every alignment seed answers the same prompts, and both are samples.

A difference that holds for one training run over many prompts may vanish with the next seed. Its variance has a part
from seeds, one from prompts, and one from their interaction; intervals over prompts alone cover too little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.clustered import cluster_index, effective_rows
from alignment_prism.statistics.intervals import Floats, GroupNames, Interval, critical_value
from alignment_prism.statistics.multiplicity import holm
from alignment_prism.statistics.score_intervals import tango_bounds


@dataclass(frozen=True, slots=True)
class CrossedDifference:
    """A risk difference over seeds and prompts.

    Attributes:
        interval: over both; over prompts alone, and named `one-seed`, where there is one seed.
        seeds: number of seeds.
        seed_sd: standard deviation of the difference from seed to seed, without the prompts' part (0 if negative).
        prompt_se: standard error that prompts alone would give.
        df: degrees of freedom (Satterthwaite).
        p_value: two-sided, of no difference; NaN where there is one seed.
    """

    interval: Interval
    seeds: int
    seed_sd: float
    prompt_se: float
    df: float
    p_value: float


def crossed_difference(
    model: object,
    base: object,
    clusters: GroupNames | None = None,
    level: float = 0.95,
    *,
    weights: Floats | None = None,
) -> CrossedDifference:
    """Risk difference of a method trained from several seeds against base, on the same prompts.

    With D[s, i] the difference on prompt i under seed s, summed by cluster g to T[s, g]:

        V = V_seed + V_cluster - V_interaction,  and not below V_seed or V_cluster

    as in a two-way analysis of variance with both factors random; Satterthwaite's degrees of freedom; Tango's interval
    at the effective size (`clustered.effective_rows`) with Student's t.

    Args:
        model: S x P verdicts, 0 or 1, one row a seed.
        base: P verdicts of base, or S x P where base differs from seed to seed (pass the other method's verdicts
            to compare two methods; seeds of a pair need have nothing in common).
        clusters: P names of independent clusters of prompts; None where every prompt stands alone.
        level: coverage.
        weights: of the P prompts; equal unless given. With 1 / n of each prompt's language the estimate is the plain
            mean over languages, whose seeds and shared sources are counted as what they are.

    Source: Owen (2007), Ann. Appl. Stat. 1; Cameron, Gelbach & Miller (2011), J. Bus. Econ. Stat. 29. Degenerate cases:
    one seed gives the interval over prompts alone and no p-value. With three seeds the interval
    is wide wherever seeds matter; that is what three seeds are worth. Not for arms whose seeds answered different
    prompts, nor for missing verdicts (leave the prompt out for all seeds, the findings of each seed have bounds).
    """
    rows, other = np.atleast_2d(np.asarray(model, np.float64)), np.atleast_2d(np.asarray(base, np.float64))
    if rows.shape[1] != other.shape[1] or other.shape[0] not in (1, rows.shape[0]):
        raise InputError(
            f"verdicts of shape {rows.shape} against {other.shape}",
            fix="pass seeds x prompts for the model, and one row or as many rows for base",
        )
    if not (np.isin(rows, (0, 1)).all() and np.isin(other, (0, 1)).all()):
        raise InputError("verdicts other than 0 and 1", fix="code harmful as 1; treat missing verdicts before")
    difference = rows - other
    seeds, prompts = difference.shape
    index, number = (np.arange(prompts), prompts) if clusters is None else cluster_index(clusters)
    w = np.full(prompts, 1.0 / max(prompts, 1)) if weights is None else weights / weights.sum()
    estimate = float((difference @ w).mean()) if prompts else math.nan
    name = "crossed" if seeds > 1 else "crossed-one-seed"
    if number < 2:
        return CrossedDifference(
            Interval(estimate, -1.0, 1.0, name, prompts, number, level=level), seeds, math.nan, math.nan, 0.0, math.nan
        )
    v_seed, v_cluster, v_both = _components((difference - estimate) * w, index, number)
    variance = max(v_seed + v_cluster - v_both, v_seed, v_cluster)
    df = _satterthwaite((v_seed, v_cluster, v_both), (seeds - 1, number - 1, (seeds - 1) * (number - 1)), variance)
    model_only = float((difference > 0).mean(axis=0) @ w)
    base_only = float((difference < 0).mean(axis=0) @ w)
    unit = model_only + base_only - estimate**2
    rows_worth = seeds / float(w @ w)
    piece = rows_worth * float(np.sum(np.bincount(index, weights=w) ** 2))
    effective = float(effective_rows(unit, variance, rows_worth, piece))
    lower, upper = tango_bounds(model_only * effective, base_only * effective, effective, critical_value(level, df))
    interval = Interval(estimate, float(lower), float(upper), name, prompts, number, level=level)
    seed_sd = math.sqrt(max(v_seed - v_both, 0.0) * seeds) if seeds > 1 else math.nan
    p_value = _p_value(estimate, variance, df) if seeds > 1 else math.nan
    return CrossedDifference(interval, seeds, seed_sd, math.sqrt(v_cluster), df, p_value)


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


def rank_arms(verdicts: Mapping[str, object], clusters: GroupNames | None = None, alpha: float = 0.05) -> list[Rank]:
    """Ranks of methods by their rate, each a range: arms that cannot be distinguished share ranks.

    One analysis of variance of all arms: seeds nested in arms, both crossed with prompts. The variance from seed to
    seed, and of seeds on prompts, is pooled over the arms, because that of two or three seeds of one arm is hardly
    known; that of prompts is the pair's own. With A arms of S seeds and differences D of two arms,

        V = V_seed + V_cluster - V_interaction,  and not below V_seed or V_cluster
        df = V^2 / (V_seed^2 / A (S - 1) + V_cluster^2 / (G - 1) + V_interaction^2 / A (S - 1) (G - 1))

    All pairs are compared by Student's t, Holm-adjusted. An arm's best rank is one more than the number of arms that
    are shown to be lower, its worst rank the number of arms not shown to be higher.

    Args:
        verdicts: for each arm, S x P verdicts on the same prompts, S >= 2 and equal.
        clusters: P names of independent clusters; None where every prompt stands alone.
        alpha: probability of any wrong order.

    Source: the variance as `crossed_difference`; Holm (1979), Scand. J. Stat. 6; ranges of ranks as in Klein, Wright &
    Wieczorek (2020), J. R. Stat. Soc. C 69. Degenerate cases: arms alike share all ranks; one arm has rank 1. Not for
    hundreds of arms, nor where one arm's seeds differ far more than those of the others: the pooled variance is then
    too small for that arm.

    Raises:
        InputError: an arm has one seed (one training run cannot rank methods), or arms differ in shape.
    """
    tables = {name: np.atleast_2d(np.asarray(rows, np.float64)) for name, rows in verdicts.items()}
    single = [name for name, rows in tables.items() if rows.shape[0] < 2]
    if single:
        raise InputError(
            f"arms with one seed: {', '.join(single)}; one training run cannot rank methods",
            fix="align each method from at least two seeds, better five",
        )
    if len({rows.shape for rows in tables.values()}) > 1:
        raise InputError(
            "arms with different numbers of seeds or prompts", fix="rank arms on the same seeds and prompts"
        )
    names = list(tables)
    pairs = [(one, other) for one in range(len(names)) for other in range(one + 1, len(names))]
    lower, higher = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    if pairs:
        differences, p_values = _all_pairs(np.stack(list(tables.values())), clusters, pairs)
        for (one, other), difference, p in zip(pairs, differences, holm(p_values), strict=True):
            if p <= alpha:
                better, worse = (names[one], names[other]) if difference < 0 else (names[other], names[one])
                lower[worse] += 1
                higher[better] += 1
    ranks = [Rank(name, float(tables[name].mean()), 1 + lower[name], len(names) - higher[name]) for name in names]
    return sorted(ranks, key=lambda rank: (rank.rate, rank.arm))


def _all_pairs(
    verdicts: Floats, clusters: GroupNames | None, pairs: Sequence[tuple[int, int]]
) -> tuple[list[float], list[float]]:
    """Difference and p-value of every pair of arms, from arms x seeds x prompts."""
    arms, seeds, prompts = verdicts.shape
    index, number = (np.arange(prompts), prompts) if clusters is None else cluster_index(clusters)
    totals = np.zeros((arms, seeds, number))
    for cluster_totals, rows in zip(totals.reshape(-1, number), verdicts.reshape(-1, prompts), strict=True):
        cluster_totals += np.bincount(index, weights=rows, minlength=number) / prompts
    by_seed, by_cluster = totals.sum(axis=2), totals.mean(axis=1)
    rates = by_seed.mean(axis=1)
    if number < 2:
        return [float(rates[one] - rates[other]) for one, other in pairs], [1.0] * len(pairs)
    # Of the mean of one arm over its seeds; a pair has both arms' variances.
    freedom = arms * (seeds - 1)
    v_seed = float(np.sum((by_seed - rates[:, None]) ** 2)) / freedom / seeds
    rest = totals - by_cluster[:, None] - (by_seed - rates[:, None])[:, :, None] / number
    v_both = number / (number - 1) * float(np.sum(rest**2)) / freedom / seeds
    differences, p_values = [], []
    for one, other in pairs:
        difference = float(rates[one] - rates[other])
        gap = by_cluster[one] - by_cluster[other] - difference / number
        v_cluster = number / (number - 1) * float(np.sum(gap**2))
        parts = (2.0 * v_seed, v_cluster, 2.0 * v_both)
        variance = max(parts[0] + parts[1] - parts[2], parts[0], parts[1])
        df = _satterthwaite(parts, (freedom, number - 1, freedom * (number - 1)), variance)
        differences.append(difference)
        p_values.append(_p_value(difference, variance, df))
    return differences, p_values


def _components(deviations: Floats, index: np.ndarray, number: int) -> tuple[float, float, float]:
    """Variance of the sum over prompts by seeds, by clusters of prompts, and by their interaction."""
    seeds = len(deviations)
    totals = np.stack([np.bincount(index, weights=row, minlength=number) for row in deviations])
    by_cluster, by_seed = totals.mean(axis=0), totals.sum(axis=1)
    v_cluster = number / (number - 1) * float(np.sum(by_cluster**2))
    if seeds < 2:
        return 0.0, v_cluster, 0.0
    v_seed = float(np.sum(by_seed**2)) / (seeds * (seeds - 1))
    rest = totals - by_cluster - by_seed[:, None] / number
    v_both = number / (number - 1) * float(np.sum(rest**2)) / (seeds * (seeds - 1))
    return v_seed, v_cluster, v_both


def _satterthwaite(parts: tuple[float, ...], dfs: tuple[int, ...], variance: float) -> float:
    spread = sum(part**2 / df for part, df in zip(parts, dfs, strict=True) if df > 0)
    return variance**2 / spread if spread > 0 else float(max(dfs))


def _p_value(estimate: float, variance: float, df: float) -> float:
    if variance <= 0:
        return 1.0 if estimate == 0 else 0.0
    from scipy.special import stdtr

    return float(2.0 * stdtr(df, -abs(estimate) / math.sqrt(variance)))
