"""Changes of several cells over seeds and prompts, and how far the errors of two of them go together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alignment_prism.statistics.changes.seeds import CrossedDifference, crossed_difference
from alignment_prism.statistics.clustered import cluster_index
from alignment_prism.statistics.intervals import Floats, GroupNames


class CrossedChanges:
    """Differences of S seeds of an arm to base in K cells of the same P prompts.

    Args:
        model: S x P rates of prompts from 0 to 1, known in all cells.
        base: the same of base.
        clusters: P names of independent clusters.
        cells: rows of each cell.
        strata: of the rows of each cell, such as languages, whose plain mean is taken; None for the mean over rows.
    """

    def __init__(
        self,
        model: Floats,
        base: Floats,
        clusters: GroupNames,
        cells: Sequence[npt.NDArray[np.intp]],
        strata: Sequence[GroupNames | None],
    ) -> None:
        self._model, self._base, self._clusters = model, base, np.asarray(clusters)
        self._cells, self._strata = cells, strata

    def differences(self, level: float) -> list[CrossedDifference]:
        """`crossed_difference` of each cell."""
        return [
            crossed_difference(self._model[:, rows], self._base[:, rows], self._clusters[rows], level, strata=names)
            for rows, names in zip(self._cells, self._strata, strict=True)
        ]

    def errors(self) -> Floats:
        """What each cluster and each seed adds to the error of each cell.

        Returns:
            (clusters + seeds) x K. The squares of a column add up to V_cluster + V_seed of `crossed_difference`, from
            which that of the interaction, counted twice, is not taken off: their ratios to each other are what is used.
        """
        index, number = cluster_index(self._clusters)
        seeds = len(self._model)
        table = np.zeros((number + seeds, len(self._cells)))
        for column, (rows, names) in enumerate(zip(self._cells, self._strata, strict=True)):
            difference = self._model[:, rows] - self._base[:, rows]
            stratum, strata = (np.zeros(len(rows), np.intp), 1) if names is None else cluster_index(names)
            sizes = np.bincount(stratum)
            centres = np.bincount(stratum, weights=difference.mean(axis=0)) / sizes
            deviations = (difference - centres[stratum]) / (strata * sizes[stratum])
            held = len(np.unique(index[rows]))
            by_cluster = np.bincount(index[rows], weights=deviations.mean(axis=0), minlength=number)
            table[:number, column] = by_cluster * math.sqrt(held / max(held - 1, 1))
            table[number:, column] = deviations.sum(axis=1) / math.sqrt(max(seeds * (seeds - 1), 1))
        return table


def correlation(one: Floats, other: Floats) -> float:
    """Correlation of two estimates from what each cluster and seed adds to their errors; 0 where one has none."""
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return float(np.clip(one @ other / scale, -1.0, 1.0)) if scale > 0 else 0.0
