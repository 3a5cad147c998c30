"""Accounts: links that are good once, passwords, sessions that end, tokens against forged requests, limits."""

from __future__ import annotations

import threading
import traceback
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from alignment_prism.annotation import audit
from alignment_prism.annotation.backup import write_backup
from alignment_prism.annotation.database import Database, create_database, open_database
from alignment_prism.annotation.people import (
    Role,
    accept,
    change_person,
    everyone,
    find_invitation,
    find_person,
    hash_password,
    invite,
    is_password,
    stored_password,
)
from alignment_prism.annotation.schema import facts, invitations, sessions
from alignment_prism.annotation.sessions import (
    RateLimit,
    end_sessions,
    is_request_token,
    request_token,
    sign_in,
    sign_out,
    whose,
)
from alignment_prism.domain import InputError, StoreError

PASSWORD = "correct horse battery"


def test_a_link_makes_one_account_whoever_is_first(database: Database) -> None:
    with database.write() as connection:
        token = invite(connection, Role.ANNOTATOR, ["Arabic", "srp"], note="for Amal")
    outcomes: list[str] = []

    def join(name: str) -> None:
        try:
            with database.write() as connection:
                found = find_invitation(connection, token)
                if found is None:
                    raise InputError("used")
                accept(connection, found, name, PASSWORD)
            outcomes.append("joined")
        except InputError:
            outcomes.append("refused")

    threads = [threading.Thread(target=join, args=(f"amal {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["joined", "refused", "refused", "refused"]
    with database.read() as connection:
        (person,) = everyone(connection)
        assert (person.role, person.languages) == (Role.ANNOTATOR, ("ar", "sr"))
        assert find_invitation(connection, token) is None
        assert find_invitation(connection, "no such link") is None
        # Who reads the database gets no link out of it.
        assert token not in str(connection.execute(select(invitations)).all())


def test_passwords_are_kept_as_argon2_and_checked_where_there_is_nobody(database: Database) -> None:
    with database.write() as connection:
        made = find_invitation(connection, invite(connection, Role.LEAD))
        assert made is not None
        accept(connection, made, "  Амира \t Хасан ", PASSWORD)
        with pytest.raises(InputError, match="taken"):
            other = find_invitation(connection, invite(connection, Role.LEAD))
            assert other is not None
            accept(connection, other, "Амира Хасан", PASSWORD)
    with database.read() as connection:
        key, stored = stored_password(connection, "Амира Хасан")
    assert key is not None and stored.startswith("$argon2id$") and PASSWORD not in stored
    assert is_password(stored, PASSWORD) and not is_password(stored, PASSWORD + "!")
    assert not is_password("", PASSWORD)
    with pytest.raises(InputError, match="9 characters"):
        hash_password("too short")


def test_a_hash_takes_as_much_work_as_the_standard_recommends(shipped_hasher: PasswordHasher) -> None:
    # RFC 9106, section 4, the second recommended option: three passes over 64 MiB in four lanes.
    assert shipped_hasher.hash(PASSWORD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_session_ends_with_signing_out_and_with_the_account(database: Database) -> None:
    with database.write() as connection:
        for name, role in (("boss", Role.ADMINISTRATOR), ("anna", Role.ANNOTATOR)):
            made = find_invitation(connection, invite(connection, role))
            assert made is not None
            accept(connection, made, name, PASSWORD)
        boss, anna = sorted(everyone(connection), key=lambda one: one.name == "anna")
        first, second, third = (sign_in(connection, anna.id) for _ in range(3))
    with database.write() as connection:
        found = whose(connection, first)
        assert found is not None and found[0] == anna
        sign_out(connection, first)
        assert whose(connection, first) is None
        end_sessions(connection, anna.id, but=second)
        assert (whose(connection, second) is not None, whose(connection, third)) == (True, None)
        change_person(connection, anna, boss, active=False)
        assert whose(connection, second) is None
        assert stored_password(connection, "anna") == (None, "")
        with pytest.raises(InputError, match="last administrator"):
            change_person(connection, boss, boss, active=False)
        with pytest.raises(InputError, match="last administrator"):
            change_person(connection, boss, boss, role=Role.LEAD)
        assert first not in str(connection.execute(select(sessions)).all())
        actions = [entry.action for entry in audit.latest(connection)]
        assert {"invited", "joined", "signed in", "signed out", "changed a person"} <= set(actions)
        assert find_person(connection, anna.id).active is False


def test_a_forged_request_has_no_token(database: Database) -> None:
    secret = database.secret
    token = request_token(secret, "cookie")
    assert is_request_token(secret, "cookie", token)
    assert not is_request_token(secret, "another cookie", token)
    assert not is_request_token(b"another server", "cookie", token)
    assert not is_request_token(secret, "", request_token(secret, ""))


def test_tries_are_counted_by_key_and_forgotten_with_time() -> None:
    at = [100.0]
    limit = RateLimit(2, 60.0, clock=lambda: at[0])
    assert [limit.allow("a"), limit.allow("a"), limit.allow("a"), limit.allow("b")] == [True, True, False, True]
    at[0] += 60.0
    assert limit.allow("a")
    for number in range(RateLimit.KEYS + 10):
        limit.allow(str(number))
    assert len(limit._tries) == RateLimit.KEYS


def test_a_good_try_is_not_counted() -> None:
    limit = RateLimit(2, 60.0, clock=lambda: 100.0)
    for _ in range(5):
        assert limit.allow("a")
        limit.forgive("a")
    assert [limit.allow("a"), limit.allow("a"), limit.allow("a")] == [True, True, False]
    limit.forgive("nobody")


def test_what_somebody_wrote_is_in_no_error_that_is_logged(database: Database) -> None:
    written = " ".join(["some", "secret", "prompt"])
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        for _ in range(2):
            connection.execute(insert(facts).values(name="doubled", value=written))
    said = "".join(traceback.format_exception(caught.value))
    assert "facts" in said and written not in said


def test_drafts_outlive_the_process_and_answers_the_power(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, waits = ("PRAGMA synchronous", 2) if database.is_sqlite else ("SHOW synchronous_commit", "on")

    def flushes(flush: bool) -> bool:
        with database.write(flush=flush) as connection:
            return bool(connection.exec_driver_sql(asked).scalar() == waits)

    assert flushes(True) and not flushes(False) and flushes(True)
    monkeypatch.setattr("alignment_prism.annotation.database.UNFLUSHED", 0.0)
    assert flushes(False), "a write a while later flushes those before it"


def test_a_folder_is_made_once_and_opened_again(tmp_path: Path) -> None:
    folder = tmp_path / "annotations"
    with pytest.raises(StoreError, match="holds no annotations"):
        open_database(folder)
    made = create_database(folder)
    assert open_database(folder).secret == made.secret
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    write_backup(made, tmp_path / "one.zip")
    assert (tmp_path / "one.zip").stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreError, match="already"):
        create_database(folder)
    with pytest.raises(InputError, match="mysql"):
        create_database(tmp_path / "other", "mysql://somebody@localhost/db")
    for name in ("study.json", "manifest.json"):  # of a study, of an artifact: they refuse files that are not theirs
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("{}")
        with pytest.raises(StoreError, match="the folder holds"):
            create_database(tmp_path / name)
        assert [path.name for path in (tmp_path / name).iterdir()] == [name]
    disk = tmp_path / "disk"  # as it is mounted, and as a file manager leaves it
    (disk / "lost+found").mkdir(parents=True)
    (disk / ".DS_Store").write_bytes(b"")
    assert create_database(disk).secret == open_database(disk).secret
