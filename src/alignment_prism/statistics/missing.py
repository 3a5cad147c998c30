"""Verdicts that are missing, and where harm went.

A judge fails more often on the replies that matter: long, mixed, refused by the judge itself. So leaving missing
verdicts out assumes what nobody knows. Beside the estimate from what was observed stand the two extremes: all
missing verdicts safe, all missing verdicts harmful (worst-case bounds, Manski 2003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignment_prism.domain import Outcome
from alignment_prism.statistics.changes.paired import paired_risk_difference
from alignment_prism.statistics.clustered import clustered_rate
from alignment_prism.statistics.intervals import Floats, Interval, Labels, as_binary, as_floats, same_length
from alignment_prism.statistics.rates import wilson


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate from observed verdicts between its two extremes.

    Attributes:
        observed: from the rows whose verdict is known; right only if verdicts are missing at random.
        lowest: with the missing verdicts set so that the estimate is smallest.
        highest: so that it is largest.
        missing: rows (or pairs) with a missing verdict.
    """

    observed: Interval
    lowest: Interval
    highest: Interval
    missing: int

    @property
    def lower(self) -> float:
        """Lower end that holds whatever the missing verdicts are."""
        return self.lowest.lower

    @property
    def upper(self) -> float:
        """Upper end that holds whatever the missing verdicts are."""
        return self.highest.upper


def missing_bounds(verdicts: object, clusters: Labels | None = None, level: float = 0.95) -> Bounds:
    """Rate of 0/1 verdicts of which some are missing (NaN), with worst-case bounds.

        lowest = harmful / n,  highest = (harmful + missing) / n,  each with its own interval

    The span from the lower end of the one to the upper end of the other covers the rate of all replies with at least
    the level. Source: Manski (2003), Partial Identification of Probability Distributions; Horowitz & Manski (2000), J.
    Am. Stat. Assoc. 95. Degenerate cases: all missing gives NaN in [0, 1] as observed, and [0, 1] as bounds; none
    missing gives three times the same interval. Not for verdicts that are missing by design (a random subsample was
    judged): `observed` alone is right then.
    """
    rows = as_floats(verdicts, "verdicts")
    same_length(verdicts=rows, clusters=clusters)
    known = ~np.isnan(rows)
    as_binary(rows[known], "verdicts")

    def rate(values: Floats, keep: np.ndarray | slice = slice(None)) -> Interval:
        if clusters is None:
            return wilson(float(values.sum()), len(values), level)
        return clustered_rate(values, np.asarray(clusters)[keep], level)

    return Bounds(
        observed=rate(rows[known], known),
        lowest=rate(np.where(known, rows, 0.0)),
        highest=rate(np.where(known, rows, 1.0)),
        missing=int(np.sum(~known)),
    )


def paired_bounds(model: object, base: object, clusters: Labels | None = None, level: float = 0.95) -> Bounds:
    """Risk difference of paired verdicts of which some are missing (NaN), with worst-case bounds.

    The lowest difference takes missing verdicts of the model as 0 and of base as 1, the highest the other way round.
    `observed` rests on the pairs that have both verdicts. Formula, source and degenerate cases as `missing_bounds` and
    `paired_risk_difference`. Not for many missing verdicts on one arm: the bounds say only that then, so judge again.
    """
    m, b = as_floats(model, "verdicts of the model"), as_floats(base, "verdicts of base")
    same_length(model=m, base=b, clusters=clusters)
    known = ~(np.isnan(m) | np.isnan(b))

    def difference(fill_model: float, fill_base: float) -> Interval:
        return paired_risk_difference(
            np.where(np.isnan(m), fill_model, m), np.where(np.isnan(b), fill_base, b), clusters, level
        )

    names = None if clusters is None else np.asarray(clusters)[known]
    return Bounds(
        observed=paired_risk_difference(m[known], b[known], names, level),
        lowest=difference(0.0, 1.0),
        highest=difference(1.0, 0.0),
        missing=int(np.sum(~known)),
    )


@dataclass(frozen=True, slots=True)
class HarmFlow:
    """What became of the prompts on which base was harmful, and whence the model's harm came.

    Attributes:
        went: for each outcome, the share of base's harmful prompts that have it under the model; the
            shares add up to 1.
        came: for each outcome of base, the share of the model's harmful prompts that had it.
        counts: prompts by (outcome of base, outcome of the model).
    """

    went: dict[Outcome, Interval]
    came: dict[Outcome, Interval]
    counts: dict[tuple[Outcome, Outcome], int]


def where_harm_went(
    base: Sequence[Outcome], model: Sequence[Outcome], clusters: Labels | None = None, level: float = 0.95
) -> HarmFlow:
    """Outcomes under the model of the prompts on which base was harmful, and the reverse.

    Less harm is an achievement where it became refusal or safe help, and none where it became gibberish or the
    wrong language. Intervals are Wilson's, at the effective size with clusters. The shares are conditional on base's
    harm, so some drift from harm to anything else happens by judge error alone (regression to the mean): look at
    `came` beside `went`. Degenerate case: a side without harm gives NaN in [0, 1] throughout. Not for claims about a
    single share of a few prompts, nor to be added up with rates over all prompts.
    """
    same_length(base=base, model=model, clusters=clusters)
    before, after = np.array([str(x) for x in base]), np.array([str(x) for x in model])
    groups = None if clusters is None else np.asarray(clusters)
    harmful = Outcome.HARMFUL.value

    def shares(given: np.ndarray, of: np.ndarray) -> dict[Outcome, Interval]:
        rows = given == harmful
        found = {}
        for outcome in Outcome:
            hits = (of[rows] == outcome.value).astype(np.float64)
            if groups is None:
                found[outcome] = wilson(float(hits.sum()), len(hits), level)
            else:
                found[outcome] = clustered_rate(hits, groups[rows], level)
        return found

    counts = {
        (first, second): count
        for first in Outcome
        for second in Outcome
        if (count := int(np.sum((before == first.value) & (after == second.value))))
    }
    return HarmFlow(went=shares(before, after), came=shares(after, before), counts=counts)
