"""Ratings of units by several raters, as codes, with the weight of every unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Floats, as_floats

Ratings = Sequence[Sequence[Any]] | npt.NDArray[Any]
"""Units x raters; None or NaN where a rater did not see a unit."""


@dataclass(frozen=True, slots=True)
class RatingTable:
    """Ratings as codes.

    Attributes:
        codes: units x raters, 0 .. q-1, and -1 where missing.
        categories: the q categories in their order; order matters for ordinal coefficients only.
        weights: how many units each one stands for, one a unit: 1 / (probability of being drawn) on a sample that was
            drawn with unequal ones; None where all stand for themselves.
    """

    codes: npt.NDArray[np.int64]
    categories: tuple[Any, ...]
    weights: Floats | None = None

    @property
    def counts(self) -> Floats:
        """Units x q: how many raters chose each category."""
        return np.stack([(self.codes == k).sum(axis=1) for k in range(len(self.categories))], axis=1).astype(np.float64)

    @property
    def shares(self) -> Floats:
        """One a unit: the weights with a mean of 1, so that weighted sums stay on the scale of the units' number."""
        if self.weights is None:
            return np.ones(len(self.codes))
        return np.asarray(self.weights * (len(self.codes) / self.weights.sum()), np.float64)

    def rows(self, keep: npt.NDArray[Any]) -> RatingTable:
        """The table of some units, with the same categories."""
        return RatingTable(self.codes[keep], self.categories, None if self.weights is None else self.weights[keep])


def rating_table(
    ratings: Ratings, categories: Sequence[Any] | None = None, weights: object | None = None
) -> RatingTable:
    """Code a table of ratings.

    Args:
        ratings: units x raters.
        categories: all categories that a rater could choose, in order; those that occur, sorted, if None. Gwet's
            AC1 depends on their number, so declare them where one may not have been used.
        weights: of the units, positive; see `RatingTable`.

    No units, or none with a rating, gives a table on which every coefficient is NaN.

    Raises:
        InputError: the rows differ in length, a rating is not among the declared categories, or a weight is not
            positive.
    """
    rows = [list(row) for row in ratings]
    if len({len(row) for row in rows}) > 1:
        raise InputError("rows of ratings differ in length", fix="give one entry per rater, None where it is missing")
    present = {value for row in rows for value in row if not _missing(value)}
    if categories is None:
        try:
            order = tuple(sorted(present))
        except TypeError:
            raise InputError("ratings mix numbers and texts", fix="use one kind, or declare the categories") from None
    else:
        order = tuple(categories)
        unknown = present - set(order)
        if unknown:
            raise InputError(
                f"rating {sorted(map(str, unknown))[0]!r} is not among the declared categories",
                fix=f"use one of {', '.join(map(str, order))}, or leave it missing",
            )
    code = {value: number for number, value in enumerate(order)}
    coded = [[-1 if _missing(value) else code[value] for value in row] for row in rows]
    width = len(rows[0]) if rows else 0
    heavy = None if weights is None else as_floats(weights, "weights")
    if heavy is not None and (len(heavy) != len(rows) or not np.all((heavy > 0) & np.isfinite(heavy))):
        raise InputError(f"{len(heavy)} weights for {len(rows)} units", fix="give one positive weight a unit")
    return RatingTable(np.asarray(coded, np.int64).reshape(len(rows), width), order, heavy)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))
