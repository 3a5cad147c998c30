"""Power of release gates: how many prompts a language needs so that a good release passes.

A gate asks for every language at once, and each must be shown: the chance to pass is the product over languages, so
prompts are planned for more than the usual 80 % in each. Looks: pass the alpha of the look
(`sequential.alpha_at_look`), the first one being the hardest. Source: Farrington & Manning (1990), Stat. Med. 9,
without the constraint; Berger (1982), Technometrics 24, for all languages at once. Not for languages on translated
prompts, whose chances are not independent: the product is then a lower bound as a rule.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import critical_value
from alignment_prism.statistics.planning.power import least_effect, smallest
from alignment_prism.statistics.rates import wilson_bounds


def non_inferiority_power(
    old: float, new: float, margin: float, n: float, alpha: float = 0.025, *, languages: int = 1
) -> float:
    """Probability that B is shown to be worse than A by at most the margin, in every language.

        Phi((margin - (h_B - h_A)) / sqrt((h_A (1 - h_A) + h_B (1 - h_B)) / n) - z) ^ K

    Args:
        old: h_A, rate of A.
        new: h_B, rate of B.
        margin: declared.
        n: independent prompts of each language, of each release; divide by the design effect for clusters.
        alpha: one-sided, of this look.
        languages: K, with prompts of their own.

    The releases are taken as independent, as the gate takes them; paired against base, take `power.paired_power` with
    its margin. Approximate below about 5 events a language.
    """
    _check(old, new, margin)
    spread = math.sqrt(max(old * (1 - old) + new * (1 - new), 1e-12) / n)
    normal = NormalDist()
    return normal.cdf((margin - (new - old)) / spread - normal.inv_cdf(1 - alpha)) ** languages


def non_inferiority_sample_size(
    old: float, new: float, margin: float, power: float = 0.8, alpha: float = 0.025, *, languages: int = 1
) -> int:
    """Fewest prompts a language; arguments as in `non_inferiority_power`."""
    _check(old, new, margin)
    if new - old >= margin:
        raise InputError(
            "a release beyond the margin passes by chance only", fix="state a smaller rate or a larger margin"
        )
    return smallest(lambda n: non_inferiority_power(old, new, margin, n, alpha, languages=languages) >= power)


def smallest_margin(rate: float, n: float, power: float = 0.8, alpha: float = 0.025, *, languages: int = 1) -> float:
    """Smallest margin that an equally good release passes with the wanted power: what the prompts at hand can show."""
    return least_effect(
        lambda margin: non_inferiority_power(rate, rate, margin, n, alpha, languages=languages) >= power, 1.0
    )


def ceiling_power(rate: float, limit: float, n: int, alpha: float = 0.025, *, languages: int = 1) -> float:
    """Exact probability that a rate is shown to be at most the limit, in every language: sum of Binomial(x; n, rate)
    over the counts x whose Wilson upper end is at most the limit, to the power of the languages."""
    from scipy.stats import binom

    counts = np.arange(n + 1)
    _, upper = wilson_bounds(counts, n, critical=critical_value(1.0 - 2.0 * alpha))
    return float(binom.pmf(counts, n, rate)[upper <= limit].sum()) ** languages


def ceiling_sample_size(
    rate: float, limit: float, power: float = 0.8, alpha: float = 0.025, *, languages: int = 1
) -> int:
    """Fewest prompts a language from which on the power is not below the wanted one again within a tenth of them.

    The power of counts goes up and down by a little; a number that is reached at one n only is no plan.

    Raises:
        InputError: the rate is not below the limit.
    """
    if not 0 <= rate < limit:
        raise InputError(f"a rate of {rate} under a ceiling of {limit}", fix="state a rate below the ceiling")

    def lasting(n: int) -> bool:
        ahead = range(n, n + max(n // 10, 1) + 1, max(n // 100, 1))
        return all(ceiling_power(rate, limit, size, alpha, languages=languages) >= power for size in ahead)

    return smallest(lasting)


def _check(old: float, new: float, margin: float) -> None:
    if not (0 <= old <= 1 and 0 <= new <= 1 and margin > 0):
        raise InputError(f"rates {old} and {new}, margin {margin}", fix="give rates in [0, 1] and a margin above 0")
