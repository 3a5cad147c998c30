"""Means of numbers (lengths, overlaps) in many overlapping cells at once, beside the rates of `grouped.py`."""

from __future__ import annotations

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.clustered import Design
from alignment_prism.statistics.grouped import Estimates, Grouping
from alignment_prism.statistics.intervals import Floats, Interval, critical_value


def prompt_means(table: Floats) -> Floats:
    """Mean over the replies to each prompt, from P x k numbers; NaN where there is none.

    Raises:
        InputError: a number is infinite.
    """
    if np.isinf(table).any():
        raise InputError("an infinite score", fix="write no score where there is none")
    known = ~np.isnan(table)
    number = known.sum(axis=1)
    mean = np.where(known, table, 0.0).sum(axis=1) / np.maximum(number, 1)
    return np.asarray(np.where(number > 0, mean, np.nan), np.float64)


def grouped_means(values: Floats, groups: Grouping, level: float = 0.95) -> Estimates:
    """The mean over the prompts of every cell, with a cluster-robust interval.

        mean -+ t(df) sqrt(V),  V = f sum_g (sum_i in g (y_i - mean))^2 / n^2

    for G clusters, with f = G / (G - 1) and df = G - 1 where they are of equal size (`clustered.design`). Where every
    prompt stands alone that is the interval of the one-sample t-test. For the difference of two arms pass the
    differences by prompt: the interval is the paired one.

    Args:
        values: of the P prompts, NaN where there is none.
        groups: cells of the P prompts.
        level: coverage.

    Source: Liang & Zeger (1986), Biometrika 73. Degenerate cases: no prompt gives NaN without bounds, one cluster the
    mean without bounds, values without any variation an interval of no width. Not for shares (`grouped_rates`), whose
    intervals keep within 0 and 1, nor for a handful of prompts with numbers far from normal.
    """
    known = (~np.isnan(values)).astype(np.float64)
    filled = np.where(known > 0, values, 0.0)
    n, held = groups.total(known), groups.by_cluster(known)
    plan = groups.design(held)
    mean = groups.total(filled) / np.maximum(n, 1)
    sums = groups.by_cluster(filled) - groups.spread(mean) * held
    variance = groups.variance(sums, n, plan)
    found = []
    columns = (mean, variance, n, plan.clusters, plan.df)
    for estimate, square, rows, clusters, df in zip(*(column.tolist() for column in columns), strict=True):
        if clusters < 2:
            value, arm = estimate if rows else float("nan"), float("inf")
        else:
            value, arm = estimate, critical_value(level, df) * square**0.5
        name = "t" if rows == clusters else "t-clustered"
        lower, upper = (value - arm, value + arm) if clusters else (-arm, arm)
        found.append(Interval(value, lower, upper, name, int(rows), int(clusters), level=level))
    # How far languages go together does not depend on the unit: deviations are counted in standard deviations.
    unit = np.sqrt(np.maximum(groups.total(filled**2) / np.maximum(n, 1) - mean**2, 0.0))
    unit = np.where(unit > 0, unit, 1.0)
    p_values = _p_values(mean, variance, plan)
    return Estimates(found, sums / groups.spread(unit), held, groups, unit / np.maximum(n, 1), p_values)


def _p_values(mean: Floats, variance: Floats, plan: Design) -> Floats:
    """Of the t-test that the mean is 0; NaN where there are not two clusters, or nothing varies."""
    from scipy.special import stdtr

    testable = (plan.clusters > 1) & (variance > 0)
    t = np.abs(mean) / np.sqrt(np.where(testable, variance, 1.0))
    return np.asarray(np.where(testable, 2.0 * stdtr(np.maximum(plan.df, 1), -t), np.nan), np.float64)
