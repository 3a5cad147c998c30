"""Objectives: one file a loss, with the methods that train by it.

A file declares an `Objective` and a tuple `METHODS`. `alignment_prism.training.methods` reads every file of this
folder, so that a new one is a new method and nothing else changes.
"""

from alignment_prism.training.objectives.objective import (
    LossAndMetrics,
    MicroBatch,
    Objective,
    State,
    blaming,
    collinearity_loss,
    log_sigmoid,
    reward_metrics,
)
from alignment_prism.training.objectives.replies import Replies, both, chosen, each, tossed

__all__ = [
    "LossAndMetrics",
    "MicroBatch",
    "Objective",
    "Replies",
    "State",
    "blaming",
    "both",
    "chosen",
    "collinearity_loss",
    "each",
    "log_sigmoid",
    "reward_metrics",
    "tossed",
]
