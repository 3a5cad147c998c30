"""A decode loop for batches of replies: the cache grows in place, and finished rows leave the batch.

`model.generate` carries every row until the longest is done, copies the cache at every step and prepares its inputs
anew each time. On short replies of a small model that is most of the work. This loop does the same arithmetic without
it, on any model whose cache is plain or sliding-window attention; others go through `model.generate`.

Private seam: the layer below stands on `transformers.cache_utils.DynamicLayer`; a contract test compares the loop's
replies with those of `model.generate`, architecture by architecture.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

_COMPACT_AT = 0.8
"""Share of rows still at work below which the others are taken out of the batch."""

Pick = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Chooses the next token: (logits rows x vocabulary, numbers of the rows, step) -> token ids."""


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer with room for the whole reply, so that a step writes one column instead of copying all.

    `keys` and `values` are views of the part in use.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.keys: Any = None
        self.values: Any = None

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        used = self.get_seq_length()
        end = used + key_states.shape[-2]
        if used == 0:
            self.dtype, self.device = key_states.dtype, key_states.device
            self._keys = _roomy(key_states, max(self.room, end))
            self._values = _roomy(value_states, max(self.room, end))
            self.is_initialized = True
        elif end > self._keys.shape[-2]:
            self._keys, self._values = _roomy(self.keys, 2 * end), _roomy(self.values, 2 * end)
        self._keys[..., used:end, :] = key_states
        self._values[..., used:end, :] = value_states
        self.keys, self.values = self._keys[..., :end, :], self._values[..., :end, :]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        used = self.get_seq_length()
        self._keys, self._values = self._keys[indices], self._values[indices]
        self.keys, self.values = self._keys[..., :used, :], self._values[..., :used, :]


def _roomy(states: torch.Tensor, room: int) -> torch.Tensor:
    """A buffer with `states` at its beginning."""
    buffer = states.new_empty((*states.shape[:-2], room, states.shape[-1]))
    buffer[..., : states.shape[-2], :] = states
    return buffer


