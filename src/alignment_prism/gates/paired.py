"""What changed from A to B on the prompts that both answered, in the cells of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alignment_prism.contrasts.pairing import PairedRuns, Table, matched_by
from alignment_prism.domain import Run
from alignment_prism.domain.metrics import Mean, Missing, Share
from alignment_prism.domain.records import CORRECT, OUTCOME
from alignment_prism.evaluation.cells import Cell as Part
from alignment_prism.evaluation.cells import cells
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.gates.spec import Cell
from alignment_prism.scoring.metrics import find_metric
from alignment_prism.statistics.grouped import Estimates
from alignment_prism.statistics.intervals import Interval

A, B = "A", "B"

_SAME = 1e-9
"""Findings and replies that differ by no more are of each other."""

_Key = tuple[str, str, str, str]


class PairedReleases:
    """The runs of two releases, prompt by prompt.

    Args:
        runs: of A and of B.

    Attributes:
        words: how many prompts are shared, in words.

    Raises:
        InputError: they have other prompts under one id; see `PairedRuns`.
    """

    def __init__(self, runs: tuple[Run, Run]) -> None:
        self._pairs: PairedRuns | None = None
        self.words: list[str] = ["no prompt is shared: A and B are compared as independent"]
        if matched_by(runs) is not None:
            self._pairs = PairedRuns([replace(run, name=name) for run, name in zip(runs, (A, B), strict=True)])
            self.words = self._pairs.counted(A, B)
        self._sums: dict[str, tuple[CellSums, Table, Table] | None] = {}
        self._found: dict[tuple[str, float, float | None], dict[_Key, Interval]] = {}

    def change(self, cell: Cell, level: float, estimates: Sequence[float]) -> Interval | None:
        """B minus A of a cell; None where it cannot be paired.

        Args:
            cell: of the gate.
            level: of the interval.
            estimates: what the findings of A and of B say; where the replies say otherwise (findings that labels have
                corrected, or of other replies) they are not paired.
        """
        tables = self._tables(cell.metric)
        if tables is None:
            return None
        sums, a, b = tables
        number = next((i for i, one in enumerate(sums.cells) if _key(one) == _key(cell)), None)
        if number is None:
            return None
        for table, said in zip((a, b), estimates, strict=True):
            found = sums.intervals(_levels(sums, table, cell.metric))[number].estimate
            if not abs(found - said) <= _SAME:
                return None
        interval = self._intervals(cell, level, None).get(_key(cell))
        return interval if interval is not None and interval.n else None

    def extreme(self, cell: Cell, level: float, fill: float) -> Interval | None:
        """The same if B's replies without a verdict were `fill` and A's the opposite; None where none lacks one."""
        tables, estimator = self._tables(cell.metric), find_metric(cell.metric).estimator
        if tables is None or not isinstance(estimator, Share) or estimator.score not in (OUTCOME, CORRECT):
            return None
        sums, a, b = tables
        rows = next((one.rows for one in sums.cells if _key(one) == _key(cell)), None)
        assert self._pairs is not None
        if rows is None:
            return None
        rows = rows[self._pairs.shared(A, B)[rows]]
        if not (np.isnan(a[rows]).any() or np.isnan(b[rows]).any()):
            return None
        return self._intervals(cell, level, fill).get(_key(cell))

    def _intervals(self, cell: Cell, level: float, fill: float | None) -> dict[_Key, Interval]:
        """Changes of all cells of a metric."""
        key = (cell.metric, level, fill)
        if key not in self._found:
            tables = self._tables(cell.metric)
            assert tables is not None and self._pairs is not None
            sums, a, b = tables
            if fill is not None:
                shared = self._pairs.shared(A, B)[:, None]
                a = np.where(np.isnan(a) & shared, 1.0 - fill, a)
                b = np.where(np.isnan(b) & shared, fill, b)
            is_mean = isinstance(find_metric(cell.metric).estimator, Mean)
            found = sums.mean_changes(b, a, level) if is_mean else sums.changes(b, a).differences(level)
            self._found[key] = {_key(one): i for one, i in zip(sums.cells, sums.intervals(found), strict=True)}
        return self._found[key]

    def _tables(self, name: str) -> tuple[CellSums, Table, Table] | None:
        """Cells of a metric, and what A and B say of it; None where one says nothing, or it cannot be paired."""
        if name not in self._sums:
            metric, pairs = find_metric(name), self._pairs
            self._sums[name] = None
            if pairs is not None and isinstance(metric.estimator, (Share, Mean, Missing)):
                a, b = pairs.values(A, metric), pairs.values(B, metric)
                if a is not None and b is not None:
                    sums = CellSums(list(cells(pairs.prompts, metric.denominator.kinds)), pairs.clusters)
                    self._sums[name] = (sums, a, b)
        return self._sums[name]


def _levels(sums: CellSums, table: Table, name: str) -> Estimates:
    """What one release says of every cell."""
    is_mean = isinstance(find_metric(name).estimator, Mean)
    return sums.means(table) if is_mean else sums.rates(table)


def _key(cell: Cell | Part) -> _Key:
    return cell.prompts, cell.language, cell.scope, cell.category
