"""Arms, seeds and prompts in one model: every alignment seed answers the same prompts, and both are samples.

A difference that holds for one training run over many prompts may vanish with the next seed. Its variance has a part
from seeds, one from prompts, and one from their interaction; intervals over prompts alone cover too little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.changes.seed_variance import (
    NOTHING,
    LinearChange,
    SeedLaw,
    Variance,
    satterthwaite,
    sums_of_squares,
    t_test,
)
from alignment_prism.statistics.clustered import cluster_index, effective_rows
from alignment_prism.statistics.intervals import Floats, GroupNames, Interval, critical_value
from alignment_prism.statistics.language_means import combination, macro_over_languages
from alignment_prism.statistics.score_intervals import ratio_bias, ratio_score_bounds, tango_bounds


@dataclass(frozen=True, slots=True)
class CrossedDifference:
    """A change over seeds and prompts: a difference of rates, or a relative change in per cent.

    Attributes:
        interval: over both; over prompts alone, and named `one-seed`, where there is one seed.
        seeds: number of seeds; the smaller of both arms where both have several.
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


class SeedModel:
    """Arms x seeds x prompts: seeds nested in arms, both crossed with prompts.

    The variance from seed to seed, and of seeds on prompts, is pooled over the arms, because that of two or three seeds
    of one arm is hardly known; that of prompts is the pair's own. For arms a and b of S_a and S_b seeds

        V = V_seed + V_cluster - V_interaction,  and not below V_seed or V_cluster
        V_seed = s^2 (1 / S_b + 1 / S_a),  s^2 pooled over arms on sum (S - 1) degrees of freedom

    with Satterthwaite's degrees of freedom. An arm of one seed is a model, not a sample of seeds: it adds nothing to
    V_seed. Relative changes are linearised for it.

    Where arms are not `alike` each has its own variance from seed to seed and of seeds on prompts, and the first is
    raised to what all arms suggest where it is small by luck (`seed_variance.SeedLaw`); not of an arm whose seeds say
    the same of every prompt.

    Args:
        arms: for each arm, S x P rates of prompts from 0 to 1 (verdicts, or shares of several replies), one row a seed;
            all on the same prompts.
        clusters: P names of independent clusters of prompts; None where every prompt stands alone.
        strata: P names; changes are then plain means over strata, such as languages, whose seeds and shared sources
            are counted as what they are.
        alike: whether the seeds of all arms vary alike.

    Source: Owen (2007), Ann. Appl. Stat. 1; Cameron, Gelbach & Miller (2011), J. Bus. Econ. Stat. 29. Not for arms
    whose seeds answered different prompts, nor for missing verdicts (leave the prompt out for all seeds); `alike` not
    where the seeds of one arm differ far more than those of the others: the pooled variance is too small for that arm.

    Raises:
        InputError: arms on different numbers of prompts, or values outside 0 to 1.
    """

    def __init__(
        self,
        arms: Mapping[str, object],
        clusters: GroupNames | None = None,
        strata: GroupNames | None = None,
        *,
        alike: bool = True,
    ) -> None:
        self.tables = {name: np.atleast_2d(np.asarray(rows, np.float64)) for name, rows in arms.items()}
        if len({rows.shape[1] for rows in self.tables.values()}) > 1:
            shapes = " against ".join(str(rows.shape) for rows in self.tables.values())
            raise InputError(f"verdicts of shape {shapes}", fix="pass seeds x prompts, the same prompts for every arm")
        if not all(((rows >= 0) & (rows <= 1)).all() for rows in self.tables.values()):
            raise InputError("rates outside 0 to 1", fix="code harmful as 1; treat missing verdicts before")
        self.prompts = next(iter(self.tables.values())).shape[1]
        every = np.arange(self.prompts)
        found = (every, self.prompts) if clusters is None else cluster_index(clusters)
        self._index: npt.NDArray[np.intp] = found[0]
        self.clusters: int = found[1]
        self._stratum = np.zeros(self.prompts, np.intp) if strata is None else cluster_index(strata)[0]
        sizes = np.bincount(self._stratum)
        self._w = 1.0 / (len(sizes) * sizes[self._stratum])
        self._means = {name: rows.mean(axis=0) for name, rows in self.tables.items()}
        self._alike = alike
        self._known: tuple[dict[str, tuple[float, float, int, float]], SeedLaw] | None = None

    def subset(self, rows: npt.NDArray[np.intp], strata: GroupNames | None = None) -> SeedModel:
        """The model of some of the prompts.

        Args:
            rows: their positions.
            strata: of these prompts.
        """
        tables = {name: table[:, rows] for name, table in self.tables.items()}
        return SeedModel(tables, self._index[rows], strata, alike=self._alike)

    def rate(self, arm: str) -> float:
        """Mean over seeds and prompts."""
        return float(self._means[arm] @ self._w)

    def expected(self, b: str, a: str) -> tuple[float, float, float, float]:
        """On how many prompts both, a alone, b alone and neither is 1, expected of one seed of each."""
        y, x = self._means[b], self._means[a]
        parts = (x * y, x * (1 - y), (1 - x) * y, (1 - x) * (1 - y))
        return tuple(round(float(part.sum()), 9) for part in parts)  # type: ignore[return-value]

    def seeds(self, b: str, a: str) -> int:
        """The smaller number of seeds of those of the two that have several; 1 if none has."""
        several = [number for number in (len(self.tables[b]), len(self.tables[a])) if number > 1]
        return min(several) if several else 1

    def difference(self, b: str, a: str, level: float = 0.95) -> CrossedDifference:
        """The rate of b minus that of a: Tango's interval at the effective size (`clustered.effective_rows`) with
        Student's t.

        Degenerate cases: where both have one seed the interval is over prompts alone, and there is no p-value; one
        cluster gives [-1, 1]. With three seeds the interval is wide wherever seeds matter; that is what they are worth.
        """
        estimate = self.rate(b) - self.rate(a)
        if self.clusters < 2:
            return self._unknown(b, a, (estimate, -1.0, 1.0), level)
        found = self.variance(b, a, self._w, self._w)
        b_only, a_only, _ = self._parts(b, a)
        size = self._effective(b_only + a_only - estimate**2, found.whole, b, a)
        lower, upper = tango_bounds(b_only * size, a_only * size, size, critical_value(level, found.df))
        return self._result(b, a, self._interval(b, a, (estimate, float(lower), float(upper)), level), found)

    def win_rate(self, b: str, level: float = 0.95) -> CrossedDifference:
        """The rate of b, whose values are what comparisons count: a win 1, a tie 1/2, a loss 0.

        (1 + d) / 2 where d, wins minus losses, has the interval of `difference`: ties tell nothing for either side. The
        p-value is of one half. Degenerate cases: those of `difference`; one cluster gives [0, 1].
        """
        middle = self.rate(b)
        if self.clusters < 2:
            return self._unknown(b, b, (middle, 0.0, 1.0), level)
        found = self.variance(b, b, self._w, np.zeros(self.prompts))
        wins, losses = (
            float(np.maximum(side, 0.0).mean(axis=0) @ self._w)
            for side in (2.0 * self.tables[b] - 1.0, 1.0 - 2.0 * self.tables[b])
        )
        size = self._effective(wins + losses - (wins - losses) ** 2, 4.0 * found.whole, b, b)
        lower, upper = tango_bounds(wins * size, losses * size, size, critical_value(level, found.df))
        interval = self._interval(b, b, (wins - losses, float(lower), float(upper)), level).scaled(0.5, 0.5)
        p = math.nan if self.seeds(b, b) < 2 else t_test(middle - 0.5, found.whole, found.df)
        return replace(self._result(b, b, interval, found), p_value=p)

    def p_value(self, b: str, a: str) -> float:
        """Two-sided, of b and a having one rate; NaN where no seed tells, or one cluster."""
        if self.seeds(b, a) < 2 or self.clusters < 2:
            return math.nan
        found = self.variance(b, a, self._w, self._w)
        return t_test(self.rate(b) - self.rate(a), found.whole, found.df)

    def relative_change(self, b: str, a: str, level: float = 0.95) -> CrossedDifference:
        """The same in per cent of a's rate: score interval of the paired ratio at the effective size.

        Over strata it is the mean of theirs, by MOVER with the correlation that seeds and shared sources make. The
        p-value is that of the difference. Degenerate cases: a without any event gives NaN, unbounded above.
        """
        if self._stratum.any():
            return self._mean_of_strata(b, a, level)
        t, found = self._ratio(b, a)
        rate = self.rate(a)
        estimate = 100.0 * (t - 1.0) if rate > 0 else math.nan
        if self.clusters < 2:
            return self._unknown(b, a, (estimate, -100.0, math.inf), level)
        b_only, a_only, both = self._parts(b, a)
        unit = b_only + t**2 * a_only + (1 - t) ** 2 * both if t > 0 else b_only + a_only - rate**2
        size = self._effective(unit, found.whole, b, a)
        counts = both * size, b_only * size, a_only * size
        ends = ratio_score_bounds(*counts, size, critical_value(level, found.df))
        lower, upper = (100.0 * (float(end) - 1.0) for end in ends)
        interval = replace(
            self._interval(b, a, (estimate, lower, upper), level), bias=100.0 * float(ratio_bias(*counts))
        )
        return self._result(b, a, interval, found, 100.0 / rate if rate > 0 else math.nan)

    def gap(
        self, b: str, a: str, one: npt.NDArray[np.intp], other: npt.NDArray[np.intp], level: float
    ) -> tuple[Interval, float]:
        """The difference on some prompts minus that on others, by MOVER with the correlation that seeds and shared
        sources make, and its p-value.

        Args:
            b: arm.
            a: arm.
            one: positions of prompts.
            other: of others.
            level: coverage.
        """
        halves = [self.subset(rows) for rows in (one, other)]
        parts = [half.difference(b, a, level).interval for half in halves]
        both = self.subset(np.concatenate([one, other]), np.repeat([0, 1], [len(one), len(other)]))
        if min(half.clusters for half in halves) < 2:
            interval, p = combination(parts, (1.0, -1.0)), math.nan
        else:
            interval = combination(parts, (1.0, -1.0), both.correlation(b, a))
            p = both.linear(b, a, np.array([1.0, -1.0])).p_value
        return replace(interval, method=f"{self._name(b, a)}-mover", clusters=both.clusters), p

    def strata(self) -> list[npt.NDArray[np.intp]]:
        """Positions of the prompts of each stratum."""
        return [np.flatnonzero(self._stratum == number) for number in range(int(self._stratum.max()) + 1)]

    def linear(self, b: str, a: str, factors: Floats) -> LinearChange:
        """A linear function of the strata's differences, b minus a, with Student's t; NaN where no seed tells.

        Args:
            b: arm.
            a: arm.
            factors: one a stratum.
        """
        of = len(factors) * self._w * factors[self._stratum]  # a stratum's weights add up to 1 / their number
        estimate = float(of @ (self._means[b] - self._means[a]))
        found = self.variance(b, a, of, of)
        t = abs(estimate) / math.sqrt(found.whole) if found.whole > 0 else math.inf if estimate else 0.0
        known = self.seeds(b, a) > 1 and self.clusters > 1
        return LinearChange(estimate, t, t_test(estimate, found.whole, found.df) if known else math.nan)

    def correlation(self, b: str, a: str) -> float:
        """Of the differences of two strata: that which seeds and shared sources make."""
        w = 2.0 * self._w
        single = []
        for rows in self.strata():
            half = self.subset(rows)
            if half.clusters < 2:
                return 0.0
            single.append(half.variance(b, a, half._w, half._w).whole)
        of = w * np.where(self._stratum == 0, 1.0, -1.0)
        shared = (sum(single) - self.variance(b, a, of, of).whole) / 2.0
        scale = math.sqrt(single[0] * single[1])
        return float(np.clip(shared / scale, -1, 1)) if scale > 0 else 0.0

    def deviations(self, b: str, a: str, *, relative: bool = False) -> Floats:
        """What each prompt adds to the error of the change: of the difference, or in per cent of a's rate."""
        y, x = self._means[b], self._means[a]
        if not relative:
            return np.asarray((y - x - float((y - x) @ self._w)) * self._w, np.float64)
        rate = self.rate(a)
        if rate <= 0:
            return np.zeros(self.prompts)
        return np.asarray(100.0 / rate * (y - self.rate(b) / rate * x) * self._w, np.float64)

    def effective_seeds(self, b: str, a: str) -> float:
        """By how much the variance of one seed of each arm that has several shrinks in the means over them."""
        several = [len(self.tables[arm]) for arm in (b, a) if len(self.tables[arm]) > 1]
        return len(several) / sum(1.0 / number for number in several) if several else math.nan

    def variance(self, b: str, a: str, of_b: Floats, of_a: Floats) -> Variance:
        """Variance of the sum over prompts of `of_b` times b's rates minus `of_a` times a's, strata being fixed.

        Args:
            b: arm.
            a: arm.
            of_b: P weights; of a linear function of rates, or what a smooth one is near its estimate.
            of_a: likewise.
        """
        added = of_b * self._means[b] - of_a * self._means[a]
        size = np.abs(of_b)
        inside = np.bincount(self._stratum, weights=size)
        centre = np.bincount(self._stratum, weights=added) / np.where(inside > 0, inside, 1.0)
        correction = self.clusters / (self.clusters - 1)
        v_cluster = correction * float(np.sum(self._totals(added - centre[self._stratum] * size) ** 2))
        v_seed = v_both = raised = 0.0
        parts = [(v_cluster, self.clusters - 1.0)]
        for arm, weights in ((b, of_b), (a, of_a)):
            number = len(self.tables[arm])
            if number > 1 and weights.any():
                of_seeds = self._mean_squares(arm, weights)
                v_seed += of_seeds[0][0] / number
                raised += of_seeds[1][0] / number
                v_both += of_seeds[2][0] / number
                parts += [(square / number, df) for square, df in of_seeds[1:]]
        if self._alike and len(parts) > 3:  # both arms have one and the same mean squares
            parts = [parts[0], *((parts[i][0] + parts[i + 2][0], parts[i][1]) for i in (1, 2))]
        whole = max(raised + v_cluster - v_both, raised, v_cluster)
        return Variance(v_seed, v_cluster, v_both, whole, satterthwaite(parts, whole))

    def _mean_squares(self, arm: str, weights: Floats) -> tuple[tuple[float, float], ...]:
        """Between an arm's seeds, the same not small by luck, and of seeds on clusters, with degrees of freedom."""
        if (known := self._known if weights is self._w else None) is None:
            sums = sums_of_squares(self.tables, self._index, self.clusters, weights)
            moved = [(between / df / of, df) for between, _, df, of in sums.values() if of > 0 and not self._alike]
            known = sums, SeedLaw.of(moved)
        if weights is self._w:
            self._known = known
        sums, law = known
        between, within, df, of = np.sum(list(sums.values()), axis=0) if self._alike else sums[arm]
        own = float(between / df), float(df)
        raised = own if self._alike or within <= NOTHING else law.not_by_luck(*own, of)
        return own, raised, (float(within / df) * self.clusters / (self.clusters - 1), df * (self.clusters - 1.0))

    def _ratio(self, b: str, a: str) -> tuple[float, Variance]:
        """b's rate over a's, 0 where either has no event, and the variance of what its score is made of."""
        base = self.rate(a)
        t = self.rate(b) / base if base > 0 else 0.0
        of_a = t * self._w if t > 0 else self._w
        nothing = Variance(0.0, 0.0, 0.0, 0.0, 0.0)
        return t, nothing if self.clusters < 2 else self.variance(b, a, self._w, of_a)

    def _mean_of_strata(self, b: str, a: str, level: float) -> CrossedDifference:
        parts, number = [], int(self._stratum.max()) + 1
        of_b, of_a = np.zeros(self.prompts), np.zeros(self.prompts)
        spread = np.zeros(number)
        for stratum in range(number):
            rows = np.flatnonzero(self._stratum == stratum)
            model = self.subset(rows)
            parts.append(model.relative_change(b, a, level).interval)
            t, found = model._ratio(b, a)
            unit = 100.0 / model.rate(a) if model.rate(a) > 0 else 0.0
            of_b[rows] = unit / (number * len(rows))
            of_a[rows] = t * of_b[rows]
            spread[stratum] = math.sqrt(found.whole) * unit / number
        whole = self.variance(b, a, of_b, of_a)
        apart, crossed = float(spread @ spread), float(spread.sum()) ** 2 - float(spread @ spread)
        correlation = min(max((whole.whole - apart) / crossed, 0.0), 1.0) if crossed > 0 else 0.0
        mean = macro_over_languages(parts, correlation)
        interval = replace(mean, method=f"{self._name(b, a)}-mover", n=self.prompts, clusters=self.clusters)
        return self._result(b, a, interval, whole)

    def _totals(self, values: Floats) -> Floats:
        return np.asarray(np.bincount(self._index, weights=values, minlength=self.clusters), np.float64)

    def _parts(self, b: str, a: str) -> tuple[float, float, float]:
        """Shares of prompts on which b alone, a alone and both are 1, expected of one reply from a random seed each."""
        y, x = self._means[b], self._means[a]
        return float((y * (1 - x)) @ self._w), float((x * (1 - y)) @ self._w), float((x * y) @ self._w)

    def _effective(self, unit: float, variance: float, b: str, a: str) -> float:
        rows = max(len(self.tables[b]), len(self.tables[a])) / float(self._w @ self._w)
        piece = rows * float(np.sum(self._totals(self._w) ** 2))
        return float(effective_rows(unit, variance, rows, piece))

    def _name(self, b: str, a: str) -> str:
        return "crossed" if self.seeds(b, a) > 1 else "crossed-one-seed"

    def _interval(self, b: str, a: str, values: tuple[float, float, float], level: float) -> Interval:
        return Interval(*values, self._name(b, a), self.prompts, self.clusters, level=level)

    def _unknown(self, b: str, a: str, values: tuple[float, float, float], level: float) -> CrossedDifference:
        interval = self._interval(b, a, values, level)
        return CrossedDifference(interval, self.seeds(b, a), math.nan, math.nan, 0.0, math.nan)

    def _result(self, b: str, a: str, interval: Interval, found: Variance, unit: float = 1.0) -> CrossedDifference:
        """With the parts of the variance in the interval's unit."""
        # V_seed is that of means over seeds; one seed of each arm varies as many times as much.
        seed_sd = unit * math.sqrt(max(found.seed - found.both, 0.0) * self.effective_seeds(b, a))
        p = self.p_value(b, a)
        return CrossedDifference(interval, self.seeds(b, a), seed_sd, unit * math.sqrt(found.cluster), found.df, p)


def crossed_difference(
    model: object,
    base: object,
    clusters: GroupNames | None = None,
    level: float = 0.95,
    *,
    strata: GroupNames | None = None,
) -> CrossedDifference:
    """Difference of rates of a method trained from several seeds against base, or another method, on the same prompts.

    `SeedModel` of these two: the variance from seed to seed is the method's own (of both, where base has seeds too).

    Args:
        model: S x P rates of prompts, one row a seed.
        base: P of base, or S x P of another method, one row a seed.
        clusters: P names of independent clusters of prompts; None where every prompt stands alone.
        level: coverage.
        strata: P names; the difference is the plain mean over them.

    Base whose rows are all the same is one base, however often it is given.
    """
    other = np.atleast_2d(np.asarray(base, np.float64))
    other = other[:1] if (other == other[:1]).all() else other
    return SeedModel({"model": model, "base": other}, clusters, strata).difference("model", "base", level)
