"""Verdicts of pairwise comparisons, each prompt judged in both orders of presentation.

The prompt is the unit: its two orders are one observation, not two. A candidate wins a prompt only if it is preferred
in both orders; orders that disagree are a tie, and are counted, because a judge that prefers whatever comes first
produces nothing else.
"""

from __future__ import annotations

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Floats, as_floats, same_length

WIN, TIE, LOSS = 1.0, 0.5, 0.0
"""Codes of a verdict, from the candidate's side; NaN where there is none."""


def combine_orders(candidate_first: object, base_first: object) -> Floats:
    """Verdict of each prompt from its two orders: the common verdict, a tie where they differ, NaN where one lacks.

    Source: Zheng et al. (2023), arXiv 2306.05685, section 3.4. Not for judges that see one order only.
    """
    first, second = _verdicts(candidate_first, base_first)
    combined = np.where(first == second, first, TIE)
    return np.asarray(np.where(np.isnan(first) | np.isnan(second), np.nan, combined), np.float64)


def prefers_first(candidate_first: object, base_first: object) -> Floats:
    """P x 2: whether the decided verdict of an order is for the reply shown first: 1, 0, or NaN for ties and none.

    A verdict is for the first position if it is a win with the candidate first, or a loss with base first.
    """
    first, second = _verdicts(candidate_first, base_first)
    for_first = np.stack([first, 1.0 - second], axis=1)
    return np.asarray(np.where(for_first == TIE, np.nan, for_first), np.float64)


def _verdicts(candidate_first: object, base_first: object) -> tuple[Floats, Floats]:
    first, second = as_floats(candidate_first, "candidate_first"), as_floats(base_first, "base_first")
    same_length(candidate_first=first, base_first=second)
    for values in (first, second):
        if not np.all(np.isnan(values) | np.isin(values, (WIN, TIE, LOSS))):
            raise InputError("verdicts other than 1, 0.5, 0 and NaN", fix="code win 1, tie 0.5, loss 0, none NaN")
    return first, second
