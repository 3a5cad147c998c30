"""Agreement between annotators, and between annotators and judges.

Every coefficient here is a function of sums over units (prompts or replies), so that point estimate, jackknife and
bootstrap all come from one table of units x sums. Ratings are numbers or names; a missing rating is None or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.intervals import Floats

Ratings = Sequence[Sequence[Any]] | npt.NDArray[Any]
"""Units x raters; None or NaN where a rater did not see a unit."""


@dataclass(frozen=True, slots=True)
class RatingTable:
    """Ratings as codes.

    Attributes:
        codes: units x raters, 0 .. q-1, and -1 where missing.
        categories: the q categories in their order; order matters for ordinal coefficients only.
    """

    codes: npt.NDArray[np.int64]
    categories: tuple[Any, ...]

    @property
    def counts(self) -> Floats:
        """Units x q: how many raters chose each category."""
        return np.stack([(self.codes == k).sum(axis=1) for k in range(len(self.categories))], axis=1).astype(np.float64)

    def rows(self, keep: npt.NDArray[Any]) -> RatingTable:
        """The table of some units, with the same categories."""
        return RatingTable(self.codes[keep], self.categories)


def rating_table(ratings: Ratings, categories: Sequence[Any] | None = None) -> RatingTable:
    """Code a table of ratings.

    Args:
        ratings: units x raters.
        categories: all categories that a rater could choose, in order; those that occur, sorted, if None. Gwet's
            AC1 depends on their number, so declare them where one may not have been used.

    No units, or none with a rating, gives a table on which every coefficient is NaN.

    Raises:
        InputError: the rows differ in length, or a rating is not among the declared categories.
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
    return RatingTable(np.asarray(coded, np.int64).reshape(len(rows), width), order)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))


@dataclass(frozen=True, slots=True)
class Coefficient:
    """An agreement coefficient as a function of sums over units.

    Attributes:
        name: of the coefficient.
        features: table -> units x m, what each unit adds.
        finish: sums (..., m) -> coefficient (...); NaN where it is undefined.
        raters: number of raters it takes; 0 for any number.
    """

    name: str
    features: Callable[[RatingTable], Floats]
    finish: Callable[[Floats, int], Floats]
    raters: int = 0

    def of(self, table: RatingTable) -> float:
        """The coefficient of a table.

        Raises:
            InputError: the table has another number of raters than the coefficient takes.
        """
        self.check(table)
        return float(self.finish(self.features(table).sum(axis=0), len(table.categories)))

    def check(self, table: RatingTable) -> None:
        """Raise where the table does not suit."""
        if self.raters and table.codes.shape[1] != self.raters:
            raise InputError(
                f"{self.name} takes {self.raters} raters, not {table.codes.shape[1]}",
                fix="use Krippendorff's alpha or Gwet's AC1 for any number of raters with gaps",
            )


def _divide(above: Floats, below: Floats) -> Floats:
    """above / below, NaN where below is (nearly) zero."""
    small = np.abs(below) < 1e-12
    return np.asarray(np.where(small, np.nan, above / np.where(small, 1.0, below)), np.float64)


def _pairwise(table: RatingTable) -> Floats:
    """Units x (agreement, used, share of each category among all ratings of the unit, rated)."""
    counts = table.counts
    raters = counts.sum(axis=1)
    several, any_rating = np.asarray(raters >= 2), np.asarray(raters >= 1)
    agreeing = np.sum(counts * (counts - 1), axis=1) / np.where(several, raters * (raters - 1), 1.0)
    shares = counts / np.where(any_rating, raters, 1.0)[:, None]
    columns = [np.where(several, agreeing, 0.0), several, *shares.T, any_rating]
    return np.stack(columns, axis=1).astype(np.float64)


def _observed(sums: Floats) -> Floats:
    return _divide(sums[..., 0], sums[..., 1])


def _raw(sums: Floats, q: int) -> Floats:
    return _observed(sums)


def _fleiss(sums: Floats, q: int) -> Floats:
    shares = sums[..., 2 : 2 + q] / np.maximum(sums[..., 2 + q, None], 1e-300)
    chance = np.sum(shares**2, axis=-1)
    return _divide(_observed(sums) - chance, 1.0 - chance)


def _gwet(sums: Floats, q: int) -> Floats:
    shares = sums[..., 2 : 2 + q] / np.maximum(sums[..., 2 + q, None], 1e-300)
    chance = np.sum(shares * (1 - shares), axis=-1) / max(q - 1, 1)
    return _divide(_observed(sums) - chance, 1.0 - chance)


def _contingency(table: RatingTable) -> Floats:
    """Units x q^2: which cell of the two raters' cross table a unit is in; missing ones are in none."""
    q = len(table.categories)
    both = np.asarray((table.codes >= 0).all(axis=1))
    cell = np.where(both, table.codes[:, 0] * q + table.codes[:, 1], 0)
    return np.asarray(np.eye(max(q * q, 1))[cell] * both[:, None], np.float64)


