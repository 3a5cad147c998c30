"""Pages of the work: projects, the item at hand, drafts, skips, what was answered."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Connection

from alignment_prism.annotation import guidelines, labelling, writing
from alignment_prism.annotation.held import Work, answered, answered_before, work_of
from alignment_prism.annotation.history import DONE, OPEN
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.projects import CHOICES, Kind, Project, all_projects, project_of
from alignment_prism.annotation.standing import standing
from alignment_prism.annotation.web.account import database_of
from alignment_prism.annotation.web.render import go, page
from alignment_prism.annotation.web.security import Denied, Form, Sent, Signed, Visiting, Visitor
from alignment_prism.annotation.work import SKIP_REASONS, claim, save_draft, skip, submit, withdraw
from alignment_prism.domain import InputError

router = APIRouter()

ON_A_PAGE = 50
"""Answers that are listed at once."""
LAST = 1_000_000
"""No list is longer than this, and no database is asked for a larger number."""


@router.get("/")
def home(request: Request, visitor: Visiting, person: Signed) -> Response:
    """The projects that there is something to do in."""
    with database_of(request).read() as connection:
        rows = [(project, standing(connection, project, person)) for project in all_projects(connection)]
        wanted = {
            one.id for one, _ in rows if one.kind is Kind.WRITING and writing.languages_for(connection, one, person)
        }
    mine = [(one, how) for one, how in rows if one.id in wanted or how.left or how.done or how.gold]
    return page(visitor, "home", person=person, projects=mine)


@router.get("/p/{token}")
def project_page(request: Request, visitor: Visiting, person: Signed, token: str) -> Response:
    """What a project asks, with a warning, before the first item."""
    with database_of(request).read() as connection:
        project = _project(connection, token)
        text = guidelines.current(connection, project, visitor.language)
        how = standing(connection, project, person)
        read = guidelines.has_read(connection, project, visitor.language, person)
    return page(visitor, "project", person=person, project=project, guideline=text, standing=how, read=read)


@router.post("/p/{token}")
def begin(request: Request, visitor: Visiting, person: Signed, token: str, form: Sent) -> Response:
    """Keep that the guidelines were read, and go to the first item."""
    with database_of(request).write() as connection:
        project = _project(connection, token)
        guidelines.note_read(connection, project, visitor.language, person)
    return go(f"/p/{token}/next")


@router.get("/p/{token}/next")
def following(request: Request, visitor: Visiting, person: Signed, token: str, undo: str = "") -> Response:
    """The next item, or why there is none."""
    with database_of(request).write(flush=False) as connection:
        project = _project(connection, token)
        if not guidelines.has_read(connection, project, visitor.language, person):
            return go(f"/p/{token}")
        if project.kind is Kind.WRITING:
            work = writing.start(connection, project, person)
        else:
            work = claim(connection, project, person)
    if work is None:
        with database_of(request).read() as connection:
            how = standing(connection, project, person)
        return page(visitor, "nothing", person=person, project=project, standing=how)
    return go(f"/w/{work.token}" + (f"?undo={undo}" if undo else ""))


@router.get("/p/{token}/mine")
def mine(request: Request, visitor: Visiting, person: Signed, token: str, start: int = 0) -> Response:
    """What somebody has answered, newest first, a page after another."""
    start = min(max(start, 0), LAST)
    with database_of(request).read() as connection:
        project = _project(connection, token)
        works = answered(connection, project, person, ON_A_PAGE + 1, start)
    rows = [(work, _summary(work)) for work in works[:ON_A_PAGE]]
    earlier = start + ON_A_PAGE if len(works) > ON_A_PAGE else 0
    return page(visitor, "mine", person=person, project=project, works=rows, earlier=earlier)


@router.get("/w/{token}")
def work_page(request: Request, visitor: Visiting, person: Signed, token: str, undo: str = "") -> Response:
    """The item at hand."""
    with database_of(request).read() as connection:
        work = _work(connection, token, person)
        return _show(connection, visitor, person, work, undo=undo)


@router.post("/w/{token}")
def answer(request: Request, visitor: Visiting, person: Signed, token: str, form: Sent) -> Response:
    """Hand an answer in, and go to the next item."""
    database = database_of(request)
    with database.write() as connection:
        work = _work(connection, token, person)
        content = _content(work, form)
        faults = _faults(work, content)
        if faults:
            save_draft(connection, work, content, form.number("seconds"))
            work = _work(connection, token, person)
            return _show(connection, visitor, person, work, status=422, faults=faults)
        if work.project.kind is Kind.WRITING:
            kept = writing.hand_in(connection, work, content, form.number("seconds"))
        else:
            kept = submit(connection, work, content, form.number("seconds"))
    if kept is None:
        return page(visitor, "message", 409, title="gone", text="gone_text", next=f"/p/{work.project.token}/next")
    return go(f"/p/{work.project.token}/next?undo={token}")


@router.post("/w/{token}/draft")
def draft(request: Request, person: Signed, token: str, form: Sent) -> Response:
    """Keep what was typed so far."""
    with database_of(request).write(flush=False) as connection:
        work = _work(connection, token, person)
        try:
            kept = save_draft(connection, work, _content(work, form), form.number("seconds"))
        except InputError as error:
            return JSONResponse({"error": error.what}, status_code=422)
    return JSONResponse({"number": kept.number, "at": kept.at})


@router.post("/w/{token}/check")
def check(request: Request, visitor: Visiting, person: Signed, token: str, form: Sent) -> Response:
    """What there is to say about a prompt while it is written; none of it stops anybody."""
    with database_of(request).read() as connection:
        work = _work(connection, token, person)
        if work.project.kind is not Kind.WRITING:
            raise Denied(404, "not_found")
        found = writing.warnings(connection, work, writing.content_of(form.all, form.get))
    return page(visitor, "warnings", warnings=found)


@router.post("/w/{token}/skip")
def pass_over(request: Request, visitor: Visiting, person: Signed, token: str, form: Sent) -> Response:
    """Pass an item over, and go to the next."""
    with database_of(request).write() as connection:
        work = _work(connection, token, person)
        if form.get("reason", "") not in SKIP_REASONS or work.state != OPEN:
            return _show(connection, visitor, person, work, status=422, faults=["skip_reason"])
        skip(connection, work, form["reason"], form.get("note", "")[:1000], form.number("seconds"))
    return go(f"/p/{work.project.token}/next?undo={token}")


@router.post("/w/{token}/withdraw")
def take_back(request: Request, visitor: Visiting, person: Signed, token: str, form: Sent) -> Response:
    """Take an answer back and show its item again."""
    with database_of(request).write() as connection:
        work = _work(connection, token, person)
        if not (writing.take_back if work.project.kind is Kind.WRITING else withdraw)(connection, work):
            return page(visitor, "message", 409, title="gone", text="gone_text", next=f"/p/{work.project.token}/next")
    return go(f"/w/{token}")


@router.get("/token")
def token_again(visitor: Visiting, person: Signed) -> Response:
    """The token of forms after somebody signed in again in another window: a page's drafts need it."""
    return JSONResponse({"token": visitor.token})


