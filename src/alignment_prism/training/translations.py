"""Prompts in several languages, for objectives that compare what a model makes of them.

A pair names its prompt in other languages (metadata `translations`: code -> the last user turn), or shares its `group`
with pairs of other languages, whose prompts are taken then. Replies in those languages are not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from alignment_prism.domain import InputError, Message, Pair
from alignment_prism.models.chat_templates import prompt_ids
from alignment_prism.training.examples import Example, pair_translations

Prompts = tuple[tuple[int, ...], ...]
"""Token ids of one prompt in each of its languages, its own first."""


def translated_prompts(examples: Sequence[Example], pairs: Sequence[Pair], tokenizer: Any, model: str) -> list[Prompts]:
    """The prompts of each example, in the order of the examples.

    Args:
        examples: whose prompts are in tokens already.
        pairs: that they came from.
        tokenizer: with a chat template.
        model: its name, for errors.

    Raises:
        InputError: no prompt is there in two languages.
    """
    by_id = {pair.id: pair for pair in pairs}
    of_group: dict[str, dict[str, tuple[int, ...]]] = {}
    for example in examples:
        pair = by_id[example.pair_id]
        if pair.group:
            of_group.setdefault(pair.group, {}).setdefault(pair.language, example.prompt)
    named = {id: _named(by_id[id]) for id in dict.fromkeys(example.pair_id for example in examples)}
    flat = [turns for found in named.values() for turns in found]
    tokens = iter(prompt_ids(tokenizer, flat, model=model))
    written = {id: [tuple(next(tokens)) for _ in found] for id, found in named.items()}
    result: list[Prompts] = []
    for example in examples:
        pair = by_id[example.pair_id]
        others = written[pair.id]
        if not others:
            others = [ids for code, ids in of_group.get(pair.group, {}).items() if code != pair.language]
        result.append((example.prompt, *others))
    if all(len(prompts) == 1 for prompts in result):
        raise InputError(
            f"none of {len(pairs)} pairs has its prompt in another language, which the method compares",
            fix="give pairs a column translations, {code: text of the last user turn}, or pairs in other languages "
            "with the same group",
        )
    return result


def _named(pair: Pair) -> list[tuple[Message, ...]]:
    """The conversations of the translations that a pair names."""
    last = pair.messages[-1]
    return [(*pair.messages[:-1], replace(last, content=text)) for _, text in pair_translations(pair)]


def last_states(model: Any, prompts: Sequence[Prompts], depth: float, pad_token_id: int) -> list[Tensor]:
    """Hidden states of the last token of each prompt, behind a share of the layers; shape (languages, width) each.

    One forward pass computes all of them, padded on the right, so that a causal model sees no padding.
    """
    rows = [row for one in prompts for row in one]
    length = max(map(len, rows))
    device = next(model.parameters()).device
    ids = torch.tensor([[*row, *([pad_token_id] * (length - len(row)))] for row in rows], device=device)
    ends = torch.tensor([number * length + len(row) - 1 for number, row in enumerate(rows)], device=device)
    states: Tensor = model(input_ids=ids, positions=ends, depth=depth).states
    return list(torch.split(states, [len(one) for one in prompts]))
