"""DPO where a share of the preferences is flipped: conservative (cDPO, Mitchell 2023, ericmitchell.ai/cdpo.pdf), which
stops at a margin, and robust (Chowdhury et al. 2024, arXiv 2403.00409), without bias."""

import math

from pydantic import Field

from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, both, log_sigmoid, reward_metrics
from alignment_prism.training.objectives.dpo import DpoRecipe


class RobustRecipe(DpoRecipe):
    """How a DPO stage learns that does not believe every preference."""

    flipped: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of the pairs whose preference is believed to be the wrong way round (epsilon in the papers)."""


def cdpo_loss(batch: MicroBatch, recipe: RobustRecipe) -> LossAndMetrics:
    """(1 - e) l(margin) + e l(-margin), with DPO's l(m) = -log sigmoid(m); least where sigmoid(margin) is 1 - e."""
    chosen, rejected = rewards = recipe.beta * batch.log_ratios
    margin, share = chosen - rejected, recipe.flipped
    loss = -(1 - share) * log_sigmoid(margin) - share * log_sigmoid(-margin)  # equation 3
    return loss, reward_metrics(batch, rewards)


def robust_loss(batch: MicroBatch, recipe: RobustRecipe) -> LossAndMetrics:
    """[(1 - e) l(margin) - e l(-margin)] / (1 - 2 e), with DPO's l(m) = -log sigmoid(m); below 0 for large margins."""
    chosen, rejected = rewards = recipe.beta * batch.log_ratios
    margin, share = chosen - rejected, recipe.flipped
    loss = (share * log_sigmoid(-margin) - (1 - share) * log_sigmoid(margin)) / (1 - 2 * share)
    return loss, reward_metrics(batch, rewards)


def first_loss(recipe: RobustRecipe) -> float:
    """DPO's, whatever share is flipped."""
    return math.log(2)


CDPO = Objective("cdpo", RobustRecipe, both, cdpo_loss, uses_reference=True, first_loss=first_loss)
ROBUST = Objective("robust", RobustRecipe, both, robust_loss, uses_reference=True, first_loss=first_loss)
RECIPE = RobustRecipe(learning_rate=5e-7, epochs=2)
METHODS = (
    Method.single(CDPO, "cDPO", "DPO whose preferences are right with a probability only", RECIPE),
    Method.single(ROBUST, "Robust DPO", "DPO for pairs of which some are the wrong way round", RECIPE),
)
