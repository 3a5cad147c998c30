"""Which replies are at work at once, and which wait: like lengths together, little padding, bounded memory.

Pure arithmetic on lengths; nothing here knows what a token is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BATCH_TOKENS = 16_384
"""Most positions (prompt and reply, padding included) that one batch holds at once by default."""

BATCH_ROWS = 256
"""Most rows of a batch by default: beyond it a step costs in proportion to its rows, and memory grows for nothing."""

MAX_PADDING = 0.2
"""Largest share of padding among the positions of prompts that enter together, from `FULL_ROWS` rows on."""

FULL_ROWS = 32
"""Rows whose prompts are worth computing on their own rather than with more padding."""


WINDOW = 8
"""So many times the rows that are at work at once are drawn together, or again where a run was stopped among them."""


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that are drawn together: some are at work, the others wait for a place.

    Attributes:
        rows: their numbers, longest prompt first.
        at_once: most that are at work at once.
    """

    rows: tuple[int, ...]
    at_once: int


def plan_windows(
    lengths: Sequence[int],
    *,
    new_tokens: int,
    batch_tokens: int = BATCH_TOKENS,
    batch_rows: int = BATCH_ROWS,
    window: int = WINDOW,
) -> list[Window]:
    """Group rows of like length, longest first, so that a lack of memory shows at once.

    Args:
        lengths: tokens of each row's prompt.
        new_tokens: most tokens that a reply may add to each row.
        batch_tokens: most positions at once: rows times (longest prompt + new_tokens). A row that alone exceeds it
            works alone.
        batch_rows: most rows at once.
        window: how many times as many rows are drawn together.

    Returns:
        Every number of a row occurs exactly once.

    Example:
        >>> plan_windows([3, 9, 3, 9], new_tokens=1, batch_tokens=20, window=1)
        [Window(rows=(1, 3), at_once=2), Window(rows=(0, 2), at_once=5)]
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    found = []
    while order:
        at_once = min(max(1, batch_tokens // (lengths[order[0]] + new_tokens)), batch_rows)
        found.append(Window(tuple(order[: window * at_once]), at_once))
        order = order[window * at_once :]
    return found


def entering(lengths: Sequence[int]) -> int:
    """How many of the rows that wait enter together: all, unless the shorter ones would be padded too much.

    Args:
        lengths: tokens of the prompts of those for which there is a place, longest first.

    Example:
        >>> entering([9, 9, 3]), entering([9] * FULL_ROWS + [3] * 99)
        (3, 39)
    """
    filled = 0
    for rows, length in enumerate(lengths):
        if rows >= FULL_ROWS and 1 - (filled + length) / ((rows + 1) * lengths[0]) > MAX_PADDING:
            return rows
        filled += length
    return len(lengths)