def _cohen(weights: str) -> Callable[[Floats, int], Floats]:
    def finish(sums: Floats, q: int) -> Floats:
        n = np.maximum(sums.sum(axis=-1), 1e-300)
        cells = (sums / n[..., None]).reshape(*sums.shape[:-1], q, q)
        gap = np.abs(np.subtract.outer(np.arange(q), np.arange(q))).astype(np.float64)
        cost = {"none": (gap > 0).astype(np.float64), "linear": gap, "quadratic": gap**2}[weights]
        expected = np.einsum("...i,...j,ij->...", cells.sum(axis=-1), cells.sum(axis=-2), cost)
        observed = np.einsum("...ij,ij->...", cells, cost)
        return np.asarray(1.0 - _divide(observed, expected), np.float64)

    return finish


def _coincidences(table: RatingTable) -> Floats:
    """Units x q^2: pairs of values within the unit, each weighted by 1 / (raters - 1)."""
    counts = table.counts
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(counts.shape[1])
    pairs[:, diagonal, diagonal] -= counts
    pairs /= np.where(raters >= 2, raters - 1, 1.0)[:, None, None]
    pairs *= np.asarray(raters >= 2)[:, None, None]
    return np.asarray(pairs.reshape(len(counts), -1), np.float64)


def _krippendorff(metric: str) -> Callable[[Floats, int], Floats]:
    def finish(sums: Floats, q: int) -> Floats:
        pairs = sums.reshape(*sums.shape[:-1], q, q)
        values = pairs.sum(axis=-1)
        total = values.sum(axis=-1)
        if metric == "nominal":
            distance = np.broadcast_to(1.0 - np.eye(q), pairs.shape)
        else:
            # Squared number of values between two ranks, the ends counted half: needs the margins themselves.
            middle = np.cumsum(values, axis=-1) - values / 2
            distance = (middle[..., :, None] - middle[..., None, :]) ** 2
        observed = np.sum(pairs * distance, axis=(-1, -2))
        expected = np.sum(values[..., :, None] * values[..., None, :] * distance, axis=(-1, -2))
        return np.asarray(1.0 - _divide((total - 1.0) * observed, expected), np.float64)

    return finish


RAW = Coefficient("raw", _pairwise, _raw)
"""Share of pairs of raters that agree, averaged over units with two ratings or more. Always defined where such a unit
is. Says nothing of chance: 90 % is little where 90 % of replies are harmless."""

COHEN = Coefficient("cohen-kappa", _contingency, _cohen("none"), raters=2)
"""Cohen's kappa of two raters: (p_o - p_e) / (1 - p_e), p_e from each rater's own margins. Source: Cohen (1960), Educ.
Psychol. Meas. 20. NaN where both use one and the same category throughout (p_e = 1). Low at skewed margins even
if raters agree: read it beside `GWET`."""

COHEN_LINEAR = Coefficient("cohen-kappa-linear", _contingency, _cohen("linear"), raters=2)
"""Cohen's weighted kappa, disagreement costing the number of steps (Cohen 1968, Psychol. Bull. 70)."""

COHEN_QUADRATIC = Coefficient("cohen-kappa-quadratic", _contingency, _cohen("quadratic"), raters=2)
"""Cohen's weighted kappa, disagreement costing the square of the steps."""

FLEISS = Coefficient("fleiss-kappa", _pairwise, _fleiss)
"""Fleiss' kappa of any number of raters: p_e from the pooled margins. Source: Fleiss (1971), Psychol. Bull. 76; with
gaps, shares are averaged over units (Gwet 2014, Handbook of Inter-Rater Reliability). NaN where only one
category is used."""

KRIPPENDORFF = Coefficient("krippendorff-alpha-nominal", _coincidences, _krippendorff("nominal"))
"""Krippendorff's alpha, nominal: 1 - D_o / D_e from the coincidence matrix; missing ratings need no filling. Source:
Krippendorff (2011), Computing Krippendorff's Alpha-Reliability. NaN where all values are equal: no variation, so
reliability cannot be told, which is neither 0 nor 1."""

KRIPPENDORFF_ORDINAL = Coefficient("krippendorff-alpha-ordinal", _coincidences, _krippendorff("ordinal"))
"""Krippendorff's alpha for ordered categories: the distance of two ranks is the squared number of values between
them."""

GWET = Coefficient("gwet-ac1", _pairwise, _gwet)
"""Gwet's AC1: p_e = sum_k pi_k (1 - pi_k) / (q - 1) over the q declared categories. Source: Gwet (2008), Br. J. Math.
Stat. Psychol. 61. Stays high where one category dominates; 1 where all ratings are equal."""

COEFFICIENTS: dict[str, Coefficient] = {
    coefficient.name: coefficient
    for coefficient in (
        RAW,
        COHEN,
        COHEN_LINEAR,
        COHEN_QUADRATIC,
        FLEISS,
        KRIPPENDORFF,
        KRIPPENDORFF_ORDINAL,
        GWET,
    )
}
"""Every coefficient by its name."""
