"""How commands speak: lines, tables, what is wrong with rows. No text of unknown origin reaches a terminal as it is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from alignment_prism.cli.remedies import advice
from alignment_prism.domain.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from alignment_prism.io import Intake, Problem
    from alignment_prism.io.rejects import Rejects

PIPE_WIDTH = 400
"""Characters of a line where nothing sets a width: more than any of our tables has."""


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text, its control characters written out, to stdout or stderr."""
    click.echo(printable(text), err=err, nl=nl)


def echo_problem(problem: Problem, *, err: bool = True) -> None:
    """Print one problem of a row: where, what, how to fix it; never a text."""
    context = click.get_current_context(silent=True)
    fix = advice(problem.fix, problem.settings, context.command if context else None)
    echo(f"{problem.where}: {problem.statement}\n  fix: {fix}", err=err)


def echo_rejects(rejects: Rejects) -> None:
    """Say in a few lines which rows were skipped and why, and which languages are not known."""
    for file, intake in rejects.intakes.items():
        for reason, count in intake.reasons.most_common():
            echo(f"  {file}: {count} row{'s' if count != 1 else ''} skipped: {reason}", err=True)
    if rejects.path and rejects.rejected:
        echo(f"  each of them is in {rejects.path}", err=True)
    echo_unknown_languages(rejects.intakes.values())


def echo_unknown_languages(intakes: Iterable[Intake]) -> None:
    """Say which languages were skipped because they are not known here, and how many prompts of each."""
    for intake in intakes:
        for code, count in intake.unknown_languages.items():
            what = f"language {code!r} is not among the known ones; its prompts are skipped"
            echo(f"  note: {count} x {what}; add it with --languages FILE", err=True)


def console(*, stderr: bool = False) -> Console:
    """Where tables are printed: as wide as the terminal, and into a pipe or a file as wide as any table needs.

    A pipe has no width; rich would take it for 80 characters. `COLUMNS` is obeyed where somebody has set it.
    """
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class PlainConsole(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else printable(text), style, control)

    found = PlainConsole(highlight=False, markup=False, emoji=False, stderr=stderr)
    if found.is_terminal or "COLUMNS" in os.environ:
        return found
    return PlainConsole(highlight=False, markup=False, emoji=False, stderr=stderr, width=PIPE_WIDTH)
