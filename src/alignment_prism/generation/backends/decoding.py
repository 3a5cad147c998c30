"""A decode loop for batches of replies: the cache grows in place, finished rows leave the batch and others enter it.

`model.generate` carries every row until the longest is done, copies the cache at every step and prepares its inputs
anew each time. On short replies of a small model that is most of the work. This loop does the same arithmetic without
it, on any model whose cache is plain or sliding-window attention; others go through `model.generate`. Rows enter where
all layers are plain attention: every row ends at the last column, and shorter ones are padded on the left.

Private seam: the layer below stands on `transformers.cache_utils.DynamicLayer`; a contract test compares the loop's
replies with those of `model.generate`, architecture by architecture.
"""

from __future__ import annotations

import inspect
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from alignment_prism.generation.batching import entering

_COMPACT_AT = 0.8
"""Share of rows still at work below which the others are taken out of the batch."""

_REFILL_AT = 0.25
"""Share of the rows that must be free before others enter: prompts of few take as long as those of many."""

Pick = Callable[[torch.Tensor, torch.Tensor, "torch.Tensor | int"], torch.Tensor]
"""Chooses the next token: (logits rows x vocabulary, numbers of the rows, tokens of each reply so far) -> token ids."""


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

    def join(self, kept: torch.Tensor, first: int, other: _RoomyLayer, room: int) -> None:
        """Keep some rows, without their first columns, and put the rows of another cache below, ends aligned.

        Args:
            kept: numbers of the rows that stay.
            first: columns before it are dropped.
            other: whose rows come in.
            room: columns beyond the longest row.
        """
        used = max(self.get_seq_length() - first, other.get_seq_length())
        for name in ("keys", "values"):
            mine, theirs = getattr(self, name)[kept][..., first:, :], getattr(other, name)
            buffer = mine.new_zeros((len(mine) + len(theirs), mine.shape[1], used + room, mine.shape[-1]))
            buffer[: len(mine), :, used - mine.shape[-2] : used] = mine
            buffer[len(mine) :, :, used - theirs.shape[-2] : used] = theirs
            setattr(self, f"_{name}", buffer)
            setattr(self, name, buffer[..., :used, :])


def _roomy(states: torch.Tensor, room: int) -> torch.Tensor:
    """A buffer with `states` at its beginning."""
    buffer = states.new_empty((*states.shape[:-2], room, states.shape[-1]))
    buffer[..., : states.shape[-2], :] = states
    return buffer


@dataclass
class _Rows:
    """Replies under way, a row each.

    Attributes:
        rows: number of the prompt that each answers.
        ids: tokens that the model has not seen yet, rows x tokens.
        mask: 1 where a column holds a token of the row, 0 where it is padding; rows x columns, those of `ids` included.
        positions: of `ids` within prompt and reply, without padding.
        steps: tokens of each reply so far.
        going: which replies are not done.
        cache: of the columns before `ids`.
        padded: whether any row has padding.
    """

    rows: torch.Tensor
    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    steps: torch.Tensor
    going: torch.Tensor
    cache: DynamicCache
    padded: bool

    def feed(self, tokens: torch.Tensor) -> None:
        """Put the chosen tokens behind what the model has seen."""
        self.ids, self.positions = tokens[:, None], self.positions[:, -1:] + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.rows), 1)], dim=1)
        self.steps = self.steps + self.going

    def keep(self, kept: torch.Tensor) -> None:
        """Leave out all rows but some."""
        self.cache.batch_select_indices(kept)
        self._take(kept)

    def join(self, other: _Rows, room: int) -> None:
        """Leave out the rows that are done, and take in others; every row ends at the last column.

        Args:
            other: rows of which the model has seen the prompt.
            room: columns that may be to come.
        """
        kept = self.going.nonzero()[:, 0]
        self._take(kept)
        first = int(self.mask.any(0).int().argmax())
        for mine, theirs in zip(self.cache.layers, other.cache.layers, strict=True):
            mine.join(kept, first, theirs, room)
        masks = [self.mask[:, first:], other.mask]
        longest = max(mask.shape[1] for mask in masks)
        self.mask = torch.cat([F.pad(mask, (longest - mask.shape[1], 0)) for mask in masks])
        for name in ("rows", "ids", "positions", "steps", "going"):
            setattr(self, name, torch.cat([getattr(self, name), getattr(other, name)]))
        self.padded = bool((self.mask == 0).any())

    def _take(self, kept: torch.Tensor) -> None:
        for name in ("rows", "ids", "mask", "positions", "steps", "going"):
            setattr(self, name, getattr(self, name)[kept])


