"""From arrays to findings: estimates of all cells and of the means over their languages, each made a finding once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import ALL, MACRO, Finding
from alignment_prism.evaluation.cells import Cell
from alignment_prism.statistics.grouped import Estimates, GroupedChanges, Grouping, grouped_rates, grouped_shares
from alignment_prism.statistics.grouped_means import grouped_means, prompt_means
from alignment_prism.statistics.intervals import Interval

Hits = npt.NDArray[np.float64]
"""P x k: 1, 0, or NaN where there is no verdict."""

Names = npt.NDArray[np.str_]
"""Clusters of P prompts."""


class CellSums:
    """Cells of prompts in clusters, ready to be summed.

    Args:
        cells: groups of prompts.
        clusters: of each prompt.

    Attributes:
        cells: the cells, and after them one of language `macro` for every group of cells that differ in their
            language only.
    """

    def __init__(self, cells: Sequence[Cell], clusters: Names) -> None:
        self._clusters = clusters
        self._rows = [cell.rows for cell in cells]
        self._groups: dict[int, Grouping] = {}
        parts: dict[tuple[str, str, str], list[int]] = {}
        for number, cell in enumerate(cells):
            if cell.language != ALL:
                parts.setdefault((cell.prompts, cell.scope, cell.category), []).append(number)
        self._languages = [numbers for numbers in parts.values() if len(numbers) > 1]
        self.cells = [*cells, *(_together([cells[number] for number in numbers]) for numbers in self._languages)]

    def rates(self, hits: Hits) -> Estimates:
        """Share of ones among the verdicts of each cell, the prompt as unit; clusters of prompts widen the interval.

        One reply a prompt gives Wilson's interval, several give each prompt's share the same weight.
        """
        if hits.shape[1] > 1:
            return grouped_shares(hits, self._of(1))
        return grouped_rates(hits[:, 0], self._of(1))

    def changes(self, model: Hits, base: Hits) -> GroupedChanges:
        """Changes of each cell on the prompts that both answered and the judge could judge.

        Sample j of the model stands beside sample j of base; if base has fewer, they are used in turn. Samples of one
        prompt are one cluster.
        """
        columns = [base[:, sample % base.shape[1]] for sample in range(model.shape[1])]
        return GroupedChanges(model.ravel(), np.stack(columns, axis=1).ravel(), self._of(model.shape[1]))

    def means(self, values: Hits) -> Estimates:
        """Mean of the numbers of each cell, the prompt as unit."""
        return grouped_means(prompt_means(values), self._of(1))

    def mean_changes(self, model: Hits, base: Hits) -> Estimates:
        """Difference of the means of each cell, on the prompts of which both have a number."""
        return grouped_means(prompt_means(model) - prompt_means(base), self._of(1))

    def intervals(self, estimates: Estimates) -> list[Interval]:
        """One interval for each of `cells`."""
        return [*estimates.intervals, *(estimates.mean(numbers) for numbers in self._languages)]

    def with_means(self, flags: Sequence[bool]) -> list[bool]:
        """Flags of the cells, and after them those of the means: whether any language has the flag."""
        return [*flags, *(any(flags[number] for number in numbers) for numbers in self._languages)]

    def _of(self, samples: int) -> Grouping:
        if samples not in self._groups:
            self._groups[samples] = Grouping(self._rows, self._clusters, samples)
        return self._groups[samples]


def _together(cells: Sequence[Cell]) -> Cell:
    return replace(cells[0], language=MACRO, rows=np.concatenate([cell.rows for cell in cells]))


def too_few(interval: Interval, min_events: int) -> bool:
    """Whether a rate or a difference rests on fewer than twice `min_events` independent clusters.

    Units, not events: no harmful reply among two hundred is a reliable zero, and its interval says how reliable.
    """
    return interval.clusters < 2 * min_events


def finding(
    cell: Cell,
    interval: Interval,
    *,
    study: str,
    arm: str,
    seed: int,
    metric: str,
    insufficient: bool,
    signature: str,
) -> Finding:
    """The finding that says what an interval says of a cell; the interval's name is added to the signature."""
    return Finding(
        study=study,
        arm=arm,
        seed=seed,
        prompts=cell.prompts,
        language=cell.language,
        scope=cell.scope,
        category=cell.category,
        metric=metric,
        estimate=interval.estimate,
        lower=interval.lower,
        upper=interval.upper,
        interval=interval.name,
        level=interval.level,
        n=interval.n,
        clusters=interval.clusters,
        insufficient=insufficient,
        signature=f"{signature}|ci:{interval.name}",
    )
