"""Win-rates from pairwise comparisons, each prompt judged in both orders of presentation.

The prompt is the unit: its two orders are one observation, not two. A candidate wins a prompt only if it is preferred
in both orders; orders that disagree are a tie, and are counted, because a judge that prefers whatever comes first
produces nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.changes.paired import paired_risk_difference
from alignment_prism.statistics.clustered import clustered_rate
from alignment_prism.statistics.intervals import Floats, Interval, Labels, as_floats, same_length
from alignment_prism.statistics.rates import wilson

WIN, TIE, LOSS = 1.0, 0.5, 0.0
"""Codes of a verdict, from the candidate's side; NaN where there is none."""


@dataclass(frozen=True, slots=True)
class WinRates:
    """What two orders of every prompt say.

    Attributes:
        score: (wins + ties / 2) / prompts, the declared headline.
        win: share of prompts won in both orders.
        tie: share tied, or judged differently in the two orders.
        loss: share lost in both orders.
        decided: wins / (wins + losses): the score without ties.
        first_position: share of single decided verdicts that preferred the reply shown first; 0.5 without bias.
        inconsistent: prompts whose two orders disagree (among the ties).
        unjudged: prompts that lack a verdict in an order; not in any rate.
        score_lowest: score if every unjudged prompt were lost.
        score_highest: score if every unjudged prompt were won.
    """

    score: Interval
    win: Interval
    tie: Interval
    loss: Interval
    decided: Interval
    first_position: Interval
    inconsistent: int
    unjudged: int
    score_lowest: float
    score_highest: float


def combine_orders(candidate_first: object, base_first: object) -> Floats:
    """Verdict of each prompt from its two orders: the common verdict, a tie where they differ, NaN where one lacks.

    Source: Zheng et al. (2023), arXiv 2306.05685, section 3.4. Not for judges that see one order only.
    """
    first, second = as_floats(candidate_first, "candidate_first"), as_floats(base_first, "base_first")
    same_length(candidate_first=first, base_first=second)
    for values in (first, second):
        if not np.all(np.isnan(values) | np.isin(values, (WIN, TIE, LOSS))):
            raise InputError("verdicts other than 1, 0.5, 0 and NaN", fix="code win 1, tie 0.5, loss 0, none NaN")
    combined = np.where(first == second, first, TIE)
    return np.asarray(np.where(np.isnan(first) | np.isnan(second), np.nan, combined), np.float64)


def win_rates(
    candidate_first: object, base_first: object, clusters: Labels | None = None, level: float = 0.95
) -> WinRates:
    """Win-rates of a candidate against base, the prompt as unit.

    The score's interval is that of a paired difference: with W wins and L losses of n prompts,
    score = 1/2 + (W - L) / 2n, and (W - L) / n is Tango's case. The other rates have Wilson's; with clusters all
    are at the effective size.

    Args:
        candidate_first: verdict of each prompt with the candidate's reply shown first: 1, 0.5, 0 or NaN, from the
            candidate's side.
        base_first: with base's reply shown first, also from the candidate's side.
        clusters: names of independent clusters of prompts; None where every prompt stands alone.
        level: coverage.

    Source: Tango (1998) for the score; the two orders as in `combine_orders`. Degenerate cases: only ties gives a score
    of 0.5 and an undefined (NaN) `decided` in [0, 1]. Not for comparisons in one order only: position bias is then part
    of the number, and cannot be seen.
    """
    first, second = as_floats(candidate_first, "candidate_first"), as_floats(base_first, "base_first")
    verdict = combine_orders(first, second)
    same_length(verdict=verdict, clusters=clusters)
    known = ~np.isnan(verdict)
    rows = verdict[known]
    names = np.arange(len(verdict)) if clusters is None else np.asarray(clusters)
    kept = None if clusters is None else names[known]
    wins, losses = (rows == WIN).astype(np.float64), (rows == LOSS).astype(np.float64)

    def rate(hits: Floats, groups: Labels | None) -> Interval:
        return wilson(float(hits.sum()), len(hits), level) if groups is None else clustered_rate(hits, groups, level)

    decided = rows != TIE
    # A verdict prefers the first position if it is a win with the candidate first, or a loss with base first.
    singles = np.concatenate([first, 1.0 - second])
    owners = np.concatenate([names, names])
    plain = ~np.isnan(singles) & (singles != TIE)
    n, unjudged = len(rows), int(np.sum(~known))
    total = float(rows.sum())
    return WinRates(
        score=paired_risk_difference(wins, losses, kept, level).scaled(0.5, 0.5),
        win=rate(wins, kept),
        tie=rate((rows == TIE).astype(np.float64), kept),
        loss=rate(losses, kept),
        decided=rate(wins[decided], None if kept is None else kept[decided]),
        first_position=clustered_rate(singles[plain], owners[plain], level),
        inconsistent=int(np.sum(known & (first != second))),
        unjudged=unjudged,
        score_lowest=total / (n + unjudged) if n + unjudged else math.nan,
        score_highest=(total + unjudged) / (n + unjudged) if n + unjudged else math.nan,
    )