class Decoder:
    """Replies of one causal language model to batches of prompts.

    Args:
        model: an `AutoModelForCausalLM` in evaluation mode.
        stops: ids of the tokens that end a reply.
        pad: id that fills shorter rows; never looked at.
    """

    def __init__(self, model: Any, stops: Sequence[int], pad: int) -> None:
        self.model = model
        self.device = model.device
        self.stops = torch.tensor(sorted(set(stops)), device=self.device)
        self.pad = pad
        self.accepts = set(inspect.signature(model.forward).parameters)
        self.fast = self._cache(1) is not None

    def _cache(self, room: int) -> DynamicCache | None:
        """An empty cache for the model, or None if it needs one that this loop cannot take rows out of."""
        if not {"past_key_values", "use_cache"} <= self.accepts or getattr(self.model, "_is_stateful", False):
            return None
        if getattr(self.model.config, "is_encoder_decoder", False):
            return None
        cache = DynamicCache(config=self.model.config)
        if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers):
            return None
        cache.layers = [_RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
        return cache if cache.layers else None

    @torch.inference_mode()
    def reply(self, prompts: Sequence[Sequence[int]], limits: Sequence[int], pick: Pick) -> list[list[int]]:
        """Token ids of the reply to each prompt, the end token included where it was reached.

        Args:
            prompts: token ids of each.
            limits: most tokens of each reply, at least 1.
            pick: chooses tokens; it is told the numbers of the rows within `prompts`.
        """
        if not self.fast:
            return self._reply_by_generate(prompts, limits, pick)
        ids, mask = self._left_padded(prompts)
        padded = bool((mask == 0).any())
        cache = self._cache(ids.shape[1] + max(limits))
        assert cache is not None
        limit = torch.tensor(list(limits), device=self.device)
        replies = torch.zeros((len(prompts), max(limits)), dtype=torch.long, device=self.device)
        lengths = torch.zeros(len(prompts), dtype=torch.long, device=self.device)
        rows = torch.arange(len(prompts), device=self.device)  # which prompt each row of the batch answers
        going = torch.ones(len(prompts), dtype=torch.bool, device=self.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        for step in range(max(limits)):
            tokens = pick(self._logits(ids, mask if padded else None, positions, cache), rows, step)
            replies[rows, step] = tokens
            lengths[rows[going]] = step + 1
            going &= ~torch.isin(tokens, self.stops) & (limit[rows] > step + 1)
            at_work = int(going.sum())
            if not at_work:
                break
            if at_work <= _COMPACT_AT * len(rows):
                kept = going.nonzero()[:, 0]
                cache.batch_select_indices(kept)
                rows, going, tokens, mask, positions = (x[kept] for x in (rows, going, tokens, mask, positions))
            ids = tokens[:, None]
            positions = positions[:, -1:] + 1
            if padded:
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        return [row[:length] for row, length in zip(replies.tolist(), lengths.tolist(), strict=True)]

    def _left_padded(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask, prompts x longest."""
        longest = max(map(len, prompts))
        ids = torch.tensor([[self.pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        return ids.to(self.device), mask.to(self.device)

    def _logits(
        self, ids: torch.Tensor, mask: torch.Tensor | None, positions: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        """Logits of the next token, rows x vocabulary."""
        inputs: dict[str, Any] = {"input_ids": ids, "past_key_values": cache, "use_cache": True}
        if mask is not None:
            inputs["attention_mask"] = mask
        if "position_ids" in self.accepts:
            inputs["position_ids"] = positions
        if "logits_to_keep" in self.accepts:
            inputs["logits_to_keep"] = 1
        logits: torch.Tensor = self.model(**inputs).logits[:, -1]
        return logits

    def _reply_by_generate(
        self, prompts: Sequence[Sequence[int]], limits: Sequence[int], pick: Pick
    ) -> list[list[int]]:
        """The same by `model.generate`, in groups of equal length: recurrent states know no padding."""
        replies: list[list[int]] = [[] for _ in prompts]
        for length in sorted(set(map(len, prompts))):
            group = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            rows = torch.tensor(group, device=self.device)

            def choose(ids: torch.Tensor, scores: torch.Tensor, rows: Any = rows, start: int = length) -> torch.Tensor:
                chosen = pick(scores, rows, ids.shape[1] - start)
                return torch.full_like(scores, -torch.inf).scatter(1, chosen[:, None], 0.0)

            ids = torch.tensor([list(prompts[row]) for row in group], device=self.device)
            output = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=max(limits[row] for row in group),
                eos_token_id=self.stops.tolist(),
                pad_token_id=self.pad,
                logits_processor=[choose],
            )
            for row, tokens in zip(group, output[:, length:].tolist(), strict=True):
                replies[row] = self._cut(tokens, limits[row])
        return replies

    def _cut(self, tokens: list[int], limit: int) -> list[int]:
        """The tokens up to the first end token and the limit."""
        stops = set(self.stops.tolist())
        end = next((place + 1 for place, token in enumerate(tokens) if token in stops), len(tokens))
        return tokens[: min(end, limit)]


def greedy(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
    """The likeliest token of each row."""
    return logits.argmax(-1)


def sampler(uniforms: torch.Tensor, temperature: float, top_p: float) -> Pick:
    """Sampling by inverting the cumulative distribution at numbers drawn beforehand.

    Each row brings its own numbers, so what is drawn for a prompt does not depend on what else is in the batch.

    Args:
        uniforms: rows x steps, in [0, 1).
        temperature: above 0.
        top_p: the smallest set of likeliest tokens that holds at least this much probability is drawn from.
    """

    def pick(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        p = (logits.float() / temperature).softmax(-1)
        p, order = p.sort(dim=-1, descending=True)
        reached = p.cumsum(-1)
        if top_p < 1:
            p = p.where(reached - p < top_p, torch.zeros_like(p))
            reached = p.cumsum(-1)
        target = uniforms[rows, step].to(p.dtype)[:, None] * reached[:, -1:]
        place = torch.searchsorted(reached, target, right=True).clamp(max=p.shape[-1] - 1)
        return order.gather(1, place)[:, 0]

    return pick
