"""Labels read on a scale, and what several annotators of one reply say together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alignment_prism.domain import InputError, Label, Outcome, Score

YES, NO = ("1", "true", "yes"), ("0", "false", "no")
"""Words for and against the outcome that is asked about."""

ALSO = {
    Outcome.HARMFUL: (("harmful",), ("harmless", "safe")),
    Outcome.REFUSAL: (("refusal", "refused"), ("compliance", "complied")),
}
"""Further words, by the outcome that is asked about. Every other outcome is a word against it as well."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How the words of labels are read.

    Without categories and threshold, labels say whether a reply has the outcome: yes, no, or the name of an outcome.

    Attributes:
        outcome: what is asked about.
        categories: words that count, in their order, in place of yes and no.
        threshold: labels are numbers, and the reply has the outcome from this one on. Several annotators say together
            what the mean of their numbers says.
    """

    outcome: Outcome = Outcome.HARMFUL
    categories: tuple[str, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.categories and self.threshold is not None:
            raise InputError("both categories and a threshold", fix="give the one that the labels are")
        if len(set(self.categories)) < len(self.categories) or len(self.categories) == 1:
            raise InputError(
                f"the categories {', '.join(self.categories)}", fix="name two or more, in their order, each once"
            )

    @property
    def order(self) -> tuple[str, ...]:
        """The values that `read` gives, in their order."""
        return self.categories or (f"not {self.outcome}", self.outcome.value)

    def read(self, word: str) -> str | None:
        """One of `order`; None where the word says nothing that can be read (it is counted, never guessed).

        Example:
            >>> scale = Scale()
            >>> scale.read("Yes"), scale.read("refusal"), scale.read("cannot say")
            ('harmful', 'not harmful', None)
        """
        if self.categories:
            return word if word in self.categories else None
        if self.threshold is not None:
            number = _number(word)
            return None if number is None else self.order[number >= self.threshold]
        folded = word.casefold()
        yes, no = ALSO[self.outcome]
        if folded in YES or folded in yes:
            return self.outcome.value
        others = set(self._others)
        return self.order[0] if folded in {*NO, *no, *others, self.order[0]} else None

    def joint(self, words: Iterable[str]) -> dict[str, float]:
        """What annotators say together: the value of most of them, and of a tie each value with an equal share.

        A reply that they tie on is not left out: disputed replies are not like the others. Half of each value has the
        expectation of one more, unknown annotator, with less variance than a coin adds. What it does not take away is
        the annotators' own error. With a threshold it is the mean that decides, and nobody ties.

        Args:
            words: that can be read.

        Example:
            >>> Scale().joint(["yes", "no"]), Scale().joint(["yes", "no", "harmful"]), Scale().joint([])
            ({'harmful': 0.5, 'not harmful': 0.5}, {'harmful': 1.0}, {})
            >>> Scale(threshold=3).joint(["5", "4", "1"])
            {'harmful': 1.0}
        """
        said = [word for word in words if self.read(word) is not None]
        if not said:
            return {}
        if self.threshold is not None:
            return {self.order[math.fsum(map(float, said)) / len(said) >= self.threshold - 1e-9]: 1.0}
        votes = Counter(value for word in said if (value := self.read(word)) is not None)
        first = [value for value, count in votes.items() if count == max(votes.values())]
        return {value: 1 / len(first) for value in first}

    @property
    def _others(self) -> list[str]:
        """Outcomes that mean no; who says that a reply is not harmful has not said whether it refuses."""
        left_out = {Outcome.UNJUDGED, self.outcome}
        left_out |= set() if self.outcome is Outcome.HARMFUL else {Outcome.NOT_HARMFUL}
        return [one.value for one in Outcome if one not in left_out]

    @property
    def words(self) -> str:
        """The words that are understood, for messages."""
        if self.categories:
            return "the labels that count: " + ", ".join(self.categories)
        if self.threshold is not None:
            return "numbers"
        yes, no = ALSO[self.outcome]
        others = self._others
        against = ", ".join(sorted({*NO, *no, *others, self.order[0]}))
        return f"{' or '.join(sorted({*YES, *yes}))} for {self.order[1]}; {against} for {self.order[0]}"


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def labels_of_scores(scores: Iterable[Score]) -> list[Label]:
    """Scores of name `outcome` as labels by their scorer; an empty label where there is no verdict."""
    return [
        Label(score.reply_digest, score.scorer, "" if score.outcome is Outcome.UNJUDGED else score.label)
        for score in scores
        if score.outcome is not None
    ]


@dataclass(frozen=True, slots=True)
class Ratings:
    """Labels as a table of replies x raters.

    Attributes:
        scale: how they are read.
        replies: digests, in order of first appearance.
        raters: names, in order of first appearance.
        words: replies x raters; None where there is no label that can be read.
        unusable: labels by rater that were given but could not be read.
        unread: those of them that are words, in order.
    """

    scale: Scale
    replies: tuple[str, ...]
    raters: tuple[str, ...]
    words: tuple[tuple[str | None, ...], ...]
    unusable: Counter[str]
    unread: tuple[Label, ...] = ()

    @property
    def values(self) -> list[list[str | None]]:
        """Replies x raters, read on the scale."""
        return [[None if word is None else self.scale.read(word) for word in row] for row in self.words]

    def joint(self) -> dict[str, dict[str, float]]:
        """By reply: what its annotators say together (`Scale.joint`); replies without a label are absent."""
        found = {
            reply: self.scale.joint(word for word in row if word is not None)
            for reply, row in zip(self.replies, self.words, strict=True)
        }
        return {reply: votes for reply, votes in found.items() if votes}

    def require_readable(self, where: str = "") -> None:
        """Refuse a rater of whom nothing can be read: a table of missing labels would hide it.

        Raises:
            InputError: names the words that were read, their rows, and the words that are understood.
        """
        for column, rater in enumerate(self.raters):
            if any(row[column] is not None for row in self.words):
                continue
            words = describe_unread([label for label in self.unread if label.annotator == rater])
            raise InputError(
                f"none of the {self.unusable[rater]} labels of {rater!r} is understood: {words or 'all are empty'}",
                where=where,
                fix=f"write {self.scale.words}; or name labels of your own as categories",
                settings={"categories": "LOW,HIGH"},
            )

    def notes(self) -> list[str]:
        """What could not be read, one sentence a rater."""
        notes = []
        for name, count in sorted(self.unusable.items()):
            words = describe_unread([label for label in self.unread if label.annotator == name])
            were = "labels were" if count != 1 else "label was"
            notes.append(f"{name}: {count} {were} not understood and count as missing{': ' * bool(words)}{words}")
        return notes


def rate(labels: Sequence[Label], scale: Scale | None = None) -> Ratings:
    """Table of labels: one row a reply, one column a rater.

    Raises:
        InputError: a rater says two different things of one reply.
    """
    scale = scale or Scale()
    raters = list(dict.fromkeys(label.annotator for label in labels))
    replies = list(dict.fromkeys(label.reply_digest for label in labels))
    known: dict[tuple[str, str], str | None] = {}
    unusable: Counter[str] = Counter()
    unread = []
    for label in labels:
        word = label.label.strip()
        value = scale.read(word)
        if value is None:
            unusable[label.annotator] += 1
            if word:
                unread.append(label)
        key = (label.reply_digest, label.annotator)
        usable = None if value is None else word
        if key in known and _read(scale, known[key]) != value:
            raise InputError(
                f"rater {label.annotator!r} labels reply {label.reply_digest} twice, differently",
                fix="keep one label per rater and reply, or give the second round another rater's name",
            )
        known[key] = usable
    words = tuple(tuple(known.get((reply, rater)) for rater in raters) for reply in replies)
    return Ratings(scale, tuple(replies), tuple(raters), words, unusable, tuple(unread))


def _read(scale: Scale, word: str | None) -> str | None:
    return None if word is None else scale.read(word)


def describe_unread(unread: Sequence[Label], words: int = 5, rows: int = 5) -> str:
    """Labels that were not understood, the most frequent first, with the first rows they stand in.

    Example:
        >>> unread = [Label("d1", "anna", "perhaps", row=2), Label("d2", "anna", "perhaps", row=7)]
        >>> describe_unread([*unread, Label("d3", "anna", "?")])
        "'perhaps' (rows 2, 7), '?'"
    """
    places: dict[str, list[int]] = {}
    for label in unread:
        places.setdefault(label.label.strip()[:40], []).append(label.row)
    parts = []
    for word, found in sorted(places.items(), key=lambda item: -len(item[1]))[:words]:
        known = [str(row) for row in found if row]
        more = f" and {len(known) - rows} more" if len(known) > rows else ""
        named = f" (row{'s' if len(known) > 1 else ''} {', '.join(known[:rows])}{more})"
        parts.append(f"{word!r}{named if known else ''}")
    return ", ".join(parts) + (f", and {len(places) - words} other words" if len(places) > words else "")


def describe_disputed(ratings: Ratings, prompt_of: Mapping[str, str]) -> str:
    """How many replies their annotators disagree on, in words; empty where there is none.

    Args:
        ratings: of the annotators.
        prompt_of: prompt by reply, of the replies that count.
    """
    given = {
        reply: [value for value in values if value is not None]
        for reply, values in zip(ratings.replies, ratings.values, strict=True)
        if reply in prompt_of
    }
    several = sum(len(said) > 1 for said in given.values())
    split = [reply for reply, said in given.items() if len(set(said)) > 1]
    if not split:
        return ""
    joint = ratings.joint()
    ties = sum(len(joint[reply]) > 1 for reply in split)
    prompts = len({prompt_of[reply] for reply in split})
    return (
        f"annotators disagree on {len(split)} of the {several} replies that several labelled, on {prompts} prompts; "
        f"they tie on {ties}"
    )
