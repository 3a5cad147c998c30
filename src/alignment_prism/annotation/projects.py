"""Projects: what is asked of people about which items, how many answer each, and how far they are."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, insert, select, update

from alignment_prism.annotation import audit
from alignment_prism.annotation.database import now
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.schema import items, projects
from alignment_prism.domain import InputError, Outcome, Scope

LONGEST_LEASE = 24 * 60
AT_ONCE = 500
"""Keys that are looked up together."""


class Kind(StrEnum):
    """What people are asked to do."""

    OUTCOME = "outcome"
    """Say which of the five outcomes a reply is."""
    PAIRWISE = "pairwise"
    """Say which of two replies is better, or that neither is."""
    SCOPE = "scope"
    """Say whether the harm that a prompt asks for is global or local: for qualification, and second readings."""
    OPINION = "opinion"
    """Say of a prompt from elsewhere, in translation, whether it is harmful with us too."""
    WRITING = "writing"
    """Write prompts, with translations, categories and scope."""


CHOICES: dict[Kind, tuple[str, ...]] = {
    Kind.OUTCOME: (
        Outcome.HARMFUL.value,
        Outcome.REFUSAL.value,
        Outcome.SAFE_HELP.value,
        Outcome.DEGENERATE.value,
        Outcome.WRONG_LANGUAGE.value,
    ),
    Kind.PAIRWISE: ("left", "right", "tie"),
    Kind.SCOPE: (Scope.GLOBAL.value, Scope.LOCAL.value),
    Kind.OPINION: ("yes", "no", "unsure"),
    Kind.WRITING: (),
}
"""What may be chosen, in the order of the keys 1, 2, 3, ... What a pair is kept as, see `labelling.stored`."""

SETTINGS: dict[str, Any] = {
    "lease_minutes": 30,  # how long an item is somebody's without a sign of life
    "pass_share": 0.8,  # of the gold answers that a person must get right
    "warning": True,  # show the content warning before the first item
    "requires": "",  # title of a project whose gold answers a person must get right first
    "opinions": "",  # of a writing project: title of the project that asks for second opinions
    "opinion_languages": [],  # whose speakers are asked
}
"""Settings of a project and what they are unless said otherwise."""


@dataclass(frozen=True, slots=True)
class Project:
    """One project.

    Attributes:
        id: in the database.
        token: in addresses.
        title: that people see; never a model's name.
        kind: what is asked.
        overlap: people who answer each item.
        settings: see `SETTINGS`.
        design: of the sample that its sheets were drawn in, as JSON; empty where nobody drew it.
    """

    id: int
    token: str
    title: str
    kind: Kind
    overlap: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    design: str = ""

    @property
    def lease(self) -> float:
        """Seconds that an item is somebody's."""
        return 60.0 * float(self.settings["lease_minutes"])


@dataclass(frozen=True, slots=True)
class Item:
    """Something that people are to answer.

    Attributes:
        key: what the answer is about: a reply's digest.
        language: code of the language that its annotators must know.
        shown: texts for the browser; nothing that tells who made them.
        origin: for exports: arms, digests, the row of the sheet.
        categories: of harm, where known; who opted out of one does not get it.
        gold: the right answer, where it is known; such an item qualifies people and is not exported.
        author: who wrote it and must not get it.
    """

    key: str
    language: str
    shown: Mapping[str, Any]
    origin: Mapping[str, Any] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    gold: str | None = None
    author: int | None = None


def create_project(
    connection: Connection,
    title: str,
    kind: Kind,
    *,
    overlap: int = 1,
    settings: Mapping[str, Any] | None = None,
    by: Person | None = None,
) -> Project:
    """Make a project.

    Raises:
        InputError: the title is taken or empty, an overlap or a setting is none.
    """
    title = " ".join(title.split())
    if not 1 <= len(title) <= 120:
        raise InputError(f"a title of {len(title)} characters", fix="give one of 1 to 120")
    if connection.scalar(select(projects.c.id).where(projects.c.title == title)) is not None:
        raise InputError(f"there is a project {title!r}", fix="give another title")
    if not 1 <= overlap <= 50:
        raise InputError(f"an overlap of {overlap}", fix="give a number of people from 1 to 50")
    given = dict(settings or {})
    if unknown := given.keys() - SETTINGS.keys():
        raise InputError(f"no setting {sorted(unknown)[0]!r}", fix=f"use some of {', '.join(SETTINGS)}")
    values = SETTINGS | given
    if not 0 < float(values["lease_minutes"]) <= LONGEST_LEASE:
        raise InputError(f"a lease of {values['lease_minutes']} minutes", fix="give more than 0, a day at most")
    key = connection.execute(
        insert(projects)
        .values(
            token=secrets.token_urlsafe(9),
            title=title,
            kind=kind.value,
            overlap=overlap,
            settings=values,
            made_at=now(),
        )
        .returning(projects.c.id)
    ).scalar_one()
    audit.record(connection, by.id if by else None, "made a project", title, kind=kind, overlap=overlap)
    return project_from(connection.execute(select(projects).where(projects.c.id == key)).one()._mapping)


