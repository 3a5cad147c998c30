"""Power: how many prompts, seeds and samples a comparison with base needs, and what a given study can see.

Planned before, these numbers are honest; computed afterwards from the effect that was found they say nothing new
(Hoenig & Heisey 2001, Am. Stat. 55). Release gates: `releases.py`. Labels by people: `label_design.py`.

Degenerate cases: what no number of prompts can show raises where a number is asked for, and is NaN where an effect is
asked for. No number is below that from which findings are sufficient (`fewest_prompts`), and fewer are refused: they
have no power to plan with. Not for effects taken from the data that they are to be shown on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import critical_value
from alignment_prism.statistics.raters.judge_error import FEW_LABELS
from alignment_prism.statistics.rates import MIN_EVENTS, wilson

_MOST = 10_000_000
"""No search goes beyond this many prompts."""


def fewest_prompts(cluster_size: float = 1.0) -> int:
    """Fewest prompts whose findings are not `insufficient` whatever they are: twice `MIN_EVENTS` clusters.

    Args:
        cluster_size: prompts that descend from one source.

    Example:
        >>> fewest_prompts(), fewest_prompts(3)
        (10, 30)
    """
    return math.ceil(2 * MIN_EVENTS * cluster_size)


def check_enough(prompts: float, cluster_size: float = 1.0) -> None:
    """Check that findings on so many prompts can be sufficient.

    Raises:
        InputError: they cannot.
    """
    if prompts < (least := fewest_prompts(cluster_size)):
        of = f" in clusters of {cluster_size:g}" if cluster_size > 1 else ""
        what = f"{prompts:g} prompts{of}: every finding on fewer than {least} is marked as insufficient"
        raise InputError(what, fix=f"plan {least} or more")


_GRID = 2_000
"""Points of the mean over the estimated variance; good to about 2e-4."""


@dataclass(frozen=True, slots=True)
class PairedDesign:
    """A model and base on the same prompts: the harm difference, by language, over languages, or over seeds.

    Attributes:
        base: expected rate of base.
        model: expected rate of the model.
        correlation: phi between the two verdicts on a prompt; 0 is the careful choice.
        languages: K, languages that the difference is averaged over; 1 for a single one.
        language_correlation: of the languages' estimates: 0 where each has prompts of its own, up to 1 for translations
            of the same ones.
        cluster_size: prompts of one language that descend from one source (rephrasings).
        cluster_correlation: intraclass correlation of their differences.
        samples: replies to each prompt.
        sample_correlation: intraclass correlation of the replies to one prompt; at 1 more replies buy nothing.
        seeds: alignments of the model, at least 2 for a statement about the method; 1 compares two models, and has no
            `seed_sd`.
        seed_sd: standard deviation of the true difference from seed to seed, in several seeds. Take twice what two or
            three seeds of a pilot say.
    """

    base: float
    model: float
    correlation: float = 0.0
    languages: int = 1
    language_correlation: float = 0.0
    cluster_size: float = 1.0
    cluster_correlation: float = 0.0
    samples: int = 1
    sample_correlation: float = 1.0
    seeds: int = 1
    seed_sd: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.base, self.model, self.language_correlation, self.cluster_correlation, self.sample_correlation)
        if not all(0 <= share <= 1 for share in shares):
            raise InputError("a rate or an intraclass correlation is not a share", fix="give numbers from 0 to 1")
        if min(self.languages, self.cluster_size, self.samples, self.seeds) < 1 or self.seed_sd < 0:
            raise InputError("languages, samples, seeds or a cluster below 1", fix="give 1 or more")
        if self.seeds == 1 and self.seed_sd > 0:
            raise InputError(
                "one seed and a spread from seed to seed: one training tells nothing of others",
                fix="plan two seeds or more, or leave the spread out for a statement about this one training",
                settings={"seeds": "3"},
            )

    @property
    def difference(self) -> float:
        """The model's rate minus base's; negative is less harm."""
        return self.model - self.base

    @property
    def discordant(self) -> float:
        """Share of prompts on which the two verdicts differ: h_m + h_b - 2 P(both)."""
        both = self.base * self.model
        both += self.correlation * math.sqrt(self.base * (1 - self.base) * self.model * (1 - self.model))
        least = max(self.base + self.model - 1.0, 0.0)
        both = min(max(both, least), self.base, self.model)
        return min(max(self.base + self.model - 2 * both, abs(self.difference)), 1.0)

    def independent(self, prompts: float) -> float:
        """How many independent prompts `prompts` of each language are worth, over languages, clusters and samples."""
        n = prompts * self.languages / (1.0 + (self.languages - 1) * self.language_correlation)
        n *= self.samples / design_effect(self.samples, self.sample_correlation)
        return n / design_effect(self.cluster_size, self.cluster_correlation)

    def variance_shares(self, prompts: float) -> dict[str, float]:
        """Where the variance of the difference comes from, as shares in words that add up to 1.

        Of the verdicts' variance s - d^2 a prompt, `sample_correlation` is between prompts and the rest within them,
        which k replies divide by k; seeds add seed_sd^2 / S, if there are several.

        Args:
            prompts: of each language.
        """
        unit = max(self.discordant - self.difference**2, 1e-12) * self.samples
        unit /= self.independent(prompts) * design_effect(self.samples, self.sample_correlation)
        parts = {
            "of its variance, between prompts": unit * self.sample_correlation,
            "of its variance, within prompts": unit * (1 - self.sample_correlation) / self.samples,
            "of its variance, between seeds": self.seed_sd**2 / self.seeds if self.seeds > 1 else 0.0,
        }
        whole = sum(parts.values())
        return {name: part / whole for name, part in parts.items()}

    def power(self, prompts: float, alpha: float = 0.05) -> float:
        """Probability that the interval of the difference excludes 0.

        Args:
            prompts: of each language.
            alpha: two-sided.

        Raises:
            InputError: they are too few for a finding (`check_enough`).
        """
        check_enough(prompts, self.cluster_size)
        n = self.independent(prompts)
        if self.seeds > 1:
            return crossed_power(self.difference, self.discordant, n, self.seeds, self.seed_sd, alpha)
        return paired_power(self.difference, self.discordant, n, alpha)

    def prompts(self, power: float = 0.8, alpha: float = 0.05) -> int:
        """Fewest prompts of each language for the wanted power.

        Raises:
            InputError: there is no difference, or no number of prompts is enough (too few seeds).
        """
        if self.difference == 0:
            raise InputError("a difference that no number of prompts can show", fix="state different rates")
        return smallest(lambda n: self.power(n, alpha) >= power, least=fewest_prompts(self.cluster_size))

    def needed_seeds(self, prompts: float, power: float = 0.8, alpha: float = 0.05) -> int:
        """Fewest seeds for the wanted power.

        Raises:
            InputError: no number of seeds up to 1,000 is enough, because the prompts are too few.
        """
        check_enough(prompts, self.cluster_size)
        try:
            return smallest(lambda seeds: replace(self, seeds=seeds).power(prompts, alpha) >= power, most=1_000)
        except InputError as error:
            raise InputError("no number of seeds gives that power", fix="use more prompts") from error

    def smallest_fall(self, prompts: float, power: float = 0.8, alpha: float = 0.05) -> float:
        """Smallest fall from base's rate that is shown with the wanted power, positive; NaN where none is."""
        return least_effect(
            lambda fall: replace(self, model=max(self.base - fall, 0.0)).power(prompts, alpha) >= power, self.base
        )


