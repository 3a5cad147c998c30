"""A win-rate that does not reward length: what the score would be were both replies equally long.

The model, written down: for prompt i with a score s_i of 1, 1/2 or 0 and replies of a_i (candidate) and b_i (base)
characters,

    logit E[s_i] = alpha + beta tanh((a_i - b_i) / sd(a - b))

and the length-controlled score is 1 / (1 + exp(-alpha)): the prediction at equal lengths. It is the length term of
Dubois et al. (2024), arXiv 2404.04475, without their term for the difficulty of instructions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignment_prism.statistics.clustered import cluster_index
from alignment_prism.statistics.grouped import Estimates, Grouping
from alignment_prism.statistics.intervals import Floats, GroupNames, Interval, as_floats, critical_value, same_length


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """A length-controlled score.

    Attributes:
        score: at equal lengths, with a cluster-robust interval made on the logit scale; NaN in [0, 1] where wins and
            losses are separated by length, or all alike.
        beta: effect of length; above 0 where the longer reply wins more often; NaN where there is no score.
        deviations: of each cluster (in the order of their sorted names), what it adds to the error of n times the
            score.
        known: prompts of each cluster that count.
    """

    score: Interval
    beta: float
    deviations: Floats
    known: Floats


def length_controlled_win_rate(
    scores: object, gap: object, clusters: GroupNames | None = None, level: float = 0.95
) -> LengthControlled:
    """Score at equal lengths by a fractional logit; see the module's text for the model.

    Args:
        scores: one a prompt, 1, 0.5 or 0; NaN (unjudged) is left out.
        gap: length of the candidate's reply minus that of base's; NaN where one is not known is left out.
        clusters: names of independent clusters of prompts; None where every prompt stands alone.
        level: coverage.

    Degenerate cases: lengths that never differ leave only alpha, and the score is the raw one; separation gives NaN in
    [0, 1]. Not for: lengths that carry quality (asked-for detail), where controlling takes merit away; fewer than
    about 50 prompts. The interval is the sandwich estimator's (Papke & Wooldridge 1996, J. Appl. Econom. 11).
    """
    s, g = as_floats(scores, "scores"), as_floats(gap, "differences of lengths")
    same_length(scores=s, gap=g, clusters=clusters)
    index, size = (
        cluster_index(np.arange(len(s)) if clusters is None else clusters) if len(s) else (np.zeros(0, int), 0)
    )
    kept = ~(np.isnan(s) | np.isnan(g))
    s, g, index = s[kept], g[kept], index[kept]
    known = np.bincount(index, minlength=size).astype(np.float64)
    number = int((known > 0).sum())
    undefined = Interval(math.nan, 0.0, 1.0, "length-control", len(s), number, level=level)
    nothing = LengthControlled(undefined, math.nan, np.zeros(size), known)
    spread = float(g.std()) if len(s) else 0.0
    if number < 3 or not 0.0 < float(s.mean()) < 1.0:
        return nothing
    x = np.stack([np.ones(len(s))] + ([np.tanh(g / spread)] if spread > 0 else []), axis=1)
    theta = _fit(s, x)
    if theta is None:
        return nothing
    p = 1.0 / (1.0 + np.exp(-(x @ theta)))
    inverse = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)
    totals = np.zeros((size, x.shape[1]))
    np.add.at(totals, index, x * (s - p)[:, None])
    influence = totals @ inverse[:, 0]
    variance = float(influence @ influence) * number / (number - 1)
    half = critical_value(level, number - x.shape[1]) * math.sqrt(variance)
    alpha = float(theta[0])
    score, lower, upper = (1.0 / (1.0 + math.exp(-value)) for value in (alpha, alpha - half, alpha + half))
    beta = float(theta[1]) if len(theta) > 1 else 0.0
    interval = Interval(score, lower, upper, "length-control", len(s), number, level=level)
    return LengthControlled(interval, beta, influence * score * (1 - score) * len(s), known)


def grouped_length_control(
    scores: Floats, gap: Floats, groups: Grouping, level: float = 0.95
) -> tuple[Estimates, list[float]]:
    """`length_controlled_win_rate` in every cell, and the effect of length in each."""
    found = []
    for cell in range(groups.size):
        rows = groups.rows[groups.cell == cell]
        found.append(length_controlled_win_rate(scores[rows], gap[rows], groups.cluster[rows], level))
    deviations = np.concatenate([np.zeros(0), *(one.deviations for one in found)])
    known = np.concatenate([np.zeros(0), *(one.known for one in found)])
    scale = np.array([1.0 / max(one.score.n, 1) for one in found])
    intervals = [one.score for one in found]
    estimates = Estimates(intervals, deviations, known, groups, scale, np.full(groups.size, np.nan))
    return estimates, [one.beta for one in found]


def _fit(s: Floats, x: Floats) -> Floats | None:
    """Coefficients by Newton's method; None where they run away (separation)."""
    theta = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -30, 30)))
        information = (x * (p * (1 - p))[:, None]).T @ x
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, x.T @ (s - p))
        theta = theta + step
        if np.abs(step).max() < 1e-12:
            break
    return None if np.abs(theta).max() > 15 else np.asarray(theta, np.float64)
