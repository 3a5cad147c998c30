"""Errors that a user can act on: what is wrong, where, and how to put it right.

What a user can put right is a `PrismError`; the command line prints its parts and ends with its exit code, without a
traceback. Anything else that surfaces is a defect of this package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping


class PrismError(Exception):
    """An error with a place and a remedy.

    Args:
        what: one sentence naming the fault and the offending value.
        where: file, row, field, key path or address, as narrow as known.
        fix: what the user can do about it, in words that name no option of a command.
        settings: parameters that put it right, each with the value to give: `{"replace": "True"}`,
            `{"mapping": "prompt=COLUMN"}`. The command line names the options that stand for them.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | None = None, fix: str | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.settings: Mapping[str, str] = settings or {}

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"where: {self.where}")
        if self.fix:
            lines.append(f"fix: {remedy(self.fix, self.settings)}")
        return "\n".join(lines)


def remedy(fix: str, settings: Mapping[str, str]) -> str:
    """A remedy with the parameters that it speaks of, as Python names them."""
    return f"{fix} ({', '.join(f'{name}: {value}' for name, value in settings.items())})" if settings else fix


def reason(error: Exception) -> str:
    """Why a file cannot be read, for a sentence that names it: without paths, positions and numbers of errors.

    Example:
        >>> reason(FileNotFoundError(2, "No such file or directory", "x.json"))
        'No such file or directory'
    """
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return "it is not JSON"
    return str(error.strerror or error if isinstance(error, OSError) else error)[:200]


class InputError(PrismError, ValueError):
    """A file, a row or an argument is not what it should be. Exit code 2."""

    exit_code = 2


class ModelError(PrismError):
    """A model, a judge or a provider cannot be used: absent, unreachable, unfit for the task. Exit code 3."""

    exit_code = 3


class TrainingError(PrismError):
    """A training cannot start or has gone wrong, for example by a loss that is not finite. Exit code 4."""

    exit_code = 4


class StoreError(PrismError):
    """A stored artifact is missing, incomplete, or does not have the digest it was written with. Exit code 5."""

    exit_code = 5


class SharedStoreError(StoreError):
    """What all steps of a run write to or compute with cannot be used: its journal, its folder, the disk, memory. What
    is left would meet the same. Exit code 5."""


class BudgetError(PrismError):
    """What may be spent is spent; what was paid for is kept. Exit code 8."""

    exit_code = 8
