"""How far annotators agree with each other, and judges with what the annotators say together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from alignment_prism.domain import ALL, Finding, InputError, Label, Outcome, Prompt, Score
from alignment_prism.labels.frame import Design, require_design
from alignment_prism.labels.places import Place, find_places
from alignment_prism.labels.ratings import Ratings, Scale, labels_of_scores, rate
from alignment_prism.statistics.bootstrap import REPLICATES
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.raters.agreement import COEFFICIENTS, Coefficient, agreement
from alignment_prism.statistics.raters.judge_error import FEW_LABELS
from alignment_prism.statistics.raters.rating_table import rating_table
from alignment_prism.statistics.rates import MIN_EVENTS

HUMAN = "human:"
"""What the scorer of a person's scores begins with."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of some raters.

    Attributes:
        findings: one a pair or group of raters (arm), language, scope and coefficient (metric).
        unusable: labels by rater that were given but could not be read.
        unmatched: labelled replies without a verdict of any judge, where there are judges.
        notes: what was not understood or not used, in words.
    """

    findings: tuple[Finding, ...]
    unusable: Counter[str]
    unmatched: int
    notes: tuple[str, ...]


def measure_agreement(
    labels: Sequence[Label],
    scores: Sequence[Score] = (),
    prompts: Iterable[Prompt] = (),
    *,
    places: Mapping[str, Place] | None = None,
    judges: Collection[str] = (),
    scale: Scale | None = None,
    ordinal: bool = False,
    design: Design | None = None,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Agreement:
    """Agreement between people, and of each judge with people, by language and scope, with intervals over prompts.

    Raters meet by the reply's key. People are compared with a judge by what they say together: the majority, a tie
    counting half for each of its values (`Scale.joint`), as in the correction of a judge.

    Args:
        labels: of people, and of the raters that `judges` names.
        scores: outcomes; scorers that are not `human:` are judges.
        prompts: those that were answered, or labelled, for tables by language and scope and for clusters; the design
            knows its own.
        places: where replies belong of which neither prompts nor the design know, as the tables of labels say.
        judges: raters of `labels` that are judges.
        scale: how labels are read; by default as harmful or not.
        ordinal: the categories are ordered: weighted kappas and ordinal alpha as well.
        design: of the sample that the labels were drawn in; each reply then stands for as many as the draw says.
        level: of the intervals.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        InputError: there is nothing to compare; nothing of a rater can be read; or labels were drawn in a sample whose
            design is not given, in which the judge's hard cases are too many.
    """
    scale = scale or Scale(design.outcome if design else Outcome.HARMFUL)
    if ordinal and not scale.categories:
        raise InputError(
            "an order without categories",
            fix="declare the categories in their order",
            settings={"categories": "LOW,MIDDLE,HIGH"},
        )
    require_design(labels, design)
    ratings = rate([*labels, *labels_of_scores(scores)], scale)
    ratings.require_readable()
    machines = set(judges) | {score.scorer for score in scores if not score.scorer.startswith(HUMAN)}
    unknown = set(judges) - set(ratings.raters)
    if unknown:
        raise InputError(
            f"no labels of the judge {sorted(unknown)[0]!r}", fix=f"use some of {', '.join(ratings.raters)}"
        )
    people = [name for name in ratings.raters if name not in machines]
    named = [name for name in ratings.raters if name in machines]
    if not people or (len(people) == 1 and not named):
        raise InputError(
            "nothing to compare: " + ("no labels of people" if not people else "one rater and no judge"),
            fix="add labels of a second rater, or scores of a judge",
        )
    labelled = {reply for reply, values in zip(ratings.replies, _columns(ratings, people), strict=True) if any(values)}
    known = find_places(scores, {prompt.id: prompt for prompt in prompts}, design, places)
    where = {reply: known.get(reply, Place(reply)) for reply in ratings.replies}
    weights = dict.fromkeys(labelled, 1.0)
    if design is not None:
        weights = {reply: weight for reply, weight in design.weights(labelled).items() if reply in labelled}
    interval = partial(agreement, level=level, replicates=replicates, seed=seed)
    drawn = "" if design is None else f"|design:{design.digest}"
    signature = f"agreement|seed:{seed}|replicates:{replicates}{drawn}"
    findings = [
        finding
        for name, units in _comparisons(ratings, people, named, weights, where)
        for (language, scope), inside in sorted(_parts(units).items())
        for finding in _measure(
            Finding("agreement", name, -1, "labelled", language, scope, ALL, "", math.nan, signature=signature),
            inside,
            scale.order,
            ordinal,
            interval,
        )
    ]
    verdicts = _columns(ratings, named)
    judged = {reply for reply, said in zip(ratings.replies, verdicts, strict=True) if any(said)}
    unmatched = len(labelled - judged) if named else 0
    notes = ratings.notes()
    if unmatched:
        notes.append(f"{unmatched} labelled replies have no verdict (matched by the reply's key)")
    if outside := len(labelled - weights.keys()):
        notes.append(f"{outside} labelled replies were not drawn, and were not used")
    return Agreement(tuple(findings), ratings.unusable, unmatched, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Unit:
    """One reply, or that part of it which one of several tied values has."""

    reply: str
    values: tuple[str | None, ...]
    weight: float
    place: Place


def _columns(ratings: Ratings, raters: Sequence[str]) -> list[list[str | None]]:
    columns = [ratings.raters.index(name) for name in raters]
    return [[values[column] for column in columns] for values in ratings.values]


def _comparisons(
    ratings: Ratings,
    people: Sequence[str],
    judges: Sequence[str],
    weights: Mapping[str, float],
    places: Mapping[str, Place],
) -> Iterator[tuple[str, list[_Unit]]]:
    """The people among themselves, and each judge with them; replies without a weight take no part."""
    replies = [(row, reply) for row, reply in enumerate(ratings.replies) if reply in weights]
    values = ratings.values
    of_people = [ratings.raters.index(name) for name in people]
    if len(people) > 1:
        name = " / ".join(people) if len(people) < 4 else f"{len(people)} people"
        yield (
            name,
            [
                _Unit(reply, tuple(values[row][column] for column in of_people), weights[reply], places[reply])
                for row, reply in replies
            ],
        )
    # Words and not values: with a threshold it is the mean of the people's numbers that decides.
    together = {
        reply: ratings.scale.joint(word for column in of_people if (word := ratings.words[row][column]) is not None)
        for row, reply in replies
    }
    for judge in judges:
        column = ratings.raters.index(judge)
        yield (
            f"{judge} / people",
            [
                _Unit(reply, (value, values[row][column]), share * weights[reply], places[reply])
                for row, reply in replies
                for value, share in together[reply].items()
            ],
        )


def _measure(
    cell: Finding, units: Sequence[_Unit], order: Sequence[str], ordinal: bool, interval: Callable[..., Interval]
) -> Iterator[Finding]:
    """The cell once with each coefficient that suits the number of raters."""
    table = rating_table([unit.values for unit in units], order, [unit.weight for unit in units])
    clusters = [unit.place.cluster for unit in units]
    rated = {unit.reply for unit in units if sum(value is not None for value in unit.values) > 1}
    votes = np.sort(table.counts.sum(axis=0))
    for coefficient in _coefficients(table.codes.shape[1], ordinal):
        found = interval(table, coefficient, clusters)
        yield replace(
            cell,
            metric=coefficient.name,
            estimate=found.estimate,
            lower=found.lower,
            upper=found.upper,
            interval=found.name,
            level=found.level,
            n=len(rated),
            clusters=found.clusters,
            insufficient=bool(found.clusters < FEW_LABELS or votes[:-1].sum() < MIN_EVENTS),
        )


def _coefficients(raters: int, ordinal: bool) -> list[Coefficient]:
    names = ["raw", "fleiss-kappa", "krippendorff-alpha-nominal", "gwet-ac1"]
    names += ["krippendorff-alpha-ordinal"] * ordinal
    if raters == 2:
        names[1:2] = ["cohen-kappa", *(["cohen-kappa-linear", "cohen-kappa-quadratic"] * ordinal)]
    return [COEFFICIENTS[name] for name in names]


def _parts(units: Sequence[_Unit]) -> dict[tuple[str, str], list[_Unit]]:
    """Units by language and scope, and over them."""
    parts: dict[tuple[str, str], list[_Unit]] = {(ALL, ALL): list(units)}
    for unit in units:
        language, scope = unit.place.language, unit.place.scope
        for key in ((language, ALL), (ALL, scope), (language, scope)):
            if all(key):
                parts.setdefault(key, []).append(unit)
    return parts
