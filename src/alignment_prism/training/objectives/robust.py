"""Robust DPO: without bias where a share of the preferences is flipped (Chowdhury et al. 2024, arXiv 2403.00409)."""

import math

from pydantic import Field

from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, both, log_sigmoid, reward_metrics
from alignment_prism.training.objectives.dpo import DpoRecipe


class RobustRecipe(DpoRecipe):
    """How a robust DPO stage learns."""

    flipped: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of the pairs whose preference is believed to be the wrong way round (epsilon in the paper)."""


def robust_loss(batch: MicroBatch, recipe: RobustRecipe) -> LossAndMetrics:
    """[(1 - e) l(margin) - e l(-margin)] / (1 - 2 e), with DPO's l(m) = -log sigmoid(m); below 0 for large margins."""
    chosen, rejected = rewards = recipe.beta * batch.log_ratios
    margin, share = chosen - rejected, recipe.flipped
    loss = (share * log_sigmoid(-margin) - (1 - share) * log_sigmoid(margin)) / (1 - 2 * share)
    return loss, reward_metrics(batch, rewards)


ROBUST = Objective(
    "robust", RobustRecipe, both, robust_loss, uses_reference=True, first_loss=lambda recipe: math.log(2)
)
RECIPE = RobustRecipe(learning_rate=5e-7, epochs=2)
METHODS = (Method.single(ROBUST, "Robust DPO", "DPO for pairs of which some are the wrong way round", RECIPE),)
