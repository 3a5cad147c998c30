"""Score intervals for two paired rates: their difference and their ratio, element by element.

Both invert a test whose variance is estimated under the very value that is tested, which is what keeps them honest
where events are few. Counts need not be whole, so that effective sample sizes can be used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from alignment_prism.statistics.intervals import Floats

_HALVINGS = 60
"""Halvings of the bracket: an interval of length 2 shrinks below double precision."""

_FEW = 64
"""Up to so many intervals the bracket is cut into 64 parts at a time."""

_LARGEST_CORRECTED = 3.0
"""Critical values beyond this are corrected for skewness as if they were this large."""


def tango_bounds(
    model_only: npt.ArrayLike, base_only: npt.ArrayLike, n: npt.ArrayLike, critical: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Ends of Tango's score interval for the difference of two paired rates.

    For b = model_only, c = base_only and a difference d, the constrained estimate q of c's share solves
    2n q^2 + (-b - c + (2n - b + c) d) q - c d (1 - d) = 0, and the test is
    (b - c - n d) / sqrt(n (2 q + d (1 - d))). The ends are where it equals +- the critical value.

    Returns:
        Lower and upper ends in the broadcast shape, within [-1, 1]; -1 and 1 where n is 0.

    Without discordant prompts the ends are -+ z^2 / (n + z^2), not 0. Not for unpaired rates. Source: Tango (1998),
    Statistics in Medicine 17, 891-908.
    """
    b, c, n, z = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (model_only, base_only, n, critical)))
    safe = np.where(n > 0, n, 1.0)
    estimate = (b - c) / safe

    def excess(d: Floats) -> Floats:
        """Squared distance minus critical value squared times variance: negative inside the interval."""
        middle = -b - c + (2 * safe - b + c) * d
        root = np.sqrt(np.maximum(middle**2 + 8 * safe * c * d * (1 - d), 0.0))
        q = np.maximum((root - middle) / (4 * safe), 0.0)
        variance = safe * np.maximum(2 * q + d * (1 - d), 0.0)
        with np.errstate(invalid="ignore"):  # an infinite z, without a degree of freedom, times no variance
            return np.asarray((b - c - safe * d) ** 2 - z**2 * variance, np.float64)

    lower = _end(excess, np.full(b.shape, -1.0), estimate)
    upper = _end(excess, np.full(b.shape, 1.0), estimate)
    return np.where(n > 0, lower, -1.0), np.where(n > 0, upper, 1.0)


