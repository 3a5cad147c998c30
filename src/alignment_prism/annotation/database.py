"""The database of an annotation folder: SQLite in the folder, or PostgreSQL by its address."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from alignment_prism.annotation.schema import SCHEMA_VERSION, facts, metadata
from alignment_prism.domain import InputError, StoreError
from alignment_prism.io import write_json
from alignment_prism.io.yaml import YamlDocument
from alignment_prism.store.names import MANIFEST, PLAN, STEPS, STUDY

SQLITE = "annotation.sqlite3"
CONFIG = "annotation.yaml"
"""In the folder: the address of a database elsewhere. JSON is YAML, and so it is written."""
PATIENCE = 15.0
"""Seconds that a transaction waits for another process's."""
UNFLUSHED = 1.0
"""Seconds after which a write flushes those before it, whatever it asks for."""


class Database:
    """Where everything of an annotation folder is kept.

    Args:
        engine: of SQLAlchemy.
        folder: the annotation folder.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer. Threads of this process queue here: its own waiting is by naps, and not in turn.
        self._turn = threading.Lock()
        self._flushed = 0.0
        self._secret = b""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot: what others write meanwhile is not seen."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, flush: bool = True) -> Iterator[Connection]:
        """One transaction, all or nothing. On SQLite it holds the database from its first moment (BEGIN IMMEDIATE).

        Args:
            flush: wait until the disk has it. Without, it outlives this process, killed or not, and could be lost
                with the power only until the next write, a second later or more, flushes it too.
        """
        with self._turn if self.is_sqlite else nullcontext():
            flush = flush or time.monotonic() - self._flushed > UNFLUSHED
            connection = self.engine.connect().execution_options(prism_writes="flushed" if flush else "kept")
            with connection, connection.begin():
                yield connection
            if flush:
                self._flushed = time.monotonic()

    @property
    def secret(self) -> bytes:
        """Key of the tokens against forged requests."""
        if not self._secret:
            with self.read() as connection:
                self._secret = bytes.fromhex(str(fact(connection, "secret")))
        return self._secret


def own_files(folder: str | Path) -> list[Path]:
    """What no output may replace: an annotation folder's database with its log, and the address of one elsewhere."""
    return [Path(folder) / name for name in (CONFIG, *(SQLITE + part for part in ("", "-wal", "-shm", "-journal")))]


def fact(connection: Connection, name: str) -> str | None:
    """What the folder as a whole says under a name."""
    found: str | None = connection.scalar(select(facts.c.value).where(facts.c.name == name))
    return found


def now() -> float:
    """Seconds since 1970, UTC."""
    return time.time()


def create_database(folder: str | Path, url: str = "") -> Database:
    """Make an annotation folder with an empty database.

    Args:
        folder: to make.
        url: of a PostgreSQL database (`postgresql://name@host/database`); empty for SQLite in the folder.

    Raises:
        StoreError: there is an annotation folder already, a study or an artifact is in it, or it cannot be made.
        InputError: the address is no database's that is known.
    """
    folder = Path(folder)
    if (folder / SQLITE).exists() or (folder / CONFIG).exists():
        fix = "serve it, or choose another folder"
        raise StoreError("the folder holds annotations already", where=str(folder), fix=fix)
    for name, what in ((STUDY, "a study"), (PLAN, "a study"), (STEPS, "a study"), (MANIFEST, "an artifact")):
        if (folder / name).exists():  # they refuse, from then on, a folder with files that are not theirs
            raise StoreError(f"the folder holds {what}", where=str(folder), fix="choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "choose another place, one that may be written to"
        raise StoreError(f"cannot write: {error.strerror}", where=str(folder), fix=fix) from error
    database = Database(_engine(folder, url), folder)
    with _understood(url or str(folder)), only_ours():
        metadata.create_all(database.engine)
        with database.write() as connection:
            if fact(connection, "schema") is not None:
                fix = "open the folder that it belongs to, or name an empty database"
                raise StoreError("the database holds annotations already", where=_safe(url), fix=fix)
            rows = {"schema": SCHEMA_VERSION, "secret": secrets.token_hex(32)}
            connection.execute(insert(facts), [{"name": name, "value": value} for name, value in rows.items()])
        if url:  # the address may hold a password
            write_json(folder / CONFIG, {"database": url})
    return database


def open_database(folder: str | Path) -> Database:
    """The database of a folder.

    Raises:
        StoreError: the folder holds none, or one of another version.
    """
    folder = Path(folder)
    url = ""
    if (folder / CONFIG).exists():
        content = YamlDocument.from_file(folder / CONFIG).mapping(fix="write database: ADDRESS")
        url = str(content.get("database") or "")
    elif not (folder / SQLITE).exists():
        fix = "make one: prism annotate init FOLDER"
        raise StoreError("the folder holds no annotations", where=str(folder), fix=fix)
    database = Database(_engine(folder, url), folder)
    with _understood(url or str(folder)), database.read() as connection:
        version = fact(connection, "schema")
    if version != SCHEMA_VERSION:
        fix = "use the version of Alignment Prism that made it"
        raise StoreError(f"annotations of schema {version}, not {SCHEMA_VERSION}", where=str(folder), fix=fix)
    return database


def _engine(folder: Path, url: str) -> Engine:
    if not url:
        # check_same_thread: a connection goes from thread to thread, one at a time.
        arguments = {"timeout": PATIENCE, "check_same_thread": False, "isolation_level": None}
        engine = create_engine(f"sqlite:///{folder.absolute() / SQLITE}", connect_args=arguments, hide_parameters=True)
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine
    try:
        parsed = make_url(url)
    except SQLAlchemyError as error:
        raise InputError("not an address of a database", fix="write postgresql://name@host/database") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        fix = "write postgresql://name@host/database, or leave it out for SQLite"
        raise InputError(f"a database of the kind {parsed.get_backend_name()!r}", fix=fix)
    try:
        # What somebody wrote is a parameter: an error that is logged must not show it.
        engine = create_engine(parsed.set(drivername="postgresql+pg8000"), pool_size=20, max_overflow=30,
                               pool_pre_ping=True, hide_parameters=True)  # fmt: skip
    except ImportError as error:
        raise InputError("pg8000 is not installed", fix="pip install 'alignment-prism[annotate]'") from error
    event.listen(engine, "begin", _begin_elsewhere)
    return engine


def _prepare(connection: Any, _: Any) -> None:
    """WAL lets readers go on while one writes."""
    for line in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {line}")


def _begin(connection: Connection) -> None:
    """Begin on SQLite: FULL flushes the log of what was written at the commit, NORMAL leaves that to the next FULL."""
    writes = connection.get_execution_options().get("prism_writes")
    if writes:
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if writes == 'flushed' else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_elsewhere(connection: Connection) -> None:
    if connection.get_execution_options().get("prism_writes") == "kept":
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")


@contextmanager
def only_ours() -> Iterator[None]:
    """What is made meanwhile may be read by its owner alone, from its first moment."""
    mask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(mask)


def _safe(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True) if url else ""


@contextmanager
def _understood(where: str) -> Iterator[None]:
    """Faults of the database when it is opened, as errors that say what to do."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        place = _safe(where) if "://" in where else where
        said = str(getattr(error, "orig", None) or error).splitlines()[0][:200]
        fix = "check that the database is there and may be written to"
        raise StoreError(f"the database cannot be used: {said}", where=place, fix=fix) from error
