"""MLC: DPO, and one direction for a prompt in all its languages (Bu et al. 2026, arXiv 2602.16660)."""

from pydantic import Field

from alignment_prism.training.methods import Method
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, both, collinearity_loss
from alignment_prism.training.objectives.dpo import DpoRecipe, dpo_loss


class MlcRecipe(DpoRecipe):
    """How an MLC stage learns."""

    weight: float = Field(default=0.8, ge=0)
    """Of the consistency beside DPO's loss (lambda_aux in the paper)."""
    temperature: float = Field(default=0.3, gt=0)
    """Of the softmax over singular values (tau); lower asks for less once the first of them leads."""
    depth: float = Field(default=1.0, gt=0, le=1)
    """Behind which share of the layers prompts are compared; 1 is behind the last norm."""


def mlc_loss(batch: MicroBatch, recipe: MlcRecipe) -> LossAndMetrics:
    """DPO's loss + weight * -log softmax(s / (s_1 tau))_1, s the singular values of a prompt's representations.

    Those are the hidden states of the last token of the prompt and of its translations, each of length 1.
    """
    losses, metrics = dpo_loss(batch, recipe)
    if batch.translated is None:  # of what is held out, only the preference is evaluated
        return losses, metrics
    apart = collinearity_loss(batch.translated, recipe.temperature)
    return losses + recipe.weight * apart.to(losses.dtype), {**metrics, "apart": apart}


MLC = Objective("mlc", MlcRecipe, both, mlc_loss, uses_reference=True, translated_at=lambda recipe: recipe.depth)
RECIPE = MlcRecipe(learning_rate=5e-7, epochs=2)
METHODS = (Method.single(MLC, "DPO+MLC", "DPO, and one direction for a prompt in all its languages", RECIPE),)
