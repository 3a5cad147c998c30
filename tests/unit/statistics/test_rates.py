"""Rates: Wilson's interval, and rows in clusters."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from alignment_prism.domain import InputError
from alignment_prism.statistics import Interval, clustered_rate, wilson
from alignment_prism.statistics.clustered import cluster_variance, design, effective_rows
from alignment_prism.statistics.intervals import critical_value
from alignment_prism.statistics.rates import insufficient, wilson_bounds


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_equals_statsmodels(level):
    for n in (1, 2, 17, 100, 5000):
        x = np.arange(0, n + 1, max(1, n // 20))
        lower, upper = wilson_bounds(x, n, level)
        expected = proportion_confint(x, n, alpha=1 - level, method="wilson")
        np.testing.assert_allclose(lower, np.maximum(expected[0], 0), atol=1e-12)
        np.testing.assert_allclose(upper, np.minimum(expected[1], 1), atol=1e-12)


def test_wilson_degenerate_cases():
    empty = wilson(0, 0)
    assert math.isnan(empty.estimate) and (empty.lower, empty.upper) == (0.0, 1.0)
    assert wilson(0, 50).lower == 0.0 and wilson(50, 50).upper == 1.0
    assert 0 < wilson(0, 50).upper < 0.08
    with pytest.raises(InputError):
        wilson(3, 2)
    with pytest.raises(InputError):
        wilson(1, 2, level=95)


def test_critical_values():
    assert critical_value(0.95) == pytest.approx(1.959963984540054, abs=1e-12)
    assert critical_value(0.95, 10) == pytest.approx(2.2281388519649385, abs=1e-9)
    assert critical_value(0.95, 0) == math.inf


def test_interval_scaled():
    turned = Interval(0.2, 0.1, 0.4, "x", 10, 10, bias=0.01).scaled(-1.0, 1.0)
    assert (turned.estimate, turned.lower, turned.upper) == pytest.approx((0.8, 0.6, 0.9))
    assert turned.bias == -0.01 and turned.covers(0.7)


def test_what_is_insufficient_is_one_rule():
    nine, ten = (Interval(0.5, 0.1, 0.9, "wilson", 400, clusters) for clusters in (9, 10))
    assert insufficient(nine) and not insufficient(ten) and insufficient(ten, 6) and not insufficient(nine, 4)
    assert insufficient(ten, divided_by=4.5) and not insufficient(ten, divided_by=5)
    assert insufficient(ten, seeds=1) and not insufficient(ten, seeds=2)


def test_clustered_rate_with_singletons_is_wilson():
    rows = np.array([1, 0, 0, 1, 0, 0, 0, 0])
    assert clustered_rate(rows, [f"p{i}" for i in range(8)]) == wilson(2, 8)


def test_identical_rows_in_a_cluster_count_once():
    rng = np.random.default_rng(0)
    sources = (rng.random(200) < 0.4).astype(float)
    repeated = clustered_rate(np.repeat(sources, 5), np.repeat(np.arange(200), 5))
    alone = wilson(sources.sum(), 200)
    assert repeated.estimate == pytest.approx(alone.estimate)
    assert repeated.clusters == 200 and repeated.n == 1000
    assert repeated.width == pytest.approx(alone.width, rel=0.02)
    naive = wilson(5 * sources.sum(), 1000)
    assert repeated.width > 2 * naive.width


def test_clustered_variance_against_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), rng.integers(1, 6, 40))
    rows = (rng.random(len(groups)) < 0.3 + 0.3 * (groups % 2)).astype(float)
    fit = sm.OLS(rows, np.ones(len(rows))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "df_correction": False, "use_correction": False}
    )
    variance = fit.cov_params()[0, 0] * 40 / 39
    assert cluster_variance(rows - rows.mean(), groups)[0] == pytest.approx(variance, rel=1e-9)


def test_clustered_rate_against_matrices():
    """Inflation and degrees of freedom from the covariance of the deviations, written out."""
    rng = np.random.default_rng(1)
    sizes = np.array([1] * 20 + [3] * 6 + [25])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rows = (rng.random(len(groups)) < 0.4).astype(float)
    covariance = np.where(groups[:, None] == groups, 0.1, 0.0) + 0.9 * np.eye(len(groups))
    total = np.eye(len(sizes))[:, groups]
    deviation = total - total.sum(axis=1, keepdims=True) / len(groups)
    b = deviation @ covariance @ deviation.T
    inflation, df = covariance.sum() / np.trace(b), np.trace(b) ** 2 / np.trace(b @ b)
    variance = inflation * np.sum((total @ (rows - rows.mean())) ** 2) / len(rows) ** 2
    # Half an event of the belief that every cluster is of one piece: w = 1/2 and sum n_g^2 / n.
    effect = (len(rows) ** 2 * variance + 0.5 * (sizes**2).sum() / len(rows)) / (len(rows) * rows.var() + 0.5)
    size = len(rows) / max(effect, 1.0)
    lower, upper = wilson_bounds(rows.mean() * size, size, critical=critical_value(0.95, df))
    found = clustered_rate(rows, groups)
    assert (found.lower, found.upper) == pytest.approx((float(lower), float(upper)), rel=1e-9)
    assert df < 6 and inflation > 1.2


def test_clusters_of_equal_size_have_the_usual_correction():
    for number, size in ((2, 3), (40, 1), (25, 8)):
        found = design(np.full(number, float(size)), np.zeros(number, np.intp), 1)
        assert float(found.inflation[0]) == pytest.approx(number / (number - 1), rel=1e-13)
        assert float(found.df[0]) == pytest.approx(number - 1, rel=1e-13) and float(found.piece[0]) == size
    alone = design(np.array([5.0]), np.zeros(1, np.intp), 1)
    assert math.isinf(alone.inflation[0]) and alone.df[0] == 0


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_a_few_large_clusters_among_single_rows_are_covered(rate):
    """Fifty single rows and three clusters of fifty: degrees of freedom of 52 covered 62 %."""
    rng = np.random.default_rng([1, int(100 * rate)])
    groups = np.repeat(np.arange(53), [1] * 50 + [50] * 3)
    hits = 0
    for _ in range(200):
        rows = (rng.random(200) < rng.beta(rate, 1 - rate, 53)[groups]).astype(float)  # correlation one half
        hits += clustered_rate(rows, groups).covers(rate)
    assert hits >= 184  # 92 %


def test_clusters_without_events_are_taken_as_of_one_piece():
    assert clustered_rate(np.zeros(400), np.repeat(np.arange(50), 8)).upper == pytest.approx(
        clustered_rate(np.zeros(50), np.arange(50)).upper, rel=0.1
    )
    assert float(effective_rows(0.0, 0.0, 400, 8)) == 50.0


def test_one_cluster_says_nothing():
    found = clustered_rate([1, 0, 1], ["a", "a", "a"])
    assert (found.lower, found.upper, found.clusters) == (0.0, 1.0, 1)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=60),
    st.randoms(use_true_random=False),
)
def test_row_order_and_names_of_clusters_do_not_matter(rows, random):
    before = clustered_rate([v for v, _ in rows], [c for _, c in rows])
    shuffled = rows[:]
    random.shuffle(shuffled)
    after = clustered_rate([v for v, _ in shuffled], [f"source-{97 - c}" for _, c in shuffled])
    assert after.estimate == pytest.approx(before.estimate) and after.clusters == before.clusters
    assert (after.lower, after.upper) == pytest.approx((before.lower, before.upper), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 400), st.integers(1, 400))
def test_wilson_mirrors_when_the_outcome_is_relabelled(successes, n):
    successes = min(successes, n)
    one, other = wilson(successes, n), wilson(n - successes, n).scaled(-1.0, 1.0)
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper), abs=1e-12)
    assert 0 <= one.lower <= one.estimate <= one.upper <= 1
