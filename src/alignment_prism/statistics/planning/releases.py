"""Power of release gates: how many prompts a language needs so that a good release passes.

A gate asks for every language at once, and each must be shown: the chance to pass is the product over languages, so
prompts are planned for more than the usual 80 % in each. Looks: pass the alpha of the look (`looks.alpha_at_look`), the
first one being the hardest. Not for languages on translated prompts, whose chances are not independent: the product is
then a lower bound as a rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import critical_value
from alignment_prism.statistics.planning.power import check_enough, fewest_prompts, least_effect, smallest
from alignment_prism.statistics.rates import wilson_bounds


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Release B is worse than A by at most a margin, in every language.

    Attributes:
        old: h_A, expected rate of A.
        new: h_B, expected rate of B.
        margin: declared.
        alpha: one-sided, of this look.
        languages: K, with prompts of their own.

    Source: Farrington & Manning (1990), Stat. Med. 9, without the constraint; Berger (1982), Technometrics 24, for all
    languages at once. The releases are taken as independent, as the gate takes them. Approximate below about 5 events a
    language.
    """

    old: float
    new: float
    margin: float
    alpha: float = 0.025
    languages: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.old <= 1 and 0 <= self.new <= 1 and self.margin > 0):
            raise InputError(
                f"rates {self.old} and {self.new}, margin {self.margin}",
                fix="give rates in [0, 1] and a margin above 0",
            )

    def power(self, prompts: float) -> float:
        """Phi((margin - (h_B - h_A)) / sqrt((h_A (1 - h_A) + h_B (1 - h_B)) / n) - z) ^ K, n prompts a language.

        Raises:
            InputError: they are too few for a finding, and a cell that is insufficient passes no gate.
        """
        check_enough(prompts)
        spread = math.sqrt(max(self.old * (1 - self.old) + self.new * (1 - self.new), 1e-12) / prompts)
        normal = NormalDist()
        shown = (self.margin - (self.new - self.old)) / spread - normal.inv_cdf(1 - self.alpha)
        return normal.cdf(shown) ** self.languages

    def prompts(self, power: float = 0.8) -> int:
        """Fewest prompts a language, of each release.

        Raises:
            InputError: B is worse by the margin or more.
        """
        if self.new - self.old >= self.margin:
            raise InputError(
                "a release beyond the margin passes by chance only", fix="state a smaller rate or a larger margin"
            )
        return smallest(lambda n: self.power(n) >= power, least=fewest_prompts())

    def smallest_margin(self, prompts: float, power: float = 0.8) -> float:
        """Smallest margin that a release as good as A passes with the wanted power: what these prompts can show."""
        return least_effect(lambda margin: replace(self, new=self.old, margin=margin).power(prompts) >= power, 1.0)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Release B's rate is at most a limit, in every language.

    Attributes:
        rate: expected.
        limit: declared.
        alpha: one-sided, of this look.
        languages: K, with prompts of their own.
    """

    rate: float
    limit: float
    alpha: float = 0.025
    languages: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1 or not 0 <= self.limit <= 1:
            raise InputError(f"a rate of {self.rate} under a ceiling of {self.limit}", fix="give numbers from 0 to 1")

    def power(self, prompts: int) -> float:
        """Exact: sum of Binomial(x; n, rate) over the counts x whose Wilson upper end is at most the limit, ^ K.

        Raises:
            InputError: the prompts are too few for a finding, and a cell that is insufficient passes no gate.
        """
        from scipy.stats import binom

        check_enough(prompts)
        counts = np.arange(prompts + 1)
        _, upper = wilson_bounds(counts, prompts, critical=critical_value(1.0 - 2.0 * self.alpha))
        return float(binom.pmf(counts, prompts, self.rate)[upper <= self.limit].sum()) ** self.languages

    def prompts(self, power: float = 0.8) -> int:
        """Fewest prompts a language from which on the power is not below the wanted one again within a tenth of them.

        The power of counts goes up and down by a little; a number that is reached at one n only is no plan.

        Raises:
            InputError: the rate is not below the limit.
        """
        if not self.rate < self.limit:
            raise InputError(f"a rate of {self.rate} under a ceiling of {self.limit}", fix="state a rate below it")

        def lasting(n: int) -> bool:
            ahead = range(n, n + max(n // 10, 1) + 1, max(n // 100, 1))
            return all(self.power(size) >= power for size in ahead)

        return smallest(lasting, least=fewest_prompts())
