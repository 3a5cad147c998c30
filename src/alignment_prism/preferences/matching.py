"""Matched subsampling: pairs in which cues point to the preferred side as often as to the other.

A classifier scores every pair by the cues together (`separation.margins`): a positive margin says that they point to
the chosen side, and how strongly. Within each language and each stretch of strength as many pairs are kept whose cues
point the right way as pairs whose cues point the wrong way, and what cannot be matched is left out. A file in which
they always point the same way leaves next to nothing: it needs other replies, not fewer pairs.

It is done once in any case, since who asks for it wants both directions equally often, and again while what is left is
still flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError, Pair, content_digest
from alignment_prism.preferences.cues import CHARACTERS, FIRST_TOKEN, LENGTH, find_cues
from alignment_prism.preferences.separation import THRESHOLD, can_be_measured, margins, separations
from alignment_prism.statistics.intervals import Floats

DEFAULT_CUES = (LENGTH, FIRST_TOKEN, CHARACTERS)
"""What is matched unless somebody says otherwise."""

BINS = 10
"""Stretches of strength, of equally many pairs each."""

ROUNDS = 4
"""Most times that what is left is matched again: a classifier fitted anew may find what the first did not need."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What matching leaves.

    Attributes:
        pairs: that are kept, in their order.
        left_out: id of a pair that is not -> why.
        rounds: how often it was matched.
        unmeasured: languages with too few prompts to tell anything, whose pairs are all kept.
    """

    pairs: tuple[Pair, ...]
    left_out: dict[str, str]
    rounds: int
    unmeasured: tuple[str, ...]


def match_pairs(
    pairs: Sequence[Pair],
    cues: Sequence[str] = DEFAULT_CUES,
    *,
    threshold: float = THRESHOLD,
    seed: int = 0,
) -> Matched:
    """Pairs among which the cues point to the chosen side as often as to the rejected one.

    Args:
        pairs: to choose from.
        cues: to match, by name.
        threshold: it is matched again until no cue is flagged at it, `ROUNDS` times at most.
        seed: of which pairs are kept where there are more of one direction.

    Raises:
        InputError: there is no such cue; no language has enough prompts; or nothing can be matched.

    Degenerate cases: a language with too few prompts to fit anything is left as it is, and named.
    """
    wanted = find_cues(cues)
    kept = list(pairs)
    languages = dict.fromkeys(pair.language for pair in pairs)
    unmeasured = tuple(code for code in languages if not can_be_measured([p for p in pairs if p.language == code]))
    if len(unmeasured) == len(languages):
        raise InputError(
            "no language has enough prompts to tell anything by",
            fix="give pairs of 20 different prompts of one language or more, of five groups at least",
        )
    left_out: dict[str, str] = {}
    rounds = 0
    while rounds < ROUNDS and (
        not rounds or any(one.flagged for one in separations(kept, wanted, threshold=threshold))
    ):
        rounds += 1
        whole: list[Pair] = []
        for language in dict.fromkeys(pair.language for pair in kept):
            members = [pair for pair in kept if pair.language == language]
            if not can_be_measured(members):
                whole += members
                continue
            good = _balanced(members, margins(members, wanted), seed + rounds)
            whole += [pair for pair, is_kept in zip(members, good, strict=True) if is_kept]
        ids = {pair.id for pair in whole}
        why = f"no pair of like strength whose {', '.join(cues)} point the other way (round {rounds})"
        left_out |= {pair.id: why for pair in kept if pair.id not in ids}
        kept = [pair for pair in kept if pair.id in ids]
    if not kept:
        raise InputError(
            f"nothing of {len(pairs)} pairs can be matched by {', '.join(cues)}",
            fix="match fewer cues; or have both sides written anew by the model that is to be aligned: "
            "prism preferences show on-policy",
            settings={"cues": LENGTH},
        )
    return Matched(tuple(kept), left_out, rounds, unmeasured)


def _balanced(pairs: Sequence[Pair], scores: Floats, seed: int) -> npt.NDArray[np.bool_]:
    """Which pairs are kept: in each stretch of |score| equally many of either sign, and those of none."""
    kept = np.asarray(scores == 0, np.bool_)
    sure = np.flatnonzero(~kept)
    if not len(sure):
        return kept
    strength = np.abs(scores[sure])
    edges = np.quantile(strength, np.linspace(0, 1, BINS + 1)[1:-1])
    stretch = np.searchsorted(edges, strength, side="right")
    lot = np.asarray([int(content_digest(seed, pairs[number].id), 16) for number in sure.tolist()], np.uint64)
    for number in range(BINS):
        here = sure[stretch == number]
        lots = lot[stretch == number]
        right = here[scores[here] > 0][np.argsort(lots[scores[here] > 0])]
        wrong = here[scores[here] < 0][np.argsort(lots[scores[here] < 0])]
        few = min(len(right), len(wrong))
        kept[right[:few]] = kept[wrong[:few]] = True
    return kept
