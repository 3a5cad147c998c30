"""What clusters and seeds add to the errors of cells: against the analysis of variance that intervals rest on."""

import numpy as np
import pytest

from alignment_prism.statistics.changes.crossed_cells import CrossedChanges, correlation
from alignment_prism.statistics.changes.seeds import crossed_difference


def test_squares_of_errors_are_the_variances_by_clusters_and_by_seeds():
    rng = np.random.default_rng(0)
    model, base = (rng.random((4, 30)) < 0.4).astype(float), (rng.random((4, 30)) < 0.6).astype(float)
    clusters = np.array([f"c{i // 3}" for i in range(30)])
    rows = np.arange(6, 30)
    changes = CrossedChanges(model, base, clusters, [rows], [np.full(24, 1 / 24)])
    found = crossed_difference(model[:, rows], base[:, rows], clusters[rows])
    assert changes.differences(0.95)[0] == found
    errors = changes.errors()[:, 0]
    assert len(errors) == 10 + 4
    assert np.sqrt(np.sum(errors[:10] ** 2)) == pytest.approx(found.prompt_se)
    by_seed = (model - base)[:, rows].mean(axis=1)
    assert np.sum(errors[10:] ** 2) == pytest.approx(by_seed.var(ddof=1) / 4)


def test_cells_of_the_same_clusters_go_together_and_others_only_as_their_seeds_do():
    rng = np.random.default_rng(1)
    half = (rng.random((3, 12)) < 0.5).astype(float)
    model, clusters = np.concatenate([half, half, 1 - half], axis=1), np.tile([f"c{i}" for i in range(12)], 3)
    cells = [np.arange(start, start + 12) for start in (0, 12, 24)]
    weights = [np.full(12, 1 / 12)] * 3
    same = CrossedChanges(model, np.zeros((3, 36)), clusters, cells, weights).errors()
    assert correlation(same[:, 0], same[:, 1]) == pytest.approx(1)
    assert correlation(same[:, 0], same[:, 2]) == pytest.approx(-1)
    apart = CrossedChanges(model, np.zeros((3, 36)), np.arange(36), cells, weights).errors()
    v_seed, v_all = np.sum(apart[-3:, 0] ** 2), np.sum(apart[:, 0] ** 2)
    assert correlation(apart[:, 0], apart[:, 1]) == pytest.approx(v_seed / v_all)
    assert correlation(apart[:, 0], np.zeros(39)) == 0
