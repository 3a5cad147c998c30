"""Intervals of agreement coefficients, by the bootstrap over prompts, and agreement by part.

Units are prompts (or replies; then prompts are their clusters). Raters are fixed: the interval says how the coefficient
would vary with other prompts, not with other people.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.bootstrap import REPLICATES, cluster_draws
from alignment_prism.statistics.clustered import cluster_index
from alignment_prism.statistics.intervals import Floats, Interval, Labels, label, same_length
from alignment_prism.statistics.raters.agreement import RAW, Coefficient, RatingTable
from alignment_prism.statistics.rates import wilson_bounds


def agreement(
    table: RatingTable,
    coefficient: Coefficient = RAW,
    clusters: Labels | None = None,
    level: float = 0.95,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Interval:
    """A coefficient with its BCa bootstrap interval over prompts.

    The bias-corrected and accelerated interval (Efron 1987, J. Am. Stat. Assoc. 82), acceleration by the jackknife over
    clusters. Kappa-like coefficients are skewed; the plain percentile interval covers too little.

    Args:
        table: ratings.
        coefficient: one of `agreement.COEFFICIENTS`.
        clusters: prompt of each unit; None where every unit is a prompt.
        level: coverage.
        replicates: of the bootstrap; those in which the coefficient is undefined are left out.
        seed: of the bootstrap.

    Degenerate cases: undefined (all ratings equal, for coefficients that correct for chance) gives NaN throughout, with
    the number of units; full agreement has no spread to resample, so the lower end is the coefficient
    that Wilson's lower end of raw agreement gives at the same chance agreement; fewer than two units gives [-1, 1]. Not
    for other raters than these, nor for fewer than about 30 prompts.
    """
    coefficient.check(table)
    features = coefficient.features(table)
    rated = int(np.sum((table.codes >= 0).sum(axis=1) >= 2))
    names: Labels = np.arange(len(features)) if clusters is None else clusters
    same_length(table=table.codes, clusters=names)
    index, number = cluster_index(names) if len(features) else (np.zeros(0, int), 0)
    q = len(table.categories)
    sums = np.zeros((number, features.shape[1]))
    np.add.at(sums, index, features)
    total = sums.sum(axis=0)
    estimate = float(coefficient.finish(total, q)) if len(features) else math.nan
    name = label(f"{coefficient.name}-bca", level)
    if math.isnan(estimate):
        return Interval(estimate, math.nan, math.nan, name, rated, number)
    if number < 2:
        return Interval(estimate, -1.0, 1.0, name, rated, number)
    if RAW.of(table) >= 1.0 - 1e-12:
        return _full_agreement(estimate, rated, number, level, coefficient, table)
    draws = np.concatenate(
        [coefficient.finish(counts.astype(np.float64) @ sums, q) for counts in cluster_draws(number, replicates, seed)]
    )
    left_out = coefficient.finish(total - sums, q)
    lower, upper = _bca(estimate, draws, left_out, level)
    return Interval(estimate, lower, upper, name, rated, number)


def agreement_by(
    table: RatingTable,
    coefficients: Iterable[Coefficient],
    parts: Labels,
    clusters: Labels | None = None,
    level: float = 0.95,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[tuple[str, str], Interval]:
    """Agreement within each part (language, scope), keyed by (part, name of the coefficient).

    Categories stay those of the whole table, so that coefficients of the parts can be compared. Formula, source and
    degenerate cases as `agreement`. Not for parts with other margins: kappa moves with them, compare AC1 as well.

    Raises:
        InputError: parts and table differ in length.
    """
    names = np.asarray(parts)
    if len(names) != len(table.codes):
        raise InputError("parts and ratings differ in length", fix="name the part of every unit")
    found = {}
    for part in np.unique(names):
        rows = names == part
        inside = None if clusters is None else np.asarray(clusters)[rows]
        for coefficient in coefficients:
            found[str(part), coefficient.name] = agreement(
                table.rows(rows), coefficient, inside, level, replicates=replicates, seed=seed
            )
    return found


def _full_agreement(
    estimate: float, rated: int, clusters: int, level: float, coefficient: Coefficient, table: RatingTable
) -> Interval:
    lower_raw, _ = wilson_bounds(clusters, clusters, level)
    counts = table.counts
    shares = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    q = len(table.categories)
    chance = {
        RAW.name: 0.0,
        "gwet-ac1": float(np.sum(shares * (1 - shares))) / max(q - 1, 1),
    }.get(coefficient.name, float(np.sum(shares**2)))
    lower = 1.0 - (1.0 - float(lower_raw)) / (1.0 - chance) if chance < 1 else -1.0
    name = label(f"{coefficient.name}-wilson", level)
    return Interval(estimate, max(lower, -1.0), 1.0, name, rated, clusters)


def _bca(estimate: float, draws: Floats, left_out: Floats, level: float) -> tuple[float, float]:
    """Ends of the BCa interval; plain percentiles where correction or acceleration cannot be had."""
    draws = np.sort(draws[np.isfinite(draws)])
    if not len(draws):
        return math.nan, math.nan
    normal = NormalDist()
    below = (np.sum(draws < estimate) + np.sum(draws == estimate) / 2) / len(draws)
    below = float(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    bias = normal.inv_cdf(below)
    finite = left_out[np.isfinite(left_out)]
    gaps: npt.NDArray[np.float64] = finite.mean() - finite if len(finite) else np.zeros(1)
    spread = float(np.sum(gaps**2))
    acceleration = float(np.sum(gaps**3)) / (6 * spread**1.5) if spread > 0 else 0.0
    ends = []
    for target in ((1 - level) / 2, (1 + level) / 2):
        shifted = bias + normal.inv_cdf(target)
        denominator = 1 - acceleration * shifted
        share = normal.cdf(bias + shifted / denominator) if denominator > 0 else target
        ends.append(float(np.quantile(draws, min(max(share, 0.0), 1.0))))
    return ends[0], ends[1]
