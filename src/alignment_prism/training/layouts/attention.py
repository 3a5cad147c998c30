"""Attention over flat trees: one sequence of all pairs, no padding, and a softmax only over what a token may see.

Everything but attention works token by token and does not mind that the pairs of a batch stand one behind the other.
Attention then runs tree by tree, over the prompt with its first branch and over each further branch with the prompt in
front of it. On a CPU the scores of one tree fit into the caches, which those of a batch do not.

transformers hands a four-dimensional mask through to the attention function as it is; ours is the layout itself, whole
numbers of shape (1, 1, trees, 2 + branches): the window (0 for none), tokens of the prompt, tokens of each branch.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from alignment_prism.domain import ModelError

FLAT_ATTENTION = "prism_flat"
"""Name of the implementation, for `attn_implementation`."""

TILE = 128
"""Queries that are taken together: they skip the keys after the last of them."""


def register_flat_attention() -> None:
    """Make `FLAT_ATTENTION` known to transformers; masks of padded rows are those of eager attention."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(FLAT_ATTENTION, flat_attention)
    AttentionMaskInterface.register(FLAT_ATTENTION, eager_mask)


def flat_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers, over trees where the mask is a layout, else over padded rows.

    Args:
        module: the layer, whose file has the eager attention for padded rows.
        query: shape (rows, heads, length, head width).
        key: shape (rows, key heads, length, head width).
        value: likewise.
        attention_mask: the layout, or what is added to the scores of padded rows.
        scaling: of the scores.
        dropout: on probabilities.
        softcap: scores become softcap * tanh(scores / softcap).

    Returns:
        Shape (rows, length, heads, head width), and no probabilities.

    Raises:
        ModelError: dropout, a cap or sinks over trees: the probe before the first step then falls back.
    """
    if attention_mask is None or attention_mask.is_floating_point():
        own = sys.modules[type(module).forward.__module__].eager_attention_forward
        if softcap is not None:
            kwargs["softcap"] = softcap
        padded: Tensor = own(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs)[0]
        return padded, None
    if dropout or softcap is not None or kwargs.get("s_aux") is not None:
        raise ModelError(
            "the layout 'flat' knows no dropout, no cap on scores and no sinks",
            fix="take another layout",
            settings={"overrides": "training.layout=trees"},
        )
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    query, key = query.to(value.dtype), key.to(value.dtype)
    trees: Any = _TreeAttention
    layout = tuple(map(tuple, attention_mask[0, 0].tolist()))
    out: Tensor = trees.apply(query, key, value, layout, scale)
    return out, None


def _tiles(layout: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, tuple[tuple[int, int], ...], int, int]]:
    """Runs of queries that are computed together.

    Yields:
        First and last-but-one position of the queries, the ranges of positions that their keys come from, the place of
        the first query among these keys, and the window.
    """
    start = 0
    for window, prompt, *branches in layout:
        begin = start + prompt
        for number, branch in enumerate(branches):
            # The prompt's own queries go with the first branch.
            first, place = (start, 0) if number == 0 else (begin, prompt)
            length = begin + branch - first
            for offset in range(0, length, TILE):
                stop = min(offset + TILE, length)
                if number == 0:
                    keys: tuple[tuple[int, int], ...] = ((start, start + stop),)
                else:
                    keys = ((start, start + prompt), (begin, begin + stop))
                yield first + offset, first + stop, keys, place + offset, window
            begin += branch
        start = begin


def _mask(queries: int, place: int, window: int, groups: int, like: Tensor) -> Tensor:
    """What is added to the scores of a tile whose first query stands at `place`, shape (groups * queries, keys)."""
    before = 1 << max(7, place.bit_length())
    band = _band(before, window, TILE, like.dtype, like.device)
    mask = band[:queries, before - place : before + queries]
    return mask if groups == 1 else mask.repeat(groups, 1)


@functools.lru_cache(maxsize=16)
def _band(before: int, window: int, tile: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tile's mask with `before` keys in front of its first query, of which every other is a part."""
    ahead = torch.arange(tile, device=device)[:, None] - torch.arange(-before, tile, device=device)[None, :]
    hidden = ahead < 0
    if window:
        hidden |= ahead >= window
    return torch.zeros(ahead.shape, dtype=dtype, device=device).masked_fill_(hidden, torch.finfo(dtype).min)


def _softmax(scores: Tensor) -> Tensor:
    """In float32 at least, as eager attention takes it."""
    if scores.dtype in (torch.float32, torch.float64):
        return torch.softmax(scores, -1)
    return torch.softmax(scores, -1, dtype=torch.float32).to(scores.dtype)


def _take(tensor: Tensor, ranges: Sequence[tuple[int, int]]) -> Tensor:
    """Positions of a (heads, length, width) tensor, in one piece."""
    parts = [tensor[:, begin:end] for begin, end in ranges]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class _TreeAttention(torch.autograd.Function):
    """Attention tree by tree. The probabilities are kept for the backward pass, as eager attention keeps them."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: Any, scale: float) -> Tensor:
        heads, length, width = query.shape[1:]
        shared = key.shape[1]
        groups = heads // shared
        out = torch.zeros(length, heads, width, dtype=value.dtype, device=value.device)
        kept = []
        for begin, end, ranges, place, window in _tiles(layout):
            if begin == end:
                continue
            queries = query[0, :, begin:end].reshape(shared, -1, width)
            keys, values = _take(key[0], ranges), _take(value[0], ranges)
            mask = _mask(end - begin, place, window, groups, query).expand(shared, -1, -1)
            scores = torch.baddbmm(mask, queries, keys.transpose(1, 2), alpha=scale)
            kept.append(_softmax(scores))
            found = torch.bmm(kept[-1], values)
            out[begin:end] = found.view(heads, end - begin, width).transpose(0, 1)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.layout, ctx.scale = layout, scale
        return out[None]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        heads, length, width = query.shape[1:]
        shared = key.shape[1]
        upstream = gradients[0][0].to(value.dtype).transpose(0, 1)
        to_query = torch.zeros(heads, length, width, dtype=query.dtype, device=query.device)
        to_key = torch.zeros(shared, length, width, dtype=key.dtype, device=key.device)
        to_value = torch.zeros_like(to_key)
        probabilities = iter(kept)
        for begin, end, ranges, _, _ in _tiles(ctx.layout):
            if begin == end:
                continue
            weights = next(probabilities)
            queries = query[0, :, begin:end].reshape(shared, -1, width)
            keys, values = _take(key[0], ranges), _take(value[0], ranges)
            above = upstream[:, begin:end].reshape(shared, -1, width)
            inner = torch.bmm(above, values.transpose(1, 2))
            scores = weights * (inner - (inner * weights).sum(-1, keepdim=True)) * ctx.scale
            to_query[:, begin:end] = torch.bmm(scores, keys).view(heads, end - begin, width)
            found_keys = torch.bmm(scores.transpose(1, 2), queries)
            found_values = torch.bmm(weights.transpose(1, 2), above)
            offset = 0
            for first, last in ranges:
                to_key[:, first:last] += found_keys[:, offset : offset + last - first]
                to_value[:, first:last] += found_values[:, offset : offset + last - first]
                offset += last - first
        return to_query[None], to_key[None], to_value[None], None, None
