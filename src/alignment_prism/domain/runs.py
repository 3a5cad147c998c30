"""Runs: what one model replied to some prompts and what was said of the replies, whichever harness did it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alignment_prism.domain.records import Comparison, Generation, Prompt, Score


@dataclass(frozen=True, slots=True)
class Run:
    """One model on one set of prompts: one arm.

    Attributes:
        name: what to call it beside other runs (`dpo_sft`); free, and the same as the arm of its records or not.
        prompts: what was asked, each id once.
        generations: the replies of one arm; several samples of a prompt are normal.
        scores: of those replies.
        facts: what must agree for another run to be compared with this one, in words, by name: `judge`, `rubric`,
            `sampling`, `template`, ...; what nobody knows is left out. What follows from the records (the prompts, the
            scorers, the temperature) need not be said: whoever compares reads it there.
        where: file or folder it was read from, for messages; empty where it was made in Python.
        comparisons: of those replies with the replies of another arm.
    """

    name: str
    prompts: tuple[Prompt, ...]
    generations: tuple[Generation, ...]
    scores: tuple[Score, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    comparisons: tuple[Comparison, ...] = ()
