"""Many comparisons at once: the level at which the intervals of each hold together.

Cells overlap and arms share base, so that Bonferroni's level would be too careful. The dependence is in what each
cluster of prompts adds to the error of each comparison, and is taken from there by a multiplier bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Floats, Interval, critical_value

REPLICATES = 10_000
"""Draws of the bootstrap: the Monte Carlo error of a joint level of 95 % is then about 0.2 points."""

_CHUNK = 1_000
"""Draws at a time, so that memory stays small."""

_JITTER = 1e-8
"""Added to the variances, of one each, so that equal comparisons do not make their covariance singular."""


def joint_level(errors: Sequence[Floats], level: float = 0.95, *, replicates: int = REPLICATES, seed: int = 0) -> float:
    """The level of single intervals at which all of them cover at once with `level`.

        c = quantile of max_j |sum_g w_g e_gj| / sqrt(sum_g e_gj^2),  w_g standard normal;  2 Phi(c) - 1

    Args:
        errors: tables of G clusters x comparisons, the clusters the same in all: what each cluster adds to the error of
            each comparison, in any unit. Comparisons without any error take no part.
        level: probability that all intervals cover.
        replicates: draws.
        seed: of the draws.

    Returns:
        A level between `level` and Bonferroni's. The critical value behind it is rounded up to three decimals, so that
        it is the same on every machine.

    Source: Chernozhukov, Chetverikov & Kato (2013), Annals of Statistics 41, for the multiplier bootstrap; Romano &
    Wolf (2005), J. Am. Stat. Assoc. 100, for bands by the largest studentised deviation. Degenerate cases: no
    comparison, or one, gives `level`. Not for fewer than about 30 clusters: the normal approximation is then only as
    good as that of the single intervals.

    Raises:
        InputError: tables of different numbers of clusters.
    """
    if len({len(table) for table in errors}) > 1:
        raise InputError("comparisons over different clusters", fix="give every table one row for each cluster")
    units = np.concatenate([_units(table) for table in errors], axis=1) if errors else np.zeros((0, 0))
    clusters, number = units.shape
    if number < 2:
        return level
    least, most = critical_value(level), critical_value(1.0 - (1.0 - level) / number)
    # Draws of sum_g w_g e_gj have the covariance of the comparisons, which takes fewer numbers where there are few.
    root = units if number > clusters else np.linalg.cholesky(units.T @ units + _JITTER * np.eye(number)).T
    rng, root = np.random.default_rng(seed), np.ascontiguousarray(root, np.float32)
    largest = []
    for start in range(0, replicates, _CHUNK):
        draws = rng.standard_normal((min(_CHUNK, replicates - start), len(root)), dtype=np.float32)
        largest.append(np.abs(draws @ root).max(axis=1))
    quantile = math.ceil(1e3 * float(np.quantile(np.concatenate(largest), level))) / 1e3
    return math.erf(min(max(quantile, least), most) / math.sqrt(2.0))


def _units(table: Floats) -> Floats:
    """Columns of length one; those without any error, or without an estimate, are left out."""
    square = np.einsum("gk,gk->k", table, table)
    used = np.isfinite(square) & (square > 0)
    return np.asarray(table[:, used] / np.sqrt(square[used]), np.float64)


def p_value(interval: Interval, null: float = 0.0) -> float:
    """Two-sided p-value that an interval implies: the level at which its end would reach the value, taken as normal.

    For intervals that are put together from others (means over languages), which have no test of their own. Degenerate
    cases: NaN where the estimate is undefined, 1 where the end towards the value is infinite.
    """
    middle = interval.estimate - interval.bias
    if math.isnan(middle):
        return math.nan
    arm = middle - interval.lower if middle > null else interval.upper - middle
    if arm <= 0.0:
        return 1.0 if middle == null else 0.0
    return math.erfc(critical_value(interval.level) * abs(middle - null) / arm / math.sqrt(2.0))
