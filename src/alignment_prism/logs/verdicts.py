"""What the words and numbers of a log stand for: an outcome, a right answer, or just themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alignment_prism.domain import CORRECT, OUTCOME, InputError, Outcome

COMPLIED = "complied"
"""A word of ours that depends on the prompt: harmful where it asks for harm, safe help where it does not."""

RIGHT = {"correct": 1.0, "wrong": 0.0}
"""Words of ours that say whether an answer is right; all others are outcomes."""


class Reading(NamedTuple):
    """What one verdict comes to: a score's name, label, value, and why it has neither."""

    name: str
    label: str = ""
    value: float = math.nan
    error: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a verdict stands for.

    Nothing is guessed: a word that is not among `words`, and a number that is none, leave the reply unjudged.

    Attributes:
        words: the log's word, in any case -> an `Outcome`, `complied`, or `correct` or `wrong`.
        pattern: regular expression that is searched in the verdict first; its only group is the word or number. A
            verdict in which it is not found cannot be read.
        harmful_from: numbers from this one on say that the reply is harmful, smaller ones that it is not.
        harmful_below: numbers below this one say that it is harmful.
    """

    words: Mapping[str, str] = field(default_factory=dict)
    pattern: str = ""
    harmful_from: float | None = None
    harmful_below: float | None = None

    def __post_init__(self) -> None:
        given = [bool(self.words), self.harmful_from is not None, self.harmful_below is not None]
        if sum(given) > 1:
            fix = "give one: words, or the number from which (or below which) a reply is harmful"
            raise InputError("a verdict is read in two ways", fix=fix)
        known = {*map(str, Outcome), COMPLIED, *RIGHT}
        for word, ours in self.words.items():
            if ours not in known:
                fix = "write one of " + ", ".join([*map(str, Outcome), COMPLIED, *RIGHT])
                raise InputError(f"{word!r} stands for {ours!r}, which is no outcome", fix=fix)
        if len({ours in RIGHT for ours in self.words.values()}) > 1:
            raise InputError("words stand for outcomes and for right answers", fix="import the log once for each")
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            fix = r"write one group in parentheses: Toxic\w*:\s*(\d)"
            raise InputError(f"the pattern is no regular expression: {error}", fix=fix) from None
        if self.pattern and groups != 1:
            fix = r"put what is wanted in parentheses, and only that: Toxic\w*:\s*(\d)"
            raise InputError(f"the pattern has {groups} groups", fix=fix)

    @property
    def threshold(self) -> float | None:
        """The number that divides harmful from not; None where words do."""
        return self.harmful_from if self.harmful_from is not None else self.harmful_below

    @property
    def given(self) -> bool:
        """Whether anything is said about what verdicts stand for."""
        return bool(self.words) or self.threshold is not None

    @property
    def name(self) -> str:
        """Of the scores that it makes."""
        return CORRECT if any(ours in RIGHT for ours in self.words.values()) else OUTCOME

    def read(self, word: str, asks_for_harm: bool = True) -> Reading:
        """What a word says, where something is said about words.

        Args:
            word: the verdict.
            asks_for_harm: whether the prompt does, so that who complies does harm.

        Example:
            >>> Meaning({"1_full_compliance": "harmful"}).read("1_Full_Compliance").label
            'harmful'
            >>> Meaning(pattern=r"Toxic:\\s*(\\d)", harmful_from=3).read("Toxic: 4, Bias: 1").label
            'harmful'
        """
        if self.pattern and word:
            found = re.search(self.pattern, word)
            if found is None:
                return self._none("the pattern is not found in the verdict")
            word = (found.group(1) or "").strip()
        if not word:
            return self._none("the log has no verdict")
        if self.threshold is not None:
            number = as_number(word)
            return self._none("the verdict is no number") if number is None else self.of_number(number)
        ours = {theirs.strip().casefold(): ours for theirs, ours in self.words.items()}.get(word.casefold())
        if ours is None:
            return self._none("the verdict is none of the words that were named")
        if ours == COMPLIED:
            ours = Outcome.HARMFUL if asks_for_harm else Outcome.SAFE_HELP
        return Reading(CORRECT, value=RIGHT[ours]) if ours in RIGHT else Reading(OUTCOME, ours)

    def of_number(self, number: float) -> Reading:
        """What a number says. A mean of raters that misses the threshold by rounding alone counts as reaching it."""
        assert self.threshold is not None
        reached = number >= self.threshold - 1e-9
        harmful = reached if self.harmful_from is not None else not reached
        return Reading(OUTCOME, Outcome.HARMFUL if harmful else Outcome.SAFE_HELP)

    def _none(self, error: str) -> Reading:
        return Reading(self.name, Outcome.UNJUDGED if self.name == OUTCOME else "", error=error)


def as_number(word: str) -> float | None:
    """A word as a number; None where it is none, or not finite."""
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


_GRADES = {
    "c": 1.0,
    "i": 0.0,
    "correct": 1.0,
    "incorrect": 0.0,
    "n": 0.0,
    "true": 1.0,
    "false": 0.0,
    "1": 1.0,
    "0": 0.0,
}
"""Grades by which logs say that an answer is right; no answer (N) is not right, half right (P) is neither."""


def as_said(name: str, word: str, correct: bool) -> Reading:
    """What a verdict says where nobody says what it stands for: itself, under its own name.

    Args:
        name: of the scorer or metric in the log.
        word: the verdict.
        correct: whether the log itself means by it that an answer is right.
    """
    if correct:
        grade = _GRADES.get(word.casefold(), as_number(word) if as_number(word) in (0.0, 1.0) else None)
        if grade is None:
            return Reading(CORRECT, error="neither right nor wrong" if word else "the log has no verdict")
        return Reading(CORRECT, value=grade)
    if name == OUTCOME or word in tuple(Outcome):
        known = word in tuple(Outcome)
        return Reading(OUTCOME, word if known else Outcome.UNJUDGED, error="" if known else "the word is no outcome")
    return as_number_or_word(name, word)


def as_number_or_word(name: str, word: str) -> Reading:
    """What stands beside the verdict, under its own name: a number, where it is one, or a word."""
    number = as_number(word)
    if number is None and word.casefold() in ("true", "false"):
        number = float(word.casefold() == "true")
    if number is not None:
        return Reading(name, value=number)
    return Reading(name, word, error="" if word else "the log has no verdict")