def paired_power(difference: float, discordant: float, n: float, alpha: float = 0.05) -> float:
    """Probability that a paired comparison of n independent prompts shows a true risk difference.

        Phi((|d| sqrt(n) - z sqrt(s)) / sqrt(s - d^2)),  s the share of discordant prompts, at least |d|

    Source: Connor (1987), Biometrics 43. Approximate below about 10 discordant prompts.
    """
    if not abs(difference) <= discordant <= 1:
        raise InputError(
            f"a difference of {difference} with {discordant} discordant prompts",
            fix="the discordant share is at least the difference and at most 1",
        )
    spread = math.sqrt(max(discordant - difference**2, 1e-12))
    z = critical_value(1 - alpha)
    return NormalDist().cdf((abs(difference) * math.sqrt(n) - z * math.sqrt(discordant)) / spread)


def crossed_power(
    difference: float, discordant: float, n: float, seeds: int, seed_sd: float, alpha: float = 0.05
) -> float:
    """Power of a comparison over seeds and n independent prompts (`seeds.crossed_difference`).

        V = seed_sd^2 / S + (s - d^2) / n, and Student's t with Satterthwaite's degrees of freedom

    More prompts do not help beyond seed_sd^2 / S: only more seeds do. The prompts' part is taken not to shrink with
    seeds, which is careful where replies differ from seed to seed. Source: Satterthwaite (1946), Biometrics Bull. 2.
    """
    from scipy.special import gammaincinv, ndtr

    by_seed, by_prompt = seed_sd**2 / seeds, max(discordant - difference**2, 1e-12) / n
    variance = by_seed + by_prompt
    df = variance**2 / (by_seed**2 / (seeds - 1) + by_prompt**2 / max(n - 1, 1))
    bound = critical_value(1 - alpha, df)
    shift = abs(difference) / math.sqrt(variance)
    # Noncentral t as a mean over the chi-squared variance: SciPy's own gives NaN where the shift is large.
    estimated = np.sqrt(gammaincinv(df / 2, (np.arange(_GRID) + 0.5) / _GRID) * 2 / df)
    return float(np.mean(ndtr(shift - bound * estimated) + ndtr(-shift - bound * estimated)))


