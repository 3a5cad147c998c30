"""From arrays to findings: estimates of all cells and of the means over their languages, each made a finding once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import ALL, MACRO, Finding
from alignment_prism.evaluation.cells import Cell
from alignment_prism.statistics.changes.length_control import grouped_length_control
from alignment_prism.statistics.grouped import Estimates, GroupedChanges, Grouping, grouped_rates
from alignment_prism.statistics.grouped_means import grouped_means, prompt_means
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.multiplicity import benjamini_yekutieli
from alignment_prism.statistics.shares import Shares
from alignment_prism.statistics.simultaneous import joint_level, p_value

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
        macros: of each of the latter, the numbers of the cells that it is the mean of.
    """

    def __init__(self, cells: Sequence[Cell], clusters: Names) -> None:
        self._groups = Grouping([cell.rows for cell in cells], clusters)
        parts: dict[tuple[str, str, str], list[int]] = {}
        for number, cell in enumerate(cells):
            if cell.language != ALL:
                parts.setdefault((cell.prompts, cell.scope, cell.category), []).append(number)
        self.macros = [numbers for numbers in parts.values() if len(numbers) > 1]
        self.cells = [*cells, *(_together([cells[number] for number in numbers]) for numbers in self.macros)]

    def rates(self, hits: Hits) -> Estimates:
        """Mean over the prompts of each cell of their share of ones among the verdicts."""
        return grouped_rates(Shares.of(hits), self._groups)

    def conditional(self, hits: Hits, given: Hits) -> Estimates:
        """The same, each prompt with its share of `given` as weight.

        With several replies that is how often a random reply of the one arm is a hit, if a random reply of the other
        is given.
        """
        return grouped_rates(Shares.of(hits), self._groups, weights=Shares.of(given).value)

    def changes(self, model: Hits, base: Hits) -> GroupedChanges:
        """Changes of each cell on the prompts that both answered and the judge could judge, whatever k of each arm."""
        return GroupedChanges(Shares.of(model), Shares.of(base), self._groups)

    def means(self, values: Hits) -> Estimates:
        """Mean of the numbers of each cell, the prompt as unit."""
        return grouped_means(prompt_means(values), self._groups)

    def mean_changes(self, model: Hits, base: Hits, level: float) -> Estimates:
        """Difference of the means of each cell, on the prompts of which both have a number."""
        return grouped_means(prompt_means(model) - prompt_means(base), self._groups, level)

    def joint_level(self, family: Sequence[Estimates], level: float) -> float:
        """Level of single intervals at which those of all cells, means among them, of a family hold together."""
        return joint_level([estimates.errors(self.macros) for estimates in family], level)

    def q_values(self, family: Sequence[Estimates]) -> list[list[float]]:
        """False discovery rates, for each of a family one a cell."""
        means = [self.intervals(one)[len(one.intervals) :] for one in family]
        found = [
            [*one.p_values.tolist(), *(p_value(interval, one.null) for interval in intervals)]
            for one, intervals in zip(family, means, strict=True)
        ]
        adjusted = iter(benjamini_yekutieli([p for one in found for p in one]).tolist())
        return [[next(adjusted) for _ in one] for one in found]

    def at_equal_lengths(
        self, scores: npt.NDArray[np.float64], gap: npt.NDArray[np.float64]
    ) -> tuple[Estimates, list[float]]:
        """Length-controlled score of each cell, and the effect of length in it."""
        return grouped_length_control(scores, gap, self._groups)

    def intervals(self, estimates: Estimates) -> list[Interval]:
        """One interval for each of `cells`."""
        return [*estimates.intervals, *(estimates.mean(numbers) for numbers in self.macros)]

    def with_means(self, flags: Sequence[bool]) -> list[bool]:
        """Flags of the cells, and after them those of the means: whether any language has the flag."""
        return [*flags, *(any(flags[number] for number in numbers) for numbers in self.macros)]


def _together(cells: Sequence[Cell]) -> Cell:
    return replace(cells[0], language=MACRO, rows=np.concatenate([cell.rows for cell in cells]))


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
    joint: Interval | None = None,
    q_value: float = math.nan,
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
        joint_lower=math.nan if joint is None else joint.lower,
        joint_upper=math.nan if joint is None else joint.upper,
        q_value=q_value,
        signature=f"{signature}|ci:{interval.name}",
    )
