"""IPO: identity preference optimisation, a squared loss that stops at a margin (Azar et al. 2023, arXiv 2310.12036)."""

from pydantic import Field

from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, both, reward_metrics
from alignment_prism.training.recipe import Recipe


class IpoRecipe(Recipe):
    """How an IPO stage learns."""

    tau: float = Field(default=0.1, gt=0)
    """The margin that is aimed at is 1 / (2 tau) nats a token; larger stays closer to the reference model."""


def ipo_loss(batch: MicroBatch, recipe: IpoRecipe) -> LossAndMetrics:
    """([log pi/ref (chosen)] - [log pi/ref (rejected)] - 1 / (2 tau))^2, log-ratios as means over tokens.

    The paper does not speak of lengths; its results are those of means, as its authors told the authors of TRL.
    """
    chosen, rejected = batch.per_token(batch.log_ratios)
    loss = (chosen - rejected - 1 / (2 * recipe.tau)) ** 2  # equation 17
    return loss, reward_metrics(batch, recipe.tau * batch.per_token(batch.log_ratios))


IPO = Objective(
    "ipo", IpoRecipe, both, ipo_loss, uses_reference=True, first_loss=lambda recipe: 1 / (2 * recipe.tau) ** 2
)
RECIPE = IpoRecipe(learning_rate=5e-7, epochs=2)
METHODS = (Method.single(IPO, "IPO", "DPO with a squared loss, which stops at a margin", RECIPE),)
