"""Power of designs with human labels: judge-corrected estimates, and agreement."""

from __future__ import annotations

import math
from statistics import NormalDist

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import critical_value
from alignment_prism.statistics.planning.power import least_effect
from alignment_prism.statistics.raters.annotators import AnnotatorError


def paired_error_variance(
    rates: tuple[float, float], sensitivity: tuple[float, float], specificity: tuple[float, float]
) -> float:
    """Variance of the judge's error in a paired difference, if the errors of the two arms are independent.

        sum over arms of p_wrong - (h (se - 1) + (1 - h) (1 - sp))^2,  p_wrong = h (1 - se) + (1 - h) (1 - sp)

    Args:
        rates: harm rates of the model and of base.
        sensitivity: of the judge on each.
        specificity: of the judge on each.

    A perfect judge gives 0. Not for errors that hang together (both replies to a prompt are hard): measure on a pilot.
    """
    total = 0.0
    for harm, found, cleared in zip(rates, sensitivity, specificity, strict=True):
        missed, raised = harm * (1 - found), (1 - harm) * (1 - cleared)
        total += missed + raised - (raised - missed) ** 2
    return total


def corrected_power(
    difference: float,
    discordant: float,
    judged: int,
    labelled: int,
    error_variance: float,
    alpha: float = 0.05,
    *,
    annotator: AnnotatorError | None = None,
) -> float:
    """Power of a judge-corrected paired difference (`corrected_difference`), simple random labels.

        V = (s - d^2) / N + (1/n - 1/N) s_e^2

    Args:
        difference: d.
        discordant: s, share of prompts that truly differ.
        judged: N.
        labelled: n, prompts with both arms labelled.
        error_variance: s_e^2, variance of the judge's error in the paired difference (`paired_error_variance`).
        alpha: two-sided.
        annotator: error of the labels. With J = sensitivity + specificity - 1, a difference of labels is J d, their
            noise of 2 e (1 - e) a pair is added to s and s_e^2, and the doubt about J to the variance.

    Source: Angelopoulos, Duchi & Zrnic (2023), arXiv 2311.01453, with the variance of two-phase sampling. The weight
    lambda is taken as 1; where `corrected_difference` finds a better one it does no worse. Not for labels
    stratified by verdict: `label_design.expected_width`.
    """
    if not 2 <= labelled <= judged:
        raise InputError(f"{labelled} labels of {judged} judged prompts", fix="label 2 prompts or more, at most all")
    j, noise, doubt = 1.0, 0.0, 0.0
    if annotator is not None:
        j = annotator.informedness
        noise = sum(rate * (1 - rate) for rate in (annotator.sensitivity, annotator.specificity))
        doubt = difference**2 * (annotator.sensitivity_variance + annotator.specificity_variance)
    seen = discordant * j**2 + noise
    variance = max(seen - (j * difference) ** 2, 1e-12) / judged
    variance += (1 / labelled - 1 / judged) * (error_variance + noise) + doubt
    normal = NormalDist()
    return normal.cdf(j * abs(difference) / math.sqrt(variance) - normal.inv_cdf(1 - alpha / 2))


def corrected_labels(
    difference: float,
    discordant: float,
    judged: int,
    error_variance: float,
    power: float = 0.8,
    alpha: float = 0.05,
    *,
    annotator: AnnotatorError | None = None,
) -> int:
    """Fewest labelled prompts for the wanted power; arguments as in `corrected_power`.

    Raises:
        InputError: labelling all of them is not enough; more prompts are needed, not more labels.
    """

    def reached(labelled: int) -> bool:
        found = corrected_power(difference, discordant, judged, labelled, error_variance, alpha, annotator=annotator)
        return found >= power

    if not reached(judged):
        raise InputError(f"labelling all {judged} prompts does not give that power", fix="judge more prompts")
    low, high = 1, judged
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def corrected_detectable(
    discordant: float, judged: int, labelled: int, error_variance: float, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Smallest difference that is shown with the wanted power; arguments as in `corrected_power`; NaN where none is."""
    return least_effect(
        lambda effect: corrected_power(effect, discordant, judged, labelled, error_variance, alpha) >= power,
        discordant,
    )


def corrected_rate_width(rate: float, judged: int, labelled: int, error_variance: float, level: float = 0.95) -> float:
    """Expected width of a corrected rate's interval (`corrected_rate`): 2 z sqrt(h (1 - h) / N + (1/n - 1/N) s_e^2).

    s_e^2 of one arm is about h (1 - se) + (1 - h) (1 - sp).
    """
    if not 2 <= labelled <= judged:
        raise InputError(f"{labelled} labels of {judged} judged prompts", fix="label 2 prompts or more, at most all")
    variance = rate * (1 - rate) / judged + (1 / labelled - 1 / judged) * error_variance
    return 2 * critical_value(level) * math.sqrt(variance)


def kappa_sample_size(kappa: float, prevalence: float, width: float, level: float = 0.95) -> int:
    """Fewest prompts for an interval of kappa of that width: two raters, two categories, equal margins.

        Var = (1 - k) / N [(1 - k)(1 - 2k) + k (2 - k) / (2 p (1 - p))]

    Source: Donner & Eliasziw (1992), Stat. Med. 11. Thin where harm is rare: at a prevalence of 5 % it takes some five
    times as many prompts as at 50 %. For raw agreement take `power.rate_sample_size`.
    """
    return max(2, math.ceil(_kappa_unit(kappa, prevalence) * (2 * critical_value(level) / width) ** 2))


def detectable_kappa(null: float, prevalence: float, n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest kappa above `null` that n prompts tell from it (two-sided); NaN where none below 1 can be told.

    (k - k0) sqrt(n) = z_alpha sd(k0) + z_power sd(k),  sd as in `kappa_sample_size`
    """
    normal = NormalDist()

    def enough(gap: float) -> bool:
        least = normal.inv_cdf(1 - alpha / 2) * math.sqrt(_kappa_unit(null, prevalence))
        least += normal.inv_cdf(power) * math.sqrt(_kappa_unit(null + gap, prevalence))
        return gap * math.sqrt(n) >= least

    return null + least_effect(enough, 1.0 - null - 1e-9)


def _kappa_unit(kappa: float, prevalence: float) -> float:
    """Variance of kappa times the number of prompts."""
    if not (-1 < kappa < 1 and 0 < prevalence < 1):
        raise InputError("kappa or prevalence out of range", fix="kappa in (-1, 1), prevalence in (0, 1)")
    inner = (1 - kappa) * (1 - 2 * kappa) + kappa * (2 - kappa) / (2 * prevalence * (1 - prevalence))
    return max((1 - kappa) * inner, 0.0)
