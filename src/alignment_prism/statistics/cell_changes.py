"""Paired counts of many arms against base, in many cells at once: what the tables of changes are made from."""

from __future__ import annotations

import math

import numpy as np

from alignment_prism.statistics.bootstrap import ratio_variance
from alignment_prism.statistics.cells import Cells
from alignment_prism.statistics.clustered import effective_rows
from alignment_prism.statistics.intervals import Floats


class Changes:
    """Paired counts of all arms against base: arrays of arms x cells."""

    def __init__(self, model: Floats, base: Floats, cells: Cells) -> None:
        self.cells = cells
        self.known = (~(np.isnan(model) | np.isnan(base))).astype(np.float64)
        self.m, self.b = np.where(self.known > 0, model, 0.0), np.where(self.known > 0, base, 0.0)
        self.n, self.number = cells.total(self.known), cells.occupied(self.known)
        self.safe = np.maximum(self.n, 1)
        self.both = cells.total(self.m * self.b)
        self.model_only = cells.total(self.m * (1 - self.b))
        self.base_only = cells.total(self.b * (1 - self.m))
        self.events = 2 * self.both + self.model_only + self.base_only
        self.estimate = np.where(self.n > 0, (self.model_only - self.base_only) / self.safe, np.nan)
        hits = self.both + self.base_only
        self.ratio = np.where(hits > 0, (self.both + self.model_only) / np.where(hits > 0, hits, 1.0), np.nan)
        self.unit = (self.model_only + self.base_only) / self.safe - np.nan_to_num(self.estimate) ** 2
        if cells.independent:
            self.variance = self.unit / np.maximum(self.n - 1, 1)
            self.effective = self.ratio_effective = self.n
        else:
            self._cluster()

    def _cluster(self) -> None:
        """Cluster-robust variances and effective sizes, of the difference and of model - ratio base."""
        self.variance, self.effective, self.ratio_effective = (np.zeros_like(self.n) for _ in range(3))
        t = np.where(np.isfinite(self.ratio), self.ratio, 0.0)
        unit = (self.model_only + t**2 * self.base_only + (1 - t) ** 2 * self.both) / self.safe
        for a in range(len(self.n)):
            m, b = self.cells.by_cluster(self.m[a]), self.cells.by_cluster(self.b[a])
            sizes = self.cells.by_cluster(self.known[a])
            self.variance[a] = ratio_variance(m - b, sizes, np.nan_to_num(self.estimate[a]))
            self.effective[a] = effective_or_all(self.unit[a], self.variance[a], self.n[a], self.number[a])
            spread = ratio_variance(m - t[a] * b, sizes, np.zeros(sizes.shape[1]))
            size = effective_or_all(unit[a], spread, self.n[a], self.number[a])
            self.ratio_effective[a] = np.where(t[a] > 0, size, self.effective[a])


def effective_or_all(unit: Floats, variance: Floats, n: Floats, clusters: Floats) -> Floats:
    """Effective size; n itself where every row stands alone."""
    return np.asarray(np.where(clusters == n, n, effective_rows(unit, variance, n, clusters)), np.float64)


def score_test(changes: Changes, scale: Floats) -> Floats:
    """Two-sided p-value of no difference: McNemar's statistic (b - c)^2 / (b + c), at the effective size.

    Source: McNemar (1947), Psychometrika 12. No discordant prompt gives 1. Approximate below about 10 discordant
    prompts: `paired.mcnemar` is exact.
    """
    from scipy.special import erfc

    discordant = (changes.model_only + changes.base_only) * scale
    gap = np.abs(changes.model_only - changes.base_only) * scale
    statistic = np.where(discordant > 0, gap / np.sqrt(np.maximum(discordant, 1e-300)), 0.0)
    return np.asarray(erfc(statistic / math.sqrt(2.0)), np.float64)
