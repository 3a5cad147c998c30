"""What the pages let nobody do: see who made a reply, reach another's work, act in another's name, try for ever."""

from __future__ import annotations

import csv
import re
import socket
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from annotators import PASSWORD, add, make_project, replies
from fastapi.testclient import TestClient
from prism_command import prism
from sqlalchemy import event

from alignment_prism.annotation.database import Database
from alignment_prism.annotation.exports import answers
from alignment_prism.annotation.labelling import stored
from alignment_prism.annotation.people import Person, Role, everyone, invite
from alignment_prism.annotation.projects import Item, Kind, project_named
from alignment_prism.annotation.quotas import Cell
from alignment_prism.annotation.texts import INTERFACES, say
from alignment_prism.annotation.web.app import make_app
from alignment_prism.annotation.web.security import HEADERS
from alignment_prism.annotation.work import claim, submit
from alignment_prism.annotation.writing import create_writing

Client = TestClient


def client(database: Database, name: str = "") -> Client:
    """A browser's worth of cookies, signed in where a name is given."""
    made = TestClient(make_app(database), base_url="http://prism.test", follow_redirects=False)
    if name:
        answer = made.post("/login", data={"token": token(made, "/login"), "name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
    return made


def token(browser: Client, address: str) -> str:
    found = re.search(r'name="token" value="(\w+)"', browser.get(address).text)
    assert found is not None, address
    return found[1]


def work_for(database: Database, name: str) -> str:
    with database.write() as connection:
        person = next(one for one in everyone(connection) if one.name == name)
        work = claim(connection, project_named(connection, "Round"), person)
        assert work is not None
        return work.token


@pytest.fixture
def anna(database: Database) -> Person:
    return add(database, "anna", "ar", "hi")


def test_every_answer_has_the_strict_headers_whatever_it_is(database: Database, anna: Person) -> None:
    browser = client(database, "anna")
    for address in ("/", "/login", "/nothing/here", "/static/app.js", "/static/../schema.py", "/w/none", "/people"):
        answer = browser.get(address)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (address, name)
        assert "server" not in answer.headers
    assert "unsafe" not in HEADERS["content-security-policy"]
    assert browser.get("/").headers["cache-control"] == "no-store"
    pages = [browser.get(address).text for address in ("/", "/me")]
    for text in pages:
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:|https?://", text)


def test_a_browser_of_a_labeller_gets_no_name_of_model_judge_arm_or_colleague(database: Database, anna: Person) -> None:
    planted = ("SECRET-ARM", "SECRET-MODEL", "SECRET-JUDGE", "SECRET-PATH", "boris")
    add(database, "boris", "ar")
    origin = {"model": "SECRET-MODEL", "judge": "SECRET-JUDGE", "file": "SECRET-PATH", "verdict": "harmful"}
    project = make_project(database, replies("ar", 3, **origin), overlap=2)
    pair = {"prompt": "p", "first": "one", "second": "two"}
    secret = {"arm": "SECRET-ARM", "opponent": "SECRET-MODEL", "prompt_id": "p"}
    pairs = make_project(database, [Item("pair", "ar", pair, secret)], Kind.PAIRWISE, title="Pairs")
    work = work_for(database, "boris")
    assert client(database, "boris").get(f"/w/{work}").status_code == 200
    browser = client(database, "anna")
    seen = []
    for one in (project, pairs):
        for address in ("/", f"/p/{one.token}", "/me", f"/p/{one.token}/mine", f"/p/{one.token}/next"):
            answer = browser.get(address)
            seen += [answer.text, str(answer.headers)]
        form = {"token": token(browser, f"/p/{one.token}")}
        assert browser.post(f"/p/{one.token}", data=form).status_code == 303
        while (answer := browser.get(f"/p/{one.token}/next")).status_code == 303:
            address = answer.headers["location"]
            page = browser.get(address)
            here = address.partition("?")[0]
            form = {"token": token(browser, "/me"), "label": "refusal" if one is project else "tie", "seconds": "1"}
            kept = browser.post(f"{here}/draft", data=form)
            done = browser.post(here, data=form)
            assert (kept.status_code, done.status_code) == (200, 303)
            seen += [page.text, str(page.headers), kept.text, str(kept.headers), done.text, str(done.headers), address]
        seen += [answer.text, browser.get(f"/p/{one.token}/mine").text]
    everything = "\n".join(seen)
    assert "عزيزي الجار" in everything, "the texts themselves are there"
    assert {name: everything.count(name) for name in planted} == dict.fromkeys(planted, 0)
    # Nor keys that say which reply it is: digests and row numbers of the study.
    assert not re.search(r"\bar[0-2]\b|reply_digest|verdict", everything)
    with database.read() as connection:
        assert len(answers(connection, project)) == 3


def test_nobody_reaches_anothers_work_or_a_leads_pages(database: Database, anna: Person) -> None:
    add(database, "boris", "ar")
    project = make_project(database, replies("ar", 3), overlap=2)
    hers = work_for(database, "anna")
    own, other, nobody = client(database, "anna"), client(database, "boris"), client(database)
    form = {"token": token(own, "/me"), "label": "", "comment": "مسودة"}
    assert own.post(f"/w/{hers}/draft", data=form).status_code == 200
    for browser, expected in ((other, 404), (nobody, 303)):
        assert browser.get(f"/w/{hers}").status_code == expected
        assert "مسودة" not in browser.get(f"/w/{hers}").text
    theirs = {"token": token(other, "/me"), "label": "harmful", "reason": "unsure"}
    for action in ("", "/draft", "/skip", "/withdraw", "/check"):
        assert other.post(f"/w/{hers}{action}", data=theirs).status_code == 404
    for address in (
        "/lead", f"/lead/{project.token}", f"/lead/{project.token}/disputes", f"/lead/{project.token}/export/labels",
        f"/lead/{project.token}/history/1", f"/lead/{project.token}/guidelines/ar", "/people", "/audit",
    ):  # fmt: skip
        assert other.get(address).status_code == 404, address
        assert nobody.get(address).status_code == 303, address
    for address in (f"/lead/{project.token}/disputes/1", "/people/invite", "/people/1", "/people/1/password"):
        assert other.post(address, data=theirs).status_code == 404, address
    assert other.post(f"/lead/{project.token}/guidelines/ar", data=theirs | {"text": "x"}).status_code == 404
    add(database, "lena", role=Role.LEAD)
    lead = client(database, "lena")
    assert lead.get(f"/lead/{project.token}").status_code == 200
    assert [lead.get(address).status_code for address in ("/people", "/audit")] == [404, 404]
    with database.read() as connection:
        assert answers(connection, project) == []


def test_no_other_site_acts_in_somebodys_name(database: Database, anna: Person) -> None:
    project = make_project(database, replies("ar", 2))
    work = work_for(database, "anna")
    browser = client(database, "anna")
    good = {"token": token(browser, "/me"), "label": "harmful"}
    other = client(database)
    forged = [
        ({"label": "harmful"}, {}),
        (good | {"token": "0" * 64}, {}),
        (good | {"token": token(other, "/login")}, {}),
        (good, {"origin": "https://evil.test"}),
        (good, {"origin": "null"}),
    ]
    for form, headers in forged:
        assert browser.post(f"/w/{work}", data=form, headers=headers).status_code == 403
        assert browser.post("/logout", data=form, headers=headers).status_code == 403
        assert browser.post(f"/w/{work}/draft", data=form, headers=headers).status_code == 403
    with database.read() as connection:
        assert answers(connection, project) == []
    assert browser.post(f"/w/{work}", data=good, headers={"origin": "http://prism.test"}).status_code == 303
    session = browser.cookies.jar
    (cookie,) = [one for one in session if one.name == "prism_session"]
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "lax"
    assert client(database).post("/login", data={"name": "anna", "password": PASSWORD}).status_code == 403


def test_passwords_are_not_tried_for_ever_and_too_long_requests_are_refused(database: Database, anna: Person) -> None:
    browser = client(database)
    form = {"token": token(browser, "/login"), "name": "anna", "password": "wrong password"}
    codes = [browser.post("/login", data=form).status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]
    assert browser.post("/login", data=form | {"password": PASSWORD}).status_code == 429, "even the right one waits"
    # Nor do other spellings of one name have tries of their own.
    for name in ("ANNA", " anna", "ａｎｎａ", "anna  "):
        assert browser.post("/login", data=form | {"name": name}).status_code == 429, name
    assert browser.post("/login", data=form | {"name": "x" * 600_000}).status_code == 413
    assert browser.post("/login", data=form | {"name": "x" * 200_000}).status_code == 413


def test_an_invitation_makes_an_account_and_a_link_sets_a_new_password(database: Database) -> None:
    with database.write() as connection:
        link = "/invitation/" + invite(connection, Role.ADMINISTRATOR)
    browser = client(database)
    form = {"token": token(browser, link), "name": "Lena", "password": PASSWORD, "again": PASSWORD}
    for wrong in ({"again": "other words here"}, {"password": "short", "again": "short"}, {"name": "x"}):
        assert browser.post(link, data=form | wrong).status_code == 422
    assert browser.post(link, data=form).headers["location"] == "/"
    assert browser.get(link).status_code == 404, "it is good once"
    with database.read() as connection:
        (lena,) = everyone(connection)
    page = browser.post(f"/people/{lena.id}/password", data={"token": token(browser, "/people")})
    found = re.search(r"/invitation/[\w-]+", page.text)
    assert found is not None
    other = client(database)
    new = {"token": token(other, found[0]), "password": "another long one", "again": "another long one"}
    assert other.post(found[0], data=new).headers["location"] == "/"
    assert browser.get("/").headers["location"] == "/login", "sessions of the old password have ended"
    invited = {"token": token(other, "/people"), "role": "annotator", "languages": "ar, Klingon"}
    assert "Klingon" in other.post("/people/invite", data=invited).text
    page = other.post("/people/invite", data=invited | {"languages": "ar srp"})
    assert re.search(r"http://prism\.test/invitation/[\w-]+", page.text)


def test_a_new_account_is_told_what_is_wrong_with_it(database: Database) -> None:
    """By what is wrong, and not by the words of an error, which may have a name in them."""
    add(database, "my password", "ar")
    with database.write() as connection:
        link = "/invitation/" + invite(connection, Role.ANNOTATOR, ["ar"])
    browser = client(database)
    form = {"token": token(browser, link), "name": "Lena", "password": PASSWORD, "again": PASSWORD}
    for wrong, key in (
        ({"again": "other words here"}, "passwords_differ"),
        ({"password": "short", "again": "short"}, "password_length"),
        ({"name": "x"}, "name_bad"),
        ({"name": "My  Password"}, "name_taken"),
    ):
        page = browser.post(link, data=form | wrong)
        said = re.search(r'class="fault"[^>]*>([^<]+)<', page.text)
        assert page.status_code == 422 and said is not None and unescape(said[1]) == say("en", key), (key, said)


def test_of_two_who_choose_one_name_in_the_same_moment_one_is_told_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sees the other's account yet when the name is looked up."""
    add(database, "Lena", "ar")
    with database.write() as connection:
        link = "/invitation/" + invite(connection, Role.ANNOTATOR, ["ar"])
    monkeypatch.setattr("alignment_prism.annotation.people.person_named", lambda *_: None)
    browser = client(database)
    form = {"token": token(browser, link), "name": "lena", "password": PASSWORD, "again": PASSWORD}
    page = browser.post(link, data=form)
    assert page.status_code == 422 and say("en", "name_taken") in page.text
    assert browser.post(link, data=form | {"name": "Lena the second"}).status_code == 303, "the link is good still"


def test_everybody_behind_one_address_may_join_and_links_are_not_guessed(database: Database) -> None:
    with database.write() as connection:
        link = "/invitation/" + invite(connection, Role.ANNOTATOR, ["ar"])
    browser = client(database)
    assert {browser.get(link).status_code for _ in range(70)} == {200}
    codes = [browser.get(f"/invitation/guess{number}").status_code for number in range(61)]
    assert codes == [404] * 60 + [429]


def test_a_request_asks_the_database_no_more_when_there_is_more_work(database: Database, anna: Person) -> None:
    project = make_project(database, replies("ar", 60), overlap=2)
    browser = client(database, "anna")
    form = {"token": token(browser, f"/p/{project.token}"), "label": "refusal"}
    browser.post(f"/p/{project.token}", data=form)
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    def one_item() -> list[int]:
        counts = []
        address = browser.get(f"/p/{project.token}/next").headers["location"]
        for method, place, data in (
            ("GET", address, None),
            ("POST", f"{address.partition('?')[0]}/draft", form | {"comment": "تعليق"}),
            ("POST", address, form),
            ("GET", f"/p/{project.token}/next", None),
        ):
            asked.clear()
            assert browser.request(method, place, data=data).status_code in (200, 303)
            counts.append(sum(not one.startswith(("BEGIN", "PRAGMA", "SET LOCAL")) for one in asked))
        return counts

    one_item()
    event.listen(database.engine, "before_cursor_execute", note)
    first = one_item()
    for _ in range(6):
        last = one_item()
    assert first == last
    # Who asks, the item, its state, the draft: a lease that has hardly begun is not renewed. Locks are PostgreSQL's.
    assert first[1] == (4 if database.is_sqlite else 5)


def test_a_port_that_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    prism("annotate", "init", "people", folder=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = prism("annotate", "serve", "people", "--port", taken.getsockname()[1], folder=tmp_path)
    assert done.returncode != 0 and "cannot listen" in done.stderr and "--port PORT" in done.stderr


@pytest.fixture
def busy(database: Database, anna: Person) -> Iterator[dict[str, str]]:
    """A folder in which everything has been done, and the addresses of all pages."""
    add(database, "boris", "ar")
    add(database, "lena", role=Role.ADMINISTRATOR)
    project = make_project(database, replies("ar", 3), overlap=2)
    with database.write() as connection:
        writing = create_writing(connection, "Prompts", ["ar"], [Cell("ar", "local", "Profanity", 2)], opinions=1)
    for name, label in (("anna", "harmful"), ("boris", "refusal")):
        browser = client(database, name)
        work = work_for(database, name)
        assert browser.post(f"/w/{work}", data={"token": token(browser, "/me"), "label": label}).status_code == 303
    yield {
        "dashboard": f"/lead/{project.token}", "disputes": f"/lead/{project.token}/disputes",
        "history": f"/lead/{project.token}/history/1", "guidelines": f"/lead/{project.token}/guidelines/ar",
        "writing": f"/lead/{writing.token}", "lead": "/lead", "people": "/people", "audit": "/audit", "home": "/",
        "project": f"/p/{project.token}", "mine": f"/p/{project.token}/mine", "me": "/me",
    }  # fmt: skip


def test_a_lead_sees_what_is_wanted_before_anybody_has_written(database: Database, busy: dict[str, str]) -> None:
    """As `prism annotate status` does: 0 of 2, and not of the prompts that were begun."""
    add(database, "omar", "ar")
    writer = client(database, "omar")
    page = f"/p/{busy['writing'].rpartition('/')[2]}"
    assert writer.post(page, data={"token": token(writer, page)}).status_code == 303
    assert writer.get(f"{page}/next").status_code == 303, "a prompt is begun"
    browser = client(database, "lena")
    of = say("en", "n_of_m", n=0, m=2)
    assert f"Arabic: {of}" in browser.get("/lead").text
    assert "<td>2</td><td>0</td><td>0</td>" in browser.get(busy["writing"]).text
    counted: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        counted.extend(["once"] * " ".join(statement.split()).startswith("SELECT items.language, revisions.content"))

    event.listen(database.engine, "before_cursor_execute", note)
    for address in ("/lead", busy["writing"]):  # every prompt that was handed in is read for it
        counted.clear()
        assert browser.get(address).status_code == 200 and counted == ["once"], address


def test_every_answer_can_be_reached_again(database: Database, anna: Person) -> None:
    """Of sixty answers the last fifty, and behind them the ten before; so many that nobody has are none."""
    project = make_project(database, replies("ar", 60))
    with database.write() as connection:
        for _ in range(60):
            work = claim(connection, project, anna)
            assert work is not None
            submit(connection, work, stored(work, "refusal"))
    browser, mine = client(database, "anna"), f"/p/{project.token}/mine"
    pages = [browser.get(address).text for address in (mine, f"{mine}?start=50", f"{mine}?start=-1")]
    works = [re.findall(r'href="(/w/[^"]+)"', text) for text in pages]
    assert (len(works[0]), len(works[1])) == (50, 10) and len({*works[0], *works[1]}) == 60 and works[2] == works[0]
    assert f'href="{mine}?start=50"' in pages[0] and "start=" not in pages[1]
    assert browser.get(works[1][-1]).status_code == 200
    assert not re.findall(r'href="/w/', browser.get(f"{mine}?start={10**30}").text)


def test_every_page_speaks_every_language_of_the_pages(database: Database, busy: dict[str, str]) -> None:
    browser = client(database, "lena")
    for code in INTERFACES:
        form = {"token": token(browser, "/me"), "interface": code}
        assert browser.post("/me", data=form).status_code == 303
        for name, address in busy.items():
            answer = browser.get(address)
            assert answer.status_code == 200, (code, name)
            assert f'<html lang="{code}" dir="{"rtl" if code == "ar" else "ltr"}">' in answer.text


def test_a_lead_settles_downloads_and_writes_guidelines_that_are_read_again(
    database: Database, busy: dict[str, str]
) -> None:
    lead = client(database, "lena")
    page = lead.get(busy["disputes"]).text
    action = re.search(r"/lead/[\w-]+/disputes/\d+", page)
    assert action is not None
    form = {"token": token(lead, "/me"), "label": "harmful"}
    assert lead.post(action[0], data=form).status_code == 303
    assert b"settled" in lead.get(f"{busy['dashboard']}/export/settled").content
    labels = lead.get(f"{busy['dashboard']}/export/labels")
    assert labels.content.count(b"\n") == 3 and "labels.csv" in labels.headers["content-disposition"]
    told = lead.get(busy["history"]).text
    assert "boris" in told and "Harmful" in told and "Refusal" in told, "answers are told as the pages call them"
    browser = client(database, "anna")
    assert browser.post(busy["project"], data={"token": token(browser, busy["project"])}).status_code == 303
    assert browser.get(f"{busy['project']}/next").headers["location"].startswith("/w/")
    text = {"token": token(lead, "/me"), "text": "# New\n\n- <script>alert(1)</script> **bold**"}
    assert lead.post(busy["guidelines"].replace("/ar", "/en"), data=text).status_code == 303
    assert browser.get(f"{busy['project']}/next").headers["location"] == busy["project"], (
        "the new version is read first"
    )
    shown = browser.get(busy["project"]).text
    assert "&lt;script&gt;" in shown and "<strong>bold</strong>" in shown and "<script>alert" not in shown
    answered = {"token": token(browser, "/me"), "label": "harmful"}
    assert browser.post(busy["project"], data=answered).status_code == 303
    work = browser.get(f"{busy['project']}/next").headers["location"].partition("?")[0]
    assert browser.post(work, data=answered).status_code == 303
    rows = list(csv.DictReader(lead.get(f"{busy['dashboard']}/export/labels").text.splitlines()))
    # Her first answer was given by another way than the pages, before she had read anything.
    assert [row["guidelines"] for row in rows if row["annotator"] == "anna"] == ["", "en@2"]
    entries = lead.get("/audit").text
    assert all(word in entries for word in ("settled", "exported", "wrote guidelines", "signed in"))
    assert "عزيزي" not in entries
