"""What every request passes: headers of every answer, who is asking, forged requests, sizes and limits."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response

from alignment_prism.annotation import sessions
from alignment_prism.annotation.database import Database
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.texts import choose

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""Of the protocol ASGI."""

SESSION, VISIT, INTERFACE = "prism_session", "prism_visit", "prism_interface"
"""Cookies: of somebody who is signed in, of any browser, and the language that a visitor chose."""
LARGEST = 512 * 1024
"""Bytes of a request."""
LONGEST_FIELD = 100_000

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""No inline script or style, nothing from elsewhere, in no frame."""


class Denied(Exception):
    """A request that is not answered.

    Args:
        status: 401 where somebody must sign in, 403 forbidden or forged, 404 not theirs or not there, 429 too often.
        key: of the text that says so.
    """

    def __init__(self, status: int, key: str) -> None:
        super().__init__(key)
        self.status, self.key = status, key


class Guard:
    """The outermost layer: puts the headers on every answer and refuses requests that are too large."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0
        stored = str(scope["path"]).startswith("/static/")

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST:
                raise Denied(413, "too_large")
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = HEADERS | {"cache-control": "max-age=3600" if stored else "no-store"}
                named = [(name.encode(), value.encode()) for name, value in extra.items()]
                message["headers"] = [*message.get("headers", []), *named]
            await send(message)

        await self.app(scope, counted, with_headers)


@dataclass
class Limits:
    """How often something may be tried, by name or by address."""

    names: sessions.RateLimit = field(default_factory=lambda: sessions.RateLimit(10, 900.0))
    addresses: sessions.RateLimit = field(default_factory=lambda: sessions.RateLimit(60, 900.0))
    writes: sessions.RateLimit = field(default_factory=lambda: sessions.RateLimit(600, 60.0))


@dataclass(frozen=True)
class Visitor:
    """Who asks.

    Attributes:
        person: None for somebody who is not signed in.
        cookie: secret of their browser.
        token: that their forms carry.
        language: of the pages.
        address: where the request comes from.
        secure: whether the pages are served over HTTPS, so that cookies must not travel otherwise.
    """

    person: Person | None
    cookie: str
    token: str
    language: str
    address: str
    secure: bool = False


def visitor_of(request: Request) -> Visitor:
    """Who sends a request."""
    database: Database = request.app.state.database
    cookie = request.cookies.get(SESSION, "")
    person = None
    if cookie:
        with database.read() as connection:
            found = sessions.whose(connection, cookie)
        if found is not None:
            person, stale = found
            if stale:
                with database.write(flush=False) as connection:
                    sessions.touch(connection, cookie)
    if person is None:
        cookie = request.cookies.get(VISIT, "") or secrets.token_urlsafe(16)
    wanted = person.interface if person and person.interface else request.cookies.get(INTERFACE, "")
    return Visitor(
        person=person,
        cookie=cookie,
        token=sessions.request_token(database.secret, cookie),
        language=choose(request.headers.get("accept-language", ""), wanted),
        address=request.client.host if request.client else "",
        secure=bool(request.app.state.secure),
    )


Visiting = Annotated[Visitor, Depends(visitor_of)]


async def person_of(visitor: Visiting) -> Person:
    """The person who is signed in.

    Raises:
        Denied: nobody is.
    """
    if visitor.person is None:
        raise Denied(401, "sign_in_first")
    return visitor.person


async def lead_of(person: Annotated[Person, Depends(person_of)]) -> Person:
    """The person, if they lead.

    Raises:
        Denied: they do not; they are told what they would be told of an address that does not exist.
    """
    if not person.leads:
        raise Denied(404, "not_found")
    return person


async def administrator_of(person: Annotated[Person, Depends(person_of)]) -> Person:
    """The person, if they are an administrator."""
    if person.role != "administrator":
        raise Denied(404, "not_found")
    return person


Signed = Annotated[Person, Depends(person_of)]
Lead = Annotated[Person, Depends(lead_of)]
Administrator = Annotated[Person, Depends(administrator_of)]


class Form(Mapping[str, str]):
    """The fields of a form, each the last of its name, as texts that any database and page can hold."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name, []).append(clean(value))

    def __getitem__(self, name: str) -> str:
        return self._fields[name][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def all(self, name: str) -> list[str]:
        """Every value of a name, as of boxes that are ticked."""
        return self._fields.get(name, [])

    def number(self, name: str) -> float:
        """A field as a number; 0 where it is none."""
        try:
            return float(self.get(name, "0"))
        except ValueError:
            return 0.0


def clean(text: str) -> str:
    """A text with line feeds for line ends, without what no database keeps: NUL and lone surrogates."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return text.encode("utf-8", "replace").decode("utf-8")


async def form_of(request: Request, visitor: Visiting) -> Form:
    """The form of a request that was sent by one of our own pages.

    Raises:
        Denied: it carries no token of this browser, or comes from another site; or too many come at once.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise Denied(403, "forged")
    async with request.form(max_files=0, max_fields=200, max_part_size=LARGEST) as sent:
        form = Form((name, value) for name, value in sent.multi_items() if isinstance(value, str))
    database: Database = request.app.state.database
    given = form.get("token", "") or request.headers.get("x-prism-token", "")
    if not sessions.is_request_token(database.secret, visitor.cookie, given):
        raise Denied(403, "forged")
    if any(len(value) > LONGEST_FIELD for name in form for value in form.all(name)):
        raise Denied(413, "too_large")
    limits: Limits = request.app.state.limits
    if visitor.person is not None and not limits.writes.allow(str(visitor.person.id)):
        raise Denied(429, "too_often")
    return form


Sent = Annotated[Form, Depends(form_of)]


def set_cookie(visitor: Visitor, response: Response, name: str, value: str, days: float = 14) -> None:
    """Set a cookie that scripts do not see and other sites' requests do not carry."""
    age = int(days * 86_400)
    response.set_cookie(name, value, max_age=age, httponly=True, samesite="lax", secure=visitor.secure, path="/")
