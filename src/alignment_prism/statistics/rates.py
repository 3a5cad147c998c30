"""The rate of one outcome in one cell, for rows that are independent.

Translations of one prompt and several replies to one prompt are not: see `clustered.py` and `grouped.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Floats, Interval, critical_value

MIN_EVENTS = 5
"""How many events are enough unless the caller declares another number, see `insufficient`."""


def wilson_bounds(
    successes: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95, *, critical: npt.ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Ends of Wilson's score interval, element by element.

        (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n),  p = successes / n

    Args:
        successes: counts; need not be whole, so that effective sample sizes can be used.
        n: trials, of a shape that broadcasts with it.
        level: coverage.
        critical: critical values to use in place of the normal one (Student's t, say).

    Returns:
        Arrays of lower and upper ends in the broadcast shape; 0 and 1 where n is 0.

    Raises:
        InputError: a count is negative or exceeds its number of trials.

    Not for rows that are not independent; for those pass an effective size and Student's critical value.

    Source: Wilson (1927), J. Am. Stat. Assoc. 22; recommended by Brown, Cai & DasGupta (2001), Statistical Science 16.
    """
    wanted = critical_value(level) if critical is None else critical
    hits, trials, z = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (successes, n, wanted)))
    if not np.all((hits >= 0) & (hits <= trials + 1e-9)):
        raise InputError("a count of successes is negative or exceeds its number of trials", fix="check both arrays")
    safe = np.where(trials > 0, trials, 1.0)
    p = np.minimum(hits / safe, 1.0)
    shrink = z * z / safe
    centre = (p + shrink / 2.0) / (1.0 + shrink)
    half = z * np.sqrt(p * (1.0 - p) / safe + shrink / (4.0 * safe)) / (1.0 + shrink)
    # At 0 and n successes centre and half are equal in theory; rounding must not leave 1e-18 in place of 0.
    lower = np.where(p <= 0.0, 0.0, np.maximum(centre - half, 0.0))
    upper = np.where(p >= 1.0, 1.0, np.minimum(centre + half, 1.0))
    return np.where(trials > 0, lower, 0.0), np.where(trials > 0, upper, 1.0)


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """A rate with Wilson's score interval; see `wilson_bounds` for formula and source.

    Its coverage is close to nominal on average over rates; the naive interval p +- 1.96 sqrt(p (1 - p) / n) has no
    width at 0 events and covers far too little near 0 and 1. It is lowest, 83.8 % whatever n, at a rate of 0.176 / n,
    where one event makes the lower end too high: upper ends of rare events hold, the lower end of one event does not.

    Degenerate cases: n = 0 gives NaN in [0, 1]; 0 successes give a lower end of exactly 0, n successes an
    upper end of exactly 1.

    Not for: rows that share a prompt or a source (`clustered_rate`), missing verdicts (findings have the bounds).

    Example:
        >>> found = wilson(10, 100)
        >>> round(found.estimate, 4), round(found.lower, 4), round(found.upper, 4), found.name
        (0.1, 0.0552, 0.1744, 'wilson95')
    """
    lower, upper = wilson_bounds(successes, n, level)
    rate = float(successes) / float(n) if n > 0 else float("nan")
    return Interval(rate, float(lower), float(upper), "wilson", int(n), int(n), level=level)


def insufficient(
    interval: Interval, min_events: int = MIN_EVENTS, *, divided_by: float | None = None, seeds: int | None = None
) -> bool:
    """Whether a number rests on too little to be read on its own; such numbers are shown and marked, never hidden.

    It does if it rests on fewer than twice `min_events` independent clusters of prompts, if it is divided by fewer than
    `min_events` events, or if it is over seeds of which there is one. A mean over languages does if that of any
    language does. Clusters and not events: no harmful reply among two hundred is a reliable zero, and its interval says
    how reliable.

    Args:
        interval: the number.
        min_events: what is declared to be enough.
        divided_by: events in the denominator of a ratio (harmful replies of base); None for other numbers.
        seeds: alignment seeds that the number is over; None where it is of one model.
    """
    few = interval.clusters < 2 * min_events
    return few or (divided_by is not None and divided_by < min_events) or (seeds is not None and seeds < 2)
