"""What a study tells while it runs: which step, how far, how long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from alignment_prism.domain.progress import Progress


class Reporter(Protocol):
    """Where a study reports to."""

    def note(self, text: str) -> None:
        """A line that stays."""

    def skip(self, number: int, total: int, title: str) -> None:
        """A step was done before."""

    def step(self, number: int, total: int, title: str) -> AbstractContextManager[Progress]:
        """A context around one step; it yields the step's progress."""


class Silent:
    """Reports nothing: for use from Python."""

    def note(self, text: str) -> None:
        """Nothing."""

    def skip(self, number: int, total: int, title: str) -> None:
        """Nothing."""

    @contextmanager
    def step(self, number: int, total: int, title: str) -> Iterator[Progress]:
        """Nothing."""
        yield lambda done, total, words="", /: None
