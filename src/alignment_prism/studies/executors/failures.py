"""Steps that fail, and what becomes of the others: one rule for every executor.

A step that fails takes with it what needs its artifact, and nothing else: the other arms of a night's study are done.
What all steps share ends a study at once: its money, its journal, the disk and memory of the machine, its folder, and
Ctrl-C. A file that one step alone may not read or write is that step's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from alignment_prism.domain import BudgetError, PrismError, StoreError
from alignment_prism.store import shared_fault, storage_fault
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.steps import Step

SHOWN = 20
"""Steps that a message names; the log of the study has all."""


class StepsError(PrismError):
    """Several steps failed. Its exit code is that of the first one; a remedy that all of them name is told.

    Attributes:
        failed: titles of the steps, each with its error.
        left: titles of the steps that were not done because they need one of those.
    """

    def __init__(self, failed: Sequence[tuple[str, Exception]], left: Sequence[str], what: str, fix: str) -> None:
        lines = [f"{title}: {words(error)}" for title, error in failed]
        first = failed[0][1]
        settings: Mapping[str, str] = {}
        if isinstance(first, PrismError) and first.fix and len({getattr(one, "fix", None) for _, one in failed}) == 1:
            fix, settings = f"{fix}; before that, {first.fix}", first.settings
        super().__init__(what, where="\n       ".join(_first(lines)), fix=fix, settings=settings)
        self.failed, self.left = tuple(failed), tuple(left)
        self.exit_code = getattr(first, "exit_code", PrismError.exit_code)


class Failures:
    """The steps of a run that failed, and those that cannot be done without them.

    Args:
        steps: all of the study, each after those that it needs.
        todo: keys of those that are to be done.
    """

    def __init__(self, steps: Sequence[Step], todo: Collection[str]) -> None:
        self._steps, self._todo = steps, todo
        self._errors: dict[str, Exception] = {}
        self.out_of_reach: set[str] = set()
        """Keys of the steps that are to be done and need one that failed."""

    def add(self, step: Step, error: Exception) -> None:
        """Take down that a step failed with an error that does not end the study."""
        if (fault := storage_fault(error)) is not None:
            fault.__cause__ = error
        self._errors[step.key] = fault or error
        self.out_of_reach = dependents(self._steps, self._errors) & set(self._todo)

    @contextmanager
    def told(self, reporter: Reporter) -> Iterator[None]:
        """Do steps, and say in the end what failed: also where something else ends the study first."""
        try:
            yield
        except BaseException:
            if self._errors:
                lines = [f"{step.title}: {words(self._errors[step.key])}" for step in self._failed()]
                count = f"{len(lines)} step{'s' if len(lines) > 1 else ''} failed before that"
                reporter.note(f"{count}: {'; '.join(_first(lines))}")
            raise
        self.report(reporter)

    def _failed(self) -> list[Step]:
        return [step for step in self._steps if step.key in self._errors]

    def report(self, reporter: Reporter) -> None:
        """Say what failed, what was not done for it and how to go on; nothing where nothing failed.

        Raises:
            PrismError: of the step that failed, where it is one.
            StepsError: several did. What it was raised from has their errors, with their tracebacks.
        """
        if not self._errors:
            return
        failed = [(step.title, self._errors[step.key]) for step in self._failed()]
        left = [step.title for step in self._steps if step.key in self.out_of_reach]
        count = len(self._errors) + len(left)
        what = f"{len(self._errors)} of {len(self._steps)} steps failed"
        if left:
            what += f", and {len(left)} that need what they make were not done"
        fix = (
            f"run the same again: it does {'these' if count > 1 else 'this'} {count} and nothing else, and makes what "
            "rests on all steps; where an arm cannot be mended, take it out of the spec"
        )
        errors = list(self._errors.values())
        if len(errors) > 1:
            raise StepsError(failed, left, what, fix) from ExceptionGroup("steps that failed", errors)
        if left:
            reporter.note(f"{what}: {'; '.join(_first(left))}")
        if len(self._todo) > 1:
            reporter.note(f"to go on: {fix}")
        raise errors[0]


def ends_all(error: BaseException, out: Path) -> bool:
    """Whether an error of one step ends the whole study: other steps would meet it too, or should not be begun.

    Args:
        error: of the step.
        out: the study's folder, which may not be written to any more.
    """
    if not isinstance(error, Exception) or isinstance(error, BudgetError) or shared_fault(error) is not None:
        return True
    return (isinstance(error, StoreError) or storage_fault(error) is not None) and not _takes_files(out)


def _takes_files(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def dependents(steps: Sequence[Step], keys: Collection[str]) -> set[str]:
    """Keys of the steps that need one of some steps, directly or not.

    Args:
        steps: each after those that it needs.
        keys: of those that are needed.
    """
    found: set[str] = set()
    for step in steps:
        if any(needed.key in keys or needed.key in found for needed in step.needs.values()):
            found.add(step.key)
    return found


def words(error: BaseException) -> str:
    """What an error says, in one line."""
    said = error.what if isinstance(error, PrismError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())


def _first(lines: Sequence[str]) -> list[str]:
    """So many lines as a message shows, and how many there are more."""
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]
