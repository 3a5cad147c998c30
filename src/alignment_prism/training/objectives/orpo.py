"""ORPO: fine-tuning on the chosen reply and an odds ratio, without a reference (Hong et al. 2024, arXiv 2403.07691)."""

from pydantic import Field

from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, both, log_sigmoid, reward_metrics
from alignment_prism.training.recipe import Recipe


class OrpoRecipe(Recipe):
    """How an ORPO stage learns."""

    weight: float = Field(default=0.1, gt=0)
    """Of the odds ratio beside the likelihood of the chosen reply (lambda in the paper)."""


def orpo_loss(batch: MicroBatch, recipe: OrpoRecipe) -> LossAndMetrics:
    """-mean log pi(chosen) - weight * log sigmoid(log odds(chosen) - log odds(rejected))."""
    means = batch.per_token(batch.logps).clamp(max=-1e-6)  # a reply of probability 1 would have infinite odds
    odds = means - (-means.expm1()).log()  # log(p / (1 - p)), equation 4
    ratio = -log_sigmoid(odds[0] - odds[1])  # equation 7
    return -means[0] + recipe.weight * ratio, {"nll": -means[0], **reward_metrics(batch, odds)}  # equation 6


ORPO = Objective("orpo", OrpoRecipe, both, orpo_loss)
RECIPE = OrpoRecipe(learning_rate=8e-6, epochs=1)
METHODS = (Method.single(ORPO, "ORPO", "fine-tuning and an odds ratio in one, without a reference", RECIPE),)
