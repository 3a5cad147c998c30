"""Estimates corrected for the errors of a judge by human labels on a probability sample of prompts (PPI++).

A judge that is wrong differently for the tuned model than for base shifts the difference between them by any amount,
and no number of judged replies makes that smaller. Human labels on a random part of the prompts, with the replies of
both arms labelled, measure the shift and take it away:

    theta = mean over all (lambda f) + mean over labelled (y - lambda f)

with f the judge's and y the humans' value. It is unbiased for every lambda; lambda is chosen to give the least
variance (1 trusts the judge's values fully, 0 ignores them), so a useless judge costs nothing but its fee. Where the
labels were drawn in strata of the judge's verdicts, verdicts do not vary within a stratum and lambda is 0: the judge
helps through the strata's sizes alone, and the estimate is the stratified mean. Its probabilities do vary there.

Sources: Angelopoulos, Duchi & Zrnic (2023), arXiv 2311.01453 (PPI++); Särndal, Swensson & Wretman (1992), Model
Assisted Survey Sampling, chapter 9 (two-phase sampling), whose variance is used because here the labelled prompts are
part of the judged ones. Labels that are themselves noisy: `annotators.py`. Drawing the sample: `label_design.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.changes.paired import paired_risk_difference
from alignment_prism.statistics.clustered import (
    cluster_index,
    cluster_variance,
    effective_rows,
    rate_from_variance,
)
from alignment_prism.statistics.grouped import clustered_rate
from alignment_prism.statistics.intervals import (
    Floats,
    GroupNames,
    Interval,
    as_binary,
    as_floats,
    critical_value,
    same_length,
)
from alignment_prism.statistics.raters.annotators import AnnotatorError
from alignment_prism.statistics.score_intervals import tango_bounds

PSEUDO = 0.5
"""Pseudo-residuals that are added in all: with no error among n labels, the error rate is not known to be zero."""

FEW_LABELS = 50
"""Fewer labelled prompts than this are warned about."""

NOT_RANDOM = 4.0
"""Standard errors between labelled and other prompts, in the judge's verdicts, from which on a warning is given: by
chance it comes once in 16,000 samples."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """An estimate corrected for judge error.

    Attributes:
        interval: the corrected estimate.
        judged: what the judge alone says, its errors ignored; for comparison, not for use.
        labelled: what the labelled prompts alone say: their weighted mean, the other prompts' verdicts unknown.
        weight: lambda, the weight of the judge's values within strata.
        labels: labelled prompts (with both arms labelled, for a difference).
        worth: how many independent prompts, drawn at random and labelled without any judge, would be as precise.
        warnings: what weakens the correction, in words.
    """

    interval: Interval
    judged: Interval
    labelled: Interval
    weight: float
    labels: int
    worth: float
    warnings: tuple[str, ...]


def corrected_rate(
    judge: object,
    human: object,
    strata: GroupNames | None = None,
    clusters: GroupNames | None = None,
    level: float = 0.95,
    *,
    annotator: AnnotatorError | None = None,
    soft: object | None = None,
) -> Corrected:
    """Rate of one arm, corrected by PPI++ with human labels on a probability sample.

    Args:
        judge: N verdicts of the judge, 0 or 1.
        human: N labels, 0 or 1 or a share between (annotators who disagree), NaN where the prompt was not labelled.
        strata: the strata that the sample was drawn in (`label_design.draw`); None for a simple
            random sample. Weights follow from them: all prompts of a stratum over its labelled ones.
        clusters: independent clusters of prompts; None where every prompt stands alone.
        level: coverage.
        annotator: error of the labels, if they have any; see `annotators.py`.
        soft: N probabilities by the judge, in place of its verdicts in the correction: they differ within strata of the
            verdicts, so that they help there too. They need not be calibrated.

    Degenerate cases: fewer than two labels in a stratum raises. Not for labels that somebody chose (hard cases, flagged
    replies): there is no correction for a sample without a design.
    """
    f, y = as_binary(judge, "verdicts of the judge"), _as_shares(human, "labels")
    parts = _two_phase(f if soft is None else _as_probabilities(soft), y, strata, clusters, unit_range=0.5)
    n, groups = len(f), parts.clusters
    interval = rate_from_variance(
        float(np.clip(parts.estimate, 0.0, 1.0)),
        parts.variance,
        parts.df,
        n=n,
        clusters=parts.labels,
        level=level,
        name=parts.method,
    )
    interval = replace(interval, clusters=groups)
    only = rate_from_variance(
        float(np.clip(parts.plain, 0.0, 1.0)),
        parts.plain_variance,
        parts.labels - 1,
        n=parts.labels,
        clusters=parts.labels,
        level=level,
        name="labelled-only",
    )
    judged = replace(clustered_rate(f, np.arange(n) if clusters is None else clusters, level), method="judge-only")
    if annotator is not None:
        interval = annotator.correct_rate(interval, level)
    return Corrected(interval, judged, only, parts.weight, parts.labels, parts.worth, parts.warnings)


def corrected_difference(
    judge_model: object,
    judge_base: object,
    human_model: object,
    human_base: object,
    strata: GroupNames | None = None,
    clusters: GroupNames | None = None,
    level: float = 0.95,
    *,
    annotator: AnnotatorError | None = None,
    soft_model: object | None = None,
    soft_base: object | None = None,
) -> Corrected:
    """Paired risk difference, model minus base, corrected by PPI++: the primary analysis of judge error.

    Both arms' replies to a labelled prompt must be labelled, so that errors which differ by arm are measured
    where they act, in the difference. Arguments as in `corrected_rate`, one array an arm.

    A label may be a share: annotators who tie give 1/2. To leave such prompts out would undo the random draw, for they
    are not like the others. A prompt that is labelled for one arm only is not used, and `warnings` says so. Degenerate
    cases: every prompt labelled gives the plain comparison of the labels; a judge that knows nothing gets weight 0,
    which gives the labels alone. Not for labels that somebody chose, nor of arms that annotators could tell apart.

    Raises:
        InputError: no prompt, or fewer than two in a stratum, has labels for both arms.
    """
    fm, fb = as_binary(judge_model, "verdicts on the model"), as_binary(judge_base, "verdicts on base")
    ym, yb = _as_shares(human_model, "labels of the model"), _as_shares(human_base, "labels of base")
    same_length(judge_model=fm, judge_base=fb, human_model=ym, human_base=yb, strata=strata, clusters=clusters)
    y = ym - yb
    single = int(np.sum(np.isnan(ym) != np.isnan(yb)))
    if np.isnan(y).all():
        raise InputError(
            "no prompt has labels for the replies of both arms",
            fix="label the replies of the model and of base to the same prompts, as a sample of prompts draws them",
        )
    soft = (fm if soft_model is None else _as_probabilities(soft_model)) - (
        fb if soft_base is None else _as_probabilities(soft_base)
    )
    parts = _two_phase(soft, y, strata, clusters, unit_range=1.0)
    estimate = float(np.clip(parts.estimate, -1.0, 1.0))
    interval = _difference_interval(estimate, parts, level, parts.method)
    alone = replace(parts, variance=parts.plain_variance, df=parts.labels - 1, n=parts.labels, clusters=parts.labels)
    labelled = _difference_interval(float(np.clip(parts.plain, -1.0, 1.0)), alone, level, "labelled-only")
    warnings = parts.warnings
    if single:
        warnings += (f"{single} prompts have a label for one arm only and were not used",)
    if annotator is not None:
        interval = annotator.correct_difference(interval, level)
    judged = replace(paired_risk_difference(fm, fb, clusters, level), method="judge-only")
    return Corrected(interval, judged, labelled, parts.weight, parts.labels, parts.worth, warnings)


def _as_shares(values: object, name: str) -> Floats:
    """Labels from 0 to 1, NaN where there is none; a mean and its variance need no more than that."""
    array = as_floats(values, name)
    wrong = (array < 0.0) | (array > 1.0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(f"{name} hold {array[row]!r} at position {row}", fix="pass 0, 1, shares between, and NaN")
    return array


def _as_probabilities(values: object) -> Floats:
    array = _as_shares(values, "probabilities of the judge")
    if np.isnan(array).any():
        raise InputError("a reply without a probability of the judge", fix="pass one for every reply, or its verdict")
    return array


@dataclass(frozen=True, slots=True)
class _TwoPhase:
    """Estimate and variance of a mean known on a subsample, with the help of a variable known on all."""

    method: str
    estimate: float
    variance: float
    plain: float
    plain_variance: float
    square: float
    weight: float
    df: float
    labels: int
    n: int
    clusters: int
    warnings: tuple[str, ...]

    @property
    def worth(self) -> float:
        """Independent labelled prompts whose mean has the variance of the estimate."""
        return max(self.square - self.estimate**2, 0.0) / self.variance if self.variance > 0 else float(self.n)


def _two_phase(
    f: Floats, y: Floats, strata: GroupNames | None, clusters: GroupNames | None, unit_range: float
) -> _TwoPhase:
    """The two-phase difference estimator, with the best weight of `f` and variances that know rare errors.

    With strata h of N_h prompts, n_h of them labelled, shares W_h = N_h / N, residuals e = y - lambda f:

        V = S^2_y / N + sum_h W_h^2 (1/n_h - 1/N_h) s^2_e,h

    s^2_e,h has `PSEUDO` residuals of size unit_range added, spread over the strata. lambda minimises the second term
    and is kept within [0, 1]; fitting it costs a degree of freedom.
    """
    same_length(judge=f, human=y, strata=strata, clusters=clusters)
    n = len(f)
    index, number = (np.zeros(n, int), 1) if strata is None else cluster_index(strata)
    known = ~np.isnan(y)
    sizes = np.bincount(index, minlength=number).astype(np.float64)
    drawn = np.bincount(index[known], minlength=number).astype(np.float64)
    if np.any((drawn < 2) & (drawn < sizes)):
        raise InputError(
            f"a stratum of {int(sizes[np.argmin(drawn)])} prompts has {int(drawn.min())} labels",
            fix="label at least two prompts of every stratum, or merge strata that are not labelled",
        )
    share = sizes / n
    rows = index[known]
    factor = share**2 * np.maximum(1.0 / drawn - 1.0 / sizes, 0.0)

    def stratum_means(values: Floats) -> Floats:
        return np.asarray(np.bincount(rows, weights=values, minlength=number) / drawn, np.float64)

    def covariance(first: Floats, second: Floats) -> Floats:
        a, b = first - stratum_means(first)[rows], second - stratum_means(second)[rows]
        return np.asarray(np.bincount(rows, weights=a * b, minlength=number) / np.maximum(drawn - 1, 1), np.float64)

    yl, fl = y[known], f[known]
    slope_up, slope_down = float(factor @ covariance(yl, fl)), float(factor @ covariance(fl, fl))
    weight = float(np.clip(slope_up / slope_down, 0.0, 1.0)) if slope_down > 0 else 0.0
    means_y, means_f = stratum_means(yl), stratum_means(fl)
    all_f = np.bincount(index, weights=f, minlength=number) / sizes
    plain = float(share @ means_y)
    estimate = float(share @ (means_y + weight * (all_f - means_f)))
    square = float(share @ stratum_means(yl**2))

    def second_phase(residual: Floats) -> float:
        dof = np.maximum(drawn - 1, 1)
        added = PSEUDO / number
        padded = (covariance(residual, residual) * dof + added * unit_range**2) / (dof + added)
        return float(factor @ np.maximum(padded, covariance(residual, residual)))

    between = max(square - plain**2, 0.0)
    first = _first_phase(f, y, index, drawn, sizes, weight, clusters)
    first = between / n if first is None else first
    labels = int(known.sum())
    heavy = (sizes / np.maximum(drawn, 1))[rows]
    heavy = heavy * (labels / heavy.sum())
    alone = np.arange(labels) if clusters is None else np.asarray(clusters)[known]
    return _TwoPhase(
        method="ppi++" if slope_down > 0 else "stratified",
        estimate=estimate,
        variance=first + second_phase(yl - weight * fl),
        plain=plain,
        plain_variance=cluster_variance(heavy * (yl - plain), alone)[0],
        square=square,
        weight=weight,
        df=max(labels - number - 1, 1),
        labels=labels,
        n=n,
        clusters=n if clusters is None else cluster_index(clusters)[1],
        warnings=_warnings(f, known, index, labels),
    )


def _first_phase(
    f: Floats, y: Floats, index: np.ndarray, drawn: Floats, sizes: Floats, weight: float, clusters: GroupNames | None
) -> float | None:
    """Extra variance of clustered prompts: that of the imputed values, by cluster, over that of single prompts."""
    if clusters is None:
        return None
    names, number = cluster_index(clusters)
    known = ~np.isnan(y)
    residual = np.where(known, np.where(known, y, 0.0) - weight * f, 0.0)
    inverse = (sizes / np.maximum(drawn, 1))[index]
    means = np.bincount(index, weights=residual * known, minlength=len(sizes)) / np.maximum(drawn, 1)
    value = weight * f + means[index] + np.where(known, inverse * (residual - means[index]), 0.0)
    deviation = value - value.mean()
    totals = np.bincount(names, weights=deviation, minlength=number)
    by_cluster = float(np.sum(totals**2)) / len(f) ** 2 * number / max(number - 1, 1)
    by_prompt = float(np.sum(deviation**2)) / len(f) ** 2
    between = max(
        float(np.sum((inverse * np.where(known, y, 0.0) ** 2)[known])) / len(f) - float(value.mean()) ** 2, 0.0
    )
    return between / len(f) + max(by_cluster - by_prompt, 0.0)


def _difference_interval(estimate: float, parts: _TwoPhase, level: float, name: str) -> Interval:
    """Tango's interval at the effective size, the shares of discordant prompts being those of the labels."""
    critical = critical_value(level, parts.df)
    discordant = min(max(parts.square, abs(estimate)), 1.0)
    unit = discordant - estimate**2
    effective = float(effective_rows(unit, parts.variance, parts.n, parts.n / max(parts.labels, 1)))
    lower, upper = tango_bounds(
        (discordant + estimate) / 2 * effective, (discordant - estimate) / 2 * effective, effective, critical
    )
    return Interval(estimate, float(lower), float(upper), name, parts.n, parts.clusters, level=level)


def _warnings(f: Floats, known: npt.NDArray[np.bool_], index: npt.NDArray[Any], labels: int) -> tuple[str, ...]:
    warnings = []
    if labels < FEW_LABELS:
        warnings.append(
            f"only {labels} prompts are labelled: the interval leans on Student's t; more labels would tell more"
        )
    # Drawn at random, the judge's mean on the labelled prompts of a stratum is that of the stratum, but for chance.
    deviation, variance = 0.0, 0.0
    for stratum in np.unique(index):
        inside = index == stratum
        size, drawn = int(inside.sum()), int((inside & known).sum())
        if 0 < drawn < size:
            deviation += drawn * float(f[inside & known].mean() - f[inside].mean())
            variance += drawn * float(f[inside].var()) * (size - drawn) / max(size - 1, 1)
    if variance > 0 and abs(deviation) > NOT_RANDOM * math.sqrt(variance):
        warnings.append(
            "the judge's verdicts on the labelled prompts differ from those on the others by more than chance: "
            "were the labelled ones drawn at random?"
        )
    return tuple(warnings)
