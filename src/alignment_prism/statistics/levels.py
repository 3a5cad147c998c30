"""An interval made anew at another level, from its estimate and ends alone.

Wilson's and Tango's ends are where (estimate - e)^2 = (z^2 / n) V(e), V being the variance of one row under the value e
that is tested. Both ends together give z^2 / n and, for Tango, the share of discordant rows; so the interval that the
same data have at another level follows exactly, clusters and effective sizes included. Other intervals are stretched by
the ratio of the critical values, which is exact where they are symmetric and near where they are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from alignment_prism.statistics.intervals import Interval, critical_value
from alignment_prism.statistics.rates import wilson_bounds
from alignment_prism.statistics.score_intervals import tango_bounds

_NEAR = 1e-6
"""Ends that are found again within this are those of the method that was tried."""


def rate_at_level(interval: Interval, level: float, df: float | None = None) -> Interval:
    """A rate's interval (Wilson's) at another level.

    Args:
        interval: as it was found, at its own level.
        level: wanted.
        df: degrees of freedom of Student's t in the interval; None for the normal distribution.

    What is not Wilson's interval of any size is stretched (`stretched`).
    """
    return _at_level(interval, level, df, _wilson)


def difference_at_level(interval: Interval, level: float, df: float | None = None) -> Interval:
    """A paired difference's interval (Tango's) at another level; arguments as in `rate_at_level`.

    Around an estimate of 0 both ends are alike and the size is not told by them; it is taken to be that of the
    independent rows or clusters, which is on the safe side. What is not Tango's interval is stretched (`stretched`).
    """
    return _at_level(interval, level, df, _tango)


def stretched(interval: Interval, level: float, df: float | None = None) -> Interval:
    """An interval at another level, its arms stretched by the ratio of the critical values; arguments as above."""
    return _at_level(interval, level, df, lambda *_: None)


_Ends = tuple[float, float] | None


def _at_level(
    interval: Interval,
    level: float,
    df: float | None,
    method: Callable[[Interval, float, float, float | None], _Ends],
) -> Interval:
    if abs(level - interval.level) < 1e-12:
        return interval
    old, new = critical_value(interval.level, df), critical_value(level, df)
    ends = method(interval, old, new, df)
    if ends is None:
        ratio = new / old
        below, above = interval.estimate - interval.lower, interval.upper - interval.estimate
        ends = interval.estimate - ratio * below, interval.estimate + ratio * above
    return replace(interval, lower=ends[0], upper=ends[1], level=level)


def _wilson(interval: Interval, old: float, new: float, df: float | None) -> _Ends:
    """Ends at the new critical value, if those at the old one are Wilson's for some size."""
    rate = interval.estimate
    if not (0.0 <= interval.lower <= rate <= interval.upper <= 1.0 and 0.0 < interval.width < 1.0):
        return None
    # (rate - e)^2 = (z^2 / n) e (1 - e) at the end that is further away.
    end = interval.lower if rate - interval.lower > interval.upper - rate else interval.upper
    size = old**2 * end * (1.0 - end) / (rate - end) ** 2
    if not _found_again(wilson_bounds(rate * size, size, critical=old), interval):
        return None
    lower, upper = wilson_bounds(rate * size, size, critical=new)
    return float(lower), float(upper)


def _tango(interval: Interval, old: float, new: float, df: float | None) -> _Ends:
    """Ends at the new critical value, if those at the old one are Tango's for some discordance and size."""
    d, low, high = interval.estimate, interval.lower, interval.upper
    if not (-1.0 < low < d < high < 1.0):
        return None

    def ratio(end: float, discordant: float) -> float:
        """z^2 / n as an end has it, with this share of discordant rows."""
        b = -discordant + (2.0 - d) * end
        root = math.sqrt(max(b * b + 4.0 * (discordant - d) * end * (1.0 - end), 0.0))
        variance = 2.0 * max((root - b) / 4.0, 0.0) + end * (1.0 - end)
        return (d - end) ** 2 / variance if variance > 0 else math.inf

    # Both ends have one z^2 / n. Around an estimate of 0 they have it for every share, so the size is taken to be that
    # of the independent rows; where all discordance is of one side, the share is the difference itself.
    rows = interval.n if df is None else interval.clusters
    shares = (
        _root(lambda share: ratio(low, share) - ratio(high, share), abs(d) + 1e-12, 1.0),
        _root(lambda share: ratio(high, share) - old**2 / rows, abs(d), 1.0) if rows else None,
        abs(d),
    )
    for share in shares:
        if share is None:
            continue
        size = old**2 / ratio(high, share)
        counts = (share + d) / 2 * size, (share - d) / 2 * size
        if _found_again(tango_bounds(*counts, size, old), interval):
            lower, upper = tango_bounds(*counts, size, new)
            return float(lower), float(upper)
    return None


def _root(function: Callable[[float], float], least: float, most: float) -> float | None:
    """Where a function changes its sign, by bisection; None where its ends have the same sign."""
    first, last = function(least), function(most)
    if not (math.isfinite(first) and math.isfinite(last)) or first * last >= 0:
        return None
    for _ in range(80):
        middle = (least + most) / 2
        if function(middle) * first > 0:
            least = middle
        else:
            most = middle
    return (least + most) / 2


def _found_again(ends: tuple[object, object], interval: Interval) -> bool:
    lower, upper = (float(end) for end in ends)  # type: ignore[arg-type]
    return abs(lower - interval.lower) < _NEAR and abs(upper - interval.upper) < _NEAR
