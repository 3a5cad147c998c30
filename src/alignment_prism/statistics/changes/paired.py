"""Change against base, paired by prompt: the same prompts were put to both models.

Pairing removes what makes a prompt hard from the comparison. The risk difference comes first, because it is defined
for every base rate; the relative change of the paper (arXiv 2406.18682, section 5) comes with an interval that
knows when it is unbounded. Verdicts that are missing: `missing.py`. Several seeds: `crossed.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.clustered import PRIOR_EVENTS, EffectiveSize, effective_size
from alignment_prism.statistics.intervals import (
    Floats,
    Interval,
    Labels,
    as_binary,
    critical_value,
    same_length,
)
from alignment_prism.statistics.score_intervals import ratio_bias, ratio_score_bounds, tango_bounds


@dataclass(frozen=True, slots=True)
class PairedTable:
    """The four cells of two 0/1 verdicts on the same prompts, with the number of independent clusters.

    Attributes:
        both: both 1.
        model_only: the model 1, base 0.
        base_only: base 1, the model 0.
        neither: both 0.
    """

    both: int
    model_only: int
    base_only: int
    neither: int

    @property
    def n(self) -> int:
        """Prompts."""
        return self.both + self.model_only + self.base_only + self.neither

    @property
    def difference(self) -> float:
        """Rate of the model minus rate of base; NaN without prompts."""
        return (self.model_only - self.base_only) / self.n if self.n else math.nan


def paired_table(model: object, base: object) -> PairedTable:
    """The cross table of two 0/1 arrays over the same prompts in the same order; all zeros where there is none."""
    m, b = as_binary(model, "verdicts of the model"), as_binary(base, "verdicts of base")
    same_length(model=m, base=b)
    return PairedTable(
        both=int(np.sum((m == 1) & (b == 1))),
        model_only=int(np.sum((m == 1) & (b == 0))),
        base_only=int(np.sum((m == 0) & (b == 1))),
        neither=int(np.sum((m == 0) & (b == 0))),
    )


def paired_risk_difference(
    model: object, base: object, clusters: Labels | None = None, level: float = 0.95
) -> Interval:
    """Rate of the model minus rate of base on the same prompts, with Tango's score interval.

    The interval holds every difference d that the score test keeps: |b - c - n d| <= z sqrt(n (2 q + d (1 - d))),
    b and c being the prompts where only the model and only base are 1, and q the constrained estimate of the
    share of c (`scores.tango_bounds`). With clusters the counts are scaled to the effective sample size of the
    differences and z becomes Student's t (see `clustered.py`).

    Args:
        model: n verdicts, 0 or 1.
        base: n verdicts on the same prompts in the same order.
        clusters: n names of independent clusters (source prompts); None where every prompt stands alone.
        level: coverage.

    Source: Tango (1998), Statistics in Medicine 17; compared in Fagerland, Lydersen & Laake (2014), Statistics in
    Medicine 33. Degenerate cases: no prompts gives NaN in [-1, 1]; no discordant prompts gives 0 with
    z^2 / (n + z^2) to both sides, not a width of zero; one cluster gives [-1, 1]. Not for unpaired samples.

    Example:
        >>> found = paired_risk_difference([0, 0, 0, 1, 0, 0], [1, 1, 0, 1, 0, 1])
        >>> found.estimate, found.name
        (-0.5, 'tango95')
    """
    m, b = as_binary(model, "verdicts of the model"), as_binary(base, "verdicts of base")
    same_length(model=m, base=b, clusters=clusters)
    table = paired_table(m, b)
    if not table.n:
        return Interval(math.nan, -1.0, 1.0, "tango", 0, 0, level=level)
    difference = m - b
    size = _size(difference - difference.mean(), clusters)
    critical = critical_value(level, size.df)
    name = "tango" if size.clusters == size.n else "tango-clustered"
    if not math.isfinite(critical):
        return Interval(table.difference, -1.0, 1.0, name, size.n, size.clusters, level=level)
    scale = size.effective / table.n
    lower, upper = tango_bounds(table.model_only * scale, table.base_only * scale, size.effective, critical)
    return Interval(table.difference, float(lower), float(upper), name, size.n, size.clusters, level=level)


def relative_change(model: object, base: object, clusters: Labels | None = None, level: float = 0.95) -> Interval:
    """Change of a rate in per cent of base's: 100 (h_model - h_base) / h_base, with a score interval.

    The interval holds every ratio t of the two rates that the score test keeps, with variances from the estimate
    constrained to that ratio (`scores.ratio_score_bounds`). With clusters as in `paired_risk_difference`, the
    influence values being m - t b.

    Args:
        model: n verdicts, 0 or 1.
        base: n verdicts on the same prompts in the same order.
        clusters: n names of independent clusters; None where every prompt stands alone.
        level: coverage.

    Returns:
        Per cent: -100 is no harm left, 0 no change, 100 twice the harm.

    Source: Tang, Tang & Chan (2003) and Nam & Blackwelder (2002), both Statistics in Medicine. Degenerate cases: a
    base without events gives a NaN estimate, an upper end of inf, and a lower end above -100 only if the model has
    events; a model without events gives -100 with a finite upper end; no prompts gives NaN in [-100, inf].
    Not for base rates of a few events: read the risk difference there.

    Example:
        >>> relative_change([1, 0, 0, 0, 0], [1, 1, 1, 1, 0]).estimate
        -75.0
    """
    m, b = as_binary(model, "verdicts of the model"), as_binary(base, "verdicts of base")
    same_length(model=m, base=b, clusters=clusters)
    table = paired_table(m, b)
    if not table.n:
        return Interval(math.nan, -100.0, math.inf, "ratio-score", 0, 0, level=level)
    size = _size(_ratio_influence(m, b), clusters)
    critical = critical_value(level, size.df)
    name = "ratio-score" if size.clusters == size.n else "ratio-score-clustered"
    hits = table.both + table.base_only
    estimate = 100.0 * ((table.both + table.model_only) / hits - 1.0) if hits else math.nan
    if not math.isfinite(critical):
        return Interval(estimate, -100.0, math.inf, name, size.n, size.clusters, level=level)
    scale = size.effective / table.n
    lower, upper = ratio_score_bounds(
        table.both * scale, table.model_only * scale, table.base_only * scale, size.effective, critical
    )
    ends = 100.0 * (float(lower) - 1.0), 100.0 * (float(upper) - 1.0)
    bias = 100.0 * float(ratio_bias(table.both, table.model_only, table.base_only)) / scale
    return Interval(estimate, *ends, name, size.n, size.clusters, bias, level)


def macro_over_languages(parts: Sequence[Interval], correlation: float | npt.ArrayLike = 0.0) -> Interval:
    """Plain mean over languages of estimates with intervals, by MOVER (recovery of variances from the ends).

        L = mean - sqrt(sum_ij r_ij l_i l_j) / K,  l_i = estimate_i - lower_i;  U likewise with the upper ends

    Estimates of relative changes are biased upwards by about 1 / (events of base), all in one direction, so that the
    bias of a mean does not shrink with the number of languages as its interval does: mean and distances are taken
    from estimates without it (`Interval.bias`); the estimate that is returned is the plain mean.

    Args:
        parts: one interval a language, all at the same level.
        correlation: correlation r of the estimates, one number for all or a K x K matrix. 0 for prompts that are
            written apart in each language; for translations of the same prompts use `language_correlation`, or 1,
            which is safe.

    Source: Zou & Donner (2008), Statistics in Medicine 27. Degenerate cases: one language is returned as it is; a
    language whose estimate is undefined makes the mean undefined (NaN), with the means of the lower and of the upper
    ends as interval: it is not left out silently. No languages raises. Not for translations with the correlation
    left at 0, nor where languages should count by their prompts: pool the rows.

    Raises:
        InputError: there is no part, or the levels differ.
    """
    if not parts:
        raise InputError("a mean over no languages", fix="pass one interval per language")
    levels = {part.level for part in parts}
    if len(levels) > 1:
        raise InputError(f"intervals of different levels: {sorted(levels)}", fix="compute all at one level")
    number = len(parts)
    level = next(iter(levels))
    n, clusters = sum(part.n for part in parts), sum(part.clusters for part in parts)
    estimates = np.array([part.estimate for part in parts])
    if np.isnan(estimates).any():
        lowest, highest = (float(np.mean(ends)) for ends in zip(*((p.lower, p.upper) for p in parts), strict=True))
        return Interval(math.nan, lowest, highest, "mover", n, clusters, level=level)
    r = np.asarray(correlation, np.float64)
    matrix = np.full((number, number), float(r)) if r.ndim == 0 else r.copy()
    np.fill_diagonal(matrix, 1.0)
    centres = estimates - [part.bias for part in parts]
    lower, upper = np.array([part.lower for part in parts]), np.array([part.upper for part in parts])
    mean, middle = float(estimates.mean()), float(centres.mean())
    ends = []
    for arm in (centres - lower, upper - centres):
        infinite = not np.isfinite(arm).all()
        ends.append(math.inf if infinite else math.sqrt(max(float(arm @ matrix @ arm), 0.0)) / number)
    bias = float(np.mean([part.bias for part in parts]))
    return Interval(mean, middle - ends[0], middle + ends[1], "mover", n, clusters, bias, level)


@dataclass(frozen=True, slots=True)
class McNemar:
    """Result of McNemar's test.

    Attributes:
        model_only: prompts where only the model is 1.
        base_only: prompts where only base is 1.
        p_value: two-sided.
        method: `exact` or `mid-p`.
    """

    model_only: int
    base_only: int
    p_value: float
    method: str


def mcnemar(model: object, base: object, *, mid_p: bool = False) -> McNemar:
    """McNemar's test of no change, exact: of the discordant prompts, each side has half by chance.

        p = min(1, 2 P(X <= min(b, c))),  X ~ Binomial(b + c, 1/2); mid-p takes off P(X = min(b, c))

    The exact test is conservative; the mid-p version is closer to its level (Fagerland, Lydersen & Laake 2013,
    BMC Med. Res. Methodol. 13). Degenerate case: no discordant prompts gives p = 1. Not for clustered
    prompts: use the interval of `paired_risk_difference` with clusters.
    """
    from scipy.stats import binom

    table = paired_table(model, base)
    discordant, less = table.model_only + table.base_only, min(table.model_only, table.base_only)
    if discordant == 0:
        p = 1.0
    elif mid_p and table.model_only == table.base_only:
        p = 1.0 - float(binom.pmf(less, discordant, 0.5))
    else:
        p = 2.0 * float(binom.cdf(less, discordant, 0.5))
        p -= float(binom.pmf(less, discordant, 0.5)) if mid_p else 0.0
    return McNemar(table.model_only, table.base_only, min(p, 1.0), "mid-p" if mid_p else "exact")


def language_correlation(deviations: Floats, held: npt.NDArray[np.bool_]) -> Floats:
    """Correlation between the estimates of languages that share source prompts, for `macro_over_languages`.

        r_ij = (sum_g T_gi T_gj + w_ij) / sqrt((sum_g T_gi^2 + w) (sum_g T_gj^2 + w)),  w = PRIOR_EVENTS

    with T_gi the deviation of source g in language i, in events. That is Pearson's correlation about zero, drawn
    towards 1 where there are few events: w_ij is w times the share of sources that both languages have, 0 where they
    have none in common, so that prompts written apart in each language are independent exactly.

    Args:
        deviations: S x K, each source prompt's deviations from the language's estimate, summed over its rows; for a
            rate y - h, for a risk difference m - b - d, for a relative change m - t b. 0 where a language lacks it.
        held: S x K, whether the language has the source.

    Returns:
        K x K.

    Degenerate case: languages without any event are as correlated as the sources that they share allow.
    """
    sources = held.astype(np.float64)
    number = np.maximum(sources.sum(axis=0), 1.0)
    common = sources.T @ sources
    cross = deviations.T @ deviations + PRIOR_EVENTS * common / np.sqrt(np.outer(number, number))
    cross = np.where(common > 0, cross, 0.0)
    scale = np.sqrt(np.diag(deviations.T @ deviations) + PRIOR_EVENTS)
    correlation = cross / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation, np.float64)


def _size(influence: Floats, clusters: Labels | None) -> EffectiveSize:
    n = len(influence)
    if clusters is None:
        return EffectiveSize(n, n, float(n), 1.0, math.inf)
    return effective_size(influence, clusters)


def _ratio_influence(model: Floats, base: Floats) -> Floats:
    """Deviations m - t b that drive the ratio; those of the difference where the ratio is 0 or undefined."""
    if model.sum() == 0 or base.sum() == 0:
        difference = model - base
        return np.asarray(difference - difference.mean(), np.float64)
    return np.asarray(model - (model.sum() / base.sum()) * base, np.float64)
