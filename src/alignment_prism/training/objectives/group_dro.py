"""Group DRO: DPO for the worst group of language x scope (Sagawa et al. 2020, arXiv 1911.08731; for preferences
Ramesh et al. 2024, arXiv 2405.20304)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, State, both
from alignment_prism.training.objectives.dpo import DPO, DpoRecipe, dpo_loss

if TYPE_CHECKING:
    from torch import Tensor


class GroupDroRecipe(DpoRecipe):
    """How a group-DRO stage learns."""

    step_size: float = Field(default=0.01, ge=0)
    """How fast groups of higher loss gain weight (eta in the paper); 0 keeps all groups at the same weight."""


def group_dro_loss(batch: MicroBatch, recipe: GroupDroRecipe) -> LossAndMetrics:
    """The DPO loss of an example times q_g N / n_g, so that the step's loss is sum_g q_g (mean loss of group g).

    q are the weights of the groups, n_g their examples in the global batch and N the sum of those. A group without an
    example in the batch has no part in the step.
    """
    losses, metrics = dpo_loss(batch, recipe)
    weights = batch.state["weights"]
    factors = weights * batch.counts.sum() / batch.counts.clamp(min=1)
    return losses * factors[batch.groups], {"loss": losses, "weight": weights[batch.groups], **metrics}


def first_weights(recipe: GroupDroRecipe, groups: int) -> dict[str, Tensor]:
    """Every group the same."""
    from torch import full

    return {"weights": full((groups,), 1 / groups)}


def next_weights(
    state: Mapping[str, Tensor], recipe: GroupDroRecipe, sums: Mapping[str, Tensor], counts: Tensor
) -> dict[str, Tensor]:
    """q_g exp(eta * mean loss of group g), normalised: algorithm 1, with the losses of the step that ends."""
    grown = state["weights"] * (recipe.step_size * sums["loss"] / counts.clamp(min=1)).exp()
    return {"weights": grown / grown.sum()}


GROUP_DRO = Objective(
    "group_dro", GroupDroRecipe, both, group_dro_loss, uses_reference=True, first_loss=DPO.first_loss,
    state=State(first_weights, next_weights),
)  # fmt: skip
RECIPE = GroupDroRecipe(learning_rate=5e-7, epochs=2)
METHODS = (Method.single(GROUP_DRO, "Group DRO", "DPO for the worst of languages and scopes", RECIPE),)
