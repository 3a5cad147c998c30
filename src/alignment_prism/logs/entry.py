"""What every reader of logs makes of a log: entries, each one reply with its prompt and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alignment_prism.domain import Prompt, StopReason
from alignment_prism.io import Intake, Row
from alignment_prism.logs.columns import LogColumns


@dataclass(frozen=True, slots=True)
class Said:
    """What a log says of one reply under one name.

    Attributes:
        value: a word, a number, true or false; None where the log has none.
        raw: the scorer's own words beside it.
        correct: whether the log itself means by it that the answer is right.
    """

    value: object
    raw: str = ""
    correct: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply of a log.

    Attributes:
        row: where it stands.
        prompt: what was asked, as the log has it: without id, language or messages where the log has none.
        arm: whose reply it is.
        reply: None where the log does not hold its text.
        sample: its number among the replies to the prompt; None where the log does not say.
        said: name of a scorer or metric -> what it says.
        ratings: person -> their word, as they wrote it.
        stop: why the reply ended.
        error: why there is no reply.
        temperature: that it was drawn at.
    """

    row: Row
    prompt: Prompt
    arm: str
    reply: str | None
    sample: int | None = None
    said: Mapping[str, Said] = field(default_factory=dict)
    ratings: Mapping[str, str] = field(default_factory=dict)
    stop: StopReason = StopReason.STORED
    error: str = ""
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A log while it is read.

    Attributes:
        entries: what is in it.
        facts: what the log says of how the run was made (`Run.facts`); filled as the entries are read.
    """

    entries: Iterator[Entry]
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Harness:
    """A kind of log.

    Attributes:
        name: what it is called.
        words: what it is, for the documentation.
        belongs: whether a file or folder is one; it may look inside.
        open: its entries. Every row is counted as read by the intake, and a bad one rejected.
    """

    name: str
    words: str
    belongs: Callable[[Path], bool]
    open: Callable[[Path, LogColumns, Intake], Opened]
