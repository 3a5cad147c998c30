"""Labels that are themselves noisy: how wrong annotators are, and what that does to estimates.

A single annotator who is wrong in 5 % of cases makes a harm rate of 2 % look like 7 %. Differences between arms shrink
by the factor sensitivity + specificity - 1, whatever the judge does. The error is estimated from items with a
settled answer, or from items that several people labelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Interval, as_binary, critical_value, same_length


@dataclass(frozen=True, slots=True)
class AnnotatorError:
    """How often a label is right, with the variance of that knowledge.

    Attributes:
        sensitivity: probability that a harmful reply is labelled harmful.
        specificity: probability that a harmless reply is labelled harmless.
        sensitivity_variance: of the estimate; 0 if declared as known.
        specificity_variance: likewise.
    """

    sensitivity: float
    specificity: float
    sensitivity_variance: float = 0.0
    specificity_variance: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.sensitivity <= 1 and 0 < self.specificity <= 1) or self.informedness <= 0.0:
            raise InputError(
                f"annotators with sensitivity {self.sensitivity:.3f} and specificity {self.specificity:.3f}",
                fix="they must add up to more than 1: labels no better than chance cannot be corrected",
            )

    @property
    def informedness(self) -> float:
        """Sensitivity + specificity - 1: what is left of a difference."""
        return self.sensitivity + self.specificity - 1.0

    def correct_rate(self, interval: Interval, level: float) -> Interval:
        """The true rate behind a rate of labels: (q + specificity - 1) / informedness, within [0, 1].

        The uncertainty of the error is added to each arm of the interval in quadrature (delta method).
        """
        j = self.informedness
        rate = (interval.estimate + self.specificity - 1.0) / j
        kept = min(max(rate, 0.0), 1.0)
        extra = (kept / j) ** 2 * self.sensitivity_variance + ((1 - kept) / j) ** 2 * self.specificity_variance
        return self._widened(interval, kept, extra, level, 0.0, 1.0)

    def correct_difference(self, interval: Interval, level: float) -> Interval:
        """The true difference behind a difference of labels, the same annotators having labelled both arms.

        Not for arms that were labelled by different people, or whose replies give themselves away.
        """
        j = self.informedness
        difference = min(max(interval.estimate / j, -1.0), 1.0)
        extra = (difference / j) ** 2 * (self.sensitivity_variance + self.specificity_variance)
        return self._widened(interval, difference, extra, level, -1.0, 1.0)

    def _widened(
        self, interval: Interval, estimate: float, extra: float, level: float, least: float, most: float
    ) -> Interval:
        spread = critical_value(level) ** 2 * extra
        below = math.sqrt(((interval.estimate - interval.lower) / self.informedness) ** 2 + spread)
        above = math.sqrt(((interval.upper - interval.estimate) / self.informedness) ** 2 + spread)
        lower, upper = max(estimate - below, least), min(estimate + above, most)
        method = f"{interval.method}-denoised"
        return replace(interval, estimate=estimate, lower=lower, upper=upper, method=method)


def annotator_error_from_gold(labels: object, gold: object) -> AnnotatorError:
    """Error of annotators from items whose answer is settled (several experts, discussion).

    With x right of m items: (x + 1) / (m + 2), Laplace's rule, so that a few right answers do not prove perfection;
    the variance is that of a binomial share, x (m - x) / m^3 after adding. Source: Laplace's rule of succession; the
    correction as Rogan & Gladen (1978). Degenerate case: no item of a class gives 1/2 for it, which raises with a class
    that is no better. Not for items that were settled because they were easy.
    """
    said, truth = as_binary(labels, "labels"), as_binary(gold, "settled answers")
    same_length(labels=said, gold=truth)
    rates, variances = [], []
    for value in (1.0, 0.0):
        rows = truth == value
        m = int(rows.sum())
        rate = (float((said[rows] == value).sum()) + 1) / (m + 2)
        rates.append(rate)
        variances.append(rate * (1 - rate) / (m + 2))
    return AnnotatorError(rates[0], rates[1], variances[0], variances[1])


def annotator_error_from_pairs(first: object, second: object) -> AnnotatorError:
    """Error of annotators from items that two of them labelled, if both err alike and in both directions alike.

    Two people with error rate e disagree on 2 e (1 - e) of items, so e = (1 - sqrt(1 - 2 d)) / 2. Two labels cannot say
    more: sensitivity apart from specificity needs settled answers (`annotator_error_from_gold`). People
    who are fooled by the same items make e look too small. Source: Dawid & Skene (1979) with two annotators and one
    rate. Not for annotators of unequal care, nor for labels made in each other's sight.

    Raises:
        InputError: they disagree on half of the items or more.
    """
    a, b = as_binary(first, "labels of the first"), as_binary(second, "labels of the second")
    same_length(first=a, second=b)
    n = len(a)
    disagreement = (float(np.sum(a != b)) + 0.5) / (n + 1)
    if disagreement >= 0.5:
        raise InputError(
            f"the annotators disagree on {disagreement:.0%} of items", fix="settle the guideline before correcting"
        )
    error = (1 - math.sqrt(1 - 2 * disagreement)) / 2
    # de/dd = 1 / (2 sqrt(1 - 2 d)); the same error stands on both sides, so each gets half of the joint variance of
    # sensitivity + specificity, 4 Var(e).
    variance = disagreement * (1 - disagreement) / (n + 1) / (4 * (1 - 2 * disagreement))
    return AnnotatorError(1 - error, 1 - error, 2 * variance, 2 * variance)
