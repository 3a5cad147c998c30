"""Rates and changes of many overlapping cells at once: the numbers of `clustered.py`, `paired.py` and `samples.py`.

A study has hundreds of cells (language, scope, category, subset) for every arm and outcome. One call a cell spends its
time on the way in and out; here the cells are laid end to end, and all of them are summed in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alignment_prism.statistics.changes.paired import language_correlation, macro_over_languages
from alignment_prism.statistics.clustered import cluster_index, effective_rows
from alignment_prism.statistics.intervals import Floats, Interval, Labels, critical_value
from alignment_prism.statistics.rates import wilson_bounds
from alignment_prism.statistics.score_intervals import ratio_bias, ratio_score_bounds, tango_bounds

Rows = npt.NDArray[np.intp]
"""Positions of the prompts of one cell."""


class Grouping:
    """Cells of prompts that come in clusters.

    Args:
        cells: rows of each of K cells; a row may be in several.
        clusters: cluster of each prompt.
        samples: replies to each prompt; with k of them, prompt i stands for the rows i k .. i k + k - 1.
    """

    def __init__(self, cells: Sequence[Rows], clusters: Labels, samples: int = 1) -> None:
        index, number = cluster_index(clusters) if len(clusters) else (np.zeros(0, np.intp), 0)
        self.size = len(cells)
        prompts = np.concatenate([np.zeros(0, np.intp), *cells]).astype(np.intp)
        owner = np.repeat(np.arange(self.size), [len(rows) for rows in cells])
        self.rows = (prompts[:, None] * samples + np.arange(samples)).ravel()
        self.cell = np.repeat(owner, samples)
        pairs = self.cell * max(number, 1) + np.repeat(index[prompts], samples)
        held, self.pair = np.unique(pairs, return_inverse=True)
        self.cell_of_pair, self.cluster_of_pair = held // max(number, 1), held % max(number, 1)
        self._layouts: dict[tuple[int, ...], tuple[Rows, Rows, Rows, int]] = {}
        self._first_pair = np.searchsorted(self.cell_of_pair, np.arange(self.size + 1))

    def total(self, values: Floats) -> Floats:
        """Values of all prompts, summed by cell."""
        return _sums(self.cell, values[self.rows], self.size)

    def by_cluster(self, values: Floats) -> Floats:
        """Values of all prompts, summed by cluster within cell."""
        return _sums(self.pair, values[self.rows], len(self.cell_of_pair))

    def number(self, known: Floats) -> Floats:
        """Clusters of each cell that have a known row."""
        return self._of_pairs((self.by_cluster(known) > 0).astype(np.float64))

    def variance(self, sums: Floats, n: Floats, number: Floats) -> Floats:
        """Cluster-robust variance of a mean (`clustered.cluster_variance`) from deviations summed by cluster."""
        spread = self._of_pairs(sums**2)
        factor = np.where(number > 1, number / np.maximum(number - 1, 1), np.nan)
        return np.asarray(factor * spread / np.maximum(n, 1) ** 2, np.float64)

    def spread(self, values: Floats) -> Floats:
        """One value a cell, given to each of the cell's clusters."""
        return np.asarray(values[self.cell_of_pair], np.float64)

    def overlap(self, cells: Sequence[int]) -> bool:
        """Whether some cluster has rows in two of these cells."""
        row, _, _, size = self._layout(tuple(cells))
        return size < len(row)

    def side_by_side(self, values: Floats, cells: Sequence[int]) -> Floats:
        """Values of the pairs of some cells as a table of clusters x cells; 0 where a cell lacks the cluster."""
        row, column, pairs, size = self._layout(tuple(cells))
        table = np.zeros((size, len(cells)))
        table[row, column] = values[pairs]
        return table

    def _layout(self, cells: tuple[int, ...]) -> tuple[Rows, Rows, Rows, int]:
        """Row and column of each pair of some cells in a table of clusters x cells, the pairs, and the rows' number."""
        if cells not in self._layouts:
            spans = [np.arange(self._first_pair[cell], self._first_pair[cell + 1]) for cell in cells]
            pairs = np.concatenate(spans)
            column = np.repeat(np.arange(len(spans)), [len(span) for span in spans])
            held, row = np.unique(self.cluster_of_pair[pairs], return_inverse=True)
            self._layouts[cells] = row.reshape(-1), column, pairs, len(held)
        return self._layouts[cells]

    def _of_pairs(self, values: Floats) -> Floats:
        return _sums(self.cell_of_pair, values, self.size)


