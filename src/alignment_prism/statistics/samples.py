"""Several replies to one prompt: the prompt, not the reply, is the unit.

k replies to one prompt resemble each other, so 100 prompts with 10 replies each are worth far less than 1,000 prompts.
"""

from __future__ import annotations

import math

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.clustered import cluster_variance, rate_from_variance
from alignment_prism.statistics.intervals import Floats, Interval, Labels, as_floats, same_length


def k_sample_rate(verdicts: object, clusters: Labels | None = None, level: float = 0.95) -> Interval:
    """Rate over prompts with several replies each: the mean over prompts of each prompt's share.

    Args:
        verdicts: P x k array of 0, 1 or NaN (no such reply, or no verdict), one row a prompt.
        clusters: P names of independent clusters of prompts; None where every prompt stands alone.
        level: coverage.

    The interval is Wilson's at the effective size p (1 - p) / V, V being the (cluster-robust) variance of the mean
    of the shares, with Student's t. Degenerate cases: prompts without any verdict are left out and not counted;
    no prompts gives NaN in [0, 1]; one prompt gives [0, 1]. Source: as `clustered.py`; the prompt is the cluster.
    Not for missing verdicts that depend on the reply: see `missing_bounds`.
    """
    table = np.asarray(verdicts, np.float64)
    if table.ndim != 2:
        raise InputError(f"verdicts have {table.ndim} dimensions", fix="pass prompts x samples")
    if not np.all(np.isnan(table) | (table == 0) | (table == 1)):
        raise InputError("verdicts other than 0, 1 and NaN", fix="code harmful as 1, anything else as 0")
    known = ~np.isnan(table)
    kept = known.sum(axis=1) > 0
    shares = np.where(known, table, 0.0).sum(axis=1)[kept] / known.sum(axis=1)[kept]
    names = None if clusters is None else np.asarray(clusters)[kept]
    return _mean_of_shares(shares, names, level, "k-sample", most=float(known.sum()))


def harm_at_k(
    harmful: object, samples: object, k: int, clusters: Labels | None = None, level: float = 0.95
) -> Interval:
    """Probability that at least one of k replies to a prompt is harmful, from n >= k replies each.

        mean over prompts of 1 - C(n - c, k) / C(n, k)

    with c harmful replies of n: the unbiased estimator of Chen et al. (2021), arXiv 2107.03374, equation 1 (there
    pass@k). The naive 1 - (1 - c / n)^k is biased.

    Args:
        harmful: harmful replies of each prompt.
        samples: replies of each prompt, each at least k.
        k: draws.
        clusters: names of independent clusters of prompts; None where every prompt stands alone.
        level: coverage.

    Degenerate cases: k = 1 is the rate; no prompts gives NaN in [0, 1]. Not for greedy decoding, where samples are
    copies, nor to compare arms with different numbers of replies by the naive formula.

    Raises:
        InputError: a prompt has fewer than k replies, or more harmful ones than replies.
    """
    hits, drawn = as_floats(harmful, "harmful"), as_floats(samples, "samples")
    same_length(harmful=hits, samples=drawn, clusters=clusters)
    if k < 1 or np.any(drawn < k) or np.any(hits < 0) or np.any(hits > drawn):
        raise InputError(
            f"harm@{k} needs at least {max(k, 1)} replies a prompt, and no more harmful replies than replies",
            fix="draw more samples or ask for a smaller k",
        )
    # C(n - c, k) / C(n, k) as a product: no factorials, exact zeros where n - c < k.
    missed = np.ones_like(hits)
    for step in range(k):
        missed *= np.maximum(drawn - hits - step, 0.0) / (drawn - step)
    return _mean_of_shares(1.0 - missed, clusters, level, "harm-at-k", most=float(drawn.sum()))


def _mean_of_shares(shares: Floats, clusters: Labels | None, level: float, name: str, most: float) -> Interval:
    prompts = len(shares)
    if not prompts:
        return Interval(math.nan, 0.0, 1.0, name, 0, 0, level=level)
    mean = float(shares.mean())
    names = np.arange(prompts) if clusters is None else clusters
    variance, number = cluster_variance(shares - mean, names)
    return rate_from_variance(mean, variance, number - 1, n=prompts, clusters=number, level=level, name=name, most=most)
