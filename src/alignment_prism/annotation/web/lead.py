"""Pages of leads and administrators: progress, disagreements, histories, guidelines, people, the audit log."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection, select

from alignment_prism.annotation import audit, exports, guidelines
from alignment_prism.annotation.adjudication import disputes, settle
from alignment_prism.annotation.dashboard import agreement, by_person
from alignment_prism.annotation.history import history
from alignment_prism.annotation.people import Role, change_person, everyone, find_person, invite
from alignment_prism.annotation.projects import CHOICES, Kind, Project, all_projects, project_of
from alignment_prism.annotation.quotas import progress, quota_progress
from alignment_prism.annotation.schema import assignments, items, people
from alignment_prism.annotation.sessions import end_sessions
from alignment_prism.annotation.texts import INTERFACES
from alignment_prism.annotation.web.account import database_of
from alignment_prism.annotation.web.render import go, page
from alignment_prism.annotation.web.security import Administrator, Denied, Lead, Sent, Visiting
from alignment_prism.domain import InputError

router = APIRouter()

EXPORTS = {
    "labels": (exports.write_labels, "labels.csv", "comparisons.jsonl"),
    "settled": (exports.write_settled, "settled.csv", "settled.csv"),
    "aya": (exports.write_aya, "aya.jsonl", "aya.jsonl"),
    "prompts": (exports.write_prompts, "prompts.jsonl", "prompts.jsonl"),
}
"""What can be downloaded: how it is written, under which name, and under which for pairs."""


@router.get("/lead")
def overview(request: Request, visitor: Visiting, person: Lead) -> Response:
    """All projects with their progress."""
    with database_of(request).read() as connection:
        rows = [(one, progress(connection, one)) for one in all_projects(connection)]
    return page(visitor, "lead", person=person, projects=rows)


@router.get("/lead/{token}")
def dashboard(request: Request, visitor: Visiting, person: Lead, token: str) -> Response:
    """Progress of a project: languages, quotas, people, agreement."""
    with database_of(request).read() as connection:
        project = _project(connection, token)
        languages, cells = quota_progress(connection, project)
        values: dict[str, Any] = {
            "languages": languages,
            "cells": cells,
            "people": by_person(connection, project),
            "agreement": agreement(connection, project),
            "disputes": [] if project.kind is Kind.WRITING else disputes(connection, project),
        }
    names = [name for name in EXPORTS if (name in ("aya", "prompts")) == (project.kind is Kind.WRITING)]
    return page(visitor, "dashboard", person=person, project=project, exports=names, **values)


@router.get("/lead/{token}/export/{what}")
def download(request: Request, person: Lead, token: str, what: str) -> Response:
    """A file of the project's labels or prompts."""
    if what not in EXPORTS:
        raise Denied(404, "not_found")
    write, name, of_pairs = EXPORTS[what]
    database = database_of(request)
    with database.read() as connection, tempfile.TemporaryDirectory() as folder:
        project = _project(connection, token)
        name = of_pairs if project.kind is Kind.PAIRWISE else name
        path = Path(folder) / name
        write(connection, project, str(path))
        content = path.read_bytes()
    with database.write() as connection:
        audit.record(connection, person.id, "exported", project.title, what=what)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.get("/lead/{token}/disputes")
def disputes_page(request: Request, visitor: Visiting, person: Lead, token: str) -> Response:
    """Items on which annotators differ."""
    with database_of(request).read() as connection:
        project = _project(connection, token)
        found = disputes(connection, project)
    known = ("first", "second", "tie") if project.kind is Kind.PAIRWISE else CHOICES[project.kind]
    return page(visitor, "disputes", person=person, project=project, disputes=found, choices=known)


@router.post("/lead/{token}/disputes/{item}")
def settle_dispute(request: Request, visitor: Visiting, person: Lead, token: str, item: int, form: Sent) -> Response:
    """Settle one of them."""
    with database_of(request).write() as connection:
        project = _project(connection, token)
        settle(connection, project, item, form.get("label", ""), form.get("comment", "")[:5000], person)
    return go(f"/lead/{token}/disputes")


