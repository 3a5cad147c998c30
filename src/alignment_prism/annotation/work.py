"""Work: an item that is somebody's for a while, what they wrote about it, and how it ended.

An item is given to as many people as its project's overlap says and never to more: whoever has answered it counts, and
whoever has it on lease. A lease is renewed by every sign of life and lapses without one; the words written until then
stay, and where there is still room they are given back.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from alignment_prism.annotation.database import now
from alignment_prism.annotation.held import Work, work_of
from alignment_prism.annotation.history import (
    DONE,
    DRAFT,
    FINAL,
    OPEN,
    SKIP,
    SKIPPED,
    WITHDRAWN,
    Revision,
    add_revision,
    newest,
)
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.projects import Project, lock
from alignment_prism.annotation.schema import assignments, items, revisions
from alignment_prism.annotation.standing import alive, asked, gold_of, is_free, unmet
from alignment_prism.domain import InputError

AT_ONCE = 100
"""Items that are looked at together for one that somebody has not opted out of."""
RENEWED = 1 / 60
"""Share of a lease that passes before a sign of life renews it: of half an hour, thirty seconds."""
SKIP_REASONS = ("unsure", "distressing", "not_my_language", "broken", "other")

# Asked by every request, so put together once: building a statement costs more than answering it.
_BEGUN = (
    select(assignments.c.id, assignments.c.token, assignments.c.item, assignments.c.leased_until)
    .add_columns(items.c.done, items.c.gold, items.c.categories)
    .join(items, items.c.id == assignments.c.item)
    .where(items.c.project == bindparam("project"), assignments.c.person == bindparam("person"))
    .where(assignments.c.state == OPEN, items.c.retired.is_(False))
    .order_by(assignments.c.id)
)
_IN_ORDER = select(items.c.id, items.c.categories).order_by(items.c.position).limit(bindparam("number"))
_NEXT = _IN_ORDER.offset(bindparam("start")).where(is_free(), items.c.gold.is_(None))
_NEXT_GOLD = _IN_ORDER.offset(bindparam("start")).where(is_free(gold=True), items.c.gold.is_not(None))
_ALIVE = select(func.count()).select_from(assignments).where(assignments.c.item == bindparam("item"), alive())
_LAST = revisions.alias()
_STATE = (
    select(assignments.c.state, assignments.c.item, assignments.c.leased_until, assignments.c.given_at)
    .add_columns(items.c.done, _LAST.c.number, _LAST.c.at, _LAST.c.kind, _LAST.c.content, _LAST.c.seconds)
    .select_from(assignments)
    .join(items, items.c.id == assignments.c.item)
    .join(_LAST, _LAST.c.id == newest(assignments.c.id), isouter=True)
    .where(assignments.c.id == bindparam("work"))
)
_ANSWER = (
    select(revisions.c.content)
    .where(revisions.c.assignment == bindparam("work"), revisions.c.kind == FINAL)
    .order_by(revisions.c.number.desc())
    .limit(1)
)
_LEASE = update(assignments).where(assignments.c.id == bindparam("work")).values(leased_until=bindparam("until"))
_END = (
    update(assignments)
    .where(assignments.c.id == bindparam("work"))
    .values(state=bindparam("new_state"), ended_at=bindparam("ended"))
)
_COUNT = update(items).where(items.c.id == bindparam("its")).values(done=items.c.done + bindparam("more"))


def claim(connection: Connection, project: Project, person: Person) -> Work | None:
    """The item that somebody is to answer now: the one they have, else one that qualifies them, else the next.

    Args:
        connection: in a transaction that writes.
        project: of which.
        person: for whom.

    Returns:
        None where there is nothing for them, or nothing yet: see `standing`.
    """
    if person.paused:
        return None
    lock(connection, project)
    at = now()
    unwanted = set(person.opt_outs)
    for row in connection.execute(_BEGUN, {"project": project.id, "person": person.id}).all():
        if unwanted & set(row.categories):
            continue
        if row.gold is not None or row.leased_until > at or _room(connection, project, row.item, row.done, at):
            _lease(connection, row.id, project, at, row.leased_until)
            return work_of(connection, row.token, person)
    gold = gold_of(connection, project, person)
    if not (gold.left or gold.is_met(project)) or unmet(connection, project, person):
        return None
    params = asked(project, person, at) | {"number": AT_ONCE if unwanted else 1}
    for query in (_NEXT_GOLD, _NEXT) if gold.left else (_NEXT,):
        start = 0
        while rows := connection.execute(query, params | {"start": start}).all():
            for row in rows:
                if not unwanted & set(row.categories):
                    return give(connection, project, row.id, person)
            start += AT_ONCE
    return None


def give(connection: Connection, project: Project, item: int, person: Person) -> Work:
    """Give an item to somebody. The order of two replies is drawn here and kept."""
    token, at = secrets.token_urlsafe(15), now()
    row = {"item": item, "person": person.id, "token": token, "state": OPEN, "flipped": bool(secrets.randbits(1)),
           "leased_until": at + project.lease, "given_at": at}  # fmt: skip
    connection.execute(insert(assignments), row)
    found = work_of(connection, token, person)
    assert found is not None, "it was given a moment ago"
    return found


def save_draft(connection: Connection, work: Work, content: Mapping[str, Any], seconds: float = 0.0) -> Revision:
    """Keep what somebody has written so far, in a transaction that writes; the lease begins anew.

    A draft that says what the last one said adds no revision. That a lease has lapsed stops no draft: words are kept
    whoever the item goes to.
    """
    at = now()
    if work.leased_until <= at:
        lock(connection, work.project)  # it may be somebody else's meanwhile
    row = _state(connection, work)
    if row.kind in (DRAFT, FINAL) and dict(row.content) == dict(content):
        kept = Revision(row.number, row.at, row.kind, row.content, row.seconds)
    else:
        kept = _add(connection, work, row, DRAFT, content, seconds)
    if row.state == OPEN and _is_held(connection, work, row, at):
        _lease(connection, work.id, work.project, at, row.leased_until)
    return kept


def submit(connection: Connection, work: Work, content: Mapping[str, Any], seconds: float = 0.0) -> Revision | None:
    """Hand in an answer, or change one that was handed in.

    Returns:
        None where the lease lapsed and others have answered meanwhile: the words are kept as a draft that counts for
        nothing, and the item stays theirs.
    """
    lock(connection, work.project)
    row = _state(connection, work)
    if row.state != DONE:
        if not _is_held(connection, work, row, now()):
            _add(connection, work, row, DRAFT, content, seconds)
            return None
        _end(connection, work, DONE)
        connection.execute(_COUNT, {"its": work.item, "more": 1})
    return _add(connection, work, row, FINAL, content, seconds)


def skip(connection: Connection, work: Work, reason: str, note: str = "", seconds: float = 0.0) -> None:
    """Pass an item over; it stays there for others.

    Raises:
        InputError: there is no such reason, or the item was answered.
    """
    if reason not in SKIP_REASONS:
        raise InputError("no reason", fix="say why")
    lock(connection, work.project)
    row = _state(connection, work)
    if row.state != OPEN:
        raise InputError("it was answered", fix="take the answer back first")
    _add(connection, work, row, SKIP, {"reason": reason, "note": note}, seconds)
    _end(connection, work, SKIPPED)


def withdraw(connection: Connection, work: Work) -> bool:
    """Take an answer or a skip back, so that it can be given again; False where others have taken its place.

    The history keeps what was taken back.
    """
    lock(connection, work.project)
    row = _state(connection, work)
    if row.state == OPEN:
        return True
    at = now()
    if row.state == SKIPPED and not _is_held(connection, work, row, at):
        return False
    _add(connection, work, row, WITHDRAWN, connection.scalar(_ANSWER, {"work": work.id}) or {}, 0.0)
    if row.state == DONE:
        connection.execute(_COUNT, {"its": work.item, "more": -1})
    values = {"state": OPEN, "ended_at": None, "leased_until": at + work.project.lease}
    connection.execute(update(assignments).where(assignments.c.id == work.id).values(values))
    return True


def _state(connection: Connection, work: Work) -> Row[Any]:
    """How an assignment stands now, with its latest revision; nobody else changes it until the transaction ends."""
    if connection.dialect.name != "sqlite":
        # A statement of its own: what is read together with a lock that had to be waited for would be of before.
        here = assignments.c.id == work.id
        connection.execute(select(assignments.c.id).where(here).with_for_update()).all()
    return connection.execute(_STATE, {"work": work.id}).one()


def _add(
    connection: Connection, work: Work, row: Row[Any], kind: str, content: Mapping[str, Any], seconds: float
) -> Revision:
    since = row.given_at if row.at is None else row.at
    return add_revision(connection, work.id, kind, content, seconds, number=row.number or 0, since=since)


def _room(connection: Connection, project: Project, item: int, done: int, at: float) -> bool:
    """Whether an item may be given to one more."""
    held = connection.scalar(_ALIVE, {"item": item, "at": at})
    return done + int(held or 0) < project.overlap


def _is_held(connection: Connection, work: Work, row: Row[Any], at: float) -> bool:
    """Whether an item without their answer is still somebody's, or can be theirs again: who skipped it let it go."""
    if work.gold or (row.state == OPEN and row.leased_until > at):
        return True
    return _room(connection, work.project, row.item, row.done, at)


def _lease(connection: Connection, key: int, project: Project, at: float, until: float) -> None:
    """Let a lease begin anew, unless it has hardly begun."""
    if until < at + (1 - RENEWED) * project.lease:
        connection.execute(_LEASE, {"work": key, "until": at + project.lease})


def _end(connection: Connection, work: Work, state: str) -> None:
    connection.execute(_END, {"work": work.id, "new_state": state, "ended": now()})