class Decoder:
    """Replies of one causal language model to batches of prompts.

    Args:
        model: an `AutoModelForCausalLM` in evaluation mode.
        stops: ids of the tokens that end a reply.
        pad: id that fills shorter rows; never looked at.

    Attributes:
        fast: whether the model goes through this loop.
        joins: whether rows enter while others are at work; else they wait until all are done.
    """

    def __init__(self, model: Any, stops: Sequence[int], pad: int) -> None:
        self.model = model
        self.device = model.device
        self.stops = torch.tensor(sorted(set(stops)), device=self.device)
        self.pad = pad
        self.accepts = set(inspect.signature(model.forward).parameters)
        cache = self._cache(1)
        self.fast = cache is not None
        self.joins = cache is not None and all(type(layer) is _RoomyLayer for layer in cache.layers)

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
    def reply(
        self, prompts: Sequence[Sequence[int]], limits: Sequence[int], pick: Pick, at_once: int | None = None
    ) -> list[list[int]]:
        """Token ids of the reply to each prompt, the end token included where it was reached.

        Args:
            prompts: token ids of each; best in the order of their lengths, longest first.
            limits: most tokens of each reply, at least 1.
            pick: chooses tokens; it is told the numbers of the rows within `prompts`.
            at_once: most rows at work at once; where some are done, the next ones enter. None is all.
        """
        at_once = min(at_once or len(prompts), len(prompts))
        if not self.fast:
            return self._reply_by_generate(prompts, limits, pick, at_once)
        waiting = deque(range(len(prompts)))
        limit = torch.tensor(list(limits), device=self.device)
        replies = torch.zeros((len(prompts), max(limits)), dtype=torch.long, device=self.device)
        lengths = torch.zeros(len(prompts), dtype=torch.long, device=self.device)
        work: _Rows | None = None
        at_work = 0

        def step(work: _Rows) -> None:
            logits = self._logits(work)
            tokens = pick(logits, work.rows, torch.minimum(work.steps, limit[work.rows] - 1))
            rows, steps = work.rows[work.going], work.steps[work.going]
            replies[rows, steps] = tokens[work.going]
            lengths[rows] = steps + 1
            work.feed(tokens)
            work.going = work.going & ~torch.isin(tokens, self.stops) & (limit[work.rows] > work.steps)

        while waiting or at_work:
            free = at_once - at_work
            if waiting and (not at_work or (self.joins and free >= _REFILL_AT * at_once)):
                taken = entering([len(prompts[row]) for row in itertools.islice(waiting, free)])
                found = [waiting.popleft() for _ in range(taken)]
                room = max(limits[row] for row in found)
                new = self._begin([prompts[row] for row in found], found, room)
                step(new)
                if work is None or not at_work:
                    work = new
                else:
                    work.join(new, max(limits))
            else:
                assert work is not None
                if at_work <= _COMPACT_AT * len(work.rows):
                    work.keep(work.going.nonzero()[:, 0])
                step(work)
            at_work = int(work.going.sum())
        return [row[:length] for row, length in zip(replies.tolist(), lengths.tolist(), strict=True)]

    def _begin(self, prompts: Sequence[Sequence[int]], numbers: Sequence[int], room: int) -> _Rows:
        """Prompts that nothing was computed of yet, left-padded."""
        longest = max(map(len, prompts))
        ids = torch.tensor([[self.pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        rows = torch.tensor(numbers, device=self.device)
        cache = self._cache(longest + room)
        assert cache is not None
        ids, mask = ids.to(self.device), mask.to(self.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        none, going = torch.zeros_like(rows), torch.ones_like(rows, dtype=torch.bool)
        return _Rows(rows, ids, mask, positions, none, going, cache, padded=bool((mask == 0).any()))

    def _logits(self, work: _Rows) -> torch.Tensor:
        """Logits of the next token, rows x vocabulary."""
        inputs: dict[str, Any] = {"input_ids": work.ids, "past_key_values": work.cache, "use_cache": True}
        if work.padded:
            inputs["attention_mask"] = work.mask
        if "position_ids" in self.accepts:
            inputs["position_ids"] = work.positions
        if "logits_to_keep" in self.accepts:
            inputs["logits_to_keep"] = 1
        logits: torch.Tensor = self.model(**inputs).logits[:, -1]
        return logits

    def _reply_by_generate(
        self, prompts: Sequence[Sequence[int]], limits: Sequence[int], pick: Pick, at_once: int
    ) -> list[list[int]]:
        """The same by `model.generate`, in groups of equal length: recurrent states know no padding."""
        replies: list[list[int]] = [[] for _ in prompts]
        lengths = list(map(len, prompts))
        same = [[row for row, one in enumerate(lengths) if one == length] for length in sorted(set(lengths))]
        for group in (rows[at : at + at_once] for rows in same for at in range(0, len(rows), at_once)):
            length = lengths[group[0]]
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


def greedy(logits: torch.Tensor, rows: torch.Tensor, step: torch.Tensor | int) -> torch.Tensor:
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

    def pick(logits: torch.Tensor, rows: torch.Tensor, step: torch.Tensor | int) -> torch.Tensor:
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
