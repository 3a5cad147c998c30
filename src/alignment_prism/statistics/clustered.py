"""Rows that are not independent: cluster-robust variances, and intervals by effective sample size.

Translations of one source prompt, or k replies to one prompt, share what makes the prompt hard. Their number
overstates what is known; the number of clusters does not. Here the cluster-robust variance is turned into an
effective sample size, and the score interval for independent rows is used with that size and with Student's t.
So the interval keeps what makes score intervals honest near 0 and 1, where a normal one has no width.

Sources: Liang & Zeger (1986), Biometrika 73, for the variance; Korn & Graubard (1998), Survey Methodology 24,
and Dean & Pagano (2015), J. Surv. Stat. Methodol. 3, for intervals by effective sample size.
Not for fewer than about ten clusters: the variance between clusters is hardly known then, and the interval
says so by its width.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alignment_prism.statistics.intervals import Floats, GroupNames, Interval, critical_value


def cluster_index(clusters: GroupNames) -> tuple[np.ndarray, int]:
    """Numbers 0 .. G-1 in place of names, and G."""
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    return index.reshape(-1), len(names)


def cluster_variance(influence: Floats, clusters: GroupNames) -> tuple[float, int]:
    """Variance of the mean of n influence values that sum to zero, and the number of clusters G.

        V = G / (G - 1) * sum_g (sum_{i in g} e_i)^2 / n^2

    NaN where there is only one cluster.
    """
    index, number = cluster_index(clusters)
    if number < 2:
        return float("nan"), number
    totals = np.bincount(index, weights=influence, minlength=number)
    return float(number / (number - 1) * np.sum(totals**2) / len(influence) ** 2), number


PRIOR_EVENTS = 0.5
"""Weight, in events, of the belief that every cluster is of one piece; see `effective_rows`."""


def effective_rows(
    unit: npt.ArrayLike,
    variance: npt.ArrayLike,
    n: npt.ArrayLike,
    clusters: npt.ArrayLike,
    most: npt.ArrayLike | None = None,
) -> Floats:
    """Effective sample size of a mean, element by element: n over a design effect that knows when it is guessing.

        design effect = (n^2 V + w n / G) / (n unit + w), at least n / most,  w = PRIOR_EVENTS

    n unit is about the number of events. With many of them this is V / (unit / n), the usual estimate; with few, the
    estimate is drawn towards the mean cluster size n / G, as if every cluster were of one piece; with none that is all
    there is. Without it, intervals of rare events in strongly correlated clusters covered as little as 86 %.

    Args:
        unit: variance of one row.
        variance: V, cluster-robust variance of the mean.
        n: rows.
        clusters: G. Where G = n and the variance is that of independent rows, use n itself.
        most: the largest size; n unless given. Where each row is the mean of k independent or dependent replies, with a
            variance of one reply as `unit`, it is the number of replies; the belief is then that they are all alike.

    Degenerate cases: no variance at all (no events) gives about G; n = 0 gives 0. Source: the shrinkage is our own;
    its coverage is in `benchmarks/statistics_coverage.md`.
    """
    unit, variance, n, clusters = (np.asarray(x, np.float64) for x in (unit, variance, n, clusters))
    rows, groups = np.maximum(n, 1.0), np.maximum(clusters, 1.0)
    effect = (rows**2 * variance + PRIOR_EVENTS * rows / groups) / (rows * np.maximum(unit, 0.0) + PRIOR_EVENTS)
    least = 1.0 if most is None else rows / np.maximum(np.asarray(most, np.float64), rows)
    return np.asarray(n / np.maximum(effect, least), np.float64)


def rate_from_variance(
    rate: float,
    variance: float,
    df: float,
    *,
    n: int,
    clusters: int,
    level: float,
    name: str,
    most: float | None = None,
) -> Interval:
    """Wilson's interval for a mean of numbers in [0, 1] whose variance is known from elsewhere.

        effective n = `effective_rows` of rate (1 - rate) and the variance

    Args:
        rate: the mean.
        variance: its estimated variance.
        df: degrees of freedom of that variance; 0 or less gives [0, 1].
        n: units, for the record.
        clusters: independent clusters; taken as effective size where nothing varies.
        level: coverage.
        name: of the method, without the level.
        most: rows that the variance is of, the largest effective size; `n` if None.

    Degenerate cases: an infinite or undefined variance gives [0, 1]. Not for rates whose estimate is far from the
    mean that the variance is of.
    """
    from alignment_prism.statistics.rates import wilson_bounds

    critical = critical_value(level, df)
    if not np.isfinite(critical) or not np.isfinite(variance):
        return Interval(rate, 0.0, 1.0, name, n, clusters, level=level)
    rows = float(n) if most is None else most
    effective = float(effective_rows(rate * (1.0 - rate), variance, rows, clusters))
    lower, upper = wilson_bounds(rate * effective, effective, critical=critical)
    return Interval(rate, float(lower), float(upper), name, n, clusters, level=level)
