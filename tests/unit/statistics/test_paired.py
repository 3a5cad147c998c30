"""Changes against base: known answers, brute force, invariances, undefined cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from alignment_prism.domain import InputError
from alignment_prism.statistics import Interval, paired_risk_difference, relative_change
from alignment_prism.statistics.language_means import language_correlation, macro_over_languages
from alignment_prism.statistics.score_intervals import ratio_bias, ratio_score_bounds, tango_bounds


def arrays(both, model_only, base_only, neither):
    """Verdicts with the given cross table."""
    model = [1] * (both + model_only) + [0] * (base_only + neither)
    base = [1] * both + [0] * model_only + [1] * base_only + [0] * neither
    return model, base


def test_tango_on_a_published_example():
    # Airway hyper-responsiveness before and after transplantation, 21 children (Fagerland et al. 2014).
    found = paired_risk_difference(*arrays(1, 1, 7, 12))
    assert found.estimate == pytest.approx(-0.286, abs=5e-4)
    assert (found.lower, found.upper) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.filterwarnings("error")
def test_tango_of_an_infinite_critical_value_says_nothing_and_does_not_warn():
    """Where there is no degree of freedom the interval is everything; a warning of NumPy's would reach the terminal."""
    for b, c in ((0, 0), (3, 1), (0, 5)):
        lower, upper = (float(x) for x in tango_bounds(b, c, 10, np.inf))
        assert lower == pytest.approx(-1) and upper == pytest.approx(1)


def restricted_tango(b, c, n, d):
    """Score statistic with the constrained share of c found by maximising the likelihood."""
    low, high = max(0.0, -d) + 1e-12, (1 - d) / 2 - 1e-12

    def loss(q):
        terms = ((b, q + d), (c, q), (n - b - c, 1 - 2 * q - d))
        return -sum(k * math.log(max(p, 1e-300)) for k, p in terms if k)

    q = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (b - c - n * d) / math.sqrt(n * (2 * q + d * (1 - d)))


@pytest.mark.parametrize(("b", "c", "n"), [(3, 9, 40), (0, 5, 60), (12, 12, 50), (1, 0, 20), (30, 2, 300)])
def test_tango_ends_solve_the_score_equation(b, c, n):
    lower, upper = (float(x) for x in tango_bounds(b, c, n, 1.96))
    assert restricted_tango(b, c, n, lower) == pytest.approx(1.96, abs=1e-4)
    assert restricted_tango(b, c, n, upper) == pytest.approx(-1.96, abs=1e-4)


def restricted_ratio(a, b, c, t):
    """Standardised score of a ratio and its skewness, both at the constrained maximum of the likelihood."""
    total = a + b + c

    def loss(q):
        terms = ((a, (1 - (1 + t) * q) / t), (b, (q + t - 1) / t), (c, q))
        return -sum(k * math.log(max(p, 1e-300)) for k, p in terms if k)

    bounds = (max(0.0, 1 - t) + 1e-13, 1 / (1 + t) - 1e-13)
    q = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    p11, p12 = (1 - (1 + t) * q) / t, (q + t - 1) / t
    # What a prompt with an event adds to the score: 1 - t, 1 or -t, with these shares.
    moments = [(1 - t) ** k * p11 + p12 + (-t) ** k * q for k in (2, 3)]
    score = ((a + b) - t * (a + c)) / math.sqrt(total * moments[0])
    return score, moments[1] / moments[0] ** 1.5 / math.sqrt(total)


@pytest.mark.parametrize(("a", "b", "c"), [(5, 3, 12), (0, 4, 9), (10, 0, 10), (2, 15, 1), (40, 6, 30)])
def test_ratio_ends_solve_the_score_equation(a, b, c):
    z = 1.96

    def beyond(t, side):
        score, skewness = restricted_ratio(a, b, c, t)
        return side * score - (z + side * skewness * (z * z - 1) / 6)

    lower, upper = (float(x) for x in ratio_score_bounds(a, b, c, 200, z))
    assert beyond(lower, 1.0) == pytest.approx(0.0, abs=1e-4)
    assert beyond(upper, -1.0) == pytest.approx(0.0, abs=1e-4)
    root = brentq(lambda log: beyond(math.exp(log), -1.0), math.log((a + b) / (a + c)), 8)
    assert math.exp(root) == pytest.approx(upper, rel=1e-3)


