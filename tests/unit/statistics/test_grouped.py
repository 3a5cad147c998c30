"""Many cells at once give the numbers that one call a cell gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment_prism.statistics import Interval, clustered_rate, paired_risk_difference, relative_change
from alignment_prism.statistics.grouped import GroupedChanges, Grouping, grouped_rates
from alignment_prism.statistics.shares import Shares


def single(values: np.ndarray) -> Shares:
    return Shares.of(values[:, None])


def same(found: Interval, expected: Interval) -> None:
    for name in ("estimate", "lower", "upper", "bias"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one == other or (math.isnan(one) and math.isnan(other)) or one == pytest.approx(other, abs=1e-9), name
    assert (found.name, found.n, found.clusters) == (expected.name, expected.n, expected.clusters)


CLUSTERS = {"apart": lambda i: i, "pairs": lambda i: i // 2, "mixed": lambda i: i if i % 3 else 0, "one": lambda i: 0}


@pytest.mark.parametrize("kind", sorted(CLUSTERS))
@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, math.nan])] * 2, st.integers(0, 7)), min_size=1, max_size=40)
)
def test_cells_equal_the_single_functions(kind, rows):
    model, base = (np.array([row[k] for row in rows]) for k in (0, 1))
    membership = np.array([row[2] for row in rows])
    names = np.array([f"c{CLUSTERS[kind](i)}" for i in range(len(rows))])
    cells = [np.flatnonzero(membership & bit) for bit in (1, 2, 4)] + [np.arange(len(rows)), np.zeros(0, np.intp)]
    groups = Grouping(cells, names)
    rates, changes = grouped_rates(single(model), groups), GroupedChanges(single(model), single(base), groups)
    differences, ratios = changes.differences(), changes.relative_changes()
    listed = zip(cells, rates.intervals, differences.intervals, ratios.intervals, changes.base_events, strict=True)
    for cell, rate, difference, ratio, events in listed:
        m, b, held = model[cell], base[cell], names[cell]
        known, both = ~np.isnan(m), ~np.isnan(m) & ~np.isnan(b)
        same(rate, clustered_rate(m[known], held[known]))
        same(difference, paired_risk_difference(m[both], b[both], held[both]))
        same(ratio, relative_change(m[both], b[both], held[both]))
        assert events == b[both].sum()


def test_cells_may_overlap_and_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    model, base, names = rng.integers(0, 2, 60) * 1.0, rng.integers(0, 2, 60) * 1.0, np.arange(60) // 4
    cells = [np.arange(40), np.arange(20, 60)]
    once = GroupedChanges(single(model), single(base), Grouping(cells, names)).relative_changes().intervals
    order = rng.permutation(60)
    moved = [np.flatnonzero(np.isin(order, cell)) for cell in cells]
    again = (
        GroupedChanges(single(model[order]), single(base[order]), Grouping(moved, names[order]))
        .relative_changes()
        .intervals
    )
    for one, other in zip(once, again, strict=True):
        same(one, other)
