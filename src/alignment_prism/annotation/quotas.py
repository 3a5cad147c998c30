"""Quotas of a writing project: how many prompts are wanted by language, scope and category, and how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from alignment_prism.annotation import audit
from alignment_prism.annotation.history import DONE, FINAL
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.projects import Project, counts_by_language
from alignment_prism.annotation.schema import assignments, items, quotas, revisions
from alignment_prism.domain import AYA_TAXONOMY, LANGUAGES, InputError, Scope
from alignment_prism.io import read_rows

ANY = "any"
"""Category of a quota that counts prompts of every category."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One quota and how far it is met.

    Attributes:
        language: code.
        scope: global or local.
        category: one of the taxonomy, or `any`. A prompt of several categories counts in each.
        wanted: prompts.
        there: prompts that were handed in.
    """

    language: str
    scope: str
    category: str
    wanted: int
    there: int = 0

    @property
    def missing(self) -> int:
        """Prompts that are still wanted."""
        return max(self.wanted - self.there, 0)


def set_quotas(connection: Connection, project: Project, wanted: Iterable[Cell], by: Person | None = None) -> None:
    """Replace the quotas of a project; the log keeps what they were.

    Raises:
        InputError: a language, a scope or a category is none, a number is negative, or there are two for one cell.
    """
    rows: list[dict[str, Any]] = []
    for cell in wanted:
        if cell.scope not in set(Scope) or cell.wanted < 0:
            fix = "write global or local, and a number from 0"
            raise InputError(f"a quota of {cell.wanted} prompts of scope {cell.scope!r}", fix=fix)
        category = cell.category if cell.category == ANY else AYA_TAXONOMY.find(cell.category)
        code = LANGUAGES.find(cell.language).code
        row = {"language": code, "scope": cell.scope, "category": category}
        if any(row.items() <= other.items() for other in rows):
            what = f"two quotas of {cell.scope} prompts in {code}, category {category}"
            raise InputError(what, fix="give one number for each language, scope and category")
        rows.append(row | {"wanted": cell.wanted})
    before = [[cell.language, cell.scope, cell.category, cell.wanted] for cell in _wanted(connection, project)]
    connection.execute(delete(quotas).where(quotas.c.project == project.id))
    if rows:
        connection.execute(insert(quotas), [row | {"project": project.id} for row in rows])
    audit.record(connection, by.id if by else None, "set quotas", project.title, before=before)


def read_quotas(path: str | Path) -> list[Cell]:
    """Quotas of a table with the columns language, scope, category and wanted; an empty category is any.

    Raises:
        InputError: a column is missing, or a number is none.
    """
    found = []
    for row in read_rows(path):
        where = f"{path}, row {row.number}"
        try:
            language, scope, wanted = (str(row.values[name]) for name in ("language", "scope", "wanted"))
            number = int(wanted.removesuffix(".0"))  # as some spreadsheets write it
            found.append(Cell(language, scope, str(row.values.get("category") or ANY), number))
        except KeyError as error:
            fix = "give the columns language, scope, category and wanted"
            raise InputError(f"no column {error}", where=where, fix=fix) from error
        except ValueError as error:
            what = f"{str(row.values['wanted'])[:40]!r} is no number of prompts"
            raise InputError(what, where=where, fix="write how many prompts are wanted") from error
    return found


def progress(connection: Connection, project: Project) -> list[tuple[str, int, int, int]]:
    """How far any project is, as `counts_by_language` has it; where people write, the items are the prompts wanted: in
    each scope of any category, or where no such quota is given by category, so that a prompt of two counts twice."""
    return quota_progress(connection, project)[0]


def quota_progress(connection: Connection, project: Project) -> tuple[list[tuple[str, int, int, int]], list[Cell]]:
    """`progress` and `cells`, of one count of the prompts: it reads every one that was handed in."""
    wanted = _wanted(connection, project)
    if not wanted:
        return counts_by_language(connection, project), []
    there, rows = counts(connection, project), []
    wanted = [_met(one, there) for one in wanted]
    for code in sorted({cell.language for cell in wanted}):
        inside = [cell for cell in wanted if cell.language == code]
        whole = {cell.scope for cell in inside if cell.category == ANY}
        of = [cell for cell in inside if cell.category == ANY or cell.scope not in whole]
        met = sum(min(cell.there, cell.wanted) for cell in of)
        rows.append((code, sum(cell.wanted for cell in of), met, sum(there[code, scope, ANY] for scope in Scope)))
    return rows, wanted


def cells(connection: Connection, project: Project) -> list[Cell]:
    """The quotas of a project with the prompts there are."""
    wanted = _wanted(connection, project)
    there = counts(connection, project) if wanted else Counter()
    return [_met(one, there) for one in wanted]


def counts(connection: Connection, project: Project) -> Counter[tuple[str, str, str]]:
    """Prompts that were handed in, by language, scope and category, and with `any` in place of the category."""
    newest = (
        select(revisions.c.assignment, func.max(revisions.c.number).label("number"))
        .where(revisions.c.kind == FINAL)
        .group_by(revisions.c.assignment)
        .subquery()
    )
    query = (
        select(items.c.language, revisions.c.content)
        .join(assignments, assignments.c.item == items.c.id)
        .join(newest, newest.c.assignment == assignments.c.id)
        .join(revisions, (revisions.c.assignment == assignments.c.id) & (revisions.c.number == newest.c.number))
        .where(items.c.project == project.id, assignments.c.state == DONE)
    )
    found: Counter[tuple[str, str, str]] = Counter()
    for language, content in connection.execute(query):
        for category in (ANY, *content.get("categories", ())):
            found[language, content.get("scope", ""), category] += 1
    return found


def _met(one: Cell, there: Counter[tuple[str, str, str]]) -> Cell:
    return replace(one, there=there[one.language, one.scope, one.category])


def _wanted(connection: Connection, project: Project) -> list[Cell]:
    query = select(quotas).where(quotas.c.project == project.id)
    rows = connection.execute(query.order_by(quotas.c.language, quotas.c.scope, quotas.c.category))
    return [Cell(row.language, row.scope, row.category, row.wanted) for row in rows]