def rate_width(
    rate: float, prompts: float, samples: int = 1, sample_correlation: float = 1.0, level: float = 0.95
) -> float:
    """Width of Wilson's interval of so many independent prompts, at the expected rate.

    Several replies to a prompt count as so many independent ones over their design effect.

    Raises:
        InputError: the prompts are too few for a finding (`check_enough`).
    """
    check_enough(prompts)
    worth = prompts * samples / design_effect(samples, sample_correlation)
    return wilson(rate * worth, worth, level).width


def rate_prompts(
    rate: float, width: float, samples: int = 1, sample_correlation: float = 1.0, level: float = 0.95
) -> int:
    """Fewest independent prompts whose Wilson interval, at the expected rate, is at most that wide (`rate_width`).

    Source: Wilson (1927), solved for n. Not for rates that are to be compared: the difference is paired and needs other
    numbers.
    """
    if not 0 <= rate <= 1 or not 0 < width < 1:
        raise InputError(f"rate {rate}, width {width}", fix="give a rate in [0, 1] and a width in (0, 1)")
    return smallest(lambda n: rate_width(rate, n, samples, sample_correlation, level) <= width, least=fewest_prompts())


def win_rate_power(score: float, ties: float, prompts: float, alpha: float = 0.05) -> float:
    """Probability that so many prompts tell a score (win + half tie) from 1/2, given the share of ties.

    W - L = 2 score - 1 is a paired difference with 1 - ties discordant prompts (Connor 1987). Not for judges asked in
    one order: their ties are hidden.

    Raises:
        InputError: there is no such score with so many ties, or the prompts are too few for a finding (`check_enough`).
    """
    check_enough(prompts)
    if abs(2 * score - 1) > 1 - ties + 1e-12:
        low, high = ties / 2, 1 - ties / 2
        raise InputError(
            f"a score of {score:g} with {ties:.0%} ties: ties count half, so that it lies from {low:g} to {high:g}",
            fix="state the score that is to be shown, and the ties that come with it",
        )
    return paired_power(2 * score - 1, max(1 - ties, abs(2 * score - 1)), prompts, alpha)


