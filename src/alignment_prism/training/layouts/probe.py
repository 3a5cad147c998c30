"""Asking a model, before its first step, whether it follows a packed layout.

A mask that an architecture ignores changes log-probabilities by a few per cent only, which no loss curve shows. So the
model computes some examples packed and unpacked, in float32 whatever the training computes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

from alignment_prism.training.devices import is_fatal
from alignment_prism.training.examples import Example
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.layouts.packing import tree_length
from alignment_prism.training.layouts.trees import TreeBatch, model_inputs
from alignment_prism.training.logps import sums_per_example
from alignment_prism.training.numerics import full_precision

PROBE_TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-3}
"""How far a packed completion's log-probability may lie from the unpacked one's, in nats per root of its tokens.
Architectures take softmax and rotations in float32 also where their weights are in float64."""


def why_not_packed(model: Any, trees: TreeBatch, padded: PaddedBatch, precision: str) -> str | None:
    """Why a model cannot be trained on a packed layout, or None where it can, tried on a few examples.

    Tried are examples with prompts from short to long, together in a batch, and the longest alone: a sliding window
    changes nothing on short ones. A layout that the model fails on is no error: padded rows remain. Those are
    computed first, and what fails there is raised.
    """
    name = type(model).__name__
    device = next(model.parameters()).device
    training = model.training
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            longest = max(range(len(trees.examples)), key=lambda index: tree_length(trees.examples[index]))
            for few in (spread(trees.examples), [longest]):
                with full_precision(model.eval()):
                    wanted, lengths = _sums(model, padded, few, device)
                try:
                    with full_precision(model):
                        found, _ = _sums(model, trees, few, device)
                    # As it will be trained: with dropout, which has many a name, and in the training's precision.
                    with _uncompiled(trees, device), torch.autocast(device.type, torch.bfloat16, precision == "bf16"):
                        _sums(model.train(), trees, few, device)
                except Exception as error:  # an architecture's own code was given a mask that it does not know
                    if is_fatal(error):
                        raise
                    return f"{name} fails on them ({type(error).__name__}: {_first_line(error)})"
                tolerance = PROBE_TOLERANCE[torch.float64 if precision == "fp64" else torch.float32]
                if not bool(((found - wanted).abs() <= tolerance * lengths.sqrt()).all()):
                    return f"{name} does not follow a mask of our own"
    finally:
        model.train(training)
    return None


def spread(examples: Sequence[Example]) -> list[int]:
    """Indices of up to four examples, with prompts from short to long."""
    by_prompt = sorted(range(len(examples)), key=lambda index: len(examples[index].prompt))
    return sorted({by_prompt[len(by_prompt) * part // 4] for part in range(4)})


def _uncompiled(trees: TreeBatch, device: torch.device) -> Any:
    """Without FlexAttention's compiler on a CPU: there the model only waits to be moved to where it is trained."""
    if trees.plan.kind == "blocks" and device.type == "cpu":
        return torch.compiler.set_stance("force_eager")
    return nullcontext()


def _sums(
    model: Any, collator: PaddedBatch, indices: list[int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each completion, and its tokens."""
    batch = _to(collator(indices), device)
    logps = model(**model_inputs(batch)).logps
    count = len(indices) * len(collator.examples[0].completions)
    return sums_per_example(logps.double(), batch["owners"], count), torch.bincount(batch["owners"], minlength=count)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else "no message"


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {name: _to(one, device) for name, one in value.items()}
    return value.to(device) if isinstance(value, torch.Tensor) else value
