"""Power of designs beyond one paired comparison: samples, languages, seeds, missing verdicts, many tests, win-rates."""

from __future__ import annotations

import math

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.planning.power import (
    design_effect,
    least_effect,
    paired_power,
    paired_sample_size,
    rate_sample_size,
)

_GRID = 4_000
"""Points of the mean over the estimated variance; good to about 1e-4."""


def k_sample_prompts(rate: float, width: float, samples: int, icc: float, level: float = 0.95) -> int:
    """Fewest prompts for a rate over k replies each (`k_sample_rate`): the independent replies, times the design
    effect, over k. With icc = 1 more replies buy nothing. Source: Kish (1965). Not for greedy decoding."""
    return max(2, math.ceil(rate_sample_size(rate, width, level) * design_effect(samples, icc) / samples))


def harm_at_k_prompts(rate: float, width: float, k: int, samples: int, icc: float, level: float = 0.95) -> int:
    """Fewest prompts for harm@k from n replies each (`harm_at_k`), if a prompt's rate is beta distributed.

    With c ~ BetaBinomial(n) harmful replies and h = 1 - C(n - c, k) / C(n, k), the prompts are those that give the
    mean of h its interval: (independent prompts at E h) Var(h) / (E h (1 - E h)). icc is 1 / (a + b + 1) of the beta.
    Source: Chen et al. (2021), arXiv 2107.03374, for h. Not where a few prompts hold all harm: take icc from a pilot.
    """
    if not (0 < rate < 1 and 0 < icc < 1 and 1 <= k <= samples):
        raise InputError(f"rate {rate}, icc {icc}, k {k} of {samples}", fix="rate and icc in (0, 1), k at most samples")
    from scipy.special import gammaln
    from scipy.stats import betabinom

    weight = 1.0 / icc - 1.0
    hits = np.arange(samples + 1)
    share = betabinom.pmf(hits, samples, rate * weight, (1 - rate) * weight)
    left = np.where(samples - hits >= k, samples - hits, k)
    ways = gammaln(left + 1) - gammaln(left - k + 1) - gammaln(samples + 1) + gammaln(samples - k + 1)
    harm = np.where(samples - hits >= k, 1.0 - np.exp(ways), 1.0)
    mean = float(share @ harm)
    spread = float(share @ (harm - mean) ** 2) / (mean * (1 - mean))
    return max(2, math.ceil(rate_sample_size(mean, width, level) * spread))


def macro_size(n: float, languages: int, correlation: float = 0.0) -> float:
    """Prompts of a single language that a mean over languages is worth: n K / (1 + (K - 1) r), for `paired_power`.

    Args:
        n: prompts of each language.
        languages: K.
        correlation: r between the languages' estimates; 0 for prompts of their own, up to 1 for translations.
    """
    return n * languages / (1.0 + (languages - 1) * correlation)


def crossed_power(
    difference: float, discordant: float, prompts: float, seeds: int, seed_sd: float, alpha: float = 0.05
) -> float:
    """Power of a comparison over seeds and prompts (`crossed_difference`).

        V = seed_sd^2 / S + (s - d^2) / P, and Student's t with Satterthwaite's degrees of freedom

    Args:
        difference: d, true mean difference.
        discordant: s, share of discordant prompts within a seed.
        prompts: P, independent prompts.
        seeds: S, at least 2.
        seed_sd: standard deviation of the true difference from seed to seed.
        alpha: two-sided.

    More prompts do not help beyond seed_sd^2 / S: only more seeds do. The prompts' part is taken not to shrink with
    seeds, which is careful where replies differ from seed to seed. Source: Satterthwaite (1946), Biometrics Bull. 2.
    Not for a seed_sd from two or three seeds: plan with twice as much.
    """
    if seeds < 2:
        raise InputError("one seed cannot rank methods", fix="plan at least two seeds, better five")
    from scipy.special import ndtr
    from scipy.stats import chi2, t

    by_seed, by_prompt = seed_sd**2 / seeds, max(discordant - difference**2, 1e-12) / prompts
    variance = by_seed + by_prompt
    df = variance**2 / (by_seed**2 / (seeds - 1) + by_prompt**2 / max(prompts - 1, 1))
    bound = float(t.ppf(1 - alpha / 2, df))
    shift = abs(difference) / math.sqrt(variance)
    # Noncentral t as a mean over the chi-squared variance: SciPy's own gives NaN where the shift is large.
    estimated = np.sqrt(chi2.ppf((np.arange(_GRID) + 0.5) / _GRID, df) / df)
    return float(np.mean(ndtr(shift - bound * estimated) + ndtr(-shift - bound * estimated)))


