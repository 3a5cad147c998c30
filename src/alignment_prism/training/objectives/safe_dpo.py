"""SafeDPO: DPO that puts harmless replies before harmful ones, by a margin (Kim et al. 2025, arXiv 2505.20065)."""

from collections.abc import Sequence

from pydantic import Field

from alignment_prism.domain import InputError, Pair, PairKind
from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import (
    LossAndMetrics,
    MicroBatch,
    Objective,
    Replies,
    log_sigmoid,
    reward_metrics,
)
from alignment_prism.training.objectives.dpo import DpoRecipe


class SafeDpoRecipe(DpoRecipe):
    """How a SafeDPO stage learns."""

    margin: float = Field(default=2.0, ge=0)
    """By how much more the reward of a harmless reply is to exceed that of a harmful one (Delta in the paper); 0 is DPO
    on the reordered pairs."""


def harmless_first(pair: Pair, seed: int) -> tuple[Replies, ...]:
    """The paper's reordering: a harmless reply before a harmful one, whatever was preferred; no two harmful ones.

    The label is 1 where the second reply is harmful, else 0. General pairs that do not say are harmless.

    Raises:
        InputError: a safety pair, or one of harm of some scope, does not say which of its replies are harmful.
    """
    first, second = pair.chosen_harmful, pair.rejected_harmful
    if None in (first, second) and (pair.kind == PairKind.SAFETY or pair.scope is not None):
        raise InputError(
            "a safety pair does not say which of its replies are harmful",
            where=f"pair {pair.id}",
            fix="give safety pairs the columns chosen_harmful and rejected_harmful",
        )
    if first and second:
        return ()
    texts = (pair.rejected, pair.chosen) if first else (pair.chosen, pair.rejected)
    return (Replies(texts, float(bool(first or second))),)


def no_flags(pairs: Sequence[Pair]) -> str | None:
    """That no pair says what is harmful, in which case this is DPO: files without kinds are of general pairs."""
    if any(pair.chosen_harmful is not None or pair.rejected_harmful is not None for pair in pairs):
        return None
    return "no pair says which of its replies are harmful (chosen_harmful, rejected_harmful): SafeDPO is DPO on them"


def safe_dpo_loss(batch: MicroBatch, recipe: SafeDpoRecipe) -> LossAndMetrics:
    """-log sigmoid(beta * [log pi/ref (chosen) - log pi/ref (rejected)] - margin * [the rejected one is harmful])."""
    chosen, rejected = rewards = recipe.beta * batch.log_ratios
    loss = -log_sigmoid(chosen - rejected - recipe.margin * batch.labels)  # equation 12
    return loss, reward_metrics(batch, rewards)


SAFE_DPO = Objective("safe_dpo", SafeDpoRecipe, harmless_first, safe_dpo_loss, uses_reference=True, notice=no_flags)
RECIPE = SafeDpoRecipe(learning_rate=5e-7, epochs=2)
METHODS = (Method.single(SAFE_DPO, "SafeDPO", "DPO by harm flags: harmless before harmful, by a margin", RECIPE),)