def ratio_score_bounds(
    both: npt.ArrayLike,
    model_only: npt.ArrayLike,
    base_only: npt.ArrayLike,
    n: npt.ArrayLike,
    critical: npt.ArrayLike,
) -> tuple[Floats, Floats]:
    """Ends of the score interval for the ratio t of two paired rates, the model's over base's.

    The score is x_m - t x_b (counts of events), its variance under t is n (p12 + t^2 p21 + (1 - t)^2 p11), with the
    shares estimated under p11 + p12 = t (p11 + p21). The likelihood under that constraint has its maximum at the
    root of (1 + t) N q^2 + ((a + c)(t^2 - 1) - (b + c)) q - c (t - 1) = 0, with q = p21 / (p11 + p12 + p21),
    a = both, b = model_only, c = base_only, N = a + b + c. The prompts where neither is 1 do not matter.

    With few events the score is skewed, by g = n (p12 - t^3 p21 + (1 - t)^3 p11) / (n variance)^1.5, and a normal
    critical value misses on one side only: one harmful reply of the model and none of base would refute a ratio of
    1/4. So the lower end is where the standardised score is z + g (z^2 - 1) / 6, the upper one where it is
    -(z - g (z^2 - 1) / 6), each at least z / 2 away from zero; z in the correction is taken as 3 at most, beyond
    which the expansion does not hold.

    Returns:
        Lower and upper ends, within [0, inf]; the upper end is inf where base has no events, the lower one 0 where
        the model has none. Exchanging the arms gives the inverse ends in exchanged order.

    Source: Nam & Blackwelder (2002), Statistics in Medicine 21; Tang, Tang & Chan (2003), Statistics in Medicine 22;
    the skewness as in Gart & Nam (1988), Biometrics 44, and Laud (2017), Pharm. Stat. 16. Not where base has no
    events.
    """
    a, b, c, n, z = np.broadcast_arrays(
        *(np.asarray(x, np.float64) for x in (both, model_only, base_only, n, critical))
    )
    events = a + b + c
    safe = np.where(events > 0, events, 1.0)
    bend = (np.minimum(z, _LARGEST_CORRECTED) ** 2 - 1.0) / 6.0

    def excess(angle: Floats, side: float) -> Floats:
        """How far the score is beyond its critical value at the ratio tan(angle): negative inside the interval.

        Score and root of the variance are divided by 1 + t to stay finite.
        """
        t = np.tan(np.clip(angle, 1e-12, np.pi / 2 - 1e-12))
        first, middle, last = (1 + t) * safe, (a + c) * (t**2 - 1) - (b + c), -c * (t - 1)
        root = np.sqrt(np.maximum(middle**2 - 4 * first * last, 0.0))
        # The stable form of the larger root, whichever sign the middle term has.
        q = np.where(
            middle <= 0, (root - middle) / (2 * first), -2 * last / np.where(root + middle > 0, root + middle, 1)
        )
        q = np.clip(q, np.maximum(0.0, 1 - t), 1 / (1 + t))
        # p12 + t^2 p21 + (1 - t)^2 p11 = t ((1 + t) p_b - 2 p11) in shares of the events.
        p11 = np.clip((1 - (1 + t) * q) / t, 0.0, 1.0)
        p12 = np.maximum(t * (p11 + q) - p11, 0.0)
        root = np.sqrt(safe * t * np.maximum((1 + t) * (p11 + q) - 2 * p11, 0.0)) / (1 + t)
        third = safe * ((p12 + (1 - t) ** 3 * p11) / (1 + t) ** 3 - (t / (1 + t)) ** 3 * q)
        skewness = third / np.maximum(root, 1e-150) ** 3
        critical = np.maximum(z + side * bend * skewness, z / 2.0)
        return np.asarray(side * ((a + b) - t * (a + c)) / (1 + t) - critical * root, np.float64)

    estimate = np.where(a + c > 0, np.arctan2(a + b, np.where(a + c > 0, a + c, 1.0)), np.pi / 2)
    lower = np.tan(_end(lambda angle: excess(angle, 1.0), np.zeros(a.shape), estimate))
    upper = np.tan(_end(lambda angle: excess(angle, -1.0), np.full(a.shape, np.pi / 2), estimate))
    lower = np.where((a + b > 0) & (n > 0), lower, 0.0)
    upper = np.where((a + c > 0) & (n > 0) & (upper < 1e15), upper, np.inf)
    return np.asarray(lower, np.float64), np.asarray(upper, np.float64)


def ratio_bias(both: npt.ArrayLike, model_only: npt.ArrayLike, base_only: npt.ArrayLike) -> Floats:
    """Bias of the ratio of two paired rates, of the order 1 / n: t (1 / x_b - a / (x_m x_b)), 0 where a count is 0.

    Second-order expansion of x_m / x_b, with a prompts where both are 1. Source: Cochran (1977), Sampling Techniques,
    section 6.8.
    """
    a, b, c = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (both, model_only, base_only)))
    model, base = a + b, a + c
    known = (model > 0) & (base > 0)
    ratio = np.where(known, model / np.where(known, base, 1.0), 0.0)
    shared = a / np.where(known, model * base, 1.0)
    return np.asarray(np.where(known, ratio * (1.0 / np.where(known, base, 1.0) - shared), 0.0), np.float64)


def _end(excess: Callable[[Floats], Floats], outside: Floats, inside: Floats) -> Floats:
    """Where `excess` changes sign between a point outside the interval and one inside it; the outermost of several.

    The bracket is cut into parts, and the outermost part whose inner end lies inside the interval is cut again. A few
    intervals are cut into many parts at once, because a call costs more than its sums; many are halved.
    Where even the outermost point lies inside the interval, that point is the end.
    """
    low, high = outside.astype(np.float64), inside.astype(np.float64)
    reached = excess(low) <= 0
    bits = 6 if low.size <= _FEW else 1
    cuts = np.arange(1.0, 2**bits).reshape(-1, *(1,) * low.ndim)
    for _ in range(-(-_HALVINGS // bits)):
        part = (high - low) / 2**bits
        within = excess(low + cuts * part) <= 0
        first = np.where(within.any(axis=0), within.argmax(axis=0), len(cuts))
        low = low + first * part
        high = low + part
    return np.where(reached, outside, (low + high) / 2)
