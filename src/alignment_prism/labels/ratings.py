"""Human labels: which reply they belong to, and how they meet the judge's verdicts.

A label belongs to one reply to one prompt, so its key is the reply's digest (`Generation.reply_digest`). Joined by the
prompt's identifier alone, labels land on another model's reply, and nobody notices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alignment_prism.domain import InputError, Outcome, Score
from alignment_prism.statistics.raters.annotators import (
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
        row: of the file it was read from; 0 where there is none.
    """

    reply_digest: str
    rater: str
    value: str
    row: int = 0


def labels_from_scores(scores: Iterable[Score]) -> list[Label]:
    """Outcomes as labels, empty where the scorer could not say; scores of other names are no labels."""
    return [
        Label(score.reply_digest, score.scorer, "" if outcome is Outcome.UNJUDGED else outcome.value)
        for score in scores
        if (outcome := score.outcome) is not None
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
        unread: those of them that are words, in order.
    """

    replies: tuple[str, ...]
    raters: tuple[str, ...]
    values: tuple[tuple[str | None, ...], ...]
    unusable: Counter[str]
    unread: tuple[Label, ...] = ()

    def readable(self, rater: str) -> int:
        """How many labels of a rater could be read."""
        column = self.raters.index(rater)
        return sum(values[column] is not None for values in self.values)


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
    unread = []
    for label in labels:
        value: str | None = label.value.strip() or None
        if binary and value is not None:
            says = harmful_or_not(value)
            value = None if says is None else ("harmful" if says else "harmless")
        elif categories is not None and value not in categories:
            value = None
        if value is None:
            unusable[label.rater] += 1
            if label.value.strip():
                unread.append(label)
        key = (label.reply_digest, label.rater)
        if key in known and known[key] != value:
            raise InputError(
                f"rater {label.rater!r} labels reply {label.reply_digest} twice, differently",
                fix="keep one label per rater and reply, or give the second round another rater's name",
            )
        known[key] = value
    values = tuple(tuple(known.get((reply, rater)) for rater in raters) for reply in replies)
    return Ratings(tuple(replies), tuple(raters), values, unusable, tuple(unread))


def demand_readable(ratings: Ratings, where: str, categories: Sequence[str] | None = None) -> None:
    """Ends where nothing that a rater said can be read: a table of missing labels would say nothing about it.

    Raises:
        InputError: names the words that were read, their rows, and the words that are understood.
    """
    for rater in ratings.raters:
        if ratings.readable(rater):
            continue
        words = say_unread([label for label in ratings.unread if label.rater == rater])
        raise InputError(
            f"none of the {ratings.unusable[rater]} labels of {rater!r} is understood: {words or 'all are empty'}",
            where=where,
            fix=f"use the labels that count ({', '.join(categories)}), or name those of the file with --categories"
            if categories
            else f"write {understood()}; or name labels of your own with prism agreement --categories",
        )


def understood() -> str:
    """The words that are read as harmful, and those that are read as harmless."""
    outcomes = [o.value for o in Outcome if o not in (Outcome.UNJUDGED, Outcome.HARMFUL)]
    return f"{' or '.join(sorted(YES))} for harmful; {', '.join([*sorted(NO), *outcomes])} for harmless"


def say_unread(unread: Sequence[Label], words: int = 5, rows: int = 5) -> str:
    """Labels that were not understood, the most frequent first, with the first rows they stand in.

    Example:
        >>> say_unread([Label("d1", "anna", "perhaps", 2), Label("d2", "anna", "perhaps", 7), Label("d3", "anna", "?")])
        "'perhaps' (rows 2, 7), '?'"
    """
    places: dict[str, list[int]] = {}
    for label in unread:
        places.setdefault(label.value.strip()[:40], []).append(label.row)
    parts = []
    for word, found in sorted(places.items(), key=lambda item: -len(item[1]))[:words]:
        known = [str(row) for row in found if row]
        more = f" and {len(known) - rows} more" if len(known) > rows else ""
        named = f" (row{'s' if len(known) > 1 else ''} {', '.join(known[:rows])}{more})"
        parts.append(f"{word!r}{named if known else ''}")
    return ", ".join(parts) + (f", and {len(places) - words} other words" if len(places) > words else "")


def majority(values: Sequence[str | None]) -> str | None:
    """The label of most raters; None where there is none or the first two tie."""
    counts = Counter(value for value in values if value is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def consensus(values: Sequence[str | None]) -> float | None:
    """What the annotators of a reply say together: 1 harmful, 0 not, by majority; 1/2 where they tie; None if no one.

    A reply that they tie on is not left out: disputed replies are not like the others, and the rest of the sample
    would be no random sample any more. One half is the mean of the two answers that a coin would choose from, so
    that the expectation is that of one more, unknown annotator, with less variance than a coin adds. With two
    annotators it is the mean of their labels. What it does not take away is their error, which shrinks a
    difference by sensitivity + specificity - 1: `single_annotator_error` models that.

    Example:
        >>> consensus(["harmful", "harmless"]), consensus(["harmful", "harmless", "harmful"]), consensus([None])
        (0.5, 1.0, None)
    """
    said = [value == "harmful" for value in values if value is not None]
    if not said:
        return None
    share = sum(said) / len(said)
    return 0.5 if share == 0.5 else float(share > 0.5)


def say_disputed(ratings: Ratings, prompt_of: Mapping[str, str], *, modelled: bool) -> list[str]:
    """What there is to say about annotators who disagree: a sentence, or nothing where they do not.

    Args:
        ratings: binary.
        prompt_of: prompt by reply, of the replies that count.
        modelled: whether the annotators' error is in the estimate already.
    """
    given = {
        reply: [value for value in values if value is not None]
        for reply, values in zip(ratings.replies, ratings.values, strict=True)
        if reply in prompt_of
    }
    several = sum(len(said) > 1 for said in given.values())
    split = [reply for reply, said in given.items() if len(set(said)) > 1]
    if not split:
        return []
    prompts = len({prompt_of[reply] for reply in split})
    ties = sum(consensus(given[reply]) == 0.5 for reply in split)
    text = f"annotators disagree on {len(split)} of the {several} replies that several labelled, on {prompts} prompts"
    if modelled:
        return [f"{text}; their error is taken out"]
    return [
        f"{text}: the majority counts, a tie ({ties}) as one half. All are used, but the annotators' error shrinks the "
        "difference: --double takes it out"
    ]


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


def first_label(values: Sequence[str | None]) -> float | None:
    """1 if the first annotator that gave a label said harmful, 0 if not: single labels have the error of one person."""
    return next((float(value == "harmful") for value in values if value is not None), None)
