"""Training by a named engine: `trl`, or `packed`. One of them is imported, and only when a training begins."""

from __future__ import annotations

from typing import Any

from alignment_prism.domain import InputError
from alignment_prism.training.results import TrainingResult
from alignment_prism.training.settings import ENGINES


def train_method(method: str, *, engine: str = "trl", **options: Any) -> TrainingResult:
    """Train a method by the engine of that name.

    Both train on the same batches in the same order with the same loss, references and metrics, so models differ by
    rounding only; see docs/align.md for what else differs.

    Args:
        method: `sft`, `sft_random`, `dpo_ift` or `dpo_sft`.
        engine: one of `alignment_prism.training.settings.ENGINES`.
        options: see `alignment_prism.training.run.train_method`.

    Raises:
        InputError: there is no such engine, and what that function raises.
    """
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}", fix=f"use one of: {', '.join(ENGINES)}")
    if engine == "packed":
        from alignment_prism.training.backends.transformers import train_method as train
    else:
        from alignment_prism.training.backends.trl import train_method as train
    return train(method, **options)
