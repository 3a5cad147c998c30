"""SimPO: the mean log-probability as reward, a target margin, and no reference (Meng et al. 2024, arXiv 2405.14734)."""

from pydantic import Field

from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, both, log_sigmoid, reward_metrics
from alignment_prism.training.recipe import Recipe


class SimpoRecipe(Recipe):
    """How a SimPO stage learns."""

    beta: float = Field(default=2.0, gt=0)
    """Factor of the rewards; nothing ties the policy to a reference."""
    gamma: float = Field(default=1.0, ge=0)
    """Margin by which the chosen reply's reward is to exceed the other's."""


def simpo_loss(batch: MicroBatch, recipe: SimpoRecipe) -> LossAndMetrics:
    """-log sigmoid(beta / |chosen| log pi(chosen) - beta / |rejected| log pi(rejected) - gamma)."""
    chosen, rejected = rewards = recipe.beta * batch.per_token(batch.logps)  # equation 4
    return -log_sigmoid(chosen - rejected - recipe.gamma), reward_metrics(batch, rewards)  # equation 6


SIMPO = Objective("simpo", SimpoRecipe, both, simpo_loss)
RECIPE = SimpoRecipe(learning_rate=5e-7, epochs=1, schedule="cosine")
METHODS = (Method.single(SIMPO, "SimPO", "preferences of mean log-probabilities, without a reference", RECIPE),)
