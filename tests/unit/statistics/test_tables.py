"""Many cells: adjusted p-values, joint intervals, all tables at once, partial pooling."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from alignment_prism.domain import ALL, MACRO, InputError
from alignment_prism.statistics import (
    clustered_rate,
    critical_value,
    macro_over_languages,
    paired_risk_difference,
    relative_change,
    wilson,
)
from alignment_prism.statistics.bootstrap import cluster_draws, joint_criticals, simultaneous_differences
from alignment_prism.statistics.cell_changes import Changes
from alignment_prism.statistics.cells import table_cells
from alignment_prism.statistics.multiplicity import benjamini_yekutieli, holm
from alignment_prism.statistics.pooling import partial_pooling
from alignment_prism.statistics.tables import harm_tables, non_additive

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@settings(max_examples=30, deadline=None)
@given(p_values)
def test_adjusted_p_values_equal_statsmodels_and_scipy(p):
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)
    np.testing.assert_allclose(benjamini_yekutieli(p), multipletests(p, method="fdr_by")[1], atol=1e-12)
    np.testing.assert_allclose(benjamini_yekutieli(p), false_discovery_control(p, method="by"), atol=1e-12)


def test_missing_p_values_do_not_count():
    assert holm([0.01, math.nan, 0.04])[0] == pytest.approx(0.02)
    assert math.isnan(holm([0.01, math.nan])[1])
    assert len(benjamini_yekutieli([])) == 0
    with pytest.raises(InputError):
        holm([1.2])


def test_draws_are_multinomial():
    counts = np.concatenate(list(cluster_draws(50, 2500, seed=1, chunk=400)))
    assert counts.shape == (2500, 50) and (counts.sum(axis=1) == 50).all()
    assert counts.mean() == 1.0 and counts.var() == pytest.approx(1 - 1 / 50, rel=0.02)


def data(seed=0, prompts=240, arms=3, missing=False):
    rng = np.random.default_rng(seed)
    verdicts = (rng.random((arms, prompts)) < np.linspace(0.6, 0.15, arms)[:, None]).astype(float)
    if missing:
        verdicts[rng.random(verdicts.shape) < 0.05] = np.nan
    categories = [list(rng.choice(["x", "y", "z"], size=rng.integers(1, 3), replace=False)) for _ in range(prompts)]
    return {
        "verdicts": verdicts,
        "arms": [f"a{i}" for i in range(arms)],
        "base": "a0",
        "languages": [("ar", "fr", "hi")[i % 3] for i in range(prompts)],
        "scopes": [("global", "local", "")[(i // 3) % 3] for i in range(prompts)],
        "categories": categories,
    }


def keyed(rows):
    return {(r.arm, r.language, r.scope, r.category, r.metric): r for r in rows}


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("clustered", ["no", "within", "across"])
def test_tables_equal_the_single_functions(missing, clustered):
    study = data(missing=missing)
    prompts = len(study["languages"])
    clusters = {
        "no": None,
        "within": [f"{study['languages'][i]}{i // 12}" for i in range(prompts)],
        "across": [f"s{i // 3}" for i in range(prompts)],
    }[clustered]
    rows = keyed(harm_tables(**study, clusters=clusters, replicates=400))
    language, scope = np.array(study["languages"]), np.array(study["scopes"])
    in_x = np.array(["x" in names for names in study["categories"]])
    parts = [
        ((ALL, ALL, ALL), np.ones(prompts, bool)),
        (("hi", ALL, ALL), language == "hi"),
        (("ar", "local", "x"), (language == "ar") & (scope == "local") & in_x),
    ]
    for key, inside in parts:
        m, b = study["verdicts"][2], study["verdicts"][0]
        known = inside & ~np.isnan(m)
        names = None if clusters is None else np.array(clusters)
        rate = rows["a2", *key, "harm_rate"].interval
        expected = wilson(m[known].sum(), known.sum()) if names is None else clustered_rate(m[known], names[known])
        assert (rate.estimate, rate.lower, rate.upper) == pytest.approx(
            (expected.estimate, expected.lower, expected.upper), abs=1e-9
        )
        both = known & ~np.isnan(b)
        inside_names = None if names is None else names[both]
        for metric, function in (
            ("harm_difference", paired_risk_difference),
            ("harm_relative_change", relative_change),
        ):
            found, expected = rows["a2", *key, metric].interval, function(m[both], b[both], inside_names)
            assert found.estimate == pytest.approx(expected.estimate, abs=1e-9)
            assert (found.n, found.clusters) == (expected.n, expected.clusters)
            assert (found.lower, found.upper) == pytest.approx((expected.lower, expected.upper), abs=1e-9)


def test_macro_rows_and_marks():
    study = data()
    rows = harm_tables(**study, replicates=300)
    index = keyed(rows)
    parts = [index["a1", name, ALL, ALL, "harm_difference"].interval for name in ("ar", "fr", "hi")]
    macro = index["a1", MACRO, ALL, ALL, "harm_difference"].interval
    expected = macro_over_languages(parts)
    assert (macro.estimate, macro.lower, macro.upper) == pytest.approx(
        (expected.estimate, expected.lower, expected.upper)
    )
    assert all(r.insufficient == (round(r.interval.estimate * r.interval.n) < 5)
               for r in rows if r.metric == "harm_rate" and r.language != MACRO)  # fmt: skip
    assert {r.category for r in non_additive(rows)} == {"x", "y", "z"}
    assert not [r for r in rows if r.arm == "a0" and r.metric != "harm_rate"]


def test_the_mean_over_translations_counts_each_source_once():
    """Eight sources in two languages are eight clusters in the pooled row and in the mean."""
    rows = harm_tables(
        [[1.0] * 16, [1.0, 0.0] * 8], ["base", "m"], "base", ["en", "ar"] * 8,
        clusters=[f"g{n // 2}" for n in range(16)], replicates=300,
    )  # fmt: skip
    macro = keyed(rows)["m", MACRO, ALL, ALL, "harm_rate"].interval
    assert (macro.n, macro.clusters) == (16, 8)
    assert keyed(rows)["m", MACRO, ALL, ALL, "harm_difference"].interval.clusters == 8


def test_joint_ends_hold_the_pointwise_ones_and_q_values_exceed_p_values():
    rows = [r for r in harm_tables(**data(), replicates=500) if r.metric == "harm_difference" and r.language != MACRO]
    for row in rows:
        assert row.joint_lower <= row.interval.lower + 1e-9 and row.joint_upper >= row.interval.upper - 1e-9
        assert row.q_value >= row.p_value - 1e-12


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("clustered", ["within", "across"])
def test_joint_criticals_are_those_of_a_plain_bootstrap(missing, clustered):
    """The fast product against one loop over replicates, cell by cell, with the same draws."""
    study = data(prompts=120, missing=missing)
    prompts, replicates = 120, 150
    names = [f"{study['languages'][i]}{i // 6}" if clustered == "within" else f"s{i // 3}" for i in range(prompts)]
    cells = table_cells(study["languages"], study["scopes"], study["categories"], names)
    changes = Changes(study["verdicts"][1:], study["verdicts"][0], cells)
    error = np.where(changes.variance > 0, np.sqrt(changes.variance), np.nan)
    estimate = np.nan_to_num(changes.estimate)
    difference = changes.m - changes.b
    strata = cells.strata(difference, changes.known)
    found = joint_criticals(strata, estimate, error, 0.9, replicates=replicates, seed=3)

    groups = [np.arange(prompts)]
    if clustered == "within":
        groups = [np.flatnonzero(np.array(study["languages"]) == name) for name in ("ar", "fr", "hi")]
    assert len(strata) == len(groups)
    weights = np.zeros((replicates, prompts))
    for number, rows in enumerate(groups):
        _, local = np.unique(np.array(names)[rows], return_inverse=True)
        draws = np.concatenate(list(cluster_draws(local.max() + 1, replicates, 3 + number, chunk=250)))
        weights[:, rows] = draws[:, local]
    for arm in range(2):
        largest = []
        for weight in weights:
            total, size = (weight * difference[arm]) @ cells.member, (weight * changes.known[arm]) @ cells.member
            largest.append(np.nanmax(np.abs(total / np.maximum(size, 1e-6) - estimate[arm]) / error[arm]))
        bounds = critical_value(0.9), critical_value(1 - 0.1 / np.isfinite(error[arm]).sum())
        assert found[arm] == pytest.approx(np.clip(np.quantile(largest, 0.9), *bounds), rel=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_of_prompts_and_names_of_languages_do_not_matter(random):
    study = data(prompts=90, missing=True)
    clusters = [f"s{i // 3}" for i in range(90)]
    order = list(range(90))
    random.shuffle(order)
    moved = {
        **study,
        "verdicts": study["verdicts"][:, order],
        "languages": ["x" + study["languages"][i][::-1] for i in order],
        "scopes": [study["scopes"][i] for i in order],
        "categories": [study["categories"][i][::-1] for i in order],
    }
    before = keyed(harm_tables(**study, clusters=clusters, replicates=100))
    after = keyed(harm_tables(**moved, clusters=[clusters[i] for i in order], replicates=100))
    assert len(before) == len(after)
    for (arm, language, *rest), row in before.items():
        name = language if language in (ALL, MACRO) else "x" + language[::-1]
        other = after[(arm, name, *rest)]
        for field in ("estimate", "lower", "upper"):
            one, two = getattr(row.interval, field), getattr(other.interval, field)
            assert one == pytest.approx(two, abs=1e-9, nan_ok=True), (arm, language, rest, field)
        assert row.p_value == pytest.approx(other.p_value, abs=1e-9, nan_ok=True)


def test_languages_merge_into_all():
    rows = keyed(harm_tables(**data(missing=True), replicates=100))
    for category in (ALL, "x"):
        parts = [rows["a1", name, ALL, category, "harm_difference"].interval for name in ("ar", "fr", "hi")]
        whole = rows["a1", ALL, ALL, category, "harm_difference"].interval
        assert whole.n == sum(part.n for part in parts)
        assert whole.estimate == pytest.approx(sum(part.estimate * part.n for part in parts) / whole.n)


def test_joint_critical_value_of_identical_cells_is_pointwise():
    rng = np.random.default_rng(0)
    d = rng.choice([-1, 0, 1], 400, p=[0.3, 0.6, 0.1])
    one = simultaneous_differences(d, np.ones((400, 1), bool), replicates=4000)
    same = simultaneous_differences(d, np.ones((400, 9), bool), replicates=4000)
    apart = simultaneous_differences(d, np.eye(8, dtype=bool)[np.arange(400) % 8], replicates=4000)
    assert one.critical == pytest.approx(1.96, abs=1e-3) and same.critical == pytest.approx(1.96, abs=0.08)
    assert 2.4 < apart.critical <= 2.74 and same.non_additive and not apart.non_additive


def test_wrong_shapes():
    study = data()
    with pytest.raises(InputError, match="base 'nobody'"):
        harm_tables(**{**study, "base": "nobody"})
    with pytest.raises(InputError, match="shape"):
        simultaneous_differences([0, 1], np.ones((3, 2)))


def test_partial_pooling_shrinks_thin_cells_towards_the_mean():
    y, n = np.array([0, 1, 5, 3, 40]), np.array([10, 10, 20, 20, 200])
    found = partial_pooling(y, n)
    mean = y.sum() / n.sum()
    for interval, hits, size in zip(found, y, n, strict=True):
        raw = hits / size
        assert min(raw, mean) - 0.02 <= interval.estimate <= max(raw, mean) + 0.02
        assert interval.width < wilson(hits, size).width
    assert abs(found[-1].estimate - 0.2) < 0.02 and found[0].estimate > 0.02


def test_partial_pooling_knows_when_cells_differ():
    apart = partial_pooling([2, 2, 2, 90, 90, 90], [100] * 6)
    assert apart[0].estimate < 0.06 and apart[5].estimate > 0.85
    assert partial_pooling([], []) == []
    alone = partial_pooling([3], [10])[0]
    assert 0 < alone.lower < 0.3 < alone.upper < 1
    empty = partial_pooling([3, 0], [10, 0])[1]
    assert empty.width > alone.width


def test_partial_pooling_is_accurate_against_a_fine_grid():
    from scipy.special import betaln

    y, n = np.array([3, 1, 6]), np.array([20, 20, 20])
    m, b = np.meshgrid((np.arange(400) + 0.5) / 400, (np.arange(400) + 0.5) / 400)
    k = 20 * b / (1 - b)
    log = sum(betaln(m * k + a, (1 - m) * k + 20 - a) - betaln(m * k, (1 - m) * k) for a in y)
    weight = np.exp(log - log.max()) / np.sqrt(m * (1 - m))
    expected = [float(np.sum(weight * (m * k + a) / (k + 20)) / weight.sum()) for a in y]
    assert [f.estimate for f in partial_pooling(y, n)] == pytest.approx(expected, abs=3e-3)
