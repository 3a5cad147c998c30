"""Asking a model, before its first step, whether it follows a packed layout.

A mask that an architecture ignores changes log-probabilities by a few per cent only, which no loss curve shows. So the
model computes some examples packed and unpacked. It does so in float32 where it can, whatever the training computes in:
the rounding of bfloat16 is as large as what a wrong mask does to a model whose attention is nearly uniform.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from alignment_prism.training.devices import is_fatal
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.layouts.packing import tree_length
from alignment_prism.training.layouts.trees import TreeBatch, model_inputs
from alignment_prism.training.losses import sums_per_example

PROBE_TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-3, torch.bfloat16: 0.5}
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
            for few in _samples(trees):
                with _numerics(model.eval(), trees, precision) as dtype:
                    wanted, lengths = _sums(model, padded, few, device)
                try:
                    with _numerics(model, trees, precision):
                        found, _ = _sums(model, trees, few, device)
                    # As it will be trained: with dropout, which has many a name, and in the training's precision.
                    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                        _sums(model.train(), trees, few, device)
                except Exception as error:  # an architecture's own code was given a mask that it does not know
                    if is_fatal(error):
                        raise
                    return f"{name} fails on them ({type(error).__name__}: {_first_line(error)})"
                if not bool(((found - wanted).abs() <= PROBE_TOLERANCE[dtype] * lengths.sqrt()).all()):
                    return f"{name} does not follow a mask of our own"
    finally:
        model.train(training)
    return None


def _samples(trees: TreeBatch) -> list[list[int]]:
    examples = trees.examples
    by_prompt = sorted(range(len(examples)), key=lambda index: len(examples[index].prompt))
    few = sorted({by_prompt[len(by_prompt) * part // 4] for part in range(4)})
    return [few, [max(range(len(examples)), key=lambda index: tree_length(examples[index]))]]


def _sums(
    model: Any, collator: PaddedBatch, indices: list[int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each completion, and its tokens."""
    batch = _to(collator(indices), device)
    logps = model(**model_inputs(batch)).logps
    count = len(indices) * len(collator.examples[0].completions)
    return sums_per_example(logps.double(), batch["owners"], count), torch.bincount(batch["owners"], minlength=count)


@contextmanager
def _numerics(model: Any, trees: TreeBatch, precision: str) -> Iterator[torch.dtype]:
    """The precision of the probe: float32 for a training in bfloat16, also where the weights are held in that.

    FlexAttention's compiled kernels cannot be computed in another precision than that of their tensors: where weights
    are held in bfloat16 they stay in it.
    """
    device = next(model.parameters()).device.type
    held = model.get_input_embeddings().weight.dtype
    with torch.autocast(device, enabled=False):
        if held != torch.bfloat16:
            yield torch.float64 if precision == "fp64" else torch.float32
        elif trees.plan.kind == "blocks":
            yield torch.bfloat16
        else:
            with _Float32():  # type: ignore[no-untyped-call]
                yield torch.float32


class _Float32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes in float32 what would be computed in bfloat16: each operation sees its tensors converted.

    A float32 copy of the model would take twice its memory; here one operation's weights are converted at a time.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*tree_map(_widened, args), **tree_map(_widened, kwargs or {}))


def _widened(value: Any) -> Any:
    if value is torch.bfloat16:
        return torch.float32
    if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
        return value.float()
    return value


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else "no message"


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {name: _to(one, device) for name, one in value.items()}
    return value.to(device) if isinstance(value, torch.Tensor) else value
