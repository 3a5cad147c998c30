"""What changed from A to B on the prompts that both answered, in the cells of a gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alignment_prism.contrasts.pairing import PairedRuns, Table, changes, matched_by
from alignment_prism.domain import MACRO, Run
from alignment_prism.domain.metrics import AnyReply, Mean, Missing, Preference, Share
from alignment_prism.domain.records import CORRECT, OUTCOME
from alignment_prism.evaluation.cells import Cell as Part
from alignment_prism.evaluation.cells import cells
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.gates.spec import Cell
from alignment_prism.scoring.metrics import find_metric
from alignment_prism.statistics.changes.seeds import SeedModel
from alignment_prism.statistics.grouped import Estimates
from alignment_prism.statistics.grouped_means import prompt_means
from alignment_prism.statistics.intervals import Floats, Interval

A, B = "A", "B"

PER_PROMPT = (Share, AnyReply, Mean, Missing, Preference)
"""Kinds of metrics that every prompt has a value of."""

_SAME = 1e-9
"""Findings and replies that differ by no more are of each other."""

_Key = tuple[str, str, str, str]


class PairedReleases:
    """The runs of two releases, prompt by prompt.

    Args:
        old: of A, one a seed.
        new: of B, likewise.

    Attributes:
        words: how many prompts are shared, in words.

    Where either has several runs, prompts and seeds both vary (`SeedModel`), and prompts count that all runs have a
    verdict of.

    Raises:
        InputError: they have other prompts under one id; see `PairedRuns`.
    """

    def __init__(self, old: Sequence[Run], new: Sequence[Run]) -> None:
        self._pairs: PairedRuns | None = None
        self._names = {A: _names(A, len(old)), B: _names(B, len(new))}
        self.words: list[str] = ["no prompt is shared: A and B are compared as independent"]
        if matched_by([*old, *new]) is not None:
            names = [*self._names[A], *self._names[B]]
            pairs = PairedRuns([replace(run, name=name) for run, name in zip([*old, *new], names, strict=True)])
            self._pairs, self.words = pairs, pairs.counted(self._names[A][0], self._names[B][0])
        if max(len(old), len(new)) > 1:
            self.words.append(f"over {len(old)} runs of A and {len(new)} of B, seeds and prompts both random")
        self._sums: dict[str, tuple[CellSums, list[Table], list[Table]] | None] = {}
        self._said: dict[str, list[Floats]] = {}
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
        sums = tables[0]
        number = next((i for i, one in enumerate(sums.cells) if _key(one) == _key(cell)), None)
        if number is None:
            return None
        if any(
            not abs(found[number] - said) <= _SAME for found, said in zip(self._rates(cell), estimates, strict=True)
        ):
            return None
        interval = self._intervals(cell, level, None).get(_key(cell))
        return interval if interval is not None and interval.n else None

    def extreme(self, cell: Cell, level: float, fill: float) -> Interval | None:
        """The same if B's replies without a verdict were `fill` and A's the opposite; None where none lacks one."""
        tables, estimator = self._tables(cell.metric), find_metric(cell.metric).estimator
        if tables is None or not isinstance(estimator, (Share, AnyReply)) or estimator.score not in (OUTCOME, CORRECT):
            return None
        sums, a, b = tables
        rows = next((one.rows for one in sums.cells if _key(one) == _key(cell)), None)
        if rows is None:
            return None
        rows = rows[self._shared()[rows]]
        if not any(np.isnan(table[rows]).any() for table in (*a, *b)):
            return None
        return self._intervals(cell, level, fill).get(_key(cell))

    def _shared(self) -> npt.NDArray[np.bool_]:
        """Prompts that all runs answered."""
        assert self._pairs is not None
        first, *others = [*self._names[A], *self._names[B]]
        return np.asarray(np.all([self._pairs.shared(first, other) for other in others], axis=0))

    def _rates(self, cell: Cell) -> list[Floats]:
        """What A and B say of every cell of a metric, mean over their runs."""
        if cell.metric not in self._said:
            tables = self._tables(cell.metric)
            assert tables is not None
            sums, *sides = tables
            self._said[cell.metric] = [
                np.mean(
                    [[one.estimate for one in sums.intervals(_levels(sums, table, cell.metric))] for table in runs],
                    axis=0,
                )
                for runs in sides
            ]
        return self._said[cell.metric]

    def _intervals(self, cell: Cell, level: float, fill: float | None) -> dict[_Key, Interval]:
        """Changes of all cells of a metric."""
        key = (cell.metric, level, fill)
        if key not in self._found:
            tables = self._tables(cell.metric)
            assert tables is not None
            sums, a, b = tables
            if fill is not None:
                shared = self._shared()[:, None]
                a = [np.where(np.isnan(table) & shared, 1.0 - fill, table) for table in a]
                b = [np.where(np.isnan(table) & shared, fill, table) for table in b]
            if max(len(a), len(b)) > 1:
                found = self._over_seeds(sums, a, b, level)
            else:
                metric = find_metric(cell.metric)
                is_mean = isinstance(metric.estimator, Mean)
                of_cells = (
                    sums.mean_changes(b[0], a[0], level) if is_mean
                    else changes(sums, metric, b[0], a[0]).differences(level)
                )  # fmt: skip
                found = sums.intervals(of_cells)
            self._found[key] = {_key(one): i for one, i in zip(sums.cells, found, strict=True)}
        return self._found[key]

    def _over_seeds(self, sums: CellSums, a: list[Table], b: list[Table], level: float) -> list[Interval]:
        assert self._pairs is not None
        tables = {side: np.stack([prompt_means(table) for table in runs]) for side, runs in ((A, a), (B, b))}
        known = ~np.isnan(np.concatenate(list(tables.values()))).any(axis=0)
        model = SeedModel({side: np.where(known, table, 0.0) for side, table in tables.items()}, self._pairs.clusters)
        languages = np.array([prompt.language for prompt in self._pairs.prompts])
        found = []
        for cell in sums.cells:
            rows = cell.rows[known[cell.rows]]
            if not len(rows):
                found.append(Interval(math.nan, -1.0, 1.0, "crossed", 0, 0, level=level))
                continue
            strata = languages[rows] if cell.language == MACRO else None
            found.append(model.subset(rows, strata).difference(B, A, level).interval)
        return found

    def _tables(self, name: str) -> tuple[CellSums, list[Table], list[Table]] | None:
        """Cells of a metric, and what each run says of it; None where one says nothing, or it cannot be paired."""
        if name not in self._sums:
            metric, pairs = find_metric(name), self._pairs
            self._sums[name] = None
            several = max(len(names) for names in self._names.values()) > 1
            paired = PER_PROMPT if not several else tuple(kind for kind in PER_PROMPT if kind is not Mean)
            if pairs is not None and isinstance(metric.estimator, paired):
                sides = [[pairs.values(run, metric) for run in self._names[side]] for side in (A, B)]
                a, b = ([table for table in tables if table is not None] for tables in sides)
                if len(a) == len(sides[0]) and len(b) == len(sides[1]):
                    sums = CellSums(list(cells(pairs.prompts, metric.denominator.kinds)), pairs.clusters)
                    self._sums[name] = (sums, a, b)
        return self._sums[name]


def _names(side: str, number: int) -> list[str]:
    return [f"{side}:{seed}" for seed in range(number)] if number > 1 else [side]


def _levels(sums: CellSums, table: Table, name: str) -> Estimates:
    """What one release says of every cell."""
    is_mean = isinstance(find_metric(name).estimator, Mean)
    return sums.means(table) if is_mean else sums.rates(table)


def _key(cell: Cell | Part) -> _Key:
    return cell.prompts, cell.language, cell.scope, cell.category
