"""The variance of a number over seeds and prompts: its parts, its degrees of freedom, and the test it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinearChange:
    """A linear function of the differences of strata.

    Attributes:
        estimate: its value.
        t: its size in standard errors.
        p_value: two-sided, of 0; NaN where there is one seed.
    """

    estimate: float
    t: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Variance:
    """Of a linear function of two arms' rates: its three parts, all of it, and the degrees of freedom."""

    seed: float
    cluster: float
    both: float
    whole: float
    df: float


def satterthwaite(parts: tuple[float, ...], dfs: tuple[int, ...], variance: float) -> float:
    """Degrees of freedom of a variance that is put together from parts with `dfs` each; the most of them where the
    parts do not vary."""
    spread = sum(part**2 / df for part, df in zip(parts, dfs, strict=True) if df > 0)
    return variance**2 / spread if spread > 0 else float(max(dfs))


def t_test(estimate: float, variance: float, df: float) -> float:
    """Two-sided p-value of 0; without any variance 1 for an estimate of 0, else 0."""
    if variance <= 0:
        return 1.0 if estimate == 0 else 0.0
    from scipy.special import stdtr

    return float(2.0 * stdtr(df, -abs(estimate) / math.sqrt(variance)))
