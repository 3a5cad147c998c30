"""DPO: direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290)."""

from __future__ import annotations

import math

from pydantic import Field

from alignment_prism.training.methods import Method, Stage
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, both, log_sigmoid, reward_metrics
from alignment_prism.training.objectives.sft import SFT_STAGE
from alignment_prism.training.recipe import Recipe


class DpoRecipe(Recipe):
    """How a DPO stage learns."""

    beta: float = Field(default=0.1, gt=0)
    """Strength of the tie to the reference model; larger stays closer."""


def dpo_loss(batch: MicroBatch, recipe: DpoRecipe) -> LossAndMetrics:
    """-log sigmoid(beta * [log pi/ref (chosen) - log pi/ref (rejected)])."""
    chosen, rejected = batch.log_ratios
    loss = -log_sigmoid(recipe.beta * (chosen - rejected))  # equation 7
    return loss, reward_metrics(batch, recipe.beta * batch.log_ratios)


DPO = Objective("dpo", DpoRecipe, both, dpo_loss, uses_reference=True, first_loss=lambda recipe: math.log(2))

RECIPE = DpoRecipe(learning_rate=5e-7, epochs=2)

METHODS = (
    Method(
        "dpo_ift", "DPO(IFT)", "DPO from the instruction-tuned base", (Stage("dpo", DPO, RECIPE, section="dpo_ift"),)
    ),
    Method(
        "dpo_sft",
        "DPO(SFT)",
        "fine-tune on the chosen replies, then DPO from there",
        (SFT_STAGE, Stage("dpo", DPO, RECIPE, section="dpo_sft")),
    ),
)
