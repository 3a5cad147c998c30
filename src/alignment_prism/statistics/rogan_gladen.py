"""Estimates corrected for the errors of a judge by its sensitivity and specificity (Rogan-Gladen).

The sensitivity analysis beside `judge_error.py`: it rests on another assumption (that the judge's sensitivity and
specificity in the calibration sample are those in the judged one), so the two together show what the assumption costs.
The uncertainty of the calibration is part of the interval: with fixed rates it covers as little as 60 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Interval, as_binary, as_floats, critical_value, same_length


@dataclass(frozen=True, slots=True)
class Calibration:
    """What human labels say of a judge, as counts (sums of weights scaled to the effective size, if weighted).

    Attributes:
        true_positive: harmful by label and by judge.
        false_negative: harmful by label, not by judge.
        true_negative: harmless by both.
        false_positive: harmless by label, harmful by judge.
    """

    true_positive: float
    false_negative: float
    true_negative: float
    false_positive: float

    @property
    def sensitivity(self) -> float:
        """Share of the harmful that the judge finds; NaN without harmful labels."""
        total = self.true_positive + self.false_negative
        return self.true_positive / total if total else math.nan

    @property
    def specificity(self) -> float:
        """Share of the harmless that the judge clears; NaN without harmless labels."""
        total = self.true_negative + self.false_positive
        return self.true_negative / total if total else math.nan


def calibrate(judge: object, human: object, weights: object | None = None) -> Calibration:
    """Calibration counts from verdicts and labels of the same replies; rows without a label (NaN) are left out.

    Args:
        judge: verdicts, 0 or 1.
        human: labels, 0, 1 or NaN.
        weights: inverse inclusion probabilities, if the sample was stratified; the counts of each class are
            then scaled to Kish's effective size, (sum w)^2 / sum w^2.

    Source: Kish (1965), Survey Sampling. Degenerate case: a class without labels has counts of 0. Not for labels of
    both arms together where the judge errs differently on them.
    """
    f, y = as_binary(judge, "verdicts of the judge"), as_floats(human, "labels")
    w = np.ones(len(f)) if weights is None else as_floats(weights, "weights")
    same_length(judge=f, human=y, weights=w)
    known = ~np.isnan(y)
    as_binary(y[known], "labels")
    counts = {}
    for truth in (1.0, 0.0):
        rows = known & (y == truth)
        total = float(w[rows].sum())
        size = total**2 / float(np.sum(w[rows] ** 2)) if total else 0.0
        share = float(w[rows & (f == truth)].sum()) / total if total else 0.0
        counts[truth] = (share * size, size - share * size)
    return Calibration(*counts[1.0], *counts[0.0])


def rogan_gladen(positive: float, n: int, calibration: Calibration, level: float = 0.95) -> Interval:
    """True rate behind a judged rate: (q + specificity - 1) / (sensitivity + specificity - 1).

    The interval is Lang & Reiczigel's, in which the calibration counts are random like the verdicts: one success
    and one failure are added to sensitivity and specificity, z^2 / 2 of each to the verdicts, the centre is shifted
    for the curvature, and all three variances enter.

    Args:
        positive: replies that the judge calls harmful.
        n: replies judged.
        calibration: from `calibrate`.
        level: coverage.

    Source: Rogan & Gladen (1978), Am. J. Epidemiol. 107; Lang & Reiczigel (2014), Prev. Vet. Med. 113. The estimate is
    the plain formula's, moved into the interval where it falls outside. Degenerate cases: a judge no better than
    chance (sensitivity + specificity <= 1 after adding) gives NaN in [0, 1]. Not for calibration on other prompts,
    languages or arms than those judged.
    """
    z = critical_value(level)
    name = "rogan-gladen"
    parts = _adjusted(positive, n, calibration, z)
    if parts is None:
        return Interval(math.nan, 0.0, 1.0, name, int(n), int(n))
    rate, _, shift, variance, _ = parts
    half = z * math.sqrt(variance)
    lower, upper = min(max(rate + shift - half, 0.0), 1.0), min(max(rate + shift + half, 0.0), 1.0)
    sensitivity, specificity = calibration.sensitivity, calibration.specificity
    gain = sensitivity + specificity - 1.0
    estimate = min(max((positive / n + specificity - 1.0) / gain, 0.0), 1.0) if n and gain > 0 else rate
    estimate = min(max(estimate, lower), upper) if math.isfinite(estimate) else min(max(rate, 0.0), 1.0)
    return Interval(estimate, lower, upper, name, int(n), int(n))


def rogan_gladen_difference(
    judge_model: object,
    judge_base: object,
    calibration_model: Calibration,
    calibration_base: Calibration,
    level: float = 0.95,
) -> Interval:
    """Corrected paired risk difference, each arm with its own calibration.

    MOVER on the two corrected rates (Zou & Donner 2008), with the correlation that the pairing of the verdicts gives
    and none between the calibrations:  L = d - sqrt(l_m^2 + u_b^2 - 2 r l_m u_b), U likewise. Degenerate cases: an
    arm whose judge is no better than chance gives NaN in [-1, 1]. Not as the headline: it is wide, and biased where the
    calibration is of other prompts.
    """
    m, b = as_binary(judge_model, "verdicts on the model"), as_binary(judge_base, "verdicts on base")
    n = same_length(judge_model=m, judge_base=b)
    if not n:
        raise InputError("no verdicts", fix="pass the judge's verdicts on both arms")
    first = rogan_gladen(float(m.sum()), n, calibration_model, level)
    second = rogan_gladen(float(b.sum()), n, calibration_base, level)
    z = critical_value(level)
    one, two = _adjusted(float(m.sum()), n, calibration_model, z), _adjusted(float(b.sum()), n, calibration_base, z)
    name = "rogan-gladen"
    if one is None or two is None:
        return Interval(math.nan, -1.0, 1.0, name, n, n)
    covariance = float(np.mean((m - m.mean()) * (b - b.mean()))) / n / (one[4] * two[4])
    r = float(np.clip(covariance / math.sqrt(one[3] * two[3]), -1.0, 1.0))
    difference = first.estimate - second.estimate
    l_m, u_m = first.estimate - first.lower, first.upper - first.estimate
    l_b, u_b = second.estimate - second.lower, second.upper - second.estimate
    below = math.sqrt(max(l_m**2 + u_b**2 - 2 * r * l_m * u_b, 0.0))
    above = math.sqrt(max(u_m**2 + l_b**2 - 2 * r * u_m * l_b, 0.0))
    return Interval(difference, max(difference - below, -1.0), min(difference + above, 1.0), name, n, n)


def _adjusted(
    positive: float, n: float, calibration: Calibration, z: float
) -> tuple[float, float, float, float, float] | None:
    """Adjusted rate, judged rate, shift, variance and gain of Lang & Reiczigel; None without information."""
    n_se = calibration.true_positive + calibration.false_negative
    n_sp = calibration.true_negative + calibration.false_positive
    sensitivity, specificity = (
        (calibration.true_positive + 1) / (n_se + 2),
        (calibration.true_negative + 1) / (n_sp + 2),
    )
    gain = sensitivity + specificity - 1.0
    if gain <= 0 or n <= 0:
        return None
    judged = (positive + z * z / 2) / (n + z * z)
    rate = (judged + specificity - 1.0) / gain
    v_se, v_sp = sensitivity * (1 - sensitivity) / (n_se + 2), specificity * (1 - specificity) / (n_sp + 2)
    variance = (judged * (1 - judged) / (n + z * z) + rate**2 * v_se + (1 - rate) ** 2 * v_sp) / gain**2
    shift = 2 * z * z * (rate * v_se - (1 - rate) * v_sp)
    return rate, judged, shift, variance, gain
