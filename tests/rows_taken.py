"""Rows that a file gives, and what was said of those that it does not."""

from __future__ import annotations

from alignment_prism.io import Intake, read_rows


def take(path, **options):
    """All good rows of a file, and the intake that accounted for them."""
    intake = Intake(keep_going=True)
    rows = list(read_rows(path, intake=intake, **options))
    for _ in rows:
        intake.accept()
    intake.check()
    return rows, intake


def values(rows):
    return [dict(row.values) for row in rows]


def reasons(intake):
    return [reject.problem.what for reject in intake.rejects]
