"""Training with TRL: the first engine, and the cross-check of every other."""

from __future__ import annotations

from typing import Any

from alignment_prism.training.results import TrainingResult

__all__ = ["train_method"]


def train_method(method: str, **options: Any) -> TrainingResult:
    """Train a method with TRL; see `alignment_prism.training.run.train_method` for the options."""
    from alignment_prism.training.backends.trl.engine import TrlEngine
    from alignment_prism.training.run import train_method as train

    return train(method, engine=TrlEngine(), **options)
