"""Supervised fine-tuning: the log-likelihood of one reply a pair, chosen or tossed for.

SFT-Random asks whether preferences matter at all (arXiv 2406.18682).
"""

from __future__ import annotations

from dataclasses import replace

from alignment_prism.training.methods import Method, Stage
from alignment_prism.training.objectives import LossAndMetrics, MicroBatch, Objective, chosen, tossed
from alignment_prism.training.recipe import Recipe


def sft_loss(batch: MicroBatch, recipe: Recipe) -> LossAndMetrics:
    """-log pi(y | x), summed over the tokens of the reply; the step divides by the tokens of the global batch."""
    return -batch.logps[0], {}


SFT = Objective("sft", Recipe, chosen, sft_loss, per_token=True)
SFT_RANDOM = replace(SFT, name="sft_random", replies=tossed)

RECIPE = Recipe(learning_rate=2e-5, epochs=1, schedule="cosine")
SFT_STAGE = Stage("sft", SFT, RECIPE, section="sft")

METHODS = (
    Method("sft", "SFT-Preferred", "fine-tune on the chosen replies", (SFT_STAGE,)),
    Method(
        "sft_random",
        "SFT-Random",
        "fine-tune on a random member of each pair (a control)",
        (replace(SFT_STAGE, objective=SFT_RANDOM),),
        control=True,
    ),
)
