"""What a study tells while it runs: which step, how far, how long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from alignment_prism.domain.progress import Progress

_WIDE = 140
"""From this width of the terminal on, a bar also shows a step's own words."""


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
        yield lambda done, total, words="": None


class Terminal:
    """Reports to the terminal: a moving bar for the step under way, a line with its time for each that is done.

    Where the output is no terminal there are only the lines.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False)

    def note(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, markup=False)

    def skip(self, number: int, total: int, title: str) -> None:
        """A line that says so."""
        self.console.print(f"{_place(number, total)} {title}: done before", style="dim", markup=False)

    @contextmanager
    def step(self, number: int, total: int, title: str) -> Iterator[Progress]:
        """A bar while the step runs, then a line."""
        began = time.monotonic()
        if self.console.is_terminal:
            with self._bar(f"{_place(number, total)} {title}") as tick:
                yield tick
        else:
            yield lambda done, total, words="": None
        self.console.print(f"{_place(number, total)} {title}: {time.monotonic() - began:.1f} s", markup=False)

    @contextmanager
    def _bar(self, title: str) -> Iterator[Progress]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            ProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        columns: tuple[ProgressColumn, ...] = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        if self.console.width >= _WIDE:
            columns = (*columns, TextColumn("{task.fields[words]}", style="dim"))
        with Bars(*columns, console=self.console, transient=True) as bars:
            task = bars.add_task(title, total=None, words="")

            def tick(done: int, total: int, words: str = "", /) -> None:
                bars.update(task, completed=done, total=total, words=words)

            yield tick


def _place(number: int, total: int) -> str:
    width = len(str(total))
    return f"[{number:>{width}}/{total}]"
