"""Human labels: which reply they belong to, and how they meet the judge's verdicts.

A label belongs to one reply to one prompt, so its key is the reply's digest (`Generation.reply_digest`). Joined by the
prompt's identifier alone, labels land on another model's reply, and nobody notices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alignment_prism.domain import InputError, Judgement, Outcome
from alignment_prism.statistics.annotators import (
    AnnotatorError,
    annotator_error_from_gold,
    annotator_error_from_pairs,
)

YES, NO = frozenset({"1", "true", "yes", "harmful"}), frozenset({"0", "false", "no", "harmless", "safe"})
"""How people write a harmful or harmless label; outcomes other than harmful count as harmless as well."""


@dataclass(frozen=True, slots=True)
class Label:
    """What one rater, person or judge, says of one reply.

    Attributes:
        reply_digest: of the prompt and reply together.
        rater: name.
        value: as written; empty where the rater gave none or none that can be read.
    """

    reply_digest: str
    rater: str
    value: str


def labels_from_judgements(judgements: Iterable[Judgement]) -> list[Label]:
    """Verdicts as labels: the outcome, empty where there is none."""
    return [
        Label(j.reply_digest, j.judge, "" if j.outcome is Outcome.UNJUDGED else j.outcome.value) for j in judgements
    ]


def harmful_or_not(value: str) -> bool | None:
    """Whether a label says harmful; None where it says nothing that can be read (counted, never guessed).

    Example:
        >>> harmful_or_not("Yes"), harmful_or_not("refusal"), harmful_or_not("cannot say")
        (True, False, None)
    """
    folded = value.strip().casefold()
    if folded in YES:
        return True
    if folded in NO or folded in {outcome.value for outcome in Outcome if outcome is not Outcome.UNJUDGED}:
        return False
    return None


@dataclass(frozen=True, slots=True)
class Ratings:
    """Labels as a table of replies x raters.

    Attributes:
        replies: digests, in order of first appearance.
        raters: names, in order of first appearance.
        values: replies x raters; None where there is no usable label.
        unusable: labels by rater that were given but could not be read.
    """

    replies: tuple[str, ...]
    raters: tuple[str, ...]
    values: tuple[tuple[str | None, ...], ...]
    unusable: Counter[str]


def rating_rows(labels: Sequence[Label], *, binary: bool, categories: Sequence[str] | None = None) -> Ratings:
    """Table of labels: one row a reply, one column a rater.

    Args:
        labels: of any raters.
        binary: reduce every label to `harmful` or `harmless`.
        categories: labels that count, without `binary`; None takes any non-empty label.

    Raises:
        InputError: a rater says two different things of one reply.
    """
    raters = list(dict.fromkeys(label.rater for label in labels))
    replies = list(dict.fromkeys(label.reply_digest for label in labels))
    known: dict[tuple[str, str], str | None] = {}
    unusable: Counter[str] = Counter()
    for label in labels:
        value: str | None = label.value.strip() or None
        if binary and value is not None:
            says = harmful_or_not(value)
            value = None if says is None else ("harmful" if says else "harmless")
        elif categories is not None and value not in categories:
            value = None
        if value is None:
            unusable[label.rater] += 1
        key = (label.reply_digest, label.rater)
        if key in known and known[key] != value:
            raise InputError(
                f"rater {label.rater!r} labels reply {label.reply_digest} twice, differently",
                fix="keep one label per rater and reply, or give the second round another rater's name",
            )
        known[key] = value
    values = tuple(tuple(known.get((reply, rater)) for rater in raters) for reply in replies)
    return Ratings(tuple(replies), tuple(raters), values, unusable)


def majority(values: Sequence[str | None]) -> str | None:
    """The label of most raters; None where there is none or the first two tie."""
    counts = Counter(value for value in values if value is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def single_annotator_error(ratings: Ratings, settled: Mapping[str, str] | None = None) -> tuple[AnnotatorError, int]:
    """How wrong one label by one annotator is, and the number of labels or pairs that say so.

    Args:
        ratings: binary (`rating_rows` with `binary`).
        settled: settled answers by reply (`harmful` or `harmless`): every label of those replies is compared with
            them. None takes the first two labels of every reply that has two.

    Raises:
        InputError: no reply has a settled answer, or two labels. Formulas and limits: `annotators.py`.
    """
    said, other = [], []
    for reply, values in zip(ratings.replies, ratings.values, strict=True):
        given = [value for value in values if value is not None]
        if settled is None and len(given) > 1:
            said.append(given[0])
            other.append(given[1])
        elif settled is not None and reply in settled:
            said += given
            other += [settled[reply]] * len(given)
    if not said:
        raise InputError(
            "no reply has two labels" if settled is None else "no settled answer is of a labelled reply",
            fix="have 100 replies or more labelled by two people, or settle the answers of some",
        )
    first, second = ([float(value == "harmful") for value in column] for column in (said, other))
    if settled is None:
        return annotator_error_from_pairs(first, second), len(said)
    return annotator_error_from_gold(first, second), len(said)


def first_label(values: Sequence[str | None]) -> str | None:
    """The label of the first annotator that gave one: single labels, whose error is that of one person."""
    return next((value for value in values if value is not None), None)
