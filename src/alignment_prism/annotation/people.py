"""People: roles, passwords, invitation links, languages, and what they do not want to see."""

from __future__ import annotations

import hashlib
import secrets
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from alignment_prism.annotation import audit
from alignment_prism.annotation.database import now
from alignment_prism.annotation.schema import invitations, people
from alignment_prism.domain import LANGUAGES, InputError

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
"""Characters; Argon2 of megabytes would be a way to keep the server busy."""
LONGEST_NAME = 40
INVITATION_DAYS = 14

_HASHER = PasswordHasher()
_HASHING = threading.Semaphore(2)
"""Each check takes 64 MiB and a core for a twentieth of a second; more at once would starve everybody else."""


class Role(StrEnum):
    """What somebody may do; each may do what those after it may."""

    ADMINISTRATOR = "administrator"
    """Invites, ends accounts, sees the audit log."""
    LEAD = "lead"
    """Sees progress and histories, settles disagreements, writes guidelines, exports."""
    ANNOTATOR = "annotator"
    """Labels and writes; sees their own work only."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account.

    Attributes:
        id: in the database.
        name: that they sign in with, and that labels are exported under.
        role: what they may do.
        languages: codes of those they label and write in.
        interface: code of the language that pages are shown in; empty for the browser's.
        opt_outs: harm categories that they do not want to see.
        paused: whether they asked for no work.
        active: whether they may sign in.
    """

    id: int
    name: str
    role: Role
    languages: tuple[str, ...]
    interface: str
    opt_outs: tuple[str, ...]
    paused: bool
    active: bool

    @property
    def leads(self) -> bool:
        """Whether they may see the work of others."""
        return self.role is not Role.ANNOTATOR


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that makes an account, once.

    Attributes:
        digest: of its token.
        role: of the account.
        languages: of the person.
        note: whom it is for.
        person: id of whose password it sets anew; None for a new account.
    """

    digest: str
    role: Role
    languages: tuple[str, ...]
    note: str
    person: int | None = None


class BadPassword(InputError):
    """A password that is too short or too long."""


class NameTaken(InputError):
    """A name that somebody has."""


class LinkUsed(InputError):
    """A link that somebody has used meanwhile."""


def digest_of(token: str) -> str:
    """What is stored of a token that somebody holds: who reads the database holds none."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def hash_password(password: str) -> str:
    """Argon2id of a password.

    Raises:
        BadPassword: it is shorter than ten characters or longer than two hundred.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadPassword(
            f"a password of {len(password)} characters",
            fix=f"choose one of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; three or four words are good",
        )
    with _HASHING:
        return _HASHER.hash(unicodedata.normalize("NFKC", password))


def is_password(stored: str, password: str) -> bool:
    """Whether a password is the one that was hashed; takes as long where there is no such account."""
    with _HASHING:
        try:
            return _HASHER.verify(stored or _nobody(), unicodedata.normalize("NFKC", password)) and bool(stored)
        except (VerificationError, InvalidHashError):
            return False


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _HASHER.hash(secrets.token_hex(16))


def check_languages(spellings: Iterable[str]) -> tuple[str, ...]:
    """Codes of languages, each once.

    Raises:
        InputError: one is not known.
    """
    return tuple(dict.fromkeys(LANGUAGES.find(spelling).code for spelling in spellings))


def invite(
    connection: Connection,
    role: Role,
    languages: Iterable[str] = (),
    *,
    note: str = "",
    by: Person | None = None,
    again: Person | None = None,
) -> str:
    """Make an invitation and return the token of its link, which is kept nowhere.

    Args:
        connection: in a transaction that writes.
        role: of the account.
        languages: of the person.
        note: whom it is for.
        by: who invites.
        again: somebody who has an account and forgot the password: the link sets a new one.

    Raises:
        InputError: a language is not known.
    """
    token = secrets.token_urlsafe(24)
    codes, at = check_languages(languages), now()
    connection.execute(
        insert(invitations).values(
            digest=digest_of(token),
            role=role.value,
            languages=list(codes),
            note=note[:200],
            made_by=by.id if by else None,
            made_at=at,
            expires_at=at + INVITATION_DAYS * 86_400,
            person=again.id if again else None,
        )
    )
    audit.record(connection, by.id if by else None, "invited", note or role.value, role=role, languages=codes)
    return token


def find_invitation(connection: Connection, token: str) -> Invitation | None:
    """The invitation of a link, if it is still good."""
    row = connection.execute(select(invitations).where(invitations.c.digest == digest_of(token))).first()
    if row is None or row.used_by is not None or row.expires_at < now():
        return None
    return Invitation(row.digest, Role(row.role), tuple(row.languages), row.note, row.person)


def accept(connection: Connection, invitation: Invitation, name: str, password: str, interface: str = "") -> Person:
    """Make the account of an invitation, or set the password of the one that it is for.

    Args:
        connection: in a transaction that writes; the link is good once, whoever comes first.
        invitation: as found.
        name: to sign in with.
        password: in clear.
        interface: language of the pages.

    Raises:
        NameTaken: somebody has the name.
        BadPassword: the password is too short or too long.
        LinkUsed: somebody has used the link meanwhile.
        InputError: the name is none.
    """
    if invitation.person is not None:
        person = find_person(connection, invitation.person)
        new = {"password": hash_password(password)}
        connection.execute(update(people).where(people.c.id == person.id).values(new))
    else:
        name = check_name(name)
        taken = NameTaken(f"the name {name!r} is taken", fix="choose another one")
        if person_named(connection, name) is not None:
            raise taken
        stored = hash_password(password)
        try:
            person = add_person(connection, name, invitation.role, invitation.languages, stored, interface)
        except IntegrityError as error:  # somebody took it in the same moment
            raise taken from error
    used = connection.execute(
        update(invitations)
        .where(invitations.c.digest == invitation.digest, invitations.c.used_by.is_(None))
        .values(used_by=person.id)
    )
    if used.rowcount != 1:
        raise LinkUsed("this link has been used", fix="ask for another one")
    audit.record(connection, person.id, "joined" if invitation.person is None else "set a password", person.name)
    return person


def check_name(name: str) -> str:
    """A name as it is kept: normal form, single blanks, 2 to 40 characters that can be seen.

    Raises:
        InputError: it is none.
    """
    name = " ".join(unicodedata.normalize("NFKC", name).split())
    if not 2 <= len(name) <= LONGEST_NAME or any(unicodedata.category(one).startswith("C") for one in name):
        raise InputError("not a name", fix="choose one of 2 to 40 letters and digits")
    return name


def add_person(
    connection: Connection, name: str, role: Role, languages: Iterable[str], password: str = "", interface: str = ""
) -> Person:
    """Add a person; without a password they can never sign in (labels that were imported are theirs)."""
    values: dict[str, Any] = {
        "name": name,
        "folded": folded(name),
        "role": role.value,
        "languages": list(languages),
        "password": password,
        "interface": interface,
        "opt_outs": [],
        "paused": False,
        "active": True,
        "made_at": now(),
    }
    key = connection.execute(insert(people).values(values).returning(people.c.id)).scalar_one()
    return find_person(connection, key)


def find_person(connection: Connection, key: int) -> Person:
    """The person of an id that is there."""
    return person_from(connection.execute(select(people).where(people.c.id == key)).one())


def person_named(connection: Connection, name: str) -> Person | None:
    """The person of a name, whatever its case."""
    row = connection.execute(select(people).where(people.c.folded == folded(name))).first()
    return None if row is None else person_from(row)


def everyone(connection: Connection) -> list[Person]:
    """All people by name."""
    return [person_from(row) for row in connection.execute(select(people).order_by(people.c.name))]


def stored_password(connection: Connection, name: str) -> tuple[int | None, str]:
    """Id and hash of somebody who may sign in; None and an empty hash where there is nobody."""
    row = connection.execute(select(people).where(people.c.folded == folded(name))).first()
    return (row.id, row.password) if row is not None and row.active and row.password else (None, "")


def change_person(connection: Connection, person: Person, by: Person | None, **values: Any) -> Person:
    """Change languages, interface, opt-outs, pause, activity or role of a person; the log says what it was before.

    Raises:
        InputError: a language is not known, or the last administrator would be lost.
    """
    if "languages" in values:
        values["languages"] = list(check_languages(values["languages"]))
    ends = values.get("active") is False or values.get("role", person.role) is not Role.ADMINISTRATOR
    if person.role is Role.ADMINISTRATOR and ends and ("active" in values or "role" in values):
        query = select(func.count()).where(people.c.role == Role.ADMINISTRATOR.value, people.c.active.is_(True))
        if int(connection.scalar(query) or 0) < 2:
            raise InputError("the last administrator", fix="invite another one first")
    before = {name: getattr(person, name) for name in values if name != "password"}
    connection.execute(update(people).where(people.c.id == person.id).values(values))
    audit.record(connection, by.id if by else None, "changed a person", person.name, before=before)
    return find_person(connection, person.id)


def folded(name: str) -> str:
    """What two spellings of one name have in common: nobody may have another's name in other case, width or blanks."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


def person_from(row: Row[Any]) -> Person:
    """The person of a row with the columns of `people`."""
    return Person(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        languages=tuple(row.languages),
        interface=row.interface,
        opt_outs=tuple(row.opt_outs),
        paused=row.paused,
        active=row.active,
    )