def _project(connection: Connection, token: str) -> Project:
    found = project_of(connection, token)
    if found is None:
        raise Denied(404, "not_found")
    return found


def _work(connection: Connection, token: str, person: Person) -> Work:
    """The work of an address, if it is this person's; to others there is no such address."""
    found = work_of(connection, token, person)
    if found is None:
        raise Denied(404, "not_found")
    return found


def _content(work: Work, form: Form) -> dict[str, Any]:
    if work.project.kind is Kind.WRITING:
        return writing.content_of(form.all, form.get)
    given = form.get("label") or form.get("kept", "")
    return labelling.stored(work, given, form.get("comment", ""))


def _faults(work: Work, content: dict[str, Any]) -> list[str]:
    """Keys of what keeps an answer from being handed in."""
    if work.project.kind is Kind.WRITING:
        return writing.missing(content)
    return [] if content["label"] else ["choose_one"]


def _summary(work: Work) -> tuple[str, str]:
    """State and first words of something that was answered, for a list."""
    if work.project.kind is Kind.WRITING:
        return work.state, str(work.content.get("prompt", ""))[:120]
    label = labelling.chosen(work, work.final.content) if work.final else ""
    return label or work.state, str(work.shown.get("prompt", ""))[:120]


def _show(
    connection: Connection,
    visitor: Visitor,
    person: Person,
    work: Work,
    *,
    status: int = 200,
    faults: list[str] | None = None,
    undo: str = "",
) -> Response:
    how = standing(connection, work.project, person)
    last = work_of(connection, undo, person) if undo else None
    common: dict[str, Any] = {
        "person": person,
        "work": work,
        "project": work.project,
        "standing": how,
        "back": answered_before(connection, work, person),
        "undo": last if last is not None and last.state == DONE else None,
        "undo_label": _summary(last)[0] if last is not None else "",
        "faults": faults or [],
        "reasons": SKIP_REASONS,
    }
    if work.project.kind is Kind.WRITING:
        return page(visitor, "write", status, **common, **writing.form_values(connection, work, person))
    return page(
        visitor,
        "label",
        status,
        **common,
        texts=labelling.texts_of(work),
        chosen=labelling.chosen(work) or (labelling.chosen(work, work.final.content) if work.final else ""),
        choices=CHOICES[work.project.kind],
        comment=str(work.content.get("comment", "")),
    )
