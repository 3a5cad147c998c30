"""Verdicts of two orders, and win-rates at equal lengths."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from alignment_prism.domain import InputError
from alignment_prism.statistics.changes.length_control import length_controlled_win_rate
from alignment_prism.statistics.changes.win_rates import combine_orders, prefers_first

NONE = math.nan


def test_two_orders_make_one_verdict():
    first, second = [1, 1, 0, 0.5, 1, NONE, 0.5], [1, 0, 0, 0.5, 0.5, 1, 0]
    assert combine_orders(first, second)[:5].tolist() == [1, 0.5, 0, 0.5, 0.5]
    np.testing.assert_array_equal(prefers_first(first[:4], second[:4]), [[1, 0], [1, 1], [0, 1], [NONE, NONE]])
    with pytest.raises(InputError):
        combine_orders([2], [1])


def test_length_control_equals_statsmodels():
    rng = np.random.default_rng(1)
    a, b = rng.integers(20, 400, 150), rng.integers(20, 300, 150)
    s = rng.choice([0, 0.5, 1], 150)
    groups = np.arange(150) // 2
    found = length_controlled_win_rate(s, a - b, groups)
    x = np.column_stack([np.ones(150), np.tanh((a - b) / np.std(a - b))])
    fit = sm.GLM(s, x, family=sm.families.Binomial()).fit(tol=1e-14)
    assert found.beta == pytest.approx(fit.params[1], abs=1e-9)
    robust = sm.GLM(s, x, family=sm.families.Binomial()).fit(
        tol=1e-14, cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    from scipy.stats import t

    half = t.ppf(0.975, 75 - 2) * robust.bse[0] * math.sqrt(75 / 74)
    ends = [1 / (1 + math.exp(-(fit.params[0] + sign * half))) for sign in (-1, 1)]
    assert [found.score.lower, found.score.upper] == pytest.approx(ends, abs=1e-9)


def test_length_control_undoes_a_length_effect():
    rng = np.random.default_rng(2)
    gap = rng.normal(100, 80, 4000)
    s = (rng.random(4000) < 1 / (1 + np.exp(-1.5 * np.tanh(gap / 80)))).astype(float)
    found = length_controlled_win_rate(s, gap)
    assert s.mean() > 0.65 and found.score.covers(0.5)


def test_length_control_without_an_answer():
    assert math.isnan(length_controlled_win_rate([1, 1, 1, 1], [1, 2, 3, 4]).score.estimate)
    separated = length_controlled_win_rate([1] * 20 + [0] * 20, list(range(20, -20, -1)))
    assert math.isnan(separated.score.estimate) and (separated.score.lower, separated.score.upper) == (0, 1)
    equal = length_controlled_win_rate([1, 0, 1, 1, 0.5, 1], [0] * 6)
    assert equal.score.estimate == pytest.approx(4.5 / 6) and equal.beta == 0
    gaps = length_controlled_win_rate([1, 0, 1, 1, 0.5, 1, NONE, 1], [0] * 7 + [NONE])
    assert gaps.score.n == 6 and gaps.known.tolist() == [1] * 6 + [0] * 2
