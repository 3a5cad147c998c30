"""What is wrong with a row, and what becomes of it: one mechanism for every reader.

A reader hands each row to an `Intake`, as accepted or as rejected with its problems. In strict mode the first
problem raises; in keep-going mode the row goes to the rejects and reading goes on. Either way nothing vanishes:
rows read = rows accepted + rows rejected, and `Intake.check` proves it.

Prompts here can be harmful, so a problem never quotes a text: `shown` replaces anything long by its length and
digest. The rejects file has the row itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from alignment_prism.domain import InputError, content_digest
from alignment_prism.domain.errors import remedy

TEXT_FIELDS = frozenset(
    {
        "prompt",
        "messages",
        "chosen",
        "rejected",
        "reply",
        "completion",
        "text",
        "inputs",
        "targets",
        "turns",
        "literal_translation",
        "semantic_translation",
        "english",
        "explanation",
        "reference",
        "raw",
    }
)
"""Fields whose values are never quoted, however short."""

SHOWN_CHARACTERS = 40
"""Longest value that a problem quotes."""


def shown(value: object, field_name: str = "") -> str:
    """A value as it may appear in a terminal: short ones quoted, texts by length and digest only.

    Example:
        >>> shown("globl", "global_or_local")
        "'globl'"
        >>> shown("How do I ...", "prompt")
        'a text of 12 characters, digest fe3ed09e'
    """
    if isinstance(value, str):
        if field_name in TEXT_FIELDS or len(value) > SHOWN_CHARACTERS:
            return f"a text of {len(value)} characters, digest {content_digest(value)[:8]}" if value else "''"
        return repr(value)
    if isinstance(value, (list, tuple, dict)):
        kind = {list: "list", tuple: "list", dict: "mapping"}[type(value)]
        return f"a {kind} of {len(value)} entries" if value else f"an empty {kind}"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


EXAMPLES = 5
"""How many notes of one kind are kept; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, before anybody knows what it means.

    Attributes:
        file: where it came from, as the user wrote it.
        number: 1 for the first row of data; a header is not counted.
        values: column to value, as the file has them.
        line: line of a text file on which the row begins, 1 for the first; None for other files.
        part: which part of a row that holds several records this is (a language's column), or empty.
    """

    file: str
    number: int
    values: Mapping[str, Any]
    line: int | None = None
    part: str = ""

    @property
    def where(self) -> str:
        """File and row, with the line where it differs from the row."""
        line = f" (line {self.line})" if self.line is not None and self.line != self.number else ""
        return f"{self.file}, row {self.number}{line}"


class FieldError(Exception):
    """Raised by a field's parser: the value cannot be used. `Intake.reject` makes a `Problem` of it.

    Args:
        field_name: the column.
        value: what it holds.
        what: what is wrong, without the value.
        fix: how to put it right.
        settings: as in `PrismError`.
    """

    def __init__(
        self, field_name: str, value: object, what: str, fix: str, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(what)
        self.field_name = field_name
        self.value = value
        self.what = what
        self.fix = fix
        self.settings: Mapping[str, str] = settings or {}


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of one row. `value` is fit to be printed, see `shown`."""

    file: str
    row: int
    line: int | None
    field: str
    value: str
    what: str
    fix: str
    settings: Mapping[str, str]

    @property
    def where(self) -> str:
        """File, row and field."""
        place = Row(self.file, self.row, {}, self.line).where
        return f"{place}, field {self.field!r}" if self.field else place

    def __str__(self) -> str:
        return f"{self.where}: {self.statement}\n  fix: {remedy(self.fix, self.settings)}"

    @property
    def statement(self) -> str:
        """What is wrong, with the value where there is one."""
        return f"{self.what}: {self.value}" if self.value else self.what

    def as_dict(self) -> dict[str, object]:
        """The problem as plain values."""
        values = {name: getattr(self, name) for name in ("file", "row", "line", "field", "value", "what")}
        return {**values, "fix": remedy(self.fix, self.settings)}

    def as_error(self) -> InputError:
        """The problem as an error that ends the command."""
        return InputError(self.statement, where=self.where, fix=self.fix, settings=self.settings)


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was not accepted, and why."""

    row: Row
    problem: Problem


@dataclass
class Intake:
    """Where rows are accounted for.

    Args:
        keep_going: collect rejects instead of raising at the first problem.
        max_errors: in keep-going mode, stop with an error after that many rejected rows; None is no limit.
        on_reject: called with every reject, as it happens, so that they can be written without being kept.
        keep: how many rejects are kept in memory; all of them are counted.
    """

    keep_going: bool = False
    max_errors: int | None = None
    on_reject: Callable[[Reject], None] | None = None
    keep: int = 1000

    rows: int = field(default=0, init=False)
    """Rows read, good or bad; a row of several parts counts once a part."""
    accepted: int = field(default=0, init=False)
    rejected: int = field(default=0, init=False)
    rejects: list[Reject] = field(default_factory=list, init=False)
    reasons: Counter[str] = field(default_factory=Counter, init=False)
    """How many rows were rejected for which reason."""
    notes: Counter[str] = field(default_factory=Counter, init=False)
    """What was noticed in rows that were accepted all the same, and how often."""
    unknown_languages: Counter[str] = field(default_factory=Counter, init=False)
    """Languages that the registry lacks, and how many prompts in them were skipped."""
    examples: dict[str, list[Problem]] = field(default_factory=dict, init=False)
    """The first notes of each kind."""

    def read(self, count: int = 1) -> None:
        """Counts rows as read."""
        self.rows += count

    def accept(self) -> None:
        """Counts one row as accepted."""
        self.accepted += 1

    def reject(self, row: Row, error: FieldError) -> None:
        """Rejects a row.

        Raises:
            InputError: in strict mode; or in keep-going mode once `max_errors` rows are rejected.
        """
        problem = problem_of(row, error)
        self.rejected += 1
        self.reasons[error.what] += 1
        reject = Reject(row, problem)
        if len(self.rejects) < self.keep:
            self.rejects.append(reject)
        if self.on_reject is not None:
            self.on_reject(reject)
        if not self.keep_going:
            raise problem.as_error()
        if self.max_errors is not None and self.rejected >= self.max_errors:
            raise TooManyProblems(self.rejected, problem)

    def note(self, row: Row, note: FieldError) -> None:
        """Remembers something odd about a row that is accepted: an edge blank, a duplicate, text not in NFC."""
        self.notes[note.what] += 1
        examples = self.examples.setdefault(note.what, [])
        if len(examples) < EXAMPLES:
            examples.append(problem_of(row, note))

    def skip_language(self, row: Row, code: str) -> None:
        """Notes that the part of a row in a language that the registry lacks is not read."""
        self.unknown_languages[code] += 1
        what = f"language {code!r} is not among the known ones; its prompts are skipped"
        self.note(row, FieldError(code, None, what, "add it", {"languages": "FILE"}))

    def check(self) -> None:
        """Proves that no row was lost.

        Raises:
            RuntimeError: rows read differ from rows accepted plus rejected; a defect of a reader.
        """
        if self.rows != self.accepted + self.rejected:
            raise RuntimeError(f"{self.rows} rows read, {self.accepted} accepted, {self.rejected} rejected")

    def counts(self) -> dict[str, int]:
        """Rows read, accepted and rejected."""
        return {"rows": self.rows, "accepted": self.accepted, "rejected": self.rejected}


class TooManyProblems(InputError):
    """Reading stopped because `max_errors` rows were rejected; the rest of the file was not read."""

    def __init__(self, count: int, last: Problem) -> None:
        super().__init__(
            f"stopped after {count} rejected row{'s' if count != 1 else ''}; the rows after them were not read",
            where=last.where,
            fix="correct the rows above, or allow more of them; 0 is no limit",
            settings={"max_errors": "NUMBER"},
        )


def problem_of(row: Row, error: FieldError) -> Problem:
    """The problem that an error in a row amounts to."""
    name = error.field_name
    value = "" if error.value is None else shown(error.value, name)
    return Problem(row.file, row.number, row.line, name, value, error.what, error.fix, error.settings)
