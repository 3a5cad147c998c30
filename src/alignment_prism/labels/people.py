"""What the annotators of a sheet say together, and how wrong they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alignment_prism.domain import InputError, Label
from alignment_prism.labels.frame import Design
from alignment_prism.labels.ratings import Ratings, describe_disputed, rate
from alignment_prism.statistics.raters.annotators import (
    AnnotatorError,
    annotator_error_from_gold,
    annotator_error_from_labels,
)

CHANCE = 0.01
"""Where settled answers drawn at random would be of disputed replies this often as much as they are, at most, they were
chosen for the dispute."""

MIN_PAIRS = 50
"""Replies with two labels from which on the annotators' error is taken out without being asked."""

FEW_PAIRS = 100
"""Fewer labels than this say little about the annotators' error."""


@dataclass(frozen=True, slots=True)
class People:
    """The annotators of a sheet.

    Attributes:
        said: by reply, the share of the outcome. Where the error is modelled it is the mean of the labels, which has
            the error of one person on average; else what was settled, or the majority, and 1/2 of a tie.
        error: how wrong one label is; None where the labels are taken for the truth.
        notes: in words.
    """

    said: Mapping[str, float]
    error: AnnotatorError | None
    notes: tuple[str, ...]


def what_people_say(
    ratings: Ratings, design: Design, settled: Sequence[Label] | None = None, as_labelled: bool = False
) -> People:
    """Labels and the error in them: from settled answers, else from replies with several labels if they are enough.

    Args:
        ratings: of the annotators.
        design: of the sample; its arms and the judge's verdicts are the groups that tell misses from false alarms.
        settled: answers that are known.
        as_labelled: take the labels for the truth, and what was settled before them.

    Raises:
        InputError: no settled answer is of a labelled reply, they are of disputed replies only, or the annotators are
            no better than chance.
    """
    event = ratings.scale.order[1]
    prompt_of = {reply: row.prompt_id for row in design.chosen for reply in row.replies}
    disputed = describe_disputed(ratings, prompt_of)
    labels = {
        reply: [float(value == event) for value in values if value is not None]
        for reply, values in zip(ratings.replies, ratings.values, strict=True)
        if any(value is not None for value in values)
    }
    double = {reply: given for reply, given in labels.items() if len(given) > 1 and reply in prompt_of}
    answers = {} if settled is None else _answers(labels, settled, ratings)
    if as_labelled or (settled is None and len(double) < MIN_PAIRS):
        said = {reply: votes.get(event, 0.0) for reply, votes in ratings.joint().items()} | answers
        if answers:
            counted = f"{len(answers)} replies count as settled; the labels of the others are taken for the truth"
            return People(said, None, (counted,))
        known = (
            "the labels are taken for the truth"
            if as_labelled
            else f"{len(double)} replies have two labels, too few (of {MIN_PAIRS}) to know the annotators' error"
        )
        advice = f"; a tie counts as one half. {known[0].upper()}{known[1:]}, and their error shrinks a difference"
        return People(said, None, (disputed + advice,) if disputed else ())
    means = {reply: sum(given) / len(given) for reply, given in labels.items()}
    if settled is not None:
        _require_fair(double, answers)
        pairs = [(label, answer) for reply, answer in answers.items() for label in labels[reply]]
        error, number = annotator_error_from_gold(*zip(*pairs, strict=True)), len(pairs)
    else:
        group = {
            reply: f"{arm} {verdict}"
            for row in design.chosen
            for reply, arm, verdict in zip(row.replies, design.arms, row.judged, strict=True)
        }
        error = annotator_error_from_labels(
            [sum(given) for given in double.values()],
            [len(given) for given in double.values()],
            [group[reply] for reply in double],
        )
        number = len(double)
    notes = [
        f"annotators: sensitivity {error.sensitivity:.3f}, specificity {error.specificity:.3f}, from {number} "
        f"{'settled labels' if settled is not None else 'replies with several labels'}"
        f"{'; that is few' if number < FEW_PAIRS else ''}"
    ]
    if disputed:
        notes.append(f"{disputed}; their error is taken out")
    return People(means, error, tuple(notes))


def _answers(labels: Mapping[str, Sequence[float]], settled: Sequence[Label], ratings: Ratings) -> dict[str, float]:
    """Settled answers to labelled replies: 1 for the outcome."""
    event = ratings.scale.order[1]
    known = rate(settled, ratings.scale)
    known.require_readable("settled answers")
    found = {
        reply: votes.get(event, 0.0) for reply, votes in known.joint().items() if len(votes) == 1 and reply in labels
    }
    if not found:
        raise InputError(
            "no settled answer is of a labelled reply", fix="settle the answers of 100 labelled replies or more"
        )
    return found


def _require_fair(double: Mapping[str, Sequence[float]], answers: Mapping[str, float]) -> None:
    """Refuse settled answers that were chosen for the dispute: by them, annotators who are hardly ever wrong would be
    wrong half of the time, and what is corrected would be far too large."""
    from scipy.stats import hypergeom

    disputed = {reply for reply, given in double.items() if len(set(given)) > 1}
    settled = double.keys() & answers.keys()
    as_many = hypergeom.sf(len(disputed & settled) - 1, len(double), len(disputed), len(settled))
    if as_many < CHANCE:
        raise InputError(
            f"{len(disputed & settled)} of the {len(settled)} settled replies are disputed, and "
            f"{len(disputed)} of all {len(double)} with several labels: they do not say how often annotators err",
            fix="let the settled answers count in place of the labels, or settle replies that were drawn at random",
            settings={"as_labelled": ""},
        )
