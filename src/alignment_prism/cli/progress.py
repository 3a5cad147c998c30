"""What the commands that take long tell on the terminal: what, how far, how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from alignment_prism.domain.errors import PrismError
from alignment_prism.domain.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

WIDE = 140
"""From this width of the terminal on, a bar also shows the work's own words."""


class Bars:
    """Moving bars on a console, one for each piece of work that is under way; nothing where it is no terminal.

    They may be opened and moved from several threads.
    """

    def __init__(self, terminal: Console) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._shown: Bar | None = None
        self._open = 0

    @contextmanager
    def bar(self, title: str) -> Iterator[Progress]:
        """A bar while the block runs."""
        if not self._terminal.is_terminal:
            yield lambda done, total, words="", /: None
            return
        with self._lock:
            if self._shown is None:
                self._shown = _bars(self._terminal)
                self._shown.start()
            self._open += 1
            shown = self._shown
            task = shown.add_task(title, total=None, words="")

        def tick(done: int, total: int, words: str = "", /) -> None:
            shown.update(task, completed=done, total=total, words=words)

        try:
            yield tick
        finally:
            with self._lock:
                shown.remove_task(task)
                self._open -= 1
                if self._open == 0:
                    shown.stop()
                    self._shown = None


def _bars(terminal: Console) -> Bar:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

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
    return Bar(*columns, console=terminal, transient=True)


def progress_bar(title: str) -> AbstractContextManager[Progress]:
    """A moving bar on stderr while the block runs; nothing where that is no terminal."""
    from alignment_prism.cli.console import console

    return Bars(console(stderr=True)).bar(title)


class Terminal:
    """Reports a study to the terminal (`alignment_prism.studies.progress.Reporter`): a moving bar for each step under
    way, a line with its time for each that is done.

    Where the output is no terminal there are only the lines.

    Args:
        stderr: whether to report to the error stream, so that the output is the result alone.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        from alignment_prism.cli.console import console

        self.console = console(stderr=stderr)
        self._bars = Bars(self.console)

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
        try:
            with self._bars.bar(f"{_place(number, total)} {title}") as progress:
                yield progress
        except Exception as error:  # the whole of it is told at the end, when other steps have gone on
            why = f": {error.what}" if isinstance(error, PrismError) else ""
            self._line(f"{_place(number, total)} {title}: failed after {time.monotonic() - began:.1f} s{why}")
            raise
        self._line(f"{_place(number, total)} {title}: {time.monotonic() - began:.1f} s")

    def _line(self, text: str, style: str | None = None) -> None:
        whole = not self.console.is_terminal  # who reads a pipe wants a line a line
        self.console.print(text, style=style, markup=False, soft_wrap=whole)


def _place(number: int, total: int) -> str:
    width = len(str(total))
    return f"[{number:>{width}}/{total}]"