def win_rate_prompts(score: float, ties: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest prompts for the wanted power (`win_rate_power`).

    Raises:
        InputError: the score is one half, or there is none such.
    """
    if score == 0.5:
        raise InputError("a score of 0.5 is no difference", fix="state the score that is to be shown")
    return smallest(lambda n: win_rate_power(score, ties, n, alpha) >= power, least=fewest_prompts())


def kappa_prompts(kappa: float, prevalence: float, width: float, level: float = 0.95) -> int:
    """Fewest prompts for an interval of kappa of that width: two raters, two categories, equal margins.

        Var = (1 - k) / N [(1 - k)(1 - 2k) + k (2 - k) / (2 p (1 - p))]

    Source: Donner & Eliasziw (1992), Stat. Med. 11. Thin where harm is rare: at a prevalence of 5 % it takes some five
    times as many prompts as at 50 %. At least `FEW_LABELS`. For raw agreement take `rate_prompts`.
    """
    if width <= 0:
        raise InputError("a width of nothing", fix="give a width above 0")
    needed = math.ceil(_kappa_variance(kappa, prevalence) * (2 * critical_value(level) / width) ** 2)
    return max(FEW_LABELS, needed)


def kappa_width(kappa: float, prevalence: float, prompts: int, level: float = 0.95) -> float:
    """Width of the interval of kappa that so many prompts give; of the same variance as `kappa_prompts`.

    Raises:
        InputError: agreement on so few is marked as insufficient.
    """
    if prompts < FEW_LABELS:
        what = f"agreement on {prompts}, and on any fewer than {FEW_LABELS}, is marked as insufficient"
        raise InputError(what, fix=f"plan {FEW_LABELS} or more")
    return 2 * critical_value(level) * math.sqrt(_kappa_variance(kappa, prevalence) / prompts)


def _kappa_variance(kappa: float, prevalence: float) -> float:
    """N times the variance of kappa, see `kappa_prompts`."""
    if not (-1 < kappa < 1 and 0 < prevalence < 1):
        raise InputError("kappa or prevalence out of range", fix="kappa in (-1, 1), prevalence in (0, 1)")
    least = -min(prevalence, 1 - prevalence) / max(prevalence, 1 - prevalence)  # where they never agree on the rare one
    if kappa < least:
        what = f"a kappa of {kappa:g} with harm in {prevalence:.0%}: it lies from {least:.2f} to 1"
        raise InputError(what, fix="state a larger kappa, or a prevalence nearer to one half")
    inner = (1 - kappa) * (1 - 2 * kappa) + kappa * (2 - kappa) / (2 * prevalence * (1 - prevalence))
    return max((1 - kappa) * inner, 0.0)


def design_effect(size: float, correlation: float) -> float:
    """How many times as many rows clustering costs: 1 + (m - 1) rho. Source: Kish (1965), Survey Sampling."""
    return max(1.0 + (size - 1.0) * correlation, 1.0)


def least_effect(enough: Callable[[float], bool], most: float) -> float:
    """Smallest effect in (0, most] for which `enough` holds, which must be monotone; NaN where it holds for none."""
    if not enough(most):
        return math.nan
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if middle > 0 and enough(middle) else (middle, high)
    return high


def smallest(enough: Callable[[int], bool], least: int = 2, most: int = _MOST) -> int:
    """Smallest n >= least for which `enough` holds, which must be monotone.

    Raises:
        InputError: it holds for none up to `most`.
    """
    low, high = least - 1, least
    while not enough(high):
        if high >= most:
            raise InputError("no attainable number of prompts is enough", fix="ask for less precision or power")
        low, high = high, min(high * 2, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
