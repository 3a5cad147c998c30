"""The history of an item in somebody's hands: rows that are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from alignment_prism.annotation.database import now
from alignment_prism.annotation.schema import revisions

OPEN, DONE, SKIPPED = "open", "done", "skipped"
"""States of an assignment."""
DRAFT, FINAL, SKIP, WITHDRAWN = "draft", "final", "skip", "withdrawn"
"""Kinds of revisions."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One thing that was written or chosen.

    Attributes:
        number: 1, 2, ... within the assignment.
        at: seconds since 1970.
        kind: draft, final, skip or withdrawn.
        content: the fields.
        seconds: of attention since the revision before.
    """

    number: int
    at: float
    kind: str
    content: Mapping[str, Any]
    seconds: float


def add_revision(
    connection: Connection,
    work: int,
    kind: str,
    content: Mapping[str, Any],
    seconds: float,
    *,
    number: int,
    since: float,
) -> Revision:
    """Add what was written.

    Args:
        connection: in a transaction that holds the assignment.
        work: its id.
        kind: of the revision.
        content: the fields.
        seconds: that the browser says somebody looked at the page; they cannot be more than the clock's.
        number: of the revision before; 0 where there is none.
        since: when that was, or when the item was given.
    """
    at = now()
    spent = min(max(seconds, 0.0), max(at - since, 0.0)) if seconds == seconds else 0.0
    made = Revision(number + 1, at, kind, dict(content), spent)
    row = {"number": made.number, "at": at, "kind": kind, "content": made.content, "seconds": spent}
    connection.execute(insert(revisions), {"assignment": work, **row})
    return made


def newest(column: Any, kind: str = "") -> Any:
    """Id of the latest revision of the assignment in a column of the query around it; of one kind, or of any."""
    one = revisions.alias()
    query = select(one.c.id).where(one.c.assignment == column).order_by(one.c.number.desc()).limit(1)
    return (query.where(one.c.kind == kind) if kind else query).correlate(column.table).scalar_subquery()


def history(connection: Connection, work: int) -> list[Revision]:
    """Everything that was written in an assignment, oldest first."""
    query = select(revisions).where(revisions.c.assignment == work).order_by(revisions.c.number)
    return [Revision(row.number, row.at, row.kind, row.content, row.seconds) for row in connection.execute(query)]