def project_for_items(
    connection: Connection, title: str, *, kind: Kind | None = None, overlap: int | None = None
) -> Project:
    """The project of a title, made if there is none.

    Args:
        connection: in a transaction that writes.
        title: of the project.
        kind: of a new project, outcomes unless given; of one that is there what it must be.
        overlap: of a new project, 1 unless given; of one that is there what it must be.

    Raises:
        InputError: the project that is there asks something else, or has another overlap; or as `create_project`.
    """
    found = next((one for one in all_projects(connection) if one.title == title), None)
    if found is None:
        return create_project(connection, title, kind or Kind.OUTCOME, overlap=1 if overlap is None else overlap)
    fix = "leave that out, or begin a project of another title"
    if kind not in (None, found.kind):
        raise InputError(f"the project {title!r} asks for {found.kind}, not {kind}", fix=fix)
    if overlap not in (None, found.overlap):
        raise InputError(f"the project {title!r} has an overlap of {found.overlap}, not {overlap}", fix=fix)
    return found


def add_items(connection: Connection, project: Project, new: Iterable[Item]) -> tuple[int, int]:
    """Add items at the end of a project; one whose key is there already is passed over.

    Returns:
        How many were added, and how many were there.
    """
    lock(connection, project)
    new = list(new)
    known = _known(connection, project, [item.key for item in new])
    last = connection.scalar(select(func.max(items.c.position)).where(items.c.project == project.id))
    position, there = (last or 0) + 1, 0
    rows: list[dict[str, Any]] = []
    for item in new:
        if item.key in known:
            there += 1
            continue
        known.add(item.key)
        rows.append(
            {
                "project": project.id,
                "key": item.key,
                "position": position + len(rows),
                "language": item.language,
                "shown": dict(item.shown),
                "origin": dict(item.origin),
                "categories": list(item.categories),
                "gold": item.gold,
                "author": item.author,
                "done": 0,
                "retired": False,
            }
        )
    if rows:
        connection.execute(insert(items), rows)
    return len(rows), there


def _known(connection: Connection, project: Project, keys: Sequence[str]) -> set[str]:
    """Which of the keys are in the project already."""
    found: set[str] = set()
    for start in range(0, len(keys), AT_ONCE):
        some = items.c.key.in_(keys[start : start + AT_ONCE])
        found |= set(connection.scalars(select(items.c.key).where(items.c.project == project.id, some)))
    return found


def set_design(connection: Connection, project: Project, design: str) -> None:
    """Keep the design of a project's sheets, or that of a further draw, which holds the ones before."""
    connection.execute(update(projects).where(projects.c.id == project.id).values(design=design))


def lock(connection: Connection, project: Project) -> None:
    """Let no other transaction give out items of a project until this one ends.

    SQLite's transactions that write come one after the other anyway.
    """
    if connection.dialect.name == "sqlite":
        return
    connection.execute(select(projects.c.id).where(projects.c.id == project.id).with_for_update()).all()


def all_projects(connection: Connection) -> list[Project]:
    """All projects, oldest first."""
    return [project_from(row._mapping) for row in connection.execute(select(projects).order_by(projects.c.id))]


def project_named(connection: Connection, title: str) -> Project:
    """The project of a title.

    Raises:
        InputError: there is none.
    """
    row = connection.execute(select(projects).where(projects.c.title == title)).first()
    if row is None:
        known = [project.title for project in all_projects(connection)]
        raise InputError(f"no project {title!r}", fix=f"use one of {', '.join(map(repr, known)) or '(none yet)'}")
    return project_from(row._mapping)


def project_of(connection: Connection, token: str) -> Project | None:
    """The project of a token in an address."""
    row = connection.execute(_OF_TOKEN, {"token": token}).first()
    return None if row is None else project_from(row._mapping)


_OF_TOKEN = select(projects).where(projects.c.token == bindparam("token"))


def counts_by_language(connection: Connection, project: Project) -> list[tuple[str, int, int, int]]:
    """Progress by language: code, items, items with all their answers, answers. Gold items are not counted."""
    full = func.sum(case((items.c.done >= project.overlap, 1), else_=0))
    query = (
        select(items.c.language, func.count(), full, func.sum(items.c.done))
        .where(items.c.project == project.id, items.c.retired.is_(False), items.c.gold.is_(None))
        .group_by(items.c.language)
        .order_by(items.c.language)
    )
    return [(row[0], int(row[1]), int(row[2] or 0), int(row[3] or 0)) for row in connection.execute(query)]


def project_from(row: Mapping[Any, Any], prefix: str = "") -> Project:
    """The project in a row with the columns of `projects`, under their names after a prefix."""
    return Project(
        id=row[f"{prefix}id"],
        token=row[f"{prefix}token"],
        title=row[f"{prefix}title"],
        kind=Kind(row[f"{prefix}kind"]),
        overlap=row[f"{prefix}overlap"],
        settings=SETTINGS | dict(row[f"{prefix}settings"]),
        design=row[f"{prefix}design"] or "",
    )
