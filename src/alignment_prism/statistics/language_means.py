"""Means over languages, differences between them, and whether they differ, of estimates that may go together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.clustered import PRIOR_EVENTS
from alignment_prism.statistics.intervals import Floats, Interval, critical_value


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
    return combination(parts, [1.0 / len(parts)] * len(parts), correlation)


def combination(
    parts: Sequence[Interval], weights: Sequence[float], correlation: float | npt.ArrayLike = 0.0
) -> Interval:
    """A weighted sum of estimates with intervals, by MOVER: means over languages, differences of two changes.

        L = sum - sqrt(sum_ij w_i w_j r_ij a_i a_j),  a_i = e_i - lower_i where w_i > 0, upper_i - e_i elsewhere

    and U with the other arms; the bias of the estimates is taken off as in `macro_over_languages`, which is this with
    equal weights.

    Args:
        parts: at the same level.
        weights: one a part.
        correlation: of the estimates, one number for all or a K x K matrix. Where weights have opposite signs, 0 is
            the safe side, and not 1.

    Source: Zou & Donner (2008), Statistics in Medicine 27. Degenerate case: an undefined part makes the sum undefined
    (NaN), in the interval that the ends allow without any cancelling of errors.

    Raises:
        InputError: the levels differ.
    """
    level = _one_level(parts)
    w, number = np.asarray(weights, np.float64), len(parts)
    n, clusters = sum(part.n for part in parts), sum(part.clusters for part in parts)
    estimates = np.array([part.estimate for part in parts])
    bottom, top = (np.array([getattr(part, end) for part in parts]) for end in ("lower", "upper"))
    low, high = np.where(w > 0, bottom, top), np.where(w > 0, top, bottom)
    if np.isnan(estimates).any():
        return Interval(math.nan, float(w @ low), float(w @ high), "mover", n, clusters, level=level)
    r = np.asarray(correlation, np.float64)
    matrix = np.full((number, number), float(r)) if r.ndim == 0 else r.copy()
    np.fill_diagonal(matrix, 1.0)
    bias = np.array([part.bias for part in parts])
    centres = estimates - bias
    ends, signs = [], np.outer(np.sign(w), np.sign(w))
    for arm in (centres - low, high - centres):
        each = w * arm  # what a part adds to the distance: positive, whatever the sign of its weight
        infinite = not np.isfinite(each).all()
        ends.append(math.inf if infinite else math.sqrt(max(float(each @ (signs * matrix) @ each), 0.0)))
    middle = float(w @ centres)
    return Interval(
        float(w @ estimates), middle - ends[0], middle + ends[1], "mover", n, clusters, float(w @ bias), level
    )


def heterogeneity(parts: Sequence[Interval], correlation: float | npt.ArrayLike = 0.0) -> tuple[float, float]:
    """Whether estimates of K languages are of one and the same number: Cochran's Q and its p-value.

        Q = (d - m)' S^-1 (d - m),  S_ij = r_ij s_i s_j,  s_i = (arm of d_i towards m) / z;  Q ~ chi-square, K - 1 df

    with m the mean that makes Q least. The standard errors are those of the intervals on the side of m, which a
    language without any event has too.

    Args:
        parts: at the same level, one a language.
        correlation: of the estimates, as in `combination`.

    Returns:
        Q and p; NaN twice where there are not two languages, or one of them is undefined or without bounds.

    Source: Cochran (1954), Biometrics 10; generalised least squares as in Grizzle, Starmer & Koch (1969), Biometrics
    25. Not for fewer than about 30 prompts a language, nor where correlations rest on fewer clusters than languages.
    """
    d = np.array([part.estimate - part.bias for part in parts])
    ends = np.array([(part.lower, part.upper) for part in parts]).reshape(-1, 2)
    if len(parts) < 2 or not (np.isfinite(d).all() and np.isfinite(ends).all()):
        return math.nan, math.nan
    r = np.asarray(correlation, np.float64)
    matrix = np.full((len(d), len(d)), float(r)) if r.ndim == 0 else r.copy()
    np.fill_diagonal(matrix, 1.0)
    z = critical_value(_one_level(parts))
    mean, q = float(d.mean()), math.nan
    for _ in range(3):  # the side of the mean that a language is on settles at once
        s = np.maximum(np.where(d > mean, d - ends[:, 0], ends[:, 1] - d) / z, 1e-12)
        inverse = np.linalg.pinv(matrix * np.outer(s, s), hermitian=True)
        whole = float(inverse.sum())
        mean = float(inverse.sum(axis=0) @ d) / whole if whole > 0 else mean
        q = float((d - mean) @ inverse @ (d - mean))
    from scipy.special import chdtrc

    return q, float(chdtrc(len(d) - 1, max(q, 0.0)))


def _one_level(parts: Sequence[Interval]) -> float:
    levels = {part.level for part in parts}
    if len(levels) != 1:
        raise InputError(f"intervals of different levels: {sorted(levels)}", fix="compute all at one level")
    return next(iter(levels))


def language_correlation(deviations: Floats, held: npt.NDArray[np.bool_], *, of_difference: bool = False) -> Floats:
    """Correlation between the estimates of languages that share source prompts, for `macro_over_languages`.

        r_ij = (sum_g T_gi T_gj + w_ij) / sqrt((sum_g T_gi^2 + w) (sum_g T_gj^2 + w)),  w = PRIOR_EVENTS

    with T_gi the deviation of source g in language i, in events. That is Pearson's correlation about zero, drawn
    towards 1 where there are few events: w_ij is w times the share of sources that both languages have, 0 where they
    have none in common, so that prompts written apart in each language are independent exactly.

    Args:
        deviations: S x K, each source prompt's deviations from the language's estimate, summed over its rows; for a
            rate y - h, for a risk difference m - b - d, for a relative change m - t b. 0 where a language lacks it.
        held: S x K, whether the language has the source.
        of_difference: draw it towards 0, which is the safe side where the estimates are subtracted: w_ij is 0 then.

    Returns:
        K x K.

    Degenerate case: languages without any event are as correlated as the sources that they share allow.
    """
    sources = held.astype(np.float64)
    number = np.maximum(sources.sum(axis=0), 1.0)
    common = sources.T @ sources
    prior = 0.0 if of_difference else PRIOR_EVENTS
    cross = deviations.T @ deviations + prior * common / np.sqrt(np.outer(number, number))
    cross = np.where(common > 0, cross, 0.0)
    scale = np.sqrt(np.diag(deviations.T @ deviations) + PRIOR_EVENTS)
    correlation = cross / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation, np.float64)
