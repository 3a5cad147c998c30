"""What the commands that take long tell on the terminal: what, how far, how long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from alignment_prism.domain.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 140
"""From this width of the terminal on, a bar also shows the work's own words."""


@contextmanager
def progress_bar(title: str, *, terminal: Console | None = None) -> Iterator[Progress]:
    """A moving bar on stderr while the block runs; nothing where that is no terminal.

    Args:
        title: of the work.
        terminal: where it moves; stderr unless given.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    from alignment_prism.cli.console import console

    terminal = terminal or console(stderr=True)
    if not terminal.is_terminal:
        yield lambda done, total, words="", /: None
        return
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    if terminal.width >= WIDE:
        columns = (*columns, TextColumn("{task.fields[words]}", style="dim", markup=False))
    with Bars(*columns, console=terminal, transient=True) as bars:
        task = bars.add_task(title, total=None, words="")

        def tick(done: int, total: int, words: str = "", /) -> None:
            bars.update(task, completed=done, total=total, words=words)

        yield tick


class Terminal:
    """Reports a study to the terminal (`alignment_prism.studies.progress.Reporter`): a moving bar for the step under
    way, a line with its time for each that is done.

    Where the output is no terminal there are only the lines.

    Args:
        stderr: whether to report to the error stream, so that the output is the result alone.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        from alignment_prism.cli.console import console

        self.console = console(stderr=stderr)

    def note(self, text: str) -> None:
        """A line that stays."""
        self._line(text)

    def skip(self, number: int, total: int, title: str) -> None:
        """A line that says so."""
        self._line(f"{_place(number, total)} {title}: done before", style="dim")

    @contextmanager
    def step(self, number: int, total: int, title: str) -> Iterator[Progress]:
        """A bar while the step runs, then a line."""
        began = time.monotonic()
        with progress_bar(f"{_place(number, total)} {title}", terminal=self.console) as progress:
            yield progress
        self._line(f"{_place(number, total)} {title}: {time.monotonic() - began:.1f} s")

    def _line(self, text: str, style: str | None = None) -> None:
        whole = not self.console.is_terminal  # who reads a pipe wants a line a line
        self.console.print(text, style=style, markup=False, soft_wrap=whole)


def _place(number: int, total: int) -> str:
    width = len(str(total))
    return f"[{number:>{width}}/{total}]"
