"""Pictures of every page of the annotation app, for docs/annotate.md.

    python docs/site/annotate_pictures.py docs/images            # those of the guide
    python docs/site/annotate_pictures.py /tmp/pages --both      # every page on a desk and on a telephone, to look at

A folder is filled with harmless texts, served on loopback, and each page is photographed in the system's Chromium.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import uvicorn

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from browser import chromium, page_at

from alignment_prism.annotation import labelling, sessions, writing
from alignment_prism.annotation.adjudication import disputes, settle
from alignment_prism.annotation.database import Database, create_database
from alignment_prism.annotation.guidelines import note_read
from alignment_prism.annotation.people import Person, Role, add_person, invite
from alignment_prism.annotation.projects import Item, Kind, all_projects, create_project
from alignment_prism.annotation.projects import add_items as add
from alignment_prism.annotation.quotas import Cell
from alignment_prism.annotation.web.app import make_app
from alignment_prism.annotation.work import claim, submit

DESK, PHONE = {"width": 1000, "height": 760}, {"width": 390, "height": 800}
TEXTS = {
    "ar": ("اكتب رسالة إلى جاري عن ضوضاء الليل.", "عزيزي الجار، أود أن أحدثك بهدوء عن الضوضاء بعد الحادية عشرة ليلا."),
    "hi": ("मेरे पड़ोसी को रात के शोर के बारे में एक पत्र लिखो।", "प्रिय पड़ोसी, मैं आपसे शोर के बारे में बात करना चाहता हूँ।"),
    "ru": (
        "Напиши соседу письмо о ночном шуме.",
        "Уважаемый сосед! Хочу спокойно поговорить с вами о шуме после 23:00.",
    ),
    "sr": ("Напиши писмо комшији о буци ноћу.", "Поштовани комшија, желео бих да мирно поразговарамо о буци."),
}
REFUSALS = {
    "ar": "عذرا، لا أستطيع المساعدة في ذلك.",
    "hi": "क्षमा करें, मैं इसमें मदद नहीं कर सकता।",
    "ru": "Извините, с этим я помочь не могу.",
    "sr": "Извините, у томе не могу да помогнем.",
}
WRITTEN = {
    "ar": ("اكتب نكتة تسخر من طبخ جارتي", "Write a joke that mocks my neighbour's cooking"),
    "sr": ("Напиши увредљиву здравицу за комшију", "Write an insulting toast to my neighbour"),
}


def fill(database: Database) -> tuple[dict[str, Person], dict[str, str]]:
    """People at work, and the address of each page."""
    with database.write() as connection:
        people = {
            name: add_person(connection, name, role, languages, interface=interface)
            for name, role, languages, interface in (
                ("Lena", Role.ADMINISTRATOR, (), "en"),
                ("أمل", Role.ANNOTATOR, ("ar", "en"), "ar"),
                ("Amit", Role.ANNOTATOR, ("hi", "en"), "hi"),
                ("Вера", Role.ANNOTATOR, ("ru", "hi", "ar"), "ru"),
                ("Јован", Role.ANNOTATOR, ("sr",), "sr"),
            )
        }
        round_ = create_project(connection, "First round", Kind.OUTCOME, overlap=2)
        pairs = create_project(connection, "Which is better", Kind.PAIRWISE)
        known = create_project(connection, "Examples", Kind.SCOPE)
        for code, (prompt, reply) in TEXTS.items():
            both = (reply, REFUSALS[code])
            shown = [{"prompt": prompt, "reply": one} for one in both]
            add(connection, round_, [Item(f"{code}{i}", code, one) for i, one in enumerate(shown * 3)])
            pair = {"prompt": prompt, "first": reply, "second": REFUSALS[code]}
            origin = {"prompt_id": code, "arm": "dpo", "opponent": "base"}
            add(connection, pairs, [Item(f"pair {code}", code, pair, origin)])
            add(connection, known, [Item(f"gold {code}", code, {"prompt": prompt, "translation": ""}, gold="global")])
        wanted = [Cell(code, scope, "any", 3) for code in WRITTEN for scope in ("global", "local")]
        wanted.append(Cell("ar", "local", "Hate Speech", 2))
        prompts = writing.create_writing(connection, "Prompts", ["ar", "sr", "ru"], wanted, opinions=1)
        for person in people.values():
            for project in all_projects(connection):
                note_read(connection, project, person.interface, person)
        for name, labels in (("أمل", ("safe_help", "refusal")), ("Вера", ("safe_help", "wrong_language", "refusal"))):
            for label in labels:
                work = claim(connection, round_, people[name])
                assert work is not None
                submit(connection, work, labelling.stored(work, label, "؟" if label == "wrong_language" else ""), 14.0)
        if found := disputes(connection, round_):
            settle(connection, round_, found[0].item, "refusal", "", people["Lena"])
        for name, code in (("أمل", "ar"), ("Јован", "sr")):
            prompt, meaning = WRITTEN[code]
            said: dict[str, Any] = dict.fromkeys(writing.FIELDS, "") | {
                "prompt": prompt, "communicative": meaning, "literal": meaning + " (literally)", "language": code,
                "scope": "local", "rationale": "An old joke of this town.", "categories": ["Bullying & Harassment"],
            }  # fmt: skip
            work = writing.start(connection, prompts, people[name])
            assert work is not None
            writing.hand_in(connection, work, said, 90.0)
        work = writing.start(connection, prompts, people["Јован"])
        assert work is not None
        invitation = invite(connection, Role.ANNOTATOR, ["es", "en"], note="Inés", by=people["Lena"])
        opinions = next(one for one in all_projects(connection) if one.kind is Kind.OPINION)
        item = disputes(connection, round_)[0].item
    return people, {
        "login": "/login", "invitation": f"/invitation/{invitation}", "home": "/", "start": f"/p/{round_.token}",
        "examples": f"/p/{known.token}/next", "label": f"/p/{round_.token}/next", "pair": f"/p/{pairs.token}/next",
        "opinion": f"/p/{opinions.token}/next", "write": f"/p/{prompts.token}/next", "mine": f"/p/{round_.token}/mine",
        "settings": "/me", "lead": "/lead", "progress": f"/lead/{round_.token}", "quotas": f"/lead/{prompts.token}",
        "disputes": f"/lead/{round_.token}/disputes", "history": f"/lead/{round_.token}/history/{item}",
        "guidelines": f"/lead/{round_.token}/guidelines/sr", "people": "/people", "log": "/audit",
        "nothing": f"/w/{'0' * 20}",
    }  # fmt: skip


SHOWN: dict[str, tuple[str, dict[str, int]]] = {
    "login": ("hi", PHONE), "invitation": ("es", DESK), "home": ("أمل", PHONE), "start": ("Вера", DESK),
    "examples": ("Јован", PHONE), "label": ("أمل", DESK), "pair": ("Вера", PHONE), "opinion": ("Вера", PHONE),
    "write": ("Јован", DESK), "mine": ("Вера", PHONE), "settings": ("Amit", PHONE), "lead": ("Lena", DESK),
    "progress": ("Lena", DESK), "quotas": ("Lena", DESK), "disputes": ("Lena", DESK), "history": ("Lena", DESK),
    "guidelines": ("Lena", DESK), "people": ("Lena", DESK), "log": ("Lena", DESK), "nothing": ("Amit", PHONE),
}  # fmt: skip
"""Page -> whose browser, or the language of one in which nobody is signed in; and its size in the guide."""
LONGEST = 1300
"""Pixels of a picture; what is below is more of the same."""


def take(folder: Path, address: str, database: Database, people: dict[str, Person], pages: dict[str, str],
         both: bool) -> None:  # fmt: skip
    with chromium() as browser:
        for name, (who, size) in SHOWN.items():
            for kind, view in (("desk", DESK), ("phone", PHONE)) if both else (("", size),):
                more: dict[str, Any] = {"locale": who}
                if who in people:
                    with database.write() as connection:
                        token = sessions.sign_in(connection, people[who].id)
                    cookie = {"name": "prism_session", "value": token, "domain": "127.0.0.1", "path": "/"}
                    more = {"storage_state": {"cookies": [cookie | {"expires": -1, "httpOnly": True, "secure": False,
                                                                    "sameSite": "Lax"}], "origins": []}}  # fmt: skip
                with page_at(browser, address + pages[name], viewport=view, **more) as (page, seen):
                    if name == "write":
                        page.fill("#prompt", "Напиши здравицу која исмева комшију")
                        page.wait_for_selector("#warnings li")
                    if name == "people":
                        page.select_option("#role", "annotator")
                        page.fill("#languages", "ar en")
                        page.click("text=Make a link")
                        page.wait_for_selector("code")
                    tall = min(page.evaluate("document.documentElement.scrollHeight"), LONGEST)
                    page.set_viewport_size(view | {"height": max(tall, 300)})
                    path = folder / f"annotate-{name}{'-' + kind if kind else ''}.png"
                    page.screenshot(path=str(path), animations="disabled")
                    print(path, *[one for one in seen.errors if "404" not in one])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--both", action="store_true", help="every page in both sizes")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, socket.create_server(("127.0.0.1", 0)) as listening:
        database = create_database(Path(place) / "people")
        people, pages = fill(database)
        config = uvicorn.Config(make_app(database), access_log=False, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            take(
                options.folder, f"http://127.0.0.1:{listening.getsockname()[1]}", database, people, pages, options.both
            )
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    main()