def test_one_event_against_none_refutes_little():
    # Without the correction for skewness the lower end is 1 / 1.96^2 = .26, though at a ratio of 1/4 every fifth
    # single event is the model's.
    lower, upper = (float(x) for x in ratio_score_bounds(0, 1, 0, 100, 1.96))
    assert 0.05 < lower < 0.12 and upper == math.inf
    assert float(ratio_score_bounds(0, 0, 1, 100, 1.96)[1]) == pytest.approx(1 / lower, rel=1e-6)


def test_ratio_covers_at_rare_events():
    """Exact coverage where the plain score interval covered 90.8 %: base 1 %, a quarter of it left, 100 prompts."""
    from scipy.stats import multinomial

    base, ratio, n = 0.01, 0.25, 100
    both, model = base * base * ratio, base * ratio
    shares = [both, model - both, base - both, 1 - base - model + both]
    tables = np.array([(a, b, c) for a in range(3) for b in range(8) for c in range(12)])
    weight = multinomial.pmf(np.column_stack([tables, n - tables.sum(axis=1)]), n, shares)
    lower, upper = ratio_score_bounds(*tables.T, n, 1.959964)
    covered = float(weight[(lower <= ratio) & (ratio <= upper)].sum())
    assert weight.sum() > 0.999999 and covered > 0.945


def test_ratio_does_not_depend_on_prompts_where_neither_is_harmful():
    model, base = arrays(4, 3, 9, 0)
    few = relative_change(model + [0] * 10, base + [0] * 10)
    many = relative_change(model + [0] * 1000, base + [0] * 1000)
    assert (few.estimate, few.lower, few.upper) == pytest.approx((many.estimate, many.lower, many.upper), abs=1e-6)
    assert few.estimate == pytest.approx(100 * (7 / 13 - 1))


def test_undefined_and_unbounded_changes():
    zeros, some = [0] * 20, [1] * 3 + [0] * 17
    nothing = relative_change(zeros, zeros)
    assert math.isnan(nothing.estimate) and nothing.lower == -100 and nothing.upper == math.inf
    from_zero = relative_change([1] * 20, zeros)
    assert math.isnan(from_zero.estimate) and from_zero.lower > 100 and from_zero.upper == math.inf
    to_zero = relative_change(zeros, some)
    assert to_zero.estimate == -100 and to_zero.lower == -100 and -100 < to_zero.upper < math.inf
    assert math.isnan(relative_change([], []).estimate)
    no_change = paired_risk_difference(some, some)
    bound = 1.959964**2 / (20 + 1.959964**2)
    assert (no_change.lower, no_change.upper) == pytest.approx((-bound, bound), abs=1e-6)
    assert (paired_risk_difference([], []).lower, paired_risk_difference([], []).upper) == (-1, 1)


def test_inputs_that_are_not_verdicts():
    with pytest.raises(InputError, match="position 1"):
        paired_risk_difference([0, 2], [0, 1])
    with pytest.raises(InputError, match="different lengths"):
        paired_risk_difference([0, 1, 1], [0, 1])
    with pytest.raises(InputError, match="missing"):
        relative_change([0, math.nan], [0, 1])


def test_duplicated_prompts_in_clusters_add_nothing():
    rng = np.random.default_rng(3)
    base = (rng.random(150) < 0.5).astype(int)
    model = np.where(rng.random(150) < 0.3, 0, base)
    once = paired_risk_difference(model, base)
    again = paired_risk_difference(np.repeat(model, 4), np.repeat(base, 4), np.repeat(np.arange(150), 4))
    assert again.estimate == pytest.approx(once.estimate)
    assert again.width == pytest.approx(once.width, rel=0.03)
    assert paired_risk_difference(np.repeat(model, 4), np.repeat(base, 4)).width < 0.6 * once.width
    relative = relative_change(np.repeat(model, 4), np.repeat(base, 4), np.repeat(np.arange(150), 4))
    assert relative.width == pytest.approx(relative_change(model, base).width, rel=0.05)


