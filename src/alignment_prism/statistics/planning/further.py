"""How many more prompts would decide what an interval leaves open."""

from __future__ import annotations

import math
from statistics import NormalDist

from alignment_prism.statistics.intervals import Interval, critical_value


def further_prompts(interval: Interval, null: float = 0.0, power: float = 0.8) -> float:
    """Prompts beyond those of an interval that would set it apart from a value with some probability.

        N = n ((z + z_power) / z_seen)^2 - n,  z_seen = z |estimate - null| / arm,  arm = distance to the end towards it

    Args:
        interval: what was found on n prompts; of prompts in clusters, N are in clusters of the same kind.
        null: the value.
        power: the probability, if the truth is what was found.

    Returns:
        A whole number as float; 0 where the value is outside the interval already; inf where the estimate is the value;
        NaN where it is undefined or the end unbounded.

    For deciding whether to go on, not for a claim: what was found is not the truth (Hoenig & Heisey 2001, Am. Stat.
    55), and further prompts have to be declared as a look of their own (`looks`).

    Example:
        >>> further_prompts(Interval(-0.1, -0.2, 0.0, "tango", 100, 100))  # 100 (1.96 + 0.84)^2 / 1.96^2 - 100
        105.0
    """
    gap = abs(interval.estimate - null)
    arm = interval.upper - interval.estimate if interval.estimate < null else interval.estimate - interval.lower
    if math.isnan(gap) or not math.isfinite(arm):
        return math.nan
    if not interval.lower <= null <= interval.upper:
        return 0.0
    if gap == 0.0 or arm <= 0.0:
        return math.inf
    z = critical_value(interval.level)
    wanted = interval.n * ((z + NormalDist().inv_cdf(power)) * arm / (z * gap)) ** 2
    return float(max(math.ceil(wanted - interval.n - 1e-9), 0))
