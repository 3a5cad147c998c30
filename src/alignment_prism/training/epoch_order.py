"""The order in which examples are trained on: shuffled by seed and epoch, optionally grouped by length.

Pure and stateless, so a training that is resumed in the middle of an epoch sees the rest of the same order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

BLANK = -1
"""Stands for an example that does not exist: it fills the last batch where several processes must have equally
many, and counts for nothing."""


def epoch_order(
    lengths: Sequence[int], *, batch_size: int, horizon: int, seed: int, epoch: int, micro_batch: int | None = None
) -> list[int]:
    """Indices of all examples, each once, in the order of one epoch.

    Examples are shuffled; within each stretch of `horizon` batches they are then sorted by length and cut into
    batches, which are shuffled again. So a batch holds examples of like length, and little is spent on padding.
    Batches stay random as long as the stretch is long; languages whose replies are longer do meet more of their own.

    Args:
        lengths: tokens of each example.
        batch_size: examples of one optimiser step, over all processes.
        horizon: how many batches are sorted together; 0 or 1 sorts only within the batch, where it changes
            nothing but which examples share a micro-batch.
        seed: of the training.
        epoch: counted from 0.
        micro_batch: examples that pass through the model together; the order within a batch is by falling length
            when it is smaller than the batch, so that each micro-batch is padded to its own longest.
    """
    rng = random.Random(f"order/{seed}/{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    stretch = max(1, horizon) * batch_size
    sort_within = horizon > 1 or (micro_batch is not None and micro_batch < batch_size)
    if not sort_within:
        return order
    full: list[list[int]] = []
    partial: list[list[int]] = []
    for start in range(0, len(order), stretch):
        part = sorted(order[start : start + stretch], key=lambda index: -lengths[index])
        for begin in range(0, len(part), batch_size):
            batch = part[begin : begin + batch_size]
            (full if len(batch) == batch_size else partial).append(batch)
    if horizon > 1:
        rng.shuffle(full)
    return [index for batch in full + partial for index in batch]  # an incomplete batch can only come last


def padded_order(order: Sequence[int], multiple: int) -> list[int]:
    """`order`, filled with `BLANK` to a multiple, so that every process gets equally many micro-batches."""
    return [*order, *([BLANK] * (-len(order) % multiple))]
