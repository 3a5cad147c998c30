"""Rows of several files accounted for together, and the one file that the rejected ones go to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from alignment_prism.domain import InputError
from alignment_prism.io.problems import Intake, Problem, Reject
from alignment_prism.io.schemas import plain
from alignment_prism.io.writers import text_writer


@dataclass
class Rejects:
    """The intakes of several files, their rejects, and the problems that are listed.

    Args:
        keep_going: whether bad rows are skipped, however many, or are an error in the end.
        max_errors: over all files: how many bad rows end the reading, or with `keep_going` are listed; 0 is no limit.
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

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows read, accepted and rejected, file by file."""
        return {name: intake.counts() for name, intake in self.intakes.items()}

    def noted(self, note: str) -> int:
        """How often something was noticed in accepted rows of all files."""
        return sum(intake.notes[note] for intake in self.intakes.values())

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

    def require_none(self) -> None:
        """Check that no row was rejected, unless bad rows are skipped.

        Raises:
            InputError: says how many rows are bad.
        """
        if not self.rejected or self.keep_going:
            return
        what = f"{self.rejected} of {self.rows} rows cannot be used"
        where = ", ".join(name for name, intake in self.intakes.items() if intake.rejected)[:300]
        if self.rejected == self.rows:
            fix = "check that the file is the right one, and which column is which"
            raise InputError(what, where=where, fix=fix, settings={"mapping": "FIELD=COLUMN"})
        fix = "correct the rows above, or skip them: each goes to a file of rejects"
        raise InputError(what, where=where, fix=fix, settings={"keep_going": "True"})


@contextlib.contextmanager
def open_rejects(
    path: str, keep_going: bool, max_errors: int, show: Callable[[Problem], None] | None = None
) -> Iterator[Rejects]:
    """The accounts of files whose rows are read; with `keep_going` every bad row is written to `path`.

    The file has the columns of the row and, as `problem`, file, row, line, field, what and fix. It is written even if
    it stays empty, so that an old one never passes for the new.

    Args:
        path: of the file of rejects; empty for none.
        keep_going, max_errors, show: as in `Rejects`.

    Raises:
        InputError: `max_errors` is negative.
    """
    if max_errors < 0:
        fix = "give 0 (no limit) or more"
        raise InputError(f"the limit of bad rows is {max_errors}", fix=fix, settings={"max_errors": "0"})
    if not keep_going or not path:
        yield Rejects(keep_going, max_errors, show=show)
        return
    with text_writer(path) as stream:
        yield Rejects(True, max_errors, path, stream, show)
