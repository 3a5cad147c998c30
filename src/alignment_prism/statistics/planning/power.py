"""Power: how many prompts and seeds a study needs, and what a study that is given can see.

Planned before, these numbers are honest; computed afterwards from the effect that was found they say nothing new
(Hoenig & Heisey 2001, Am. Stat. 55). Samples, languages, seeds, missing verdicts, win-rates: `power_designs.py`. Labels
and agreement: `power_labels.py`. Release gates: `power_releases.py`.

Degenerate cases, of all four modules: what cannot be shown by any number of prompts raises where a number is asked for,
and is NaN where an effect is asked for. Not for effects taken from the data that they are to be shown on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.rates import wilson

_MOST = 10_000_000
"""No search goes beyond this many prompts."""


def rate_sample_size(rate: float, width: float, level: float = 0.95) -> int:
    """Fewest independent prompts whose Wilson interval, at the expected rate, is at most that wide.

    Multiply by `design_effect` for clusters. Source: Wilson (1927), solved for n. Not for rates that are to be
    compared.
    """
    if not 0 <= rate <= 1 or not 0 < width < 1:
        raise InputError(f"rate {rate}, width {width}", fix="give a rate in [0, 1] and a width in (0, 1)")
    return smallest(lambda n: wilson(rate * n, n, level).width <= width)


def paired_power(
    difference: float, discordant: float, n: float, alpha: float = 0.05, *, margin: float | None = None
) -> float:
    """Probability that a paired comparison of n prompts shows a true risk difference.

        Phi((|d| sqrt(n) - z sqrt(s)) / sqrt(s - d^2))                  two-sided, against no difference
        Phi(((margin - d) sqrt(n) - z' sqrt(s - margin^2)) / sqrt(s - d^2))   non-inferiority, one-sided

    with s the share of discordant prompts.

    Args:
        difference: d, the model's rate minus base's; negative is less harm.
        discordant: s, at least |d|; independent arms have h_m (1 - h_b) + h_b (1 - h_m).
        n: independent prompts; divide by the design effect for clusters.
        alpha: two-sided, or one-sided for non-inferiority.
        margin: of non-inferiority, positive: how much worse is still accepted. None asks for a difference.

    Source: Connor (1987), Biometrics 43. Approximate below about 10 discordant prompts.
    """
    if not abs(difference) <= discordant <= 1:
        raise InputError(
            f"a difference of {difference} with {discordant} discordant prompts",
            fix="the discordant share is at least the difference and at most 1",
        )
    normal = NormalDist()
    spread = math.sqrt(max(discordant - difference**2, 1e-12))
    if margin is None:
        z = normal.inv_cdf(1 - alpha / 2)
        return normal.cdf((abs(difference) * math.sqrt(n) - z * math.sqrt(discordant)) / spread)
    z = normal.inv_cdf(1 - alpha)
    null = math.sqrt(max(max(discordant, margin) - margin**2, 1e-12))
    return normal.cdf(((margin - difference) * math.sqrt(n) - z * null) / spread)


def paired_sample_size(
    difference: float,
    discordant: float,
    power: float = 0.8,
    alpha: float = 0.05,
    *,
    margin: float | None = None,
    design_effect: float = 1.0,
) -> int:
    """Fewest prompts with which `paired_power` reaches the wanted power; arguments as there.

    Raises:
        InputError: there is nothing to show: a difference of 0, or one beyond the margin.
    """
    if (margin is None and difference == 0) or (margin is not None and difference >= margin):
        raise InputError("a difference that no number of prompts can show", fix="state another difference or margin")
    return smallest(lambda n: paired_power(difference, discordant, n / design_effect, alpha, margin=margin) >= power)


def detectable_difference(
    base_rate: float,
    n: float,
    power: float = 0.8,
    alpha: float = 0.05,
    *,
    correlation: float = 0.0,
    design_effect: float = 1.0,
) -> float:
    """Smallest fall of the harm rate that a paired comparison of n prompts shows with the wanted power.

    Args:
        base_rate: harm rate of base.
        n: prompts.
        power: wanted.
        alpha: two-sided.
        correlation: phi between the two verdicts on a prompt; 0 is the careful choice.
        design_effect: of clusters.

    Returns:
        A positive number; NaN where even a fall to zero would not be seen.
    """
    size = n / design_effect

    def enough(fall: float) -> bool:
        model = base_rate - fall
        both = base_rate * model + correlation * math.sqrt(base_rate * (1 - base_rate) * model * (1 - model))
        discordant = max(base_rate + model - 2 * min(both, base_rate, model), fall)
        return paired_power(-fall, min(discordant, 1.0), size, alpha) >= power

    return least_effect(enough, base_rate)


def detectable_relative_change(
    base_rate: float,
    n: float,
    power: float = 0.8,
    alpha: float = 0.05,
    *,
    correlation: float = 0.0,
    design_effect: float = 1.0,
) -> float:
    """The fall of `detectable_difference` in per cent of base's rate, negative: the paper's relative change.

    The test of no change is the same for both, so nothing is gained by asking for the ratio. Arguments as there.
    """
    fall = detectable_difference(base_rate, n, power, alpha, correlation=correlation, design_effect=design_effect)
    return -100.0 * fall / base_rate


def mcnemar_power(difference: float, discordant: float, n: int, alpha: float = 0.05) -> float:
    """Exact power of the exact McNemar test, unconditional: the sum over the number k of discordant prompts.

        sum_k Bin(k; n, s) P(X <= x_k or X >= k - x_k),  X ~ Binomial(k, (s + d) / 2s),  x_k the critical count

    Args:
        difference: d.
        discordant: s, at least |d|.
        n: independent prompts.
        alpha: two-sided; the test does not reach it.

    Source: Duffy (1984), Biometrics 40. Less than `paired_power`, which is of the score test.
    """
    if not abs(difference) <= discordant <= 1:
        raise InputError(
            f"a difference of {difference} with {discordant} discordant prompts",
            fix="the discordant share is at least the difference and at most 1",
        )
    if discordant == 0:
        return 0.0
    from scipy.stats import binom

    counts = np.arange(n + 1)
    # The largest x with P(X <= x) <= alpha / 2 under one half: what is below the quantile, or the quantile itself.
    x = binom.ppf(alpha / 2, counts, 0.5)
    x = np.where(binom.cdf(x, counts, 0.5) <= alpha / 2, x, x - 1)
    share = (discordant + difference) / (2 * discordant)
    rejected = binom.cdf(x, counts, share) + binom.sf(counts - x - 1, counts, share)
    return float(binom.pmf(counts, n, discordant) @ np.where(x >= 0, rejected, 0.0))


def design_effect(size: float, icc: float, variation: float = 0.0) -> float:
    """How many times as many rows clustering costs: 1 + ((1 + cv^2) m - 1) rho.

    For m translations of a prompt or k replies to it, the intraclass correlation rho being that of the verdicts
    (`intraclass_correlation` of a pilot), cv the variation of cluster sizes. For a paired difference rho is that of
    the differences, usually smaller. Source: Kish (1965), Survey Sampling; Eldridge, Ashby & Kerry (2006), Int. J.
    Epidemiol. 35.
    """
    return max(1.0 + ((1.0 + variation**2) * size - 1.0) * icc, 1.0)


def least_effect(enough: Callable[[float], bool], most: float) -> float:
    """Smallest effect in (0, most] for which `enough` holds, which must be monotone; NaN where it holds for none."""
    if not enough(most):
        return math.nan
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if middle > 0 and enough(middle) else (middle, high)
    return high


def smallest(enough: Callable[[int], bool]) -> int:
    """Smallest n >= 2 for which `enough` holds, which must be monotone."""
    high = 2
    while not enough(high):
        high *= 2
        if high > _MOST:
            raise InputError("no attainable number of prompts is enough", fix="ask for less precision or power")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
