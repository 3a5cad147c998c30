"""Partial pooling of thin cells: an option, shown beside the raw rates, never in their place.

Cells of a few events say little each; together they say how much cells differ. Every cell is drawn towards
the common mean, the more so the thinner it is and the less the cells differ.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Floats, Interval

_GRID = 24
"""Points of the grid for the common mean, and as many for the amount of shrinkage."""


def partial_pooling(successes: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95) -> list[Interval]:
    """Rates of exchangeable cells by a beta-binomial hierarchy, with posterior intervals.

        y_i ~ Binomial(n_i, p_i),  p_i ~ Beta(m k, (1 - m) k)

    The common mean m has Jeffreys' prior Beta(1/2, 1/2), the shrinkage k / (k + mean n) a uniform one (Christiansen &
    Morris 1997, J. Am. Stat. Assoc. 92). Both are integrated over on a grid, not fixed at their best values, so
    that the intervals own up to not knowing how much cells differ (empirical Bayes does not).

    Args:
        successes: y, one a cell.
        n: trials; 0 is allowed, the cell then shows what the others say of it.
        level: posterior probability.

    Returns:
        Posterior mean and equal-tailed interval of each cell, in order.

    Not for: cells that are known to differ (global against local: pool within each), overlapping categories (rows
    are counted twice), or a headline. Degenerate cases: one cell is shrunk by its prior only; no cells gives
    an empty list.
    """
    from scipy.special import betaincinv, betaln

    y, trials = np.asarray(successes, np.float64), np.asarray(n, np.float64)
    if y.shape != trials.shape or y.ndim != 1 or np.any(y < 0) or np.any(y > trials):
        raise InputError("successes and trials do not match", fix="pass two flat lists, successes at most trials")
    if not len(y):
        return []
    middle = (np.arange(_GRID) + 0.5) / _GRID
    mean = betaincinv(0.5, 0.5, middle)
    pooled = max(float(trials.mean()), 1.0)
    strength = pooled * middle / (1.0 - middle)
    m, k = (grid.ravel() for grid in np.meshgrid(mean, strength))
    # The grid for the mean is made of quantiles of its prior, that for the shrinkage is uniform, so each point has
    # the same prior mass; where many data make the likelihood narrower than the grid, it is refined around its peak.
    for pass_number in range(6):
        a, b = m * k, (1.0 - m) * k
        log = np.sum(betaln(a[:, None] + y, b[:, None] + trials - y) - betaln(a, b)[:, None], axis=1)
        if pass_number:
            log = log + _log_prior(m, k, pooled)
        weight = np.exp(log - log.max())
        weight /= weight.sum()
        if 1.0 / np.sum(weight**2) > _GRID:
            break
        m, k = _refine(m, k, weight)
    keep = np.argsort(weight)[::-1]
    keep = keep[: int(np.searchsorted(np.cumsum(weight[keep]), 0.9999)) + 1]
    weight, a, b = weight[keep] / weight[keep].sum(), (m * k)[keep], ((1.0 - m) * k)[keep]
    lower = _quantile((1 - level) / 2, y, trials, a, b, weight)
    upper = _quantile((1 + level) / 2, y, trials, a, b, weight)
    means = ((a + y[:, None]) / (a + b + trials[:, None])) @ weight
    name = "partial-pooling"
    return [
        Interval(float(mid), float(low), float(high), name, int(size), int(size))
        for mid, low, high, size in zip(means, lower, upper, trials, strict=True)
    ]


def _log_prior(m: Floats, k: Floats, pooled: float) -> Floats:
    """Log prior mass of points on a grid that is uniform in logit m and log k."""
    share = k / (k + pooled)
    return np.asarray(0.5 * np.log(m) + 0.5 * np.log1p(-m) + np.log(share) + np.log1p(-share), np.float64)


def _refine(m: Floats, k: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """A grid uniform in logit m and log k over five standard deviations around the weighted middle."""
    axes = []
    for axis in (np.log(m) - np.log1p(-m), np.log(k)):
        centre = float(np.sum(weight * axis))
        gaps = np.diff(np.unique(axis.round(9)))
        least = float(np.min(gaps)) if len(gaps) else 0.1
        spread = max(float(np.sqrt(np.sum(weight * (axis - centre) ** 2))), least / 4)
        axes.append(np.linspace(centre - 5 * spread, centre + 5 * spread, _GRID))
    logit, log_k = (grid.ravel() for grid in np.meshgrid(*axes))
    return 1.0 / (1.0 + np.exp(-logit)), np.exp(log_k)


def _quantile(target: float, y: Floats, n: Floats, a: Floats, b: Floats, weight: Floats) -> Floats:
    """Quantile of each cell's mixture of beta distributions, by bisection.

    Each grid point's weight already holds the likelihood of all cells, this cell's included.
    """
    from scipy.special import betainc

    low, high = np.zeros(len(y)), np.ones(len(y))
    alpha, beta = a + y[:, None], b + (n - y)[:, None]
    for _ in range(24):
        middle = (low + high) / 2
        under = betainc(alpha, beta, middle[:, None]) @ weight < target
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.asarray((low + high) / 2, np.float64)
