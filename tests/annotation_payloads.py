"""An annotation folder in which every field holds texts that a careless page would run: HTML, scripts, templates."""

from __future__ import annotations

from typing import Any

from annotators import add, make_project

from alignment_prism.annotation import labelling
from alignment_prism.annotation import writing as writings
from alignment_prism.annotation.adjudication import disputes, settle
from alignment_prism.annotation.database import Database
from alignment_prism.annotation.guidelines import publish
from alignment_prism.annotation.people import Person, Role
from alignment_prism.annotation.projects import Item, Kind
from alignment_prism.annotation.quotas import Cell
from alignment_prism.annotation.work import claim, save_draft, submit

PAYLOADS = [
    "<script>window.hit=1</script>",
    '"><img src=x onerror=window.hit=1>',
    "'><svg onload=window.hit=1>",
    "javascript:window.hit=1",
    "{{ 7*7 }}${7*7}<%= 7*7 %>",
    "</textarea><script>window.hit=1</script>",
    "<a hx-get=/me hx-trigger=load hx-on::load=window.hit=1>x</a>",
    "\u202e<iframe srcdoc='<script>parent.hit=1</script>'>",
]
EVERYTHING = " ".join(PAYLOADS)
PLANTED = "img, svg, iframe, script:not([src]), [onerror], [onload], [srcdoc], main [hx-get], a[href^='javascript']"
"""Selects what is on a page when a payload is not shown as text."""


def planted(database: Database) -> tuple[Person, Person, dict[str, str]]:
    """Let every field that somebody can fill hold a payload; an annotator, an administrator, and their pages."""
    anna = add(database, f"<b>{PAYLOADS[1][:30]}", "ar", "en")
    boris = add(database, "boris", "ar")
    boss = add(database, f"<i>{PAYLOADS[2][:25]}", role=Role.ADMINISTRATOR)
    shown = {"prompt": EVERYTHING, "reply": EVERYTHING}
    title = PAYLOADS[1]
    project = make_project(database, [Item(f"x{i}", "ar", shown) for i in range(3)], title=title, overlap=2)
    pair = {"prompt": EVERYTHING, "first": EVERYTHING, "second": EVERYTHING + "2"}
    pairs = make_project(database, [Item("pair", "ar", pair)], Kind.PAIRWISE, title=title + "2")
    with database.write() as connection:
        writing = writings.create_writing(connection, title + "3", ["ar"], [Cell("ar", "local", "any", 2)], opinions=1)
        publish(connection, project, "en", f"# {EVERYTHING}\n\n- {EVERYTHING}\n\n{EVERYTHING}", boss)
    pages = {
        "home": "/", "project": f"/p/{project.token}", "label": f"/p/{project.token}/next", "mine":
        f"/p/{project.token}/mine", "pair": f"/p/{pairs.token}/next", "write": f"/p/{writing.token}/next", "me": "/me",
        "lead": "/lead", "dashboard": f"/lead/{project.token}", "disputes": f"/lead/{project.token}/disputes",
        "history": f"/lead/{project.token}/history/1", "guidelines": f"/lead/{project.token}/guidelines/en",
        "quotas": f"/lead/{writing.token}", "people": "/people", "audit": "/audit",
    }  # fmt: skip
    with database.write() as connection:
        for person, label in ((anna, "harmful"), (boris, "refusal")):
            work = claim(connection, project, person)
            assert work is not None
            submit(connection, work, labelling.stored(work, label, EVERYTHING))
        settle(connection, project, disputes(connection, project)[0].item, "harmful", EVERYTHING, boss)
        pages["history"] = f"/lead/{project.token}/history/{disputes(connection, project)[0].item}"
        written = writings.start(connection, writing, anna)
        assert written is not None
        content: dict[str, Any] = dict.fromkeys(writings.FIELDS, EVERYTHING)
        content |= {"language": "ar", "scope": "local", "categories": ["Profanity"]}
        writings.hand_in(connection, written, content, 0.0)
        again = writings.start(connection, writing, anna)
        assert again is not None
        save_draft(connection, again, content)
    return anna, boss, pages
