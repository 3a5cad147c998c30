"""The bar of the commands that take long: what, how far, how long."""

from __future__ import annotations

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
        yield lambda done, total, words="": None
        return
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    if terminal.width >= WIDE:
        columns = (*columns, TextColumn("{task.fields[words]}", style="dim"))
    with Bars(*columns, console=terminal, transient=True) as bars:
        task = bars.add_task(title, total=None, words="")

        def tick(done: int, total: int, words: str = "", /) -> None:
            bars.update(task, completed=done, total=total, words=words)

        yield tick
