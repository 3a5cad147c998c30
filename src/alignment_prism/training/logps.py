"""Log-probabilities of completions from hidden states, and their sums over the tokens of each."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from alignment_prism.training.memory import logits_at_once as bound_of


def sums_per_example(values: Tensor, owners: Tensor, examples: int) -> Tensor:
    """Sum of token values by the example that owns them.

    Args:
        values: one a token, shape (tokens,).
        owners: number of the example that each token belongs to, shape (tokens,).
        examples: how many there are; one without tokens gets 0.

    Returns:
        Shape (examples,), float32 or more: bfloat16 has steps of 0.5 at -100, the log-probability of a short reply.
    """
    dtype = torch.promote_types(values.dtype, torch.float32)
    return torch.zeros(examples, dtype=dtype, device=values.device).index_add(0, owners, values.to(dtype))


def token_logps(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    softcap: float | None = None,
    logits_at_once: int | None = None,
) -> Tensor:
    """Log-probability of each target token, without holding the logits of all of them at once.

    Args:
        hidden: last hidden states at the positions that predict the targets, shape (tokens, width).
        weight: of the output embedding, shape (vocabulary, width).
        targets: token ids, shape (tokens,).
        bias: of the output embedding, if it has one.
        scale: factor on the logits (Cohere's `logit_scale`).
        softcap: logits become softcap * tanh(logits / softcap) (Gemma 2).
        logits_at_once: more than this many are computed in chunks, and again in the backward pass; None takes the
            device's bound.

    Returns:
        Shape (tokens,), float32, or float64 where `hidden` is.
    """
    bound = bound_of(hidden.device.type) if logits_at_once is None else logits_at_once
    rows = max(1, bound // weight.shape[0])
    if hidden.shape[0] <= rows:
        return _logps(_logits(hidden, weight, bias, scale, softcap), targets)
    chunked: Any = _ChunkedLogps
    result: Tensor = chunked.apply(hidden, weight, bias, targets, scale, softcap, rows)
    return result


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float, softcap: float | None) -> Tensor:
    logits = functional.linear(hidden, weight, bias)
    if logits.dtype != torch.float64:
        logits = logits.float()
    if scale != 1.0:
        logits = logits * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return logits


def _logps(logits: Tensor, targets: Tensor) -> Tensor:
    return -functional.cross_entropy(logits, targets, reduction="none")


class _ChunkedLogps(torch.autograd.Function):
    """`token_logps` in chunks of rows; the backward pass computes the logits of a chunk again.

    Autograd runs once a chunk inside `backward`, so one chunk's logits are the most that ever exist.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        scale: float,
        softcap: float | None,
        rows: int,
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.settings = (scale, softcap, rows)
        device = hidden.device.type
        ctx.autocast = (device, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
        weight = _as_computed(weight, ctx.autocast)
        parts = [
            _logps(_logits(hidden[start : start + rows], weight, bias, scale, softcap), targets[start : start + rows])
            for start in range(0, hidden.shape[0], rows)
        ]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets = ctx.saved_tensors
        scale, softcap, rows = ctx.settings
        device, enabled, dtype = ctx.autocast
        needs = ctx.needs_input_grad[:3]
        to_hidden = torch.empty_like(hidden) if needs[0] else None
        # Chunks are summed in float32 at least, whatever precision a chunk has.
        to_weight = _zeros(weight) if needs[1] else None
        to_bias = _zeros(bias) if needs[2] else None
        computed = _as_computed(weight, ctx.autocast)
        for start in range(0, hidden.shape[0], rows):
            stop = start + rows
            leaves: list[Any] = [
                value if value is None else value.detach().requires_grad_(needed)
                for value, needed in zip((hidden[start:stop], computed, bias), needs, strict=True)
            ]
            with torch.enable_grad(), torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=False):
                logps = _logps(_logits(leaves[0], leaves[1], leaves[2], scale, softcap), targets[start:stop])
            wanted = [value for value, needed in zip(leaves, needs, strict=True) if needed]
            found = iter(torch.autograd.grad(logps, wanted, gradients[0][start:stop]))
            if to_hidden is not None:
                to_hidden[start:stop] = next(found)
            if to_weight is not None:
                to_weight += next(found)
            if to_bias is not None:
                to_bias += next(found)
        return to_hidden, _like(to_weight, weight), _like(to_bias, bias), None, None, None, None


def _as_computed(weight: Tensor, autocast: tuple[str, bool, torch.dtype]) -> Tensor:
    """The weight as autocast would cast it, once for all chunks."""
    _, enabled, dtype = autocast
    return weight.detach().to(dtype) if enabled and weight.dtype == torch.float32 else weight.detach()


def _zeros(like: Tensor) -> Tensor:
    return torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32))


def _like(gradient: Tensor | None, value: Tensor) -> Tensor | None:
    return None if gradient is None else gradient.to(value.dtype)