@router.get("/lead/{token}/history/{item}")
def history_page(request: Request, visitor: Visiting, person: Lead, token: str, item: int) -> Response:
    """Everything that was written and chosen about an item."""
    with database_of(request).read() as connection:
        project = _project(connection, token)
        here = (items.c.id == item) & (items.c.project == project.id)
        row = connection.execute(select(items).where(here)).first()
        if row is None:
            raise Denied(404, "not_found")
        query = select(assignments.c.id, people.c.name).join(people).where(assignments.c.item == item)
        rounds = [(work.name, history(connection, work.id)) for work in connection.execute(query).all()]
    return page(visitor, "history", person=person, project=project, item=row, rounds=rounds)


@router.get("/lead/{token}/guidelines/{language}")
def guidelines_page(request: Request, visitor: Visiting, person: Lead, token: str, language: str) -> Response:
    """The guidelines of a project in a language, to be read and written."""
    if language not in INTERFACES:
        raise Denied(404, "not_found")
    with database_of(request).read() as connection:
        project = _project(connection, token)
        text = guidelines.current(connection, project, language)
    return page(visitor, "guidelines", person=person, project=project, guideline=text, error="")


@router.post("/lead/{token}/guidelines/{language}")
def write_guidelines(
    request: Request, visitor: Visiting, person: Lead, token: str, language: str, form: Sent
) -> Response:
    """Publish a new version."""
    if language not in INTERFACES:
        raise Denied(404, "not_found")
    with database_of(request).write() as connection:
        project = _project(connection, token)
        guidelines.publish(connection, project, language, form.get("text", ""), person)
    return go(f"/lead/{token}/guidelines/{language}")


@router.get("/people")
def people_page(request: Request, visitor: Visiting, person: Administrator) -> Response:
    """Everybody with an account, and invitations."""
    with database_of(request).read() as connection:
        found = everyone(connection)
    return page(visitor, "people", person=person, everyone=found, roles=list(Role), link="", error="")


@router.post("/people/invite")
def invite_somebody(request: Request, visitor: Visiting, person: Administrator, form: Sent) -> Response:
    """Make an invitation; its link is shown once."""
    error, link = "", ""
    with database_of(request).write() as connection:
        try:
            languages = [one for one in form.get("languages", "").replace(",", " ").split() if one]
            role = Role(form.get("role", "annotator"))
            token = invite(connection, role, languages, note=form.get("note", ""), by=person)
            link = f"{request.url.scheme}://{request.headers.get('host', '')}/invitation/{token}"
        except (InputError, ValueError) as fault:
            error = str(getattr(fault, "what", "no such role"))
        found = everyone(connection)
    return page(visitor, "people", person=person, everyone=found, roles=list(Role), link=link, error=error)


@router.post("/people/{key}/password")
def new_password(request: Request, visitor: Visiting, person: Administrator, key: int, form: Sent) -> Response:
    """Make a link with which somebody sets a new password."""
    with database_of(request).write() as connection:
        found = everyone(connection)
        forgetful = next((one for one in found if one.id == key), None)
        if forgetful is None:
            raise Denied(404, "not_found")
        token = invite(connection, forgetful.role, note=forgetful.name, by=person, again=forgetful)
    link = f"{request.url.scheme}://{request.headers.get('host', '')}/invitation/{token}"
    return page(visitor, "people", person=person, everyone=found, roles=list(Role), link=link, error="")


@router.post("/people/{key}")
def change_somebody(request: Request, visitor: Visiting, person: Administrator, key: int, form: Sent) -> Response:
    """Languages of a person, and whether they may sign in."""
    with database_of(request).write() as connection:
        there = {one.id for one in everyone(connection)}
        if key not in there:
            raise Denied(404, "not_found")
        languages = [one for one in form.get("languages", "").replace(",", " ").split() if one]
        active = form.get("active") == "yes"
        change_person(connection, find_person(connection, key), person, languages=languages, active=active)
        if not active:
            end_sessions(connection, key)
    return go("/people")


@router.get("/audit")
def audit_page(request: Request, visitor: Visiting, person: Administrator) -> Response:
    """Who did what."""
    with database_of(request).read() as connection:
        entries = audit.latest(connection)
    return page(visitor, "audit", person=person, entries=entries)


def _project(connection: Connection, token: str) -> Project:
    found = project_of(connection, token)
    if found is None:
        raise Denied(404, "not_found")
    return found
