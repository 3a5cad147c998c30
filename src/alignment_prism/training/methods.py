"""The four methods of the paper, as recipes of one or two training stages.

| name       | title         | stages                                                       |
|------------|---------------|--------------------------------------------------------------|
| sft        | SFT-Preferred | supervised fine-tuning on the chosen replies                 |
| sft_random | SFT-Random    | the same on a randomly picked member of each pair            |
| dpo_ift    | DPO(IFT)      | DPO from the instruction-tuned base                          |
| dpo_sft    | DPO(SFT)      | SFT-Preferred, then DPO from that model                      |

Source: arXiv 2406.18682, section 4. SFT-Random asks whether preferences matter at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from alignment_prism.domain import InputError, Pair, content_digest


class Objective(StrEnum):
    """What one stage of training maximises."""

    SFT = "sft"
    """The log-likelihood of one reply a pair."""
    DPO = "dpo"
    """The preference of the chosen over the rejected reply, relative to the model the stage starts from."""


class Target(StrEnum):
    """Which replies of the pairs a supervised stage imitates."""

    CHOSEN = "chosen"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Stage:
    """One training of a method.

    Attributes:
        name: of its folder and in the log.
        objective: what it maximises.
        recipe: which recipe of `MethodConfig` it uses: `sft`, `dpo_ift` or `dpo_sft`.
        target: which replies a supervised stage imitates; None for DPO, which uses both.
    """

    name: str
    objective: Objective
    recipe: str
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """An alignment method: its name in files, its title in tables, its stages in their order."""

    name: str
    title: str
    summary: str
    stages: tuple[Stage, ...]


_IMITATE_CHOSEN = Stage("sft", Objective.SFT, "sft", Target.CHOSEN)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("sft", "SFT-Preferred", "fine-tune on the chosen replies", (_IMITATE_CHOSEN,)),
        Method(
            "sft_random",
            "SFT-Random",
            "fine-tune on a random member of each pair",
            (Stage("sft", Objective.SFT, "sft", Target.RANDOM),),
        ),
        Method("dpo_ift", "DPO(IFT)", "DPO from the instruction-tuned base", (Stage("dpo", Objective.DPO, "dpo_ift"),)),
        Method(
            "dpo_sft",
            "DPO(SFT)",
            "fine-tune on the chosen replies, then DPO from there",
            (_IMITATE_CHOSEN, Stage("dpo", Objective.DPO, "dpo_sft")),
        ),
    )
}
"""The methods that ship, by name."""


def find_method(name: str) -> Method:
    """The method called `name`; case, hyphens and the paper's brackets do not matter (`DPO(SFT)`).

    Raises:
        InputError: there is no such method.
    """
    folded = name.strip().casefold().replace("-", "_").replace("(", "_").replace(")", "")
    folded = {"sft_preferred": "sft"}.get(folded, folded)
    if folded not in METHODS:
        known = ", ".join(f"{method.name} ({method.title})" for method in METHODS.values())
        raise InputError(f"unknown method {name!r}", fix=f"use one of: {known}")
    return METHODS[folded]


def imitated_replies(pairs: Iterable[Pair], target: Target, seed: int) -> list[str]:
    """For each pair, the reply that a supervised stage imitates.

    With `Target.RANDOM` every pair is tossed for on its own, by a digest of the seed and the pair's id and texts: the
    result depends neither on the order nor on the other members of the pool, so two mixtures toss alike.
    """
    if target is Target.CHOSEN:
        return [pair.chosen for pair in pairs]
    return [pair.chosen if _heads(pair, seed) else pair.rejected for pair in pairs]


def _heads(pair: Pair, seed: int) -> bool:
    digest = content_digest("imitated reply", seed, pair.id, pair.chosen, pair.rejected)
    return int(digest[-1], 16) % 2 == 0
