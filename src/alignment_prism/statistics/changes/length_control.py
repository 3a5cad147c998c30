"""A win-rate that does not reward length: what the score would be were both replies equally long.

The model, written down: for prompt i with a score s_i of 1, 1/2 or 0 and replies of a_i (candidate) and b_i (base)
tokens or characters,

    logit E[s_i] = alpha + beta tanh((a_i - b_i) / sd(a - b))

and the length-controlled score is 1 / (1 + exp(-alpha)): the prediction at equal lengths. It is the length term of
Dubois et al. (2024), arXiv 2404.04475, without their term for the difficulty of instructions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alignment_prism.statistics.clustered import cluster_index
from alignment_prism.statistics.intervals import Interval, Labels, as_floats, critical_value, same_length


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """A length-controlled score.

    Attributes:
        score: at equal lengths, with a cluster-robust interval made on the logit scale.
        alpha: intercept.
        beta: effect of length; above 0 where the longer reply wins more often.
        raw: the plain mean score.
        converged: False where wins and losses are separated by length, or all alike; the score is then NaN.
    """

    score: Interval
    alpha: float
    beta: float
    raw: float
    converged: bool


def length_controlled_win_rate(
    scores: object,
    candidate_length: object,
    base_length: object,
    clusters: Labels | None = None,
    level: float = 0.95,
) -> LengthControlled:
    """Score at equal lengths by a fractional logit; see the module's text for the model.

    Args:
        scores: one a prompt, 1, 0.5 or 0; NaN (unjudged) is left out.
        candidate_length: length of the candidate's reply.
        base_length: length of base's reply, in the same unit.
        clusters: names of independent clusters of prompts; None where every prompt stands alone.
        level: coverage.

    Degenerate cases: lengths that never differ leave only alpha, and the score is the raw one; separation gives NaN in
    [0, 1]. Not for: lengths that carry quality (asked-for detail), where controlling takes merit away; fewer than
    about 50 prompts. The interval is the sandwich estimator's (Papke & Wooldridge 1996, J. Appl. Econom. 11).
    """
    s = as_floats(scores, "scores")
    gap = as_floats(candidate_length, "candidate_length") - as_floats(base_length, "base_length")
    same_length(scores=s, gap=gap, clusters=clusters)
    known = ~np.isnan(s)
    s, gap = s[known], gap[known]
    names = np.arange(len(s)) if clusters is None else np.asarray(clusters)[known]
    raw = float(s.mean()) if len(s) else math.nan
    spread = float(gap.std()) if len(s) else 0.0
    index, number = cluster_index(names) if len(s) else (np.zeros(0, int), 0)
    nothing = LengthControlled(
        Interval(math.nan, 0.0, 1.0, "length-control", len(s), number, level=level), math.nan, math.nan, raw, False
    )
    if number < 3 or not 0.0 < raw < 1.0:
        return nothing
    columns = [np.ones(len(s))] + ([np.tanh(gap / spread)] if spread > 0 else [])
    x = np.stack(columns, axis=1)
    theta = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -30, 30)))
        information = (x * (p * (1 - p))[:, None]).T @ x
        if np.linalg.cond(information) > 1e12:
            return nothing
        step = np.linalg.solve(information, x.T @ (s - p))
        theta = theta + step
        if np.abs(step).max() < 1e-12:
            break
    if np.abs(theta).max() > 15:
        return nothing
    p = 1.0 / (1.0 + np.exp(-(x @ theta)))
    inverse = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)
    totals = np.zeros((number, x.shape[1]))
    np.add.at(totals, index, x * (s - p)[:, None])
    covariance = inverse @ (totals.T @ totals) @ inverse * number / (number - 1)
    half = critical_value(level, number - x.shape[1]) * math.sqrt(float(covariance[0, 0]))
    alpha = float(theta[0])
    score, lower, upper = (1.0 / (1.0 + math.exp(-value)) for value in (alpha, alpha - half, alpha + half))
    beta = float(theta[1]) if len(theta) > 1 else 0.0
    interval = Interval(score, lower, upper, "length-control", len(s), number, level=level)
    return LengthControlled(interval, alpha, beta, raw, True)
