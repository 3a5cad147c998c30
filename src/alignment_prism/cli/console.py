"""What the commands that read tables of rows share: column maps, rejects files, how problems are shown."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import click

from alignment_prism.domain import LANGUAGES, InputError, Languages
from alignment_prism.io import Intake, Problem, Reject, text_writer
from alignment_prism.io.schemas import plain

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 400
"""Characters of a line where nothing sets a width: more than any of our tables has."""


def registry(language_file: str | None) -> Languages:
    """The shipped languages and those of a user's file."""
    if not language_file:
        return LANGUAGES
    from alignment_prism.io.languages import read_languages

    return read_languages(language_file)


EXAMPLES = {"--set": "kind=general,split=eval", "--part": "seed=100 or eval=rest"}
"""What is right for an option, where it is no column map."""


def parse_mapping(texts: Iterable[str], option: str = "--map") -> dict[str, str]:
    """`prompt=text,language=lang`, possibly in several options, as a mapping.

    Raises:
        InputError: a part is not NAME=VALUE, or a name occurs twice.
    """
    mapping: dict[str, str] = {}
    for part in (part for text in texts for part in text.split(",") if part.strip()):
        name, equals, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not (equals and name and value):
            raise InputError(
                f"{option} {part!r} is not NAME=VALUE",
                fix=f"write {option} {EXAMPLES.get(option, 'prompt=text,language=lang')}",
            )
        if name in mapping:
            raise InputError(f"{option} names {name!r} twice", fix="name each once")
        mapping[name] = value
    return mapping


@dataclass
class Rejects:
    """The intakes of several files, the one file that their rejects go to, and the problems that are listed.

    Args:
        keep_going: whether bad rows are left out, however many, or end the command.
        max_errors: over all files: how many bad rows end the command, or with `keep_going` are listed; 0 is no limit.
        path: of the file of rejects, empty for none.
        stream: where rejects are written, None for nowhere.
        show: called with each problem that is listed, as it is found.
    """

    keep_going: bool
    max_errors: int
    path: str = ""
    stream: IO[str] | None = None
    show: Callable[[Problem], None] | None = None
    intakes: dict[str, Intake] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def intake(self, name: str) -> Intake:
        """A fresh intake for a file."""
        limit = None if self.keep_going or not self.max_errors else max(1, self.max_errors - self.rejected)
        intake = Intake(keep_going=True, max_errors=limit, on_reject=self._take, keep=0)
        self.intakes[name] = intake
        return intake

    @property
    def rejected(self) -> int:
        """Rejected rows of all files."""
        return sum(intake.rejected for intake in self.intakes.values())

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(intake.rows for intake in self.intakes.values())

    def _take(self, reject: Reject) -> None:
        if not self.max_errors or len(self.problems) < self.max_errors:
            self.problems.append(reject.problem)
            if self.show is not None:
                self.show(reject.problem)
        if self.stream is None:
            return
        values = {str(name): plain(value) for name, value in reject.row.values.items()}
        reason = {key: value for key, value in reject.problem.as_dict().items() if key != "value"}
        if reject.row.part:
            reason["part"] = reject.row.part
        line = json.dumps({**values, "problem": reason}, ensure_ascii=False)
        self.stream.write(line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")

    def demand_none(self) -> None:
        """Ends the command if a row was rejected and bad rows were not to be left out.

        Raises:
            InputError: says how many rows are bad.
        """
        if self.rejected and not self.keep_going:
            raise InputError(
                f"{self.rejected} of {self.rows} rows cannot be used",
                where=", ".join(name for name, intake in self.intakes.items() if intake.rejected)[:300],
                fix="mend the rows above, or leave them out with --keep-going, which writes each to a file of rejects"
                if self.rejected < self.rows
                else "check that the file is the right one, and which column is which (--map)",
            )


def list_problem(problem: Problem) -> None:
    """Prints one problem to stderr: where, what, how to fix it; never a text."""
    click.echo(str(problem), err=True)


@contextlib.contextmanager
def open_rejects(
    path: str, keep_going: bool, max_errors: int, show: Callable[[Problem], None] | None = list_problem
) -> Iterator[Rejects]:
    """The accounts of a command that reads rows; with `keep_going` every bad row is written to `path`.

    The file has the columns of the row and, as `problem`, file, row, line, field, what and fix. It is written even if
    it stays empty, so that an old one never passes for the new.

    Raises:
        InputError: `max_errors` is negative.
    """
    if max_errors < 0:
        raise InputError(f"--max-errors {max_errors}", fix="give 0 (no limit) or more")
    if not keep_going or not path:
        yield Rejects(keep_going, max_errors, show=show)
        return
    with text_writer(path) as stream:
        yield Rejects(True, max_errors, path, stream, show)


def say_rejects(rejects: Rejects) -> None:
    """Says in a few lines what was left out and why."""
    for file, intake in rejects.intakes.items():
        for reason, count in intake.reasons.most_common():
            click.echo(f"  {file}: {count} row{'s' if count != 1 else ''} left out: {reason}", err=True)
    if rejects.path and rejects.rejected:
        click.echo(f"  each of them is in {rejects.path}", err=True)


def console() -> Console:
    """Where tables are printed: as wide as the terminal, and into a pipe or a file as wide as any table needs.

    A pipe has no width; rich would take it for 80 characters. `COLUMNS` is obeyed where somebody has set it.
    """
    from rich.console import Console

    found = Console(highlight=False)
    if found.is_terminal or "COLUMNS" in os.environ:
        return found
    return Console(highlight=False, width=PIPE_WIDTH)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; vertical bars in cells are escaped."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines)
