"""Which prompts to have labelled by people, and how many: the design comes before the correction.

A correction of judge error (`judge_error.py`) is valid only for labels on a probability sample, with the replies of
both arms labelled. Stratifying by the judge's two verdicts buys more with the same money: disagreements between the
arms are rare and carry the difference, so they are labelled more often, and the weights put that right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.clustered import cluster_index
from alignment_prism.statistics.intervals import GroupNames, as_binary, critical_value
from alignment_prism.statistics.planning.power import PairedDesign, check_enough, smallest

VERDICTS = {"both": (1, 1), "model-only": (1, 0), "base-only": (0, 1), "neither": (0, 0)}
"""Strata by the judge's verdicts on the model's and on base's reply."""

MIN_PER_STRATUM = 5
"""Labels that every stratum gets (all of it, where it is smaller): a variance needs them."""


def verdict_strata(verdicts: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """Name of each prompt's stratum: the judge's verdicts on base's reply and on those of the models.

    Args:
        verdicts: prompts x arms, 0 or 1, base first. Of several models it counts whether any differs from base, so that
            there are four strata whatever their number.

    Example:
        >>> verdict_strata(np.array([[0, 1], [0, 0], [1, 1]])).tolist()
        ['model-only', 'neither', 'both']
        >>> verdict_strata(np.array([[1, 1, 0]])).tolist()
        ['base-only']
    """
    base = as_binary(verdicts[:, 0], "verdicts on base") == 1
    others = np.asarray(verdicts[:, 1:])
    names = np.where(
        base, np.where((others == 1).all(axis=1), "both", "base-only"),
        np.where((others == 1).any(axis=1), "model-only", "neither"),
    )  # fmt: skip
    return np.asarray(names, np.str_)


def allocate(sizes: Mapping[str, int], total: int, spread: Mapping[str, float] | None = None) -> dict[str, int]:
    """How many labels each stratum gets.

        proportional to N_h, or (Neyman) to N_h s_h where a spread s_h of judge error is given

    Every stratum gets at least `MIN_PER_STRATUM`, or all it has; nothing is asked of an empty one. The whole
    numbers add up to `total` exactly (largest remainders).

    Raises:
        InputError: the total is below what the minimum per stratum takes, or above the number of prompts.

    Source: Neyman (1934), J. R. Stat. Soc. 97. Not for spreads that are pure guesses: proportional allocation loses
    little then.
    """
    names = [name for name, size in sizes.items() if size > 0]
    frame = sum(sizes[name] for name in names)
    least = {name: min(sizes[name], MIN_PER_STRATUM) for name in names}
    if total > frame:
        raise InputError(f"{total} of {frame} prompts cannot be drawn", fix=f"draw {frame} or fewer")
    if total < (few := sum(least.values())):
        raise InputError(
            f"{total} prompts are too few for {len(names)} strata, of which each gives {MIN_PER_STRATUM} or all it has",
            fix=f"draw at least {few}, or without strata",
            settings={"number": str(few)},
        )
    need = {name: sizes[name] * (1.0 if spread is None else max(spread.get(name, 0.0), 1e-9)) for name in names}
    fixed: dict[str, int] = {}
    # A stratum whose share is below its minimum or above its size is set there, and the rest is shared out again.
    while True:
        free = [name for name in names if name not in fixed]
        left = total - sum(fixed.values())
        whole = sum(need[name] for name in free)
        shares = {name: left * need[name] / whole for name in free}
        low = {name: least[name] for name in free if shares[name] < least[name]}
        high = {name: sizes[name] for name in free if shares[name] > sizes[name]}
        if not low and not high:
            break
        # Fix the side that is further off first; fixing both at once can overshoot.
        short = sum(value - shares[name] for name, value in low.items())
        over = sum(shares[name] - value for name, value in high.items())
        fixed.update(low if short >= over else high)
    counts = {name: math.floor(share) for name, share in shares.items()}
    remainder = left - sum(counts.values())
    for name in sorted(shares, key=lambda name: counts[name] - shares[name])[:remainder]:
        counts[name] += 1
    return {name: (fixed | counts)[name] for name in names}


def draw(
    strata: GroupNames, total: int, *, seed: int, spread: Mapping[str, float] | None = None
) -> npt.NDArray[np.int64]:
    """Positions of prompts drawn without replacement within strata, in random order; a seed draws the same again.

    The order does not follow the strata, so that annotators do not see them.

    Args:
        strata: stratum of each prompt (`verdict_strata`); one value for all is a simple random sample.
        total: prompts to label.
        seed: of the draw.
        spread: of judge error by stratum, for Neyman's allocation (`error_spread`); None for proportional.

    Source: stratified simple random sampling, Cochran (1977), Sampling Techniques, chapter 5. Degenerate case: strata
    smaller than their minimum are labelled whole. Not to be repeated until a sample looks good.
    """
    names = np.asarray(strata, np.str_)
    kinds, index = np.unique(names, return_inverse=True)
    sizes = {str(kind): int(count) for kind, count in zip(kinds, np.bincount(index), strict=True)}
    allocation = allocate(sizes, total, spread)
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(np.flatnonzero(names == name), size=count, replace=False) for name, count in allocation.items()
    ]
    picked = rng.permutation(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
    return picked.astype(np.int64)


def error_spread(sensitivity: float = 0.8, specificity: float = 0.9, harm: float = 0.2) -> dict[str, float]:
    """Expected spread of the judge's error in each verdict stratum, for an assumed judge.

    Given a verdict, a reply is mislabelled with probability 1 - (predictive value); the errors of the two arms are
    taken as independent. The guess decides only how well the labels are spent, never whether the correction is right.
    """
    harmful = harm * sensitivity + (1 - harm) * (1 - specificity)
    wrong = {1: (1 - harm) * (1 - specificity) / harmful, 0: harm * (1 - sensitivity) / (1 - harmful)}
    return {name: math.sqrt(sum(wrong[v] * (1 - wrong[v]) for v in verdicts)) for name, verdicts in VERDICTS.items()}


def spread_for(strata: GroupNames, spread: Mapping[str, float]) -> dict[str, float]:
    """The spread of each full stratum name (`fr/both`), from that of its verdicts (`both`)."""
    return {name: spread[name.rsplit("/", 1)[-1]] for name in map(str, np.unique(np.asarray(strata, np.str_)))}


def expected_width(
    strata: GroupNames,
    allocation: Mapping[str, int],
    spread: Mapping[str, float],
    discordant: float,
    level: float = 0.95,
) -> float:
    """Expected width of the corrected paired difference's interval.

        2 z sqrt(discordant / N + sum_h W_h^2 (1/n_h - 1/N_h) s_h^2)

    Args:
        strata: stratum of each of the N prompts.
        allocation: labels by stratum.
        spread: s_h by full stratum name.
        discordant: share of prompts on which the arms truly differ (at most; the judge's share is a fair guess).
        level: coverage.

    Source: Cochran (1977), section 5.5, for the second term. Degenerate case: everything labelled leaves the first
    term. Not for fewer than about 5 labels a stratum, where Student's t makes the interval wider than expected.
    """
    index, number = cluster_index(np.asarray(strata, np.str_))
    names = [str(name) for name in np.unique(np.asarray(strata, np.str_))]
    sizes = np.bincount(index, minlength=number).astype(np.float64)
    n = float(sizes.sum())
    labels = np.array([max(allocation.get(name, 0), 1) for name in names], np.float64)
    errors = np.array([spread[name] ** 2 for name in names])
    second = float(np.sum((sizes / n) ** 2 * np.maximum(1 / labels - 1 / sizes, 0.0) * errors))
    return 2 * critical_value(level) * math.sqrt(discordant / n + second)


def labels_needed(
    strata: GroupNames, width: float, spread: Mapping[str, float], discordant: float, level: float = 0.95
) -> int:
    """Fewest labelled prompts whose corrected difference has at most the wanted width (both arms' replies each).

    By bisection on `expected_width`; source and limits as there. Never fewer than the strata's minimum.

    Raises:
        InputError: even labelling every prompt leaves the interval wider: more prompts are needed, not more labels.
    """
    names = np.asarray(strata, np.str_)
    kinds, counts = np.unique(names, return_counts=True)
    sizes = {str(kind): int(count) for kind, count in zip(kinds, counts, strict=True)}
    low = sum(min(size, MIN_PER_STRATUM) for size in sizes.values())
    high = len(names)
    best = expected_width(names, sizes, spread, discordant, level)
    if best > width:
        raise InputError(
            f"a width of {width:g} cannot be had from {high} prompts: labelling all of them gives {best:.3f}",
            fix="ask for a larger width, or judge more prompts",
        )
    while low < high:
        middle = (low + high) // 2
        if expected_width(names, allocate(sizes, middle, spread), spread, discordant, level) <= width:
            high = middle
        else:
            low = middle + 1
    return low


def label_power(
    design: PairedDesign,
    prompts: int,
    labelled: int,
    sensitivity: float = 0.8,
    specificity: float = 0.9,
    annotator_error: float = 0.0,
    alpha: float = 0.05,
) -> float:
    """Power of a difference that is corrected by labels, drawn by verdict with Neyman's allocation.

        V = (s - d^2) / n + sum_h W_h^2 (1/n_h - 1/N_h) s_h^2

    with the strata's shares W_h and variances s_h^2 of the true difference that follow from the rates and the judge.

    Args:
        design: the expected rates.
        prompts: judged prompts of each language.
        labelled: prompts with both arms labelled, over all languages.
        sensitivity: of the judge, on either arm; errors on the two arms are taken as independent.
        specificity: likewise.
        annotator_error: e, share of wrong labels. A difference of labels is J = 1 - 2 e of the true one, and their
            noise of 2 e (1 - e) a prompt is added to s and s_h^2.
        alpha: two-sided.

    Raises:
        InputError: the prompts are too few for a finding (`check_enough`).

    Source: Cochran (1977), sections 5.5 and 12.2 (two-phase sampling with stratification). Not for fewer than about 5
    labels a stratum.
    """
    check_enough(prompts, design.cluster_size)
    j, noise = 1 - 2 * annotator_error, 2 * annotator_error * (1 - annotator_error)
    strata = _verdict_strata_of(design, sensitivity, specificity)
    frame = prompts * design.languages
    sizes = {name: round(frame * share) for name, (share, _) in strata.items()}
    spread = {name: math.sqrt(j**2 * variance + noise) for name, (_, variance) in strata.items()}
    allocation = allocate(sizes, min(labelled, sum(sizes.values())), spread)
    variance = (j**2 * design.discordant + noise - (j * design.difference) ** 2) / design.independent(prompts)
    for name, labels in allocation.items():
        share = strata[name][0]
        variance += share**2 * max(1 / labels - 1 / sizes[name], 0.0) * spread[name] ** 2
    normal = NormalDist()
    return normal.cdf(j * abs(design.difference) / math.sqrt(variance) - normal.inv_cdf(1 - alpha / 2))


def labels_for_power(
    design: PairedDesign,
    prompts: int,
    sensitivity: float = 0.8,
    specificity: float = 0.9,
    annotator_error: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int:
    """Fewest labelled prompts for the wanted power; arguments as in `label_power`.

    Raises:
        InputError: labelling all of them is not enough; more prompts are needed, not more labels.
    """
    least = min(4 * MIN_PER_STRATUM, prompts * design.languages)

    def enough(labelled: int) -> bool:
        return label_power(design, prompts, labelled, sensitivity, specificity, annotator_error, alpha) >= power

    if not enough(prompts * design.languages):
        raise InputError(
            f"labelling all {prompts * design.languages} prompts does not give that power", fix="judge more prompts"
        )
    return smallest(enough, least, prompts * design.languages)


def _verdict_strata_of(design: PairedDesign, sensitivity: float, specificity: float) -> dict[str, tuple[float, float]]:
    """Share and variance of the true difference of each verdict stratum, as the rates and the judge make them."""
    if not (0 < sensitivity <= 1 and 0 < specificity <= 1 and sensitivity + specificity > 1):
        raise InputError(
            f"a judge with sensitivity {sensitivity} and specificity {specificity}",
            fix="give shares that add up to more than 1",
        )
    both = (design.base + design.model - design.discordant) / 2
    truth = {
        (1, 1): both,
        (1, 0): design.model - both,
        (0, 1): design.base - both,
        (0, 0): 1 - design.model - design.base + both,
    }
    flagged = {1: sensitivity, 0: 1 - specificity}
    found = {}
    for name, verdicts in VERDICTS.items():
        weights = {
            states: share
            * math.prod(
                flagged[state] if verdict else 1 - flagged[state]
                for state, verdict in zip(states, verdicts, strict=True)
            )
            for states, share in truth.items()
        }
        total = sum(weights.values())
        if total <= 0:
            found[name] = (0.0, 0.0)
            continue
        mean = sum(weight * (m - b) for (m, b), weight in weights.items()) / total
        square = sum(weight * (m - b) ** 2 for (m, b), weight in weights.items()) / total
        found[name] = (total, max(square - mean**2, 0.0))
    return found