def crossed_detectable(
    discordant: float, prompts: float, seeds: int, seed_sd: float, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Smallest difference that seeds and prompts show with the wanted power; arguments as in `crossed_power`.

    NaN where even a difference as large as the discordant share would not be seen.
    """
    return least_effect(
        lambda effect: crossed_power(effect, discordant, prompts, seeds, seed_sd, alpha) >= power, discordant
    )


def seeds_needed(
    difference: float, discordant: float, prompts: float, seed_sd: float, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Fewest seeds for the wanted power; arguments as in `crossed_power`.

    Raises:
        InputError: no number of seeds up to 1,000 is enough, because the prompts are too few.
    """
    for seeds in range(2, 1001):
        if crossed_power(difference, discordant, prompts, seeds, seed_sd, alpha) >= power:
            return seeds
    raise InputError("no number of seeds gives that power", fix="use more prompts")


def bounded_power(
    difference: float, discordant: float, n: float, base_rate: float, missing: tuple[float, float], alpha: float = 0.05
) -> float:
    """Power to show less harm than base whatever the missing verdicts are (`missing.paired_bounds`).

    Where the model's verdict lacks it counts as harmful, where base's lacks it counts as harmless:

        d' = d (1 - m - b) + m (1 - h_b) + b h_m,  s' = s (1 - m - b) + m (1 - h_b) + b h_m

    Args:
        difference: d, below 0, on the prompts with both verdicts.
        discordant: s on them.
        n: prompts.
        base_rate: h_b; h_m = h_b + d.
        missing: shares m and b of prompts that lack the model's and base's verdict.
        alpha: two-sided.

    0 where the missing verdicts alone undo the fall: no number of prompts helps then, only verdicts do.
    """
    m, b = missing
    if not (-base_rate <= difference < 0 and m >= 0 and b >= 0 and m + b <= 1):
        raise InputError(
            f"a difference of {difference} from a rate of {base_rate}, {m} and {b} missing",
            fix="give a fall no larger than the rate, and shares that add up to 1 at most",
        )
    added = m * (1 - base_rate) + b * (base_rate + difference)
    worst = difference * (1 - m - b) + added
    return paired_power(worst, discordant * (1 - m - b) + added, n, alpha) if worst < 0 else 0.0


def adjusted_alpha(alpha: float, tests: int, *, cells: bool = False) -> float:
    """Level to plan a single test of many at: alpha / m for Holm, alpha / (m (1 + 1/2 + ... + 1/m)) for the cells.

    The careful case of Holm (1979) and of Benjamini & Yekutieli (2001), in which no other test rejects. One test keeps
    alpha.
    """
    if tests < 1:
        raise InputError(f"{tests} tests", fix="give the number of tests of the family")
    return alpha / tests / (sum(1.0 / rank for rank in range(1, tests + 1)) if cells else 1.0)


def win_rate_sample_size(score: float, ties: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest prompts that tell a score (win + half tie) from 1/2, given the share of ties.

    W - L = 2 score - 1 is a paired difference with 1 - ties discordant prompts (Connor 1987). Not for judges asked in
    one order: their ties are hidden.
    """
    return paired_sample_size(2 * score - 1, 1 - ties, power, alpha)


def detectable_score(ties: float, n: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest score above 1/2 that n prompts tell from 1/2, given the share of ties; NaN where none can be.

    A judge that is inconsistent between orders makes ties, and ties here cost nothing but wins.
    """
    gap = least_effect(lambda effect: paired_power(effect, 1 - ties, n, alpha) >= power, 1 - ties)
    return 0.5 + gap / 2
