"""Packing: each example is one tree, its prompt once and then branches that do not see each other; trees fill rows.

A padded batch computes the prompt of a pair twice and every padding token for nothing. Here a pair is laid out as

    prompt p1 p2 p3 | chosen c1 c2 | rejected r1 r2 r3

with positions 1 2 3 4 5 4 5 6 and a mask under which a branch sees the prompt and itself. The last token of a
branch predicts nothing and is left out of the input. Log-probabilities are those of unpacked sequences, up to
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignment_prism.training.examples import Example

NOWHERE = -1
"""Tree of a padding position."""


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Trees laid out in rows of one length.

    Attributes:
        input_ids: tokens, shape (rows, length).
        position_ids: of each token within its own sequence, shape (rows, length).
        tree: number of the tree that a position belongs to, `NOWHERE` for padding; shape (rows, length).
        branch: 0 in the prompt, k in the k-th completion; shape (rows, length).
        positions: flat indices (row * length + column) whose hidden state predicts a target; shape (targets,).
        targets: token ids, shape (targets,).
        owners: sequence of each target: completion number * trees + tree; shape (targets,).
    """

    input_ids: Tensor
    position_ids: Tensor
    tree: Tensor
    branch: Tensor
    positions: Tensor
    targets: Tensor
    owners: Tensor


def tree_length(example: Example) -> int:
    """Input positions that an example's tree takes."""
    return max(1, len(example.prompt) + sum(len(completion) - 1 for completion in example.completions if completion))


def fill_rows(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Which trees share a row: first fit, longest first.

    Args:
        lengths: of the trees.
        budget: positions of a row. A tree that is longer gets a row of its own.

    Returns:
        Indices of the trees of each row; every tree is in exactly one.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        for row, free in enumerate(room):
            if lengths[index] <= free:
                rows[row].append(index)
                room[row] -= lengths[index]
                break
        else:
            rows.append([index])
            room.append(max(0, budget - lengths[index]))
    return rows


def pack(examples: Sequence[Example], *, budget: int, pad_token_id: int, multiple: int = 1) -> PackedRows:
    """Lay out examples in rows of at most `budget` positions, or of the longest tree where that is longer.

    A tree that is longer than the budget goes alone; as all rows are as wide as the widest, the others then share rows
    of that width. A budget of 0 gives every tree its own row. Rows are padded to a multiple of `multiple` positions.
    """
    lengths = [tree_length(example) for example in examples]
    rows = fill_rows(lengths, max(budget, *lengths) if budget else 0)
    width = -(-max(sum(lengths[index] for index in row) for row in rows) // multiple) * multiple
    ids: list[list[int]] = []
    places: list[list[int]] = []
    trees: list[list[int]] = []
    branches: list[list[int]] = []
    positions: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for number, row in enumerate(rows):
        ids.append([])
        places.append([])
        trees.append([])
        branches.append([])
        for index in row:
            example = examples[index]
            prompt = len(example.prompt)
            start = number * width + len(ids[-1])
            _extend(ids, places, branches, example.prompt, 0, 0)
            for which, completion in enumerate(example.completions):
                first = number * width + len(ids[-1])
                _extend(ids, places, branches, completion[:-1], prompt, which + 1)
                # The prompt's last token predicts the first of every branch; a branch predicts the rest of itself.
                sources = [*([start + prompt - 1] if prompt else []), *range(first, first + len(completion) - 1)]
                wanted = completion if prompt else completion[1:]
                positions.extend(sources[: len(wanted)])
                targets.extend(wanted)
                owners.extend([which * len(examples) + index] * len(wanted))
            if number * width + len(ids[-1]) == start:  # nothing to put in: an empty prompt and replies of one token
                _extend(ids, places, branches, (pad_token_id,), 0, 0)
            trees[-1].extend([index] * (len(ids[-1]) - len(trees[-1])))
    for one, filler in ((ids, pad_token_id), (places, 0), (trees, NOWHERE), (branches, 0)):
        for row in one:
            row.extend([filler] * (width - len(row)))
    parts = (ids, places, trees, branches, positions, targets, owners)
    return PackedRows(*(torch.tensor(part, dtype=torch.int64) for part in parts))  # an empty list would give float32


def _extend(
    ids: list[list[int]],
    places: list[list[int]],
    branches: list[list[int]],
    tokens: Sequence[int],
    first_place: int,
    branch: int,
) -> None:
    ids[-1].extend(tokens)
    places[-1].extend(range(first_place, first_place + len(tokens)))
    branches[-1].extend([branch] * len(tokens))


def tree_mask(rows: PackedRows, window: int | None = None) -> Tensor:
    """Which position sees which, shape (rows, length, length): True at [row, q, k] where q sees k.

    Args:
        rows: the layout.
        window: of sliding attention: q sees k only if it is fewer than `window` positions ahead. Positions are
            counted within the sequence, not along the row, where a sibling may lie between.
    """
    tree, branch = rows.tree, rows.branch
    column = torch.arange(tree.shape[1])
    same_tree = tree[:, :, None] == tree[:, None, :]
    in_sight = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    mask = same_tree & in_sight & (column[:, None] >= column[None, :])
    if window is not None:
        mask &= rows.position_ids[:, :, None] - rows.position_ids[:, None, :] < window
    return mask | torch.eye(tree.shape[1], dtype=torch.bool)  # padding sees itself: a softmax needs something


def flat_layout(examples: Sequence[Example], rows: PackedRows, window: int | None = None) -> Tensor:
    """How the trees of a single row follow one another, for attention that runs tree by tree.

    Args:
        examples: the members, as they were packed.
        rows: their layout, in one row without padding.
        window: of sliding attention.

    Returns:
        Whole numbers of shape (1, 1, trees, 2 + branches): the window (0 for none), positions of the prompt, positions
        of each branch. Four dimensions, because transformers hands such a mask through as it is.
    """
    branches = len(examples[0].completions)
    sizes = torch.zeros(len(examples), 1 + branches, dtype=torch.int64)
    tree, branch = rows.tree[0], rows.branch[0]
    sizes.index_put_((tree, branch), torch.ones_like(tree), accumulate=True)
    order = tree[torch.cat([torch.tensor([True]), tree[1:] != tree[:-1]])]
    return torch.cat([torch.full((len(order), 1), window or 0), sizes[order]], 1)[None, None]


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask as what is added to attention scores: 0 where True, the lowest number of `dtype` elsewhere.

    Eager attention adds its mask; a boolean one would add 0 and 1 without complaint and be silently wrong.
    """
    return torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)
