"""The variance of a number over seeds and prompts: its parts, its degrees of freedom, and the test it gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.statistics.intervals import Floats

NOTHING = 1e-20
"""Squares of rates up to which seeds do not differ, but for rounding."""


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
    """Of a linear function of two arms' rates: its three parts, all of it, and the degrees of freedom.

    `whole` may be larger than its parts tell: see `SeedLaw`.
    """

    seed: float
    cluster: float
    both: float
    whole: float
    df: float


def sums_of_squares(
    tables: Mapping[str, Floats], index: npt.NDArray[np.intp], clusters: int, weights: Floats
) -> dict[str, tuple[float, float, int, float]]:
    """Of each arm of several seeds: squares between seeds, of seeds on clusters of prompts, degrees of freedom, and
    p (1 - p) of its mean rate.

    Args:
        tables: for each arm, S x P rates.
        index: P positions of clusters.
        clusters: how many there are.
        weights: P of them, of the linear function of rates.
    """

    def totals(values: Floats) -> Floats:
        return np.asarray(np.bincount(index, weights=values, minlength=clusters), np.float64)

    share = totals(np.abs(weights))
    share = share / max(float(share.sum()), 1e-300)
    found = {}
    for name, rows in tables.items():
        if len(rows) > 1:
            of = np.stack([totals(row) for row in (rows - rows.mean(axis=0)) * weights])
            by_seed = of.sum(axis=1)
            within = float(np.sum((of - by_seed[:, None] * share) ** 2))
            rate = float(np.average(rows.mean(axis=0), weights=np.abs(weights)))
            found[name] = float(by_seed @ by_seed), within, len(rows) - 1, rate * (1.0 - rate)
    return found


def satterthwaite(parts: Sequence[tuple[float, float]], variance: float) -> float:
    """Degrees of freedom of a variance that is put together from parts, each with its own; the most of them where the
    parts do not vary."""
    spread = sum(part**2 / df for part, df in parts if df > 0)
    return variance**2 / spread if spread > 0 else max(df for _, df in parts)


@dataclass(frozen=True, slots=True)
class SeedLaw:
    """How far the seeds of arms move: mean squares of p (1 - p) vary about `centre` as one of `df` degrees would.

    Of three seeds that move a rate far, some agree by luck. The variance from seed to seed is then hardly any, and
    Satterthwaite takes it for a well-known one: among many arms such an arm is the one that looks shown. The others
    tell how far seeds move, as a share of p (1 - p), since no seed moves a rate of nothing or all.

    Attributes:
        centre: s0^2; 0 where the arms tell nothing.
        df: d0; infinite where mean squares are no more apart than those of one variance are.
        most: degrees of freedom of all arms together.

    Source: Smyth (2004), Stat. Appl. Genet. Mol. Biol. 3, art. 3, section 6.2 (moments of logarithms); taking the
    larger is ours, and what it does is measured in `benchmarks/seed_families.py`.
    """

    centre: float
    df: float
    most: float

    @classmethod
    def of(cls, every: Sequence[tuple[float, float]]) -> SeedLaw:
        """That of arms.

        Args:
            every: mean square between the seeds of each, as a share of p (1 - p), and its degrees of freedom. One of
                nothing has no logarithm and tells nothing of how far seeds move where they do.
        """
        told = [(square, df) for square, df in every if square > NOTHING]
        most = sum(df for _, df in told)
        if len(told) < 2:
            return cls(0.0, 0.0, most)
        from scipy.special import digamma, polygamma

        squares, dfs = np.array(told).T
        rows = np.log(squares) - digamma(dfs / 2) + np.log(dfs / 2)
        spread = float(rows.var(ddof=1) - polygamma(1, dfs / 2).mean())
        if spread <= 0:
            return cls(float(squares @ dfs) / most, math.inf, most)
        df = 2.0 * _inverse_trigamma(spread)
        return cls(math.exp(float(rows.mean() + digamma(df / 2)) - math.log(df / 2)), df, most)

    def not_by_luck(self, square: float, df: float, of: float = 1.0) -> tuple[float, float]:
        """An arm's mean square and degrees of freedom, or what the law makes of them where that is more.

        An arm whose seeds differ more keeps its own, for it may be the one method that is not stable.

        Args:
            square: between its seeds.
            df: of it.
            of: p (1 - p) of the arm.
        """
        share = 1.0 if math.isinf(self.df) else self.df / (self.df + df)
        raised = share * self.centre * of + (1.0 - share) * square
        return (raised, min(self.df + df, self.most)) if raised > square else (square, df)


def _inverse_trigamma(value: float) -> float:
    """x of which trigamma is `value`, by Newton's method on its inverse, which is nearly straight."""
    from scipy.special import polygamma

    x = 0.5 + 1.0 / value
    for _ in range(50):
        now = float(polygamma(1, x))
        step = now * (1.0 - now / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-10:
            break
    return x


def t_test(estimate: float, variance: float, df: float) -> float:
    """Two-sided p-value of 0; without any variance 1 for an estimate of 0, else 0."""
    if variance <= 0:
        return 1.0 if estimate == 0 else 0.0
    from scipy.special import stdtr

    return float(2.0 * stdtr(df, -abs(estimate) / math.sqrt(variance)))
