"""Layer norms as one operation, on CPUs.

Cohere's models write their norm out in eight operations of float32, each of which goes through memory.
`torch.nn.functional.layer_norm` is the same function in one, in a quarter of the time; what that is of a training step
depends on the CPU and on the pairs' length (`benchmarks/norms_cpu.py`). There is nothing of the kind to gain for the
norms of Llama's family: torch computes `rms_norm` on CPUs by the very operations that those models write out.

The rotary embedding as one product of complex numbers would save as much again (the same table). It is a function that
each architecture's attention calls by its name, so that it could be replaced in all models of a process only, or by
rewriting their code: it is left as it is.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

ROWS = 64
"""Positions on which a norm is compared with the model's own."""

TOLERANCE = 1e-5
"""By how much float32 results may differ, relative to 1 + their size; the two differ by about 1e-6."""


def fuse_norms(model: Any) -> int:
    """Let norms on a CPU compute in one operation where that is the same function, to be called before training.

    A norm is taken for such by what it holds (one vector of weights, `variance_epsilon`), and then compared with its
    own code: values, and gradients of input and weights, on positions as wide as the model's. Where they differ by more
    than rounding, it is left as it is. The forward of the instance is replaced, and nothing of that is saved.

    Returns:
        How many norms were replaced.
    """
    fused = 0
    verdicts: dict[tuple[object, ...], bool] = {}
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 1 or weight.device.type != "cpu":
            continue
        eps = getattr(module, "variance_epsilon", None)
        if not isinstance(eps, float) or "forward" in vars(module) or len(list(module.parameters())) > 1:
            continue
        kind = (type(module), weight.shape, weight.dtype, eps)
        if kind not in verdicts:
            verdicts[kind] = _is_layer_norm(module)
        if verdicts[kind]:
            module.forward = types.MethodType(_layer_norm, module)
            fused += 1
    return fused


def _layer_norm(self: Any, hidden_states: Tensor) -> Tensor:
    """Mean and variance in float32, scaled by the weight in float32, in the dtype that came in."""
    weight = self.weight.float()
    normed = functional.layer_norm(hidden_states.float(), weight.shape, weight, None, self.variance_epsilon)
    return normed.to(hidden_states.dtype)


def _is_layer_norm(module: Any) -> bool:
    """Whether a norm's own code gives what `_layer_norm` does, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    width = module.weight.shape[0]
    rows = torch.randn(ROWS, width, generator=generator) + 0.5
    rows[: ROWS // 2] *= 1e-3  # so small that epsilon shows
    target = torch.randn(ROWS, width, generator=generator)
    found = []
    for forward in (module.forward, types.MethodType(_layer_norm, module)):
        hidden = rows.to(module.weight.dtype).requires_grad_()
        with torch.enable_grad():
            try:
                value = forward(hidden)
                inputs = (hidden, module.weight) if module.weight.requires_grad else (hidden,)
                gradients = torch.autograd.grad((value.float() * target).sum(), inputs)
            except Exception:  # a norm that takes other arguments
                return False
        found.append((value, *gradients))
    half = module.weight.dtype in (torch.bfloat16, torch.float16)
    tolerance = 2 * torch.finfo(module.weight.dtype).eps if half else TOLERANCE
    return all(
        own.dtype == ours.dtype
        and bool(((own.double() - ours.double()).abs() <= tolerance * (own.double().abs().max() + 1)).all())
        for own, ours in zip(*found, strict=True)
    )
