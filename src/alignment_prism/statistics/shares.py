"""What each prompt says: the share of ones among the replies to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignment_prism.statistics.intervals import Floats


@dataclass(frozen=True, slots=True)
class Shares:
    """What each of P prompts says: the share of ones among its k replies.

    Attributes:
        value: share of each prompt, 0 where `known` is.
        known: 1 where some reply has a verdict, 0 elsewhere.
        replies: replies with a verdict.
        single: whether k is 1, so that shares are 0 or 1.
    """

    value: Floats
    known: Floats
    replies: Floats
    single: bool

    @classmethod
    def of(cls, table: Floats) -> Shares:
        """From P x k verdicts: 1, 0, or NaN where there is none."""
        there = ~np.isnan(table)
        replies = there.sum(axis=1).astype(np.float64)
        value = np.where(there, table, 0.0).sum(axis=1) / np.maximum(replies, 1.0)
        return cls(value, (replies > 0).astype(np.float64), replies, table.shape[1] == 1)