def test_macro_is_the_plain_mean_with_mover():
    parts = [Interval(-0.2, -0.3, -0.1, "tango", 100, 100), Interval(-0.4, -0.45, -0.3, "tango", 50, 50)]
    found = macro_over_languages(parts)
    assert found.estimate == pytest.approx(-0.3) and (found.n, found.clusters) == (150, 150)
    assert found.lower == pytest.approx(-0.3 - math.hypot(0.1, 0.05) / 2)
    assert found.upper == pytest.approx(-0.3 + math.hypot(0.1, 0.1) / 2)
    together = macro_over_languages(parts, correlation=1.0)
    assert together.lower == pytest.approx(-0.3 - 0.15 / 2)
    assert macro_over_languages(parts[:1]).lower == pytest.approx(-0.3)


def test_macro_with_an_undefined_language_is_undefined():
    parts = [Interval(-50, -80, 10, "ratio-score", 9, 9), Interval(math.nan, -100, math.inf, "ratio-score", 9, 9)]
    found = macro_over_languages(parts)
    assert math.isnan(found.estimate) and (found.lower, found.upper) == (-90, math.inf)
    with pytest.raises(InputError, match="different levels"):
        macro_over_languages([parts[0], Interval(0, -1, 1, "tango", 9, 9, level=0.99)])
    with pytest.raises(InputError, match="no languages"):
        macro_over_languages([])


def test_ratio_bias_is_that_of_the_second_order():
    rng = np.random.default_rng(0)
    p = np.array([0.15, 0.1, 0.25, 0.5])
    counts = rng.multinomial(200, p, size=200_000)
    ratio = (counts[:, 0] + counts[:, 1]) / (counts[:, 0] + counts[:, 2])
    truth = 0.25 / 0.4
    assert float(ratio_bias(*(200 * p)[:3])) == pytest.approx(ratio.mean() - truth, rel=0.2)


def test_language_correlation_of_translated_prompts():
    rng = np.random.default_rng(0)
    source = rng.normal(size=400)
    values = np.stack([source + 0.01 * rng.normal(size=400), source, rng.normal(size=400)], axis=1)
    r = language_correlation(values, np.ones((400, 3), bool))
    assert r[0, 1] > 0.99 and abs(r[0, 2]) < 0.15 and np.allclose(np.diag(r), 1)
    # Languages without events go together as far as their sources do: two of four, three of three, none.
    held = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]], bool)
    r = language_correlation(np.zeros((5, 3)), held)
    assert r[0, 1] == pytest.approx(3 / math.sqrt(4 * 3)) and r[0, 2] == r[1, 2] == 0
    assert language_correlation(np.zeros((5, 2)), np.ones((5, 2), bool))[0, 1] == pytest.approx(1)


verdicts = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=50)


@settings(max_examples=30, deadline=None)
@given(verdicts, st.randoms(use_true_random=False))
def test_exchanging_the_arms_turns_the_interval(rows, random):
    model, base = zip(*rows, strict=True)
    one, other = paired_risk_difference(model, base), paired_risk_difference(base, model).scaled(-1.0)
    assert (one.estimate, one.lower, one.upper) == pytest.approx((other.estimate, other.lower, other.upper), abs=1e-9)
    random.shuffle(rows)
    assert paired_risk_difference(*zip(*rows, strict=True)) == one
    # Relabelling harmful as harmless turns it as well.
    flipped = paired_risk_difference([1 - v for v in model], [1 - v for v in base]).scaled(-1.0)
    assert (one.lower, one.upper) == pytest.approx((flipped.lower, flipped.upper), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(verdicts)
def test_ratio_and_its_inverse_agree(rows):
    model, base = zip(*rows, strict=True)
    one, other = relative_change(model, base), relative_change(base, model)
    lower, upper = 1 + one.lower / 100, 1 + one.upper / 100
    inverse = 1 + other.upper / 100, 1 + other.lower / 100
    for value, turned in ((lower, inverse[0]), (upper, inverse[1])):
        expected = 0.0 if turned == math.inf else (math.inf if turned <= 1e-12 else 1 / turned)
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-8) or max(value, expected) > 1e7
    if any(base):
        assert one.lower - 1e-6 <= one.estimate <= one.upper + 1e-6


@settings(max_examples=20, deadline=None)
@given(verdicts, verdicts)
def test_merging_strata_is_pooling_rows(first, second):
    m1, b1 = zip(*first, strict=True)
    m2, b2 = zip(*second, strict=True)
    pooled = paired_risk_difference(m1 + m2, b1 + b2)
    parts = [paired_risk_difference(m1, b1), paired_risk_difference(m2, b2)]
    assert pooled.estimate == pytest.approx(sum(p.estimate * p.n for p in parts) / pooled.n)
