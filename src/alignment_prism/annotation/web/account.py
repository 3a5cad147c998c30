"""Pages of the account: sign in and out, accept an invitation, one's own settings."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from alignment_prism.annotation import sessions
from alignment_prism.annotation.database import Database
from alignment_prism.annotation.people import (
    BadPassword,
    Invitation,
    LinkUsed,
    NameTaken,
    accept,
    change_person,
    digest_of,
    find_invitation,
    folded,
    hash_password,
    is_password,
    stored_password,
)
from alignment_prism.annotation.texts import INTERFACES
from alignment_prism.annotation.web.render import go, page
from alignment_prism.annotation.web.security import (
    INTERFACE,
    SESSION,
    VISIT,
    Denied,
    Sent,
    Signed,
    Visiting,
    Visitor,
    set_cookie,
)
from alignment_prism.domain import AYA_CATEGORIES, InputError

router = APIRouter()


def database_of(request: Request) -> Database:
    """The database that the app serves."""
    found: Database = request.app.state.database
    return found


@router.get("/login")
def login_page(visitor: Visiting) -> Response:
    """Where somebody signs in."""
    return go("/") if visitor.person else page(visitor, "login", error="", name="")


@router.post("/login")
def login(request: Request, visitor: Visiting, form: Sent) -> Response:
    """Sign in. Who has tried too often waits, whatever they try."""
    name, limits = form.get("name", ""), request.app.state.limits
    account = digest_of(folded(name))  # no other spelling of a name has tries of its own
    if not (limits.addresses.allow(visitor.address) and limits.names.allow(account)):
        return page(visitor, "login", 429, error="too_often", name=name)
    database = database_of(request)
    with database.read() as connection:
        person, stored = stored_password(connection, name)
    if not is_password(stored, form.get("password", "")) or person is None:
        return page(visitor, "login", 401, error="wrong_password", name=name)
    limits.addresses.forgive(visitor.address)
    limits.names.forgive(account)
    with database.write() as connection:
        token = sessions.sign_in(connection, person)
    return _welcome(visitor, token)


@router.post("/logout")
def logout(request: Request, visitor: Visiting, form: Sent) -> Response:
    """Sign out; drafts stay on the server."""
    with database_of(request).write() as connection:
        sessions.sign_out(connection, visitor.cookie)
    response = go("/login")
    response.delete_cookie(SESSION, path="/")
    return response


@router.get("/invitation/{token}")
def invitation_page(request: Request, visitor: Visiting, token: str) -> Response:
    """Where an invitation is accepted."""
    found = _invitation(request, visitor, token)
    if found is None:
        return page(visitor, "message", 404, title="invitation_gone", text="invitation_gone_text")
    return page(visitor, "invitation", invitation=found, link=token, error="", name="")


@router.post("/invitation/{token}")
def accept_invitation(request: Request, visitor: Visiting, token: str, form: Sent) -> Response:
    """Make the account and sign in."""
    found = _invitation(request, visitor, token)
    if found is None:
        return page(visitor, "message", 404, title="invitation_gone", text="invitation_gone_text")
    name, password = form.get("name", ""), form.get("password", "")
    fault = "passwords_differ" if password != form.get("again", "") else ""
    try:
        if not fault:
            with database_of(request).write() as connection:
                person = accept(connection, found, name, password, visitor.language)
                sessions.end_sessions(connection, person.id)
                session = sessions.sign_in(connection, person.id)
            return _welcome(visitor, session)
    except LinkUsed:
        return page(visitor, "message", 404, title="invitation_gone", text="invitation_gone_text")
    except BadPassword:
        fault = "password_length"
    except NameTaken:
        fault = "name_taken"
    except InputError:
        fault = "name_bad"
    return page(visitor, "invitation", 422, invitation=found, link=token, error=fault, name=name)


def _invitation(request: Request, visitor: Visitor, token: str) -> Invitation | None:
    """The invitation of a link; links that are none are tried so often and not more."""
    limits = request.app.state.limits
    if not limits.addresses.allow(visitor.address):
        raise Denied(429, "too_often")
    with database_of(request).read() as connection:
        found = find_invitation(connection, token)
    if found is not None:
        limits.addresses.forgive(visitor.address)
    return found


@router.get("/interface/{code}")
def choose_interface(visitor: Visiting, code: str) -> Response:
    """The language of the pages for somebody who is not signed in."""
    response = go("/login" if visitor.person is None else "/me")
    if code in INTERFACES:
        set_cookie(visitor, response, INTERFACE, code, days=365)
    return response


@router.get("/me")
def me_page(visitor: Visiting, person: Signed) -> Response:
    """One's own settings."""
    return page(visitor, "me", person=person, categories=AYA_CATEGORIES, error="", saved=False)


@router.post("/me")
def change_me(request: Request, visitor: Visiting, person: Signed, form: Sent) -> Response:
    """Language of the pages, pause, categories not to be shown, and a new password."""
    values: dict[str, object] = {
        "interface": form["interface"] if form.get("interface") in INTERFACES else "",
        "paused": form.get("paused") == "yes",
        "opt_outs": [one for one in form.all("opt_out") if one in AYA_CATEGORIES],
    }
    database = database_of(request)
    new = form.get("password", "")
    try:
        if new:
            limits, account = request.app.state.limits, digest_of(folded(person.name))
            if not limits.names.allow(account):
                raise Denied(429, "too_often")
            with database.read() as connection:
                _, stored = stored_password(connection, person.name)
            if not is_password(stored, form.get("old", "")):
                return page(visitor, "me", 422, person=person, categories=AYA_CATEGORIES, error="wrong_password",
                            saved=False)  # fmt: skip
            limits.names.forgive(account)
            values["password"] = hash_password(new)
        with database.write() as connection:
            change_person(connection, person, person, **values)
            if new:
                sessions.end_sessions(connection, person.id, but=visitor.cookie)
    except BadPassword:
        return page(visitor, "me", 422, person=person, categories=AYA_CATEGORIES, error="password_length", saved=False)
    return go("/me")


def _welcome(visitor: Visiting, token: str) -> Response:
    response = go("/")
    set_cookie(visitor, response, SESSION, token)
    response.delete_cookie(VISIT, path="/")
    return response
