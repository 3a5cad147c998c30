"""An item in somebody's hands, as one statement reads it: assignment, item, project, the latest words, the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from alignment_prism.annotation.history import DONE, FINAL, OPEN, Revision, newest
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.projects import Project, project_from
from alignment_prism.annotation.schema import assignments, items, projects, revisions


@dataclass(frozen=True, slots=True)
class Work:
    """An item in somebody's hands.

    Attributes:
        id: of the assignment.
        token: in addresses; it tells nothing and is good for its owner only.
        project: that the item is of.
        item: its id.
        language: of the item.
        shown: its texts.
        gold: whether the right answer is known.
        state: open, done or skipped.
        flipped: whether the second of two replies stands on the left.
        leased_until: when the lease lapses.
        last: the latest revision; None where nothing was written.
        final: the answer that counts.
    """

    id: int
    token: str
    project: Project
    item: int
    language: str
    shown: Mapping[str, Any]
    gold: bool
    state: str
    flipped: bool
    leased_until: float
    last: Revision | None = None
    final: Revision | None = None

    @property
    def content(self) -> Mapping[str, Any]:
        """What the page is filled with: the latest words, whether handed in or not."""
        return self.last.content if self.last is not None else {}


_LAST, _FINAL = revisions.alias(), revisions.alias()
_FIELDS = ("number", "at", "kind", "content", "seconds")
_FOUND = (
    select(
        assignments,
        *(items.c[name] for name in ("language", "shown", "gold")),
        *(column.label(f"project_{column.name}") for column in projects.c),
        *(_LAST.c[name].label(f"last_{name}") for name in _FIELDS),
        *(_FINAL.c[name].label(f"final_{name}") for name in _FIELDS),
    )
    .select_from(assignments)
    .join(items, items.c.id == assignments.c.item)
    .join(projects, projects.c.id == items.c.project)
    .join(_LAST, _LAST.c.id == newest(assignments.c.id), isouter=True)
    .join(_FINAL, _FINAL.c.id == newest(assignments.c.id, FINAL), isouter=True)
    .where(assignments.c.person == bindparam("person"))
)
_OF_TOKEN = _FOUND.where(assignments.c.token == bindparam("token"))
_ANSWERED = (
    _FOUND.where(projects.c.id == bindparam("project"), assignments.c.state != OPEN)
    .order_by(assignments.c.ended_at.desc(), assignments.c.id.desc())
    .limit(bindparam("number"))
    .offset(bindparam("start"))
)
_BEFORE = (
    select(assignments.c.token)
    .join(items, items.c.id == assignments.c.item)
    .where(items.c.project == bindparam("project"), assignments.c.person == bindparam("person"))
    .where(assignments.c.state != OPEN, assignments.c.id != bindparam("work"))
    .order_by(assignments.c.ended_at.desc())
    .limit(1)
)


def work_of(connection: Connection, token: str, person: Person) -> Work | None:
    """The work of a token, if it is this person's; None if it is another's, or nobody's."""
    row = connection.execute(_OF_TOKEN, {"token": token, "person": person.id}).first()
    return None if row is None else _work(row)


def answered(connection: Connection, project: Project, person: Person, number: int = 50, start: int = 0) -> list[Work]:
    """Items that somebody answered or skipped, newest first: so many, after the first `start` of them."""
    asked = {"project": project.id, "person": person.id, "number": number, "start": start}
    return [_work(row) for row in connection.execute(_ANSWERED, asked)]


def answered_before(connection: Connection, work: Work, person: Person) -> str:
    """Token of the last item of a project that somebody answered or skipped, other than this one; empty if none."""
    asked = {"project": work.project.id, "person": person.id, "work": work.id}
    return str(connection.scalar(_BEFORE, asked) or "")


def _work(row: Row[Any]) -> Work:
    found = row._mapping
    return Work(
        id=row.id,
        token=row.token,
        project=project_from(found, "project_"),
        item=row.item,
        language=row.language,
        shown=row.shown,
        gold=row.gold is not None,
        state=row.state,
        flipped=row.flipped,
        leased_until=row.leased_until,
        last=_revision(found, "last_"),
        final=_revision(found, "final_") if row.state == DONE else None,
    )


def _revision(row: Mapping[Any, Any], prefix: str) -> Revision | None:
    if row[f"{prefix}number"] is None:
        return None
    return Revision(*(row[f"{prefix}{name}"] for name in _FIELDS))
