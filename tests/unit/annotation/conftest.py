"""Annotation folders for tests: the same tests run on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from postgres import cluster, new_database
from sqlalchemy import create_engine

from alignment_prism.annotation import people
from alignment_prism.annotation.database import Database, create_database


@pytest.fixture(scope="session", autouse=True)
def shipped_hasher() -> Iterator[PasswordHasher]:
    """How passwords are hashed outside tests; in them with the least work, and not through 64 MiB at every sign-in."""
    shipped = people._HASHER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield shipped


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with cluster() as address:
        yield address


@pytest.fixture(scope="session")
def emptied(server: str) -> Callable[[], str]:
    """Empties one database of the server and gives its address: a new one takes a second."""
    address = new_database(server, "annotations")
    engine = create_engine(address.replace("postgresql://", "postgresql+pg8000://"), isolation_level="AUTOCOMMIT")

    def empty() -> str:
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        return address

    return empty


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty annotation folder's database, on either engine."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("emptied")()
    made = create_database(tmp_path / "annotations", url)
    yield made
    made.engine.dispose()
