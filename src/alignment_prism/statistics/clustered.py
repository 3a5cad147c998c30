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

from dataclasses import dataclass

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


WORKING_CORRELATION = 0.1
"""Correlation of rows in a cluster that corrections for unequal clusters suppose; how large it is, the data say."""


@dataclass(frozen=True, slots=True)
class Design:
    """What the sizes of clusters say of a mean over their rows; one number a cell.

    Attributes:
        clusters: G.
        inflation: factor on the sum of squares of the clusters' deviations that makes its expectation right.
        df: degrees of freedom of that sum.
        piece: design effect of clusters of one piece, sum_g n_g^2 / n.
    """

    clusters: Floats
    inflation: Floats
    df: Floats
    piece: Floats


def design(sizes: Floats, cell: npt.NDArray[np.intp], number: int) -> Design:
    """The design of every cell from the sizes of its clusters.

    A deviation is taken from a mean to which its own cluster contributes n_g / n, so large clusters deviate too little.
    With v_g = n_g (1 + (n_g - 1) rho) for the variance of a cluster's sum, V = sum_g v_g, w_g = n_g / n and
    B = (I - w 1') diag(v) (I - 1 w'), the covariance of the deviations,

        inflation = V / tr(B),  df = tr(B)^2 / tr(B^2)

    With clusters of equal size that is G / (G - 1) and G - 1, whatever rho; it is `WORKING_CORRELATION` here. With
    a few clusters of fifty among fifty single rows, G - 1 made intervals that covered 62 %.

    Args:
        sizes: rows of each pair of cell and cluster.
        cell: of each pair.
        number: of cells.

    Source: the bias correction and degrees of freedom as in Bell & McCaffrey (2002), Survey Methodology 28, for a mean
    and a working correlation. Degenerate cases: one cluster has an infinite inflation, and no degrees of freedom.
    """

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(cell, weights=values, minlength=number), np.float64)

    n = np.maximum(total(sizes), 1e-300)
    clusters = total((sizes > 0).astype(np.float64))
    v = sizes * (1.0 + (sizes - 1.0) * WORKING_CORRELATION)
    w = sizes / n[cell]
    whole, a, b, c = total(v), total(w * w), total(w * v), total(v * v)
    trace = whole * (1.0 + a) - 2.0 * b
    # tr(B^2) with B = diag(v) + U, U = V w w' - w v' - v w'.
    crossed = whole * total(v * w * w) - 2.0 * total(w * v * v)
    square = c + 2.0 * crossed + 2.0 * b * b + 2.0 * a * c - 4.0 * whole * a * b + (whole * a) ** 2
    several = clusters > 1
    trace, square = np.where(several, trace, 1.0), np.where(several, square, 1.0)
    inflation = np.where(several, whole / trace, np.inf)
    df = np.where(several, np.minimum(trace**2 / square, clusters - 1.0), 0.0)
    return Design(clusters, inflation, df, total(sizes * sizes) / n)


PRIOR_EVENTS = 0.5
"""Weight, in events, of the belief that every cluster is of one piece; see `effective_rows`."""


def effective_rows(
    unit: npt.ArrayLike,
    variance: npt.ArrayLike,
    n: npt.ArrayLike,
    piece: npt.ArrayLike,
    most: npt.ArrayLike | None = None,
) -> Floats:
    """Effective sample size of a mean, element by element: n over a design effect that knows when it is guessing.

        design effect = (n^2 V + w piece) / (n unit + w), at least n / most,  w = PRIOR_EVENTS

    n unit is about the number of events. With many of them this is V / (unit / n), the usual estimate; with few, the
    estimate is drawn towards the design effect that clusters of one piece would have; with none that is all there is.
    Without it, intervals of rare events in strongly correlated clusters covered as little as 86 %.

    Args:
        unit: variance of one row.
        variance: V, cluster-robust variance of the mean.
        n: rows.
        piece: design effect of clusters of one piece, sum_g n_g^2 / n: their size where they are of equal size. Where
            every row is a cluster and the variance is that of independent rows, use n itself.
        most: the largest size; n unless given. Where each row is the mean of k independent or dependent replies, with a
            variance of one reply as `unit`, it is the number of replies; the belief is then that they are all alike.

    Degenerate cases: no variance at all (no events) gives about n / piece; n = 0 gives 0. Source: the shrinkage is our
    own; its coverage is in `benchmarks/statistics_coverage.md`.
    """
    unit, variance, n, piece = (np.asarray(x, np.float64) for x in (unit, variance, n, piece))
    rows = np.maximum(n, 1.0)
    effect = (rows**2 * variance + PRIOR_EVENTS * piece) / (rows * np.maximum(unit, 0.0) + PRIOR_EVENTS)
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
    effective = float(effective_rows(rate * (1.0 - rate), variance, rows, rows / max(clusters, 1)))
    lower, upper = wilson_bounds(rate * effective, effective, critical=critical)
    return Interval(rate, float(lower), float(upper), name, n, clusters, level=level)
