"""Who is signed in, tokens against forged requests, and limits of how often something may be tried."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import deque
from collections.abc import Callable

from sqlalchemy import Connection, bindparam, insert, select, update

from alignment_prism.annotation import audit
from alignment_prism.annotation.database import now
from alignment_prism.annotation.people import Person, digest_of, person_from
from alignment_prism.annotation.schema import people, sessions

IDLE = 14 * 86_400.0
"""Seconds without a request after which somebody must sign in again."""
SEEN = 300.0
"""Seconds between two notes that a session is alive."""

_WHOSE = (
    select(sessions.c.seen_at, people)
    .join(people, people.c.id == sessions.c.person)
    .where(sessions.c.digest == bindparam("digest"), sessions.c.ended_at.is_(None))
)
"""Asked by every request, so put together once."""


def sign_in(connection: Connection, person: int) -> str:
    """Begin a session and return its token, which is kept nowhere but in the browser's cookie."""
    token, at = secrets.token_urlsafe(32), now()
    connection.execute(insert(sessions).values(digest=digest_of(token), person=person, made_at=at, seen_at=at))
    audit.record(connection, person, "signed in")
    return token


def sign_out(connection: Connection, token: str) -> None:
    """End a session."""
    here = sessions.c.digest == digest_of(token)
    person = connection.scalar(select(sessions.c.person).where(here))
    connection.execute(update(sessions).where(here).values(ended_at=now()))
    if person is not None:
        audit.record(connection, person, "signed out")


def end_sessions(connection: Connection, person: int, but: str = "") -> None:
    """End every session of a person, except the one of a token."""
    open_ones = (sessions.c.person == person) & sessions.c.ended_at.is_(None) & (sessions.c.digest != digest_of(but))
    connection.execute(update(sessions).where(open_ones).values(ended_at=now()))


def whose(connection: Connection, token: str) -> tuple[Person, bool] | None:
    """Whose session a token is, and whether it is time to `touch` it; None where it is nobody's any more."""
    row = connection.execute(_WHOSE, {"digest": digest_of(token)}).first()
    if row is None or not row.active or row.seen_at < now() - IDLE:
        return None
    return person_from(row), row.seen_at < now() - SEEN


def touch(connection: Connection, token: str) -> None:
    """Note that a session is alive."""
    connection.execute(update(sessions).where(sessions.c.digest == digest_of(token)).values(seen_at=now()))


def request_token(secret: bytes, cookie: str) -> str:
    """The token that every form of a browser carries, so that no other site can send one in its name.

    It follows from the browser's secret cookie and a key of the server, so nothing need be stored.
    """
    return hmac.new(secret, cookie.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def is_request_token(secret: bytes, cookie: str, given: str) -> bool:
    """Whether a form's token is the one of the browser's cookie, compared in constant time."""
    wanted = request_token(secret, cookie)
    return bool(cookie) and hmac.compare_digest(wanted.encode(), given.encode("utf-8", "surrogatepass"))


class RateLimit:
    """At most so many tries a key within a time.

    Args:
        most: tries.
        within: seconds.
        clock: seconds that only grow; for tests.
    """

    KEYS = 10_000
    """Keys that are remembered; the oldest are forgotten first, so that nobody fills the memory."""

    def __init__(self, most: int, within: float, clock: Callable[[], float] = now) -> None:
        self.most, self.within, self.clock = most, within, clock
        self._tries: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def allow(self, key: str) -> bool:
        """Count a try; False where there were too many."""
        at = self.clock()
        with self._lock:
            tries = self._tries.pop(key, None) or deque()
            while tries and tries[0] <= at - self.within:
                tries.popleft()
            allowed = len(tries) < self.most
            if allowed:
                tries.append(at)
            self._tries[key] = tries
            while len(self._tries) > self.KEYS:
                del self._tries[next(iter(self._tries))]
        return allowed

    def forgive(self, key: str) -> None:
        """Take back the last try of a key: it was a good one. Fifty people behind one address may all sign in."""
        with self._lock:
            if tries := self._tries.get(key):
                tries.pop()
