"""Sets of prompts read only to say what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from alignment_prism.domain import InputError, Prompt
from alignment_prism.domain.errors import remedy
from alignment_prism.io import Intake, TooManyProblems
from alignment_prism.io.rejects import Rejects
from alignment_prism.prompts.sources import SourceOptions, iter_source


@dataclass(frozen=True, slots=True)
class SetReport:
    """What one set holds.

    Attributes:
        file: its name.
        intake: its rows, good and bad, and what was noticed in good ones.
        error: why it cannot be read at all, or None.
        stopped: what ended the reading before the last row, or None.
    """

    file: str
    intake: Intake
    error: InputError | None = None
    stopped: TooManyProblems | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        intake = self.intake
        values: dict[str, Any] = {"file": self.file}
        if self.stopped is not None:
            values["stopped"] = self.stopped.what
        if self.error is not None:
            fix = remedy(self.error.fix or "", self.error.settings)
            values["error"] = {"what": self.error.what, "where": self.error.where, "fix": fix}
        values |= {**intake.counts(), "reasons": dict(intake.reasons), "notes": dict(intake.notes)}
        values["examples"] = {what: [each.as_dict() for each in notes] for what, notes in intake.examples.items()}
        return values


def validate_sets(
    names: Iterable[str],
    rejects: Rejects,
    *,
    show: Callable[[Prompt], None] | None = None,
    **options: Unpack[SourceOptions],
) -> Iterator[SetReport]:
    """Read every row of every set; each report comes when its set is read.

    Args:
        names: files, sets known by name, Hub datasets.
        rejects: accounts for rows; where it has a limit, nothing is read beyond it.
        show: is shown every good prompt of all sets.
        options: as in `load_prompts`.
    """
    for name in names:
        options["intake"] = intake = rejects.intake(name)
        error: InputError | None = None
        stopped: TooManyProblems | None = None
        try:
            for prompt in iter_source(name, **options):
                if show is not None:
                    show(prompt)
        except TooManyProblems as limit:
            stopped = limit
        except InputError as fault:
            error = fault
        yield SetReport(name, intake, error, stopped)
        if stopped is not None:
            return


def fault_of(reports: Sequence[SetReport], sets: int, rejects: Rejects) -> InputError | None:
    """What is wrong with sets altogether, files that cannot be read and rows; None where nothing is."""
    faults, fixes = [], []
    failed = sum(report.error is not None for report in reports)
    if failed:
        faults.append(f"{failed} of {sets} files cannot be read as prompts")
        fixes.append("do what is said beside each file")
    if rejects.rejected:
        faults.append(f"{rejects.rejected} of {rejects.rows} rows cannot be used")
        if rejects.rejected < rejects.rows:
            fixes.append("correct them as said above, or skip bad rows when the prompts are read")
        else:
            fixes.append("correct them as said above: every row is bad, so skipping bad rows leaves nothing")
    return InputError("; ".join(faults), fix="; ".join(fixes)) if faults else None