def _sums(index: npt.NDArray[np.intp], values: Floats, number: int) -> Floats:
    return np.asarray(np.bincount(index, weights=values, minlength=number), np.float64)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of all cells of a grouping, and what each cluster adds to their error.

    Attributes:
        intervals: one a cell.
        deviations: of each pair of cell and cluster, how far its rows are from what the cell's estimate says, summed;
            in events. They add up to 0 within a cell.
        known: rows of each pair that count.
        groups: the grouping.
    """

    intervals: list[Interval]
    deviations: Floats
    known: Floats
    groups: Grouping

    def mean(self, cells: Sequence[int]) -> Interval:
        """The plain mean over some cells, one a language; languages go together as far as their clusters show.

        A source that several languages share counts once in `clusters`.
        """
        parts = [self.intervals[cell] for cell in cells]
        if not self.groups.overlap(cells):
            return macro_over_languages(parts)
        held = self.groups.side_by_side(self.known, cells) > 0
        totals = self.groups.side_by_side(self.deviations, cells)
        found = macro_over_languages(parts, language_correlation(totals, held))
        return replace(found, clusters=int(held.any(axis=1).sum()))

    def scaled(self, factor: float, offset: float) -> Estimates:
        """Estimates of `offset + factor * x`."""
        return replace(self, intervals=[interval.scaled(factor, offset) for interval in self.intervals])


def grouped_rates(values: Floats, groups: Grouping, level: float = 0.95) -> Estimates:
    """The rate of 0/1 values in every cell, as `clustered_rate` gives it for the known values of each; NaN is missing.

    Formula, source and degenerate cases are those of `clustered_rate`.
    """
    known = (~np.isnan(values)).astype(np.float64)
    hits = np.where(known > 0, values, 0.0)
    n, events, number = groups.total(known), groups.total(hits), groups.number(known)
    rate, held = events / np.maximum(n, 1), groups.by_cluster(known)
    sums = groups.by_cluster(hits) - groups.spread(rate) * held
    size = _effective(rate * (1 - rate), groups.variance(sums, n, number), n, number)
    lower, upper = wilson_bounds(rate * size, size, critical=_critical(level, n, number))
    names = ("wilson", "wilson-clustered")
    return Estimates(_intervals((rate, lower, upper), (0.0, 1.0), names, level, n, number), sums, held, groups)


def grouped_shares(table: Floats, groups: Grouping, level: float = 0.95) -> Estimates:
    """The rate over prompts with k replies each in every cell, as `k_sample_rate` gives it.

    Args:
        table: P x k verdicts, NaN where there is none.
        groups: of the P prompts.
        level: coverage.
    """
    known = ~np.isnan(table)
    replies = known.sum(axis=1).astype(np.float64)
    answered = (replies > 0).astype(np.float64)
    share = np.where(known, table, 0.0).sum(axis=1) / np.maximum(replies, 1)
    n, number, most = groups.total(answered), groups.number(answered), groups.total(replies)
    rate, held = groups.total(share) / np.maximum(n, 1), groups.by_cluster(answered)
    sums = groups.by_cluster(share) - groups.spread(rate) * held
    variance = groups.variance(sums, n, number)
    size = effective_rows(rate * (1 - rate), np.nan_to_num(variance), most, number)
    lower, upper = wilson_bounds(rate * size, size, critical=_critical(level, n, number, student=True))
    names = ("k-sample", "k-sample")
    return Estimates(_intervals((rate, lower, upper), (0.0, 1.0), names, level, n, number, least=2), sums, held, groups)


class GroupedChanges:
    """Paired comparisons of 0/1 values with base in every cell; pairs with a missing side are left out.

    Args:
        model: values of the model, NaN where missing.
        base: values of base on the same rows.
        groups: cells of those rows.
        level: coverage.
    """

    def __init__(self, model: Floats, base: Floats, groups: Grouping, level: float = 0.95) -> None:
        known = (~(np.isnan(model) | np.isnan(base))).astype(np.float64)
        m, b = np.where(known > 0, model, 0.0), np.where(known > 0, base, 0.0)
        self._groups, self._level, self._m, self._b = groups, level, m, b
        self.n, self.number = groups.total(known), groups.number(known)
        self._safe = np.maximum(self.n, 1)
        self._both = groups.total(m * b)
        self._model_only, self._base_only = groups.total(m) - self._both, groups.total(b) - self._both
        self._known = groups.by_cluster(known)

    @property
    def base_events(self) -> Floats:
        """Rows of each cell on which base is 1."""
        return self._both + self._base_only

    def differences(self) -> Estimates:
        """As `paired_risk_difference` gives it for the pairs of each cell."""
        estimate, size, sums = self._difference()
        scale = size / self._safe
        lower, upper = tango_bounds(self._model_only * scale, self._base_only * scale, size, self._critical())
        names = ("tango", "tango-clustered")
        found = _intervals((estimate, lower, upper), (-1.0, 1.0), names, self._level, self.n, self.number)
        return Estimates(found, sums, self._known, self._groups)

    def relative_changes(self) -> Estimates:
        """As `relative_change` gives it for the pairs of each cell, in per cent."""
        model, base = self._both + self._model_only, self.base_events
        ratio = np.where(base > 0, model / np.maximum(base, 1), np.nan)
        t = np.where((model > 0) & (base > 0), ratio, 0.0)
        sums = self._groups.by_cluster(self._m) - self._groups.spread(t) * self._groups.by_cluster(self._b)
        unit = (self._model_only + t**2 * self._base_only + (1 - t) ** 2 * self._both) / self._safe
        size = _effective(unit, self._groups.variance(sums, self.n, self.number), self.n, self.number)
        _, other_size, other_sums = self._difference()
        size = np.where(t > 0, size, other_size)
        sums = np.where(self._groups.spread(t) > 0, sums, other_sums)
        scale = size / self._safe
        both, model_only, base_only = (count * scale for count in (self._both, self._model_only, self._base_only))
        lower, upper = ratio_score_bounds(both, model_only, base_only, size, self._critical())
        bias = ratio_bias(self._both, self._model_only, self._base_only)
        bias = 100.0 * bias / np.where(scale > 0, scale, 1.0)
        percent = (100.0 * (ratio - 1.0), 100.0 * (lower - 1.0), 100.0 * (upper - 1.0))
        names = ("ratio-score", "ratio-score-clustered")
        found = _intervals(percent, (-100.0, np.inf), names, self._level, self.n, self.number, bias)
        return Estimates(found, sums, self._known, self._groups)

    def _difference(self) -> tuple[Floats, Floats, Floats]:
        """The risk difference, its effective size, and its deviations by cluster."""
        estimate = (self._model_only - self._base_only) / self._safe
        sums = self._groups.by_cluster(self._m - self._b) - self._groups.spread(estimate) * self._known
        unit = (self._model_only + self._base_only) / self._safe - estimate**2
        size = _effective(unit, self._groups.variance(sums, self.n, self.number), self.n, self.number)
        return estimate, size, sums

    def _critical(self) -> Floats:
        return _critical(self._level, self.n, self.number)


def _effective(unit: Floats, variance: Floats, n: Floats, number: Floats) -> Floats:
    """Effective sizes as `clustered.effective_size` gives them: n where every row stands alone."""
    return np.asarray(np.where(number == n, n, effective_rows(unit, np.nan_to_num(variance), n, number)), np.float64)


def _critical(level: float, n: Floats, number: Floats, *, student: bool = False) -> Floats:
    """Student's t with clusters - 1 degrees of freedom; the normal value where every row stands alone, unless asked."""
    normal = np.full(n.shape, critical_value(level))
    if not student and np.array_equal(n, number):
        return normal
    from scipy.special import stdtrit

    wide = stdtrit(np.maximum(number - 1, 1), 0.5 + level / 2)
    return np.asarray(wide if student else np.where(number == n, normal, wide), np.float64)


def _intervals(
    values: tuple[Floats, Floats, Floats],
    outermost: tuple[float, float],
    names: tuple[str, str],
    level: float,
    n: Floats,
    number: Floats,
    bias: Floats | None = None,
    *,
    least: int = 1,
) -> list[Interval]:
    """One interval a cell; the outermost ends where there is no row, or no second cluster to tell the variance.

    Args:
        values: estimates, lower and upper ends.
        outermost: ends where nothing is known.
        names: of the method, where every row stands alone and where not.
        level: coverage.
        n: rows.
        number: clusters.
        bias: of the estimates.
        least: clusters that cells need even where every row stands alone.
    """
    alone, together = names
    columns = (*values, n, number, np.zeros(len(n)) if bias is None else bias)
    found = []
    for estimate, low, high, rows, held, off in zip(*(column.tolist() for column in columns), strict=True):
        if held < (2 if rows > held else least):
            low, high, off = *outermost, 0.0
        value = estimate if rows else float("nan")
        found.append(Interval(value, low, high, alone if held == rows else together, int(rows), int(held), off, level))
    return found
