"""Win-rates: two orders, ties, position, length."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment_prism.domain import InputError
from alignment_prism.statistics.changes.length_control import length_controlled_win_rate
from alignment_prism.statistics.changes.win_rates import combine_orders, win_rates

NONE = math.nan


def test_two_orders_make_one_verdict():
    first, second = [1, 1, 0, 0.5, 1, NONE, 0.5], [1, 0, 0, 0.5, 0.5, 1, 0]
    assert combine_orders(first, second)[:5].tolist() == [1, 0.5, 0, 0.5, 0.5]
    found = win_rates(first, second)
    assert (found.inconsistent, found.unjudged, found.score.n) == (3, 1, 6)
    assert found.score.estimate == pytest.approx((1 + 4 / 2) / 6)
    assert found.win.estimate + found.tie.estimate + found.loss.estimate == pytest.approx(1)
    assert found.decided.estimate == pytest.approx(1 / 2)
    assert found.score_lowest == pytest.approx(3 / 7) and found.score_highest == pytest.approx(4 / 7)


def test_a_judge_that_prefers_the_first_reply_gives_only_ties():
    found = win_rates(np.ones(50), np.zeros(50))
    assert found.score.estimate == 0.5 and found.tie.estimate == 1 and found.inconsistent == 50
    assert found.first_position.estimate == 1.0 and math.isnan(found.decided.estimate)


def test_exchanging_the_candidates_turns_the_score():
    rng = np.random.default_rng(0)
    first, second = rng.choice([0, 0.5, 1], 80), rng.choice([0, 0.5, 1], 80)
    one, other = win_rates(first, second), win_rates(1 - second, 1 - first)
    assert one.score.lower == pytest.approx(1 - other.score.upper)
    assert one.first_position.estimate == pytest.approx(other.first_position.estimate)
    assert one.inconsistent == other.inconsistent


def test_clusters_and_codes():
    verdict = np.repeat([1, 0, 1, 1, 0.5] * 8, 3)
    groups = np.repeat(np.arange(40), 3)
    assert win_rates(verdict, verdict, groups).score.width > 1.5 * win_rates(verdict, verdict).score.width
    with pytest.raises(InputError):
        win_rates([2], [1])


def test_length_control_equals_statsmodels():
    rng = np.random.default_rng(1)
    a, b = rng.integers(20, 400, 150), rng.integers(20, 300, 150)
    s = rng.choice([0, 0.5, 1], 150)
    groups = np.arange(150) // 2
    found = length_controlled_win_rate(s, a, b, groups)
    x = np.column_stack([np.ones(150), np.tanh((a - b) / np.std(a - b))])
    fit = sm.GLM(s, x, family=sm.families.Binomial()).fit(tol=1e-14)
    assert (found.alpha, found.beta) == pytest.approx(tuple(fit.params), abs=1e-9)
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
    found = length_controlled_win_rate(s, gap, np.zeros(4000))
    assert found.raw > 0.65 and found.score.covers(0.5)


def test_length_control_without_an_answer():
    assert not length_controlled_win_rate([1, 1, 1, 1], [1, 2, 3, 4], [0, 0, 0, 0]).converged
    separated = length_controlled_win_rate([1] * 20 + [0] * 20, list(range(40, 0, -1)), [20] * 40)
    assert not separated.converged and math.isnan(separated.score.estimate)
    equal = length_controlled_win_rate([1, 0, 1, 1, 0.5, 1], [5] * 6, [5] * 6)
    assert equal.converged and equal.score.estimate == pytest.approx(equal.raw)


verdicts = st.sampled_from([0.0, 0.5, 1.0, NONE])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(verdicts, verdicts, st.integers(0, 5)), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_order_of_prompts_names_of_clusters_and_sides_do_not_matter(rows, random):
    one = win_rates([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    shuffled = rows[:]
    random.shuffle(shuffled)
    first, second, groups = (np.array(column) for column in zip(*shuffled, strict=True))
    again = win_rates(first, second, [f"g{7 - g}" for g in groups])
    turned = win_rates(1 - second, 1 - first, groups)
    for name in ("score", "win", "tie", "loss", "decided", "first_position"):
        before, after = getattr(one, name), getattr(again, name)
        assert (after.lower, after.upper) == pytest.approx((before.lower, before.upper), abs=1e-9)
    assert (turned.score.lower, turned.score.upper) == pytest.approx((1 - one.score.upper, 1 - one.score.lower))
    assert (turned.win.lower, turned.win.upper) == pytest.approx((one.loss.lower, one.loss.upper), abs=1e-9)
    assert (turned.inconsistent, turned.unjudged) == (one.inconsistent, one.unjudged)
