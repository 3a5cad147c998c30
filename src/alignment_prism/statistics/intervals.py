"""An estimate with its interval: what every function of this package returns.

Quantiles of the normal distribution come from the standard library, so that the simple rates need no SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError

Floats = npt.NDArray[np.float64]
"""An array of double-precision numbers."""

GroupNames = Sequence[Any] | npt.NDArray[Any]
"""Names of the clusters, strata or languages of rows: strings or numbers, one a row."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its interval.

    Attributes:
        estimate: the point estimate; NaN where it is undefined.
        lower: lower end; -inf where the interval is unbounded.
        upper: upper end; inf where the interval is unbounded.
        method: how the interval came about (`wilson`).
        n: units that the estimate rests on.
        clusters: independent clusters among them; equal to `n` where each unit stands alone.
        bias: estimated bias of the estimate, of the order 1 / n, which means over many estimates take off
            because it does not average out there; 0 where the estimate has none to speak of.
        level: coverage that the interval is made for.
    """

    estimate: float
    lower: float
    upper: float
    method: str
    n: int
    clusters: int
    bias: float = 0.0
    level: float = 0.95

    @property
    def name(self) -> str:
        """Method and level in per cent, in one word.

        Example:
            >>> Interval(0.1, 0.05, 0.2, "wilson", 100, 100, level=0.975).name
            'wilson97.5'
        """
        return f"{self.method}{round(100.0 * self.level, 6):g}"

    @property
    def width(self) -> float:
        """Upper end minus lower end."""
        return self.upper - self.lower

    def covers(self, value: float) -> bool:
        """Whether `value` lies in the interval, ends included."""
        return self.lower <= value <= self.upper

    def scaled(self, factor: float, offset: float = 0.0) -> Interval:
        """The interval of `offset + factor * x`; the ends change places where `factor` is negative."""
        ends = sorted((offset + factor * self.lower, offset + factor * self.upper))
        estimate = offset + factor * self.estimate
        return replace(self, estimate=estimate, lower=ends[0], upper=ends[1], bias=factor * self.bias)


def critical_value(level: float, df: float | None = None) -> float:
    """Two-sided critical value: normal, or Student's t with `df` degrees of freedom.

    Args:
        level: coverage, 0 < level < 1.
        df: degrees of freedom; None for the normal distribution; 0 or less gives infinity, because nothing
            is known of the variance then.

    Raises:
        InputError: the level is not between 0 and 1.

    Example:
        >>> round(critical_value(0.95), 6)
        1.959964
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"confidence level {level!r}", fix="give a level between 0 and 1, such as 0.95")
    if df is None or math.isinf(df):
        return NormalDist().inv_cdf(0.5 + level / 2.0)
    if df <= 0:
        return math.inf
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + level / 2.0))


def as_floats(values: object, name: str = "values") -> Floats:
    """One-dimensional array of doubles.

    Raises:
        InputError: the values are not numbers, or not one-dimensional.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} are not numbers: {error}", fix="pass numbers, one per row") from error
    if array.ndim != 1:
        raise InputError(f"{name} have {array.ndim} dimensions", fix="pass a one-dimensional array")
    return array


def as_binary(values: object, name: str = "values") -> Floats:
    """One-dimensional array of zeros and ones.

    Raises:
        InputError: a value is neither 0 nor 1 (missing verdicts included).
    """
    array = as_floats(values, name)
    wrong = ~((array == 0.0) | (array == 1.0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{name} hold {array[row]!r} at position {row}",
            fix="pass 0 and 1 only; leave rows whose verdict is missing out, and say how many they are",
        )
    return array


def same_length(**arrays: object) -> int:
    """The common length of the arrays.

    Raises:
        InputError: the lengths differ.
    """
    lengths = {name: len(values) for name, values in arrays.items() if values is not None}  # type: ignore[arg-type]
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"arrays of different lengths: {listed}", fix="pass one value per row in each array")
    return next(iter(lengths.values()))
