"""The ratio of two estimates that have intervals: what one costs in units of the other."""

from __future__ import annotations

import math

import numpy as np

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Interval

NAME = "mover-ratio"


def ratio_of_estimates(numerator: Interval, denominator: Interval, correlation: float = 0.0) -> Interval:
    """The ratio a / b with the interval of all r that keep a - r b from being apart from zero.

        (a - r b)^2 <= l_a^2 + r^2 l_b^2 - 2 rho r l_a l_b

    with l_a and l_b the distances of the estimates to the ends of their intervals that a - r b asks for (MOVER). For
    intervals that are as long on both sides that is Fieller's; for score intervals it keeps their shape.

    Args:
        numerator: a.
        denominator: b.
        correlation: rho, of the two estimates.

    Source: Fieller (1954), J. R. Stat. Soc. B 16; Donner & Zou (2012), Stat. Methods Med. Res. 21. Degenerate case:
    where the interval of b reaches zero nothing can be said of the ratio, and it is NaN in an unbounded interval: there
    may be nothing to divide by. Nor is there where b is below zero, since "for each unit of b" has no meaning then.

    Raises:
        InputError: the levels differ.
    """
    if numerator.level != denominator.level:
        raise InputError("a ratio of intervals of two levels", fix="compute both at one level")
    a, b = numerator.estimate, denominator.estimate
    n, clusters = numerator.n + denominator.n, numerator.clusters + denominator.clusters
    if math.isnan(a) or not denominator.lower > 0:
        return Interval(math.nan, -math.inf, math.inf, NAME, n, clusters, level=numerator.level)
    below, above = (a - numerator.lower, numerator.upper - a), (b - denominator.lower, denominator.upper - b)
    lower = min(_ends(a, b, below[0], (above[1], above[0]), correlation, -1), default=a / b)
    upper = max(_ends(a, b, below[1], (above[0], above[1]), correlation, 1), default=a / b)
    return Interval(a / b, lower, upper, NAME, n, clusters, level=numerator.level)


def _ends(a: float, b: float, arm_a: float, arms_b: tuple[float, float], correlation: float, side: int) -> list[float]:
    """Ratios on one side of a / b at which the square of a - r b is as large as allowed.

    Args:
        a: numerator.
        b: denominator.
        arm_a: distance to the end of a's interval.
        arms_b: distances to the ends of b's, for r from zero up and below zero.
        correlation: of both.
        side: 1 above a / b, -1 below.
    """
    found = []
    for arm_b, is_positive in zip(arms_b, (True, False), strict=True):
        square, linear = b * b - arm_b * arm_b, -2.0 * (a * b - correlation * arm_a * arm_b)
        for root in np.roots([square, linear, a * a - arm_a * arm_a]):
            r = float(root.real)
            near = 1e-9 * max(1.0, abs(a / b))
            if abs(root.imag) <= near and (r >= 0) == is_positive and side * (r - a / b) >= -near:
                found.append(r)
    return found
