"""The plain mean over languages, of estimates whose languages may go together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.clustered import PRIOR_EVENTS
from alignment_prism.statistics.intervals import Floats, Interval


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
