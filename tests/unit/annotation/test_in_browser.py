"""The app in a real browser, as annotators use it: in four scripts, by keyboard, when the server dies, on a phone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from annotation_payloads import PLANTED, planted
from annotation_site import Site, free_port
from annotators import TEXTS, add, make_project, replies
from browser import Seen, chromium, needs_chromium, page_at, violations
from postgres import new_database

from alignment_prism.annotation.database import create_database
from alignment_prism.annotation.exports import answers
from alignment_prism.annotation.held import work_of
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.quotas import Cell
from alignment_prism.annotation.writing import create_writing

pytestmark = [needs_chromium, pytest.mark.slow]

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site") / "annotations"
    url = "" if request.param == "sqlite" else new_database(request.getfixturevalue("server"), "site")
    made = Site(folder, create_database(folder, url), free_port())
    made.start()
    try:
        yield made
    finally:
        made.kill()
        made.database.engine.dispose()


@pytest.fixture(autouse=True)
def served(site: Site) -> None:
    """Let a site that an earlier test has killed be there again, also where that test has failed."""
    assert site.process is not None
    if site.process.poll() is not None:
        site.start()


@contextmanager
def page_of(chrome: Any, site: Site, person: Person, address: str = "/", **more: Any) -> Iterator[tuple[Any, Seen]]:
    with page_at(chrome, site.address + address, **site.sign_in(person), **more) as (page, seen):
        yield page, seen


def until(page: Any, selector: str) -> Any:
    """The element, once it is there."""
    return page.wait_for_selector(selector)


def saved_words(site: Site, page: Any, person: Person) -> dict[str, Any]:
    """What the database has of the item on a page."""
    token = page.url.partition("/w/")[2].partition("?")[0]
    with site.database.read() as connection:
        work = work_of(connection, token, person)
    assert work is not None
    return dict(work.content)


def only_on_sqlite(site: Site) -> None:
    if not site.database.is_sqlite:
        pytest.skip("pages do not depend on the engine")


KEY_AT_ONCE = """([word, code]) => new MutationObserver((_, seen) => {
  if (!document.querySelector(".undo")?.textContent.includes(word)) return;
  seen.disconnect();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { code, bubbles: true }));
}).observe(document, { childList: true, subtree: true })"""
"""Presses a key in the moment in which the next item is on the page."""


@pytest.mark.parametrize("language", TEXTS)
def test_labels_by_keyboard_in_four_scripts(chrome: Any, site: Site, language: str) -> None:
    if language != "ar":  # from a page to PostgreSQL once; in four scripts on the other engine
        only_on_sqlite(site)
    person = add(site.database, f"labels {language}", language)
    project = make_project(site.database, replies(language, 4), title=f"Round {language}")
    with page_of(chrome, site, person, f"/p/{project.token}/next") as (page, seen):
        body = until(page, "#reply")
        assert (body.get_attribute("lang"), body.get_attribute("dir")) == (
            language,
            "rtl" if language == "ar" else "ltr",
        )
        assert TEXTS[language][1] in body.inner_text()
        assert page.inner_text(".numbers") == "0 of 4"
        first = page.url
        # The place of the key counts, whatever letter the layout has there; keys of an input method do not.
        page.dispatch_event("body", "keydown", {"code": "Digit2", "key": "٢", "isComposing": True})
        page.dispatch_event("body", "keydown", {"code": "Digit2", "key": "٢", "ctrlKey": True})
        assert page.url == first
        page.dispatch_event("body", "keydown", {"code": "Digit2", "key": "٢"})
        until(page, ".undo:has-text('Refusal')")
        assert page.inner_text(".numbers") == "1 of 4"
        # In a field keys are letters.
        page.press("body", "KeyC")
        assert page.evaluate("document.activeElement.id") == "comment"
        page.keyboard.type("1 2 3 s b u")
        assert page.input_value("#comment") == "1 2 3 s b u"
        page.fill("#comment", TEXTS[language][0])
        until(page, "#saved:has-text('Saved')")
        page.reload()
        until(page, "#comment")
        assert page.input_value("#comment") == TEXTS[language][0]
        page.locator("#question").click()
        page.keyboard.press("Numpad1")
        until(page, ".undo:has-text('Harmful')")
        page.keyboard.press("u")
        until(page, ".option[aria-current]:has-text('Harmful')")
        page.evaluate(KEY_AT_ONCE, ["Safe help", "KeyS"])
        page.keyboard.press("3")
        until(page, ".undo:has-text('Safe help')")
        page.check("input[value=unsure]")
        page.click("details.skip button")
        until(page, ".numbers:has-text('2 of 3')")
        page.keyboard.press("5")
        until(page, "h1:has-text('All done')")
        assert seen.errors == []
        assert all(one.startswith(site.address) for one in seen.requests), "nothing is asked of anybody else"
    with site.database.read() as connection:
        found = [(one.content["label"], one.content["comment"]) for one in answers(connection, project)]
    assert sorted(found) == [("refusal", ""), ("safe_help", TEXTS[language][0]), ("wrong_language", "")]


WORDS = "Напиши љубазно писмо комшији о буци ноћу اكتب رسالة لطيفة إلى जारी पड़ोसी को रात के शोर".split()


def test_no_word_older_than_two_seconds_is_lost_when_the_server_is_killed(chrome: Any, site: Site) -> None:
    person = add(site.database, "types", "sr")
    project = make_project(site.database, replies("sr", 1), title="Killed")
    typed: list[tuple[float, str]] = []
    with page_of(chrome, site, person, f"/p/{project.token}/next") as (page, _):
        until(page, "#comment")
        page.focus("#comment")
        answered: list[float] = []
        page.on("requestfinished", lambda request: answered.append(request.timing["responseEnd"] / 1000))
        # Without a pause, so that it is not the pause that saves. What a busy machine takes to answer is added to the
        # two seconds, since the next words wait for the answer to those before; so there is typed until some are older.
        old: list[str] = []
        while len(old) < 5:
            word = f"{WORDS[len(typed) % len(WORDS)]}{len(typed)}"
            page.keyboard.type(f"{word} ", delay=15)
            typed.append((time.monotonic(), word))
            old = [word for at, word in typed if at < typed[-1][0] - 2.0 - max(answered, default=0.0)]
        site.kill()
        kept = str(saved_words(site, page, person)["comment"])
        assert [word for word in old if word not in kept.split()] == []
        page.keyboard.type("последња реч")
        until(page, "#trouble:not([hidden])")
        assert "kept here" in page.inner_text("#trouble")
        # A label that cannot be sent does not take the page away.
        page.click(".option >> nth=1")
        assert page.input_value("#comment").endswith("последња реч")
        site.start()
        until(page, "#saved:has-text('Saved')")
        page.wait_for_selector("#trouble", state="hidden")
        whole = page.input_value("#comment")
        assert saved_words(site, page, person)["comment"] == whole
    # Another browser, after a crash of the first: all of it is there.
    with page_of(chrome, site, person, f"/p/{project.token}/next") as (page, _):
        until(page, "#comment")
        assert page.input_value("#comment") == whole
        page.click("button:has-text('Sign out')")
        until(page, "#password")
    with page_of(chrome, site, person, f"/p/{project.token}/next") as (page, _):
        until(page, "#comment")
        assert page.input_value("#comment") == whole


def test_a_key_that_is_meant_for_the_next_item_changes_no_answer(chrome: Any, site: Site) -> None:
    """While the second answer is on its way: 3 would be another label of it, U would take the first one back."""
    only_on_sqlite(site)
    person = add(site.database, "quick", "ru")
    project = make_project(site.database, replies("ru", 3), title="Quick")
    with page_of(chrome, site, person, f"/p/{project.token}/next") as (page, _):
        until(page, "#reply")
        page.keyboard.press("1")
        until(page, ".undo:has-text('Harmful')")
        held: list[Any] = []
        page.route("**/w/*", lambda route: route.continue_() if held else held.append(route))
        with page.expect_request("**/w/*"):
            page.keyboard.press("2")
        for key in ("3", "u"):
            page.keyboard.press(key)
        held[0].continue_()
        until(page, ".undo:has-text('Refusal')")
        assert page.inner_text(".numbers") == "2 of 3"
    with site.database.read() as connection:
        assert [one.content["label"] for one in answers(connection, project)] == ["harmful", "refusal"]


AN_HOUR_SLOW = "(() => { const now = Date.now; Date.now = () => now() - 3600e3; })()"
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"


def test_words_are_sent_again_where_the_storage_is_full(chrome: Any, site: Site) -> None:
    only_on_sqlite(site)
    person = add(site.database, "has no room", "ru")
    project = make_project(site.database, replies("ru", 1), title="Full")
    with page_of(chrome, site, person, f"/p/{project.token}/next") as (page, seen):
        page.context.add_init_script(FULL)
        page.reload()
        until(page, "#comment")
        page.uncheck("#keys")
        page.route("**/draft", lambda route: route.abort())
        page.fill("#comment", "слово")
        until(page, "#trouble:not([hidden])")
        page.unroute("**/draft")
        until(page, "#saved:has-text('Saved')")
        assert saved_words(site, page, person)["comment"] == "слово"
        assert [one for one in seen.errors if "full" in one] == []


def test_words_of_a_browser_that_crashes_while_the_server_is_away_are_sent_later(chrome: Any, site: Site) -> None:
    only_on_sqlite(site)
    person = add(site.database, "crashes", "ru")
    project = make_project(site.database, replies("ru", 1), title="Crashed")
    with page_of(chrome, site, person, f"/p/{project.token}/next") as (page, _):
        page.context.add_init_script(AN_HOUR_SLOW)  # what is kept here is newer than the draft before it all the same
        page.reload()
        until(page, "#comment")
        address = page.url
        page.fill("#comment", "слово")
        until(page, "#saved:has-text('Saved')")
        page.route("**/draft", lambda route: route.abort())
        page.fill("#comment", "слово в пути")
        until(page, "#trouble:not([hidden])")
        other = page.context.new_page()  # the same browser, opened again
        page.close()
        other.goto(address)
        other.wait_for_selector("#saved:has-text('Saved')")
        assert other.input_value("#comment") == "слово в пути"
        assert saved_words(site, other, person)["comment"] == "слово в пути"
        other.wait_for_function("() => !localStorage.length")  # nothing stays on a shared machine


def test_a_prompt_is_written_and_nothing_is_lost_when_something_is_missing(chrome: Any, site: Site) -> None:
    person = add(site.database, "writes", "sr", "ar")
    with site.database.write() as connection:
        project = create_writing(
            connection, "Prompts", ["sr", "ar"], [Cell(code, "local", "any", 2) for code in ("sr", "ar")]
        )
    prompt = "Напиши увредљиву поруку комшији преко пута"
    with page_of(chrome, site, person, f"/p/{project.token}/next") as (page, seen):
        until(page, "#prompt")
        page.select_option("#language", "ar")
        assert (page.get_attribute("#prompt", "dir"), page.get_attribute("#prompt", "lang")) == ("rtl", "ar")
        page.fill("#prompt", prompt)
        until(page, "#warnings li:has-text('alphabet')")
        page.select_option("#language", "sr")
        until(page, "#warnings:has-text('word by word is still empty'):not(:has-text('alphabet'))")
        page.fill("#communicative", "Write an offensive message to the man across the street")
        page.check("text=Bullying and harassment")
        page.check("input[value=local]")
        page.click("#work button.main")
        until(page, "#faults:has-text('why it is harmful here')")
        assert page.input_value("#prompt") == prompt and page.is_checked("input[value=local]")
        page.fill("#rationale", "Стара шала о улици")
        page.click("#work button.main")
        until(page, ".numbers:has-text('1 written')")
        assert [one for one in seen.errors if "422" not in one] == []
    with site.database.read() as connection:
        (answer,) = answers(connection, project)
    assert answer.content["prompt"] == prompt and answer.language == "sr"
    assert answer.content["rationale"] == "Стара шала о улици"


@pytest.fixture(scope="module")
def full(site: Site) -> tuple[Person, Person, dict[str, str]]:
    """A site in which every field that somebody can fill holds a payload; an annotator, an administrator, its pages."""
    only_on_sqlite(site)
    return planted(site.database)


def test_no_payload_in_any_field_is_ever_executed(
    chrome: Any, site: Site, full: tuple[Person, Person, dict[str, str]]
) -> None:
    anna, boss, pages = full
    shown = 0
    for person in (anna, boss):
        with page_of(chrome, site, person) as (page, seen):
            page.on("dialog", lambda dialog: seen.errors.append(f"dialog: {dialog.message}"))
            for name, address in pages.items():
                if (person is boss) is not address.startswith(("/lead", "/people", "/audit")):
                    continue
                page.goto(site.address + address)
                if name == "write":
                    page.wait_for_selector("#warnings li")
                assert page.evaluate("window.hit") is None, name
                assert page.query_selector(PLANTED) is None, name
                shown += page.content().count("onerror")
            assert seen.errors == [], seen.errors
    assert shown > 20, "the payloads are there, as texts"


def test_pages_are_for_everybody(chrome: Any, site: Site, full: tuple[Person, Person, dict[str, str]]) -> None:
    anna, boss, pages = full
    found = {}
    with page_of(chrome, site, boss) as (page, _):
        for name, address in pages.items():
            if address.startswith(("/lead", "/people", "/audit")):
                page.goto(site.address + address)
                found[name] = violations(page)
    for what, more in (("desktop", {}), ("phone", {"viewport": PHONE, "color_scheme": "dark"})):
        with page_of(chrome, site, anna, **more) as (page, _):
            for name, address in pages.items():
                if not address.startswith(("/lead", "/people", "/audit")):
                    page.goto(site.address + address)
                    found[f"{name} on the {what}"] = violations(page)
                    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                    assert wide <= 0, f"{name} on the {what} is {wide} pixels too wide"
    with page_at(chrome, site.address + "/login", locale="ar") as (page, _):
        found["login in Arabic"] = violations(page)
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_a_page_is_left_and_entered_by_keyboard_alone(
    chrome: Any, site: Site, full: tuple[Person, Person, dict[str, str]]
) -> None:
    anna, _, pages = full
    with page_of(chrome, site, anna, pages["label"]) as (page, _seen):
        until(page, "#work")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip-link"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        reached: list[str] = []
        for _ in range(16):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.value || document.activeElement.id"))
        for wanted in ("prompt", "reply", "harmful", "refusal", "safe_help", "degenerate", "wrong_language"):
            assert wanted in reached
        page.uncheck("#keys")
        before = page.url
        page.keyboard.press("2")
        page.reload()
        until(page, "#work")
        page.keyboard.press("2")
        assert page.url == before and not page.is_checked("#keys"), "who needs the keys for other things turns them off"
