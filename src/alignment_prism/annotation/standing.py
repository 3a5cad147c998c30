"""How far somebody is in a project, what is free for them, and whether they may go on: gold answers qualify."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, exists, func, or_, select

from alignment_prism.annotation.database import now
from alignment_prism.annotation.history import DONE, FINAL, OPEN, SKIPPED, newest
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.projects import Kind, Project, project_named
from alignment_prism.annotation.schema import assignments, items, revisions


@dataclass(frozen=True, slots=True)
class Standing:
    """How far somebody is in a project.

    Attributes:
        done: items they answered.
        skipped: items they passed over.
        left: items that may still be given to them.
        gold: items that qualify, which they still have to answer.
        gold_right: share of their gold answers that is right; None before the first.
        qualified: whether they may go on.
        waits_for: title of the project that they must qualify in first; empty where there is none.
    """

    done: int
    skipped: int
    left: int
    gold: int = 0
    gold_right: float | None = None
    qualified: bool = True
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class Gold:
    """Somebody's answers to items whose right answer is known.

    Attributes:
        there: items that they can be asked.
        left: those still to answer.
        right: right answers.
        answered: all answers.
    """

    there: int
    left: int
    right: int
    answered: int

    @property
    def share(self) -> float | None:
        """Of the answers that are right."""
        return self.right / self.answered if self.answered else None

    def is_met(self, project: Project) -> bool:
        """Whether enough is right; who skipped every one has shown nothing."""
        if not self.there:
            return True
        return self.left == 0 and self.share is not None and self.share >= float(project.settings["pass_share"])


def standing(connection: Connection, project: Project, person: Person) -> Standing:
    """How far somebody is in a project."""
    params = asked(project, person, now())
    states = {row.state: row for row in connection.execute(_STATES, params)}
    gold = gold_of(connection, project, person)
    waits_for = unmet(connection, project, person)
    done, skipped = (states[one].number if one in states else 0 for one in (DONE, SKIPPED))
    if project.kind is Kind.WRITING:
        left = 0
    elif person.opt_outs:
        rows = connection.execute(_STILL_FREE, params)
        left = sum(not set(row.categories) & set(person.opt_outs) for row in rows)
    else:
        finished = sum(row.not_full for state, row in states.items() if state != OPEN)
        left = int(connection.scalar(_NOT_FULL, params) or 0) - finished - int(connection.scalar(_TAKEN, params) or 0)
    return Standing(
        done=done,
        skipped=skipped,
        left=left,
        gold=gold.left,
        gold_right=gold.share,
        qualified=not waits_for and (gold.left > 0 or gold.is_met(project)),
        waits_for=waits_for,
    )


def may_go_on(connection: Connection, project: Project, person: Person) -> bool:
    """Whether somebody has qualified, or may still do so."""
    gold = gold_of(connection, project, person)
    return (gold.left > 0 or gold.is_met(project)) and not unmet(connection, project, person)


def asked(project: Project, person: Person, at: float) -> dict[str, Any]:
    """What the statements below are asked with."""
    return {"project": project.id, "overlap": project.overlap, "person": person.id, "at": at,
            "languages": list(person.languages)}  # fmt: skip


def alive(table: Any = assignments) -> Any:
    """The condition that an assignment is on lease at the time `at`."""
    return and_(table.c.state == OPEN, table.c.leased_until > bindparam("at"))


def _suits() -> Any:
    """The condition that an item of a project is for somebody: in their language, and not their own."""
    return and_(
        items.c.project == bindparam("project"),
        items.c.retired.is_(False),
        items.c.language.in_(bindparam("languages", expanding=True)),
        or_(items.c.author.is_(None), items.c.author != bindparam("person")),
    )


def _others() -> Any:
    """How many other people have the item of the query around it on lease."""
    one = assignments.alias()
    query = select(func.count()).select_from(one).where(one.c.item == items.c.id, one.c.person != bindparam("person"))
    return query.where(alive(one)).correlate(items).scalar_subquery()


def _had(states: Any = None) -> Any:
    """The condition that somebody has, or had, the item of the query around it."""
    one = assignments.alias()
    query = select(one.c.id).where(one.c.item == items.c.id, one.c.person == bindparam("person"))
    return exists((query if states is None else query.where(one.c.state.in_(states))).correlate(items))


def is_free(*, gold: bool = False) -> Any:
    """The condition that an item may be given to somebody who does not have it; gold items are everybody's."""
    if gold:
        return and_(_suits(), ~_had())
    overlap: Any = bindparam("overlap")
    # The first comparison says nothing new, and is decided without looking at who has the item.
    return and_(_suits(), items.c.done < overlap, ~_had(), items.c.done + _others() < overlap)


_OPEN_TO_ME = and_(_suits(), items.c.gold.is_(None), items.c.done < bindparam("overlap"))
_STATES = (
    select(
        assignments.c.state, func.count().label("number"), func.sum(case((_OPEN_TO_ME, 1), else_=0)).label("not_full")
    )
    .join(items, items.c.id == assignments.c.item)
    .where(items.c.project == bindparam("project"), items.c.gold.is_(None))
    .where(assignments.c.person == bindparam("person"))
    .group_by(assignments.c.state)
)
_NOT_FULL = select(func.count()).select_from(items).where(_OPEN_TO_ME)
"""Items without all their answers; of these some are finished for somebody, and some are taken by others."""
_TAKEN = (
    select(func.count())
    .select_from(items)
    .where(items.c.id.in_(select(assignments.c.item).where(alive(), assignments.c.person != bindparam("person"))))
    .where(_OPEN_TO_ME, ~_had((DONE, SKIPPED)), items.c.done + _others() >= bindparam("overlap"))
)
_STILL_FREE = select(items.c.categories).where(
    _OPEN_TO_ME, ~_had((DONE, SKIPPED)), items.c.done + _others() < bindparam("overlap")
)
_FINAL = revisions.alias()
_GOLD = (
    select(items.c.gold, items.c.categories, assignments.c.state, _FINAL.c.content)
    .select_from(items)
    .join(
        assignments,
        and_(assignments.c.item == items.c.id, assignments.c.person == bindparam("person")),
        isouter=True,
    )
    .join(_FINAL, _FINAL.c.id == newest(assignments.c.id, FINAL), isouter=True)
    .where(items.c.gold.is_not(None), items.c.project == bindparam("project"), items.c.retired.is_(False))
    .where(items.c.language.in_(bindparam("languages", expanding=True)))
)


def gold_of(connection: Connection, project: Project, person: Person) -> Gold:
    """How somebody did in the qualification of a project."""
    params = {"project": project.id, "person": person.id, "languages": list(person.languages)}
    rows = connection.execute(_GOLD, params).all()
    rows = [row for row in rows if row.state == DONE or not set(row.categories) & set(person.opt_outs)]
    finals = [row for row in rows if row.state == DONE]
    right = sum(row.content is not None and row.content.get("label") == row.gold for row in finals)
    return Gold(len(rows), sum(row.state in (None, OPEN) for row in rows), right, len(finals))


def unmet(connection: Connection, project: Project, person: Person) -> str:
    """Title of the project that somebody has to qualify in first; empty where there is none."""
    title = str(project.settings["requires"])
    if not title or title == project.title:
        return ""
    needed = project_named(connection, title)
    return "" if gold_of(connection, needed, person).is_met(needed) else title
