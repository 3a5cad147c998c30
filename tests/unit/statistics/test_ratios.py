"""Ratios of two estimates: by hand, and against Fieller's closed form."""

import math

import pytest

from alignment_prism.domain import InputError
from alignment_prism.statistics.changes.ratios import ratio_of_estimates
from alignment_prism.statistics.intervals import Interval


def an(estimate, lower, upper, level=0.95):
    return Interval(estimate, lower, upper, "x", 10, 5, level=level)


def test_by_hand_with_equal_arms():
    # (1 - r)^2 = 1/4 + r^2 / 4, or 3 r^2 - 8 r + 3 = 0: r = (4 -+ sqrt(7)) / 3.
    found = ratio_of_estimates(an(1, 0.5, 1.5), an(1, 0.5, 1.5))
    assert (found.lower, found.upper) == pytest.approx(((4 - math.sqrt(7)) / 3, (4 + math.sqrt(7)) / 3))
    assert (found.estimate, found.n, found.clusters) == (1, 20, 10)


@pytest.mark.parametrize(("a", "b", "se_a", "se_b", "rho"), [
    (0.4, 0.3, 0.05, 0.06, 0.0), (0.4, 0.3, 0.05, 0.06, 0.7), (-0.1, 0.3, 0.04, 0.05, -0.5),
    (0.02, 0.3, 0.04, 0.05, 0.3),
])  # fmt: skip
def test_symmetric_intervals_give_fieller(a, b, se_a, se_b, rho):
    z = 1.96
    g = (z * se_b / b) ** 2
    v_ab = rho * se_a * se_b
    middle = a / b - g * v_ab / se_b**2
    inner = se_a**2 - 2 * a / b * v_ab + (a / b) ** 2 * se_b**2 - g * (se_a**2 - v_ab**2 / se_b**2)
    half = z / b * math.sqrt(inner)
    parts = an(a, a - z * se_a, a + z * se_a), an(b, b - z * se_b, b + z * se_b)
    found = ratio_of_estimates(*parts, rho)
    assert (found.lower, found.upper) == pytest.approx(((middle - half) / (1 - g), (middle + half) / (1 - g)))


def test_score_intervals_keep_their_shape_and_a_numerator_around_zero_gives_a_ratio_around_zero():
    found = ratio_of_estimates(an(0.4, 0.1, 0.5), an(0.2, 0.05, 0.6))
    assert 0 < found.lower < 0.5 and found.upper > 4  # b may be 0.05 or 0.6, and a / b is 2
    assert ratio_of_estimates(an(0.1, -0.05, 0.2), an(0.2, 0.05, 0.6)).covers(0)
    exact = ratio_of_estimates(an(0.4, 0.4, 0.4), an(0.2, 0.1, 0.4))
    assert (exact.lower, exact.upper) == pytest.approx((1, 4))  # 0.4 / 0.4 and 0.4 / 0.1


def test_nothing_is_divided_by_what_may_be_zero_or_is_below():
    for denominator in (an(0.2, -0.01, 0.4), an(0.2, 0.0, 0.4), an(-0.2, -0.3, -0.1), an(math.nan, -1, 1)):
        found = ratio_of_estimates(an(0.4, 0.3, 0.5), denominator)
        assert math.isnan(found.estimate) and (found.lower, found.upper) == (-math.inf, math.inf)
    with pytest.raises(InputError, match="two levels"):
        ratio_of_estimates(an(1, 0.5, 1.5), an(1, 0.5, 1.5, level=0.9))
