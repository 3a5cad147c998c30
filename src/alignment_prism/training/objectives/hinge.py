"""Hinge loss on DPO's margin, which stops at 1 (SLiC, Zhao et al. 2023, arXiv 2305.10425; with implicit rewards: RSO,
Liu et al. 2023, arXiv 2309.06657)."""

from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, both, reward_metrics
from alignment_prism.training.objectives.dpo import DpoRecipe


def hinge_loss(batch: MicroBatch, recipe: DpoRecipe) -> LossAndMetrics:
    """max(0, 1 - beta * [log pi/ref (chosen) - log pi/ref (rejected)])."""
    chosen, rejected = rewards = recipe.beta * batch.log_ratios
    return (1 - (chosen - rejected)).relu(), reward_metrics(batch, rewards)


HINGE = Objective("hinge", DpoRecipe, both, hinge_loss, uses_reference=True, first_loss=lambda recipe: 1.0)
RECIPE = DpoRecipe(learning_rate=5e-7, epochs=2)
METHODS = (Method.single(HINGE, "Hinge", "DPO with a hinge, which stops at a margin", RECIPE),)
