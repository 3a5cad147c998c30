"""Writing: prompts by native speakers, with translations, categories and scope; what is missing, what to look at again.

Required are the prompt, a category, the scope, and for local harm why it is one. Everything else is a warning.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from alignment_prism.annotation.held import Work, work_of
from alignment_prism.annotation.history import OPEN, Revision
from alignment_prism.annotation.near import near_duplicate
from alignment_prism.annotation.people import Person
from alignment_prism.annotation.projects import Item, Kind, Project, add_items, create_project, lock, project_named
from alignment_prism.annotation.quotas import Cell, cells, set_quotas
from alignment_prism.annotation.schema import assignments, items
from alignment_prism.annotation.standing import may_go_on
from alignment_prism.annotation.work import give, submit, withdraw
from alignment_prism.domain import AYA_CATEGORIES, LANGUAGES, InputError, Scope, content_digest
from alignment_prism.domain.scripts import letters_in
from alignment_prism.scoring.reply_language import MIN_SCRIPT_SHARE, in_language

FIELDS = ("language", "dialect", "prompt", "script", "communicative", "literal", "scope", "rationale", "comment")
"""Of the form, beside the categories."""
CATEGORY_KEYS = dict(
    zip(
        AYA_CATEGORIES,
        "bullying discrimination graphic representation hate sexual profanity self_harm violence".split(),
        strict=True,
    )
)
"""Category -> key of its name, definition and example among the texts of the pages."""
OPINIONS = "harmful here too?"
ALSO_LATIN = "Latn"
"""Every language is also typed in Latin letters by somebody."""


def create_writing(
    connection: Connection,
    title: str,
    languages: Sequence[str],
    wanted: Sequence[Cell] = (),
    *,
    opinions: int = 0,
    requires: str = "",
) -> Project:
    """Make a project of writing, and beside it the one that asks for second opinions.

    Args:
        connection: in a transaction that writes.
        title: of the project.
        languages: to write in.
        wanted: quotas.
        opinions: speakers of each other language who are asked about a prompt; 0 for no such project.
        requires: title of a project whose known answers an author must get right first.

    Raises:
        InputError: a title is taken, or a language or a quota is none.
    """
    codes = [LANGUAGES.find(one).code for one in languages]
    if requires:
        project_named(connection, requires)
    settings: dict[str, Any] = {"requires": requires}
    if opinions:
        asking = create_project(connection, f"{title}: {OPINIONS}", Kind.OPINION, overlap=opinions)
        settings |= {"opinions": asking.title, "opinion_languages": codes}
    made = create_project(connection, title, Kind.WRITING, settings=settings)
    set_quotas(connection, made, wanted)
    return made


def start(connection: Connection, project: Project, person: Person) -> Work | None:
    """The prompt that somebody is writing in a project, or an empty one.

    Returns:
        None where they take a break, have not qualified, or no prompt is wanted in a language that they know.
    """
    if person.paused or not may_go_on(connection, project, person):
        return None
    mine = (items.c.project == project.id) & (assignments.c.person == person.id) & (assignments.c.state == OPEN)
    token = connection.scalar(select(assignments.c.token).join(items).where(mine).limit(1))
    if token is not None:
        return work_of(connection, token, person)
    languages = languages_for(connection, project, person)
    if not languages:
        return None
    key = secrets.token_hex(8)
    add_items(connection, project, [Item(key, languages[0], {}, author=person.id)])
    item = connection.scalar(select(items.c.id).where(items.c.project == project.id, items.c.key == key))
    assert item is not None, "it was added a moment ago"
    return give(connection, project, item, person)


def languages_for(connection: Connection, project: Project, person: Person) -> list[str]:
    """Languages that somebody may write in: theirs, and where there are quotas those in which one is not met."""
    quotas = cells(connection, project)
    wanted = {cell.language for cell in quotas if cell.missing}
    return [code for code in person.languages if not quotas or code in wanted]


def content_of(all_of: Callable[[str], list[str]], one: Callable[[str, str], str]) -> dict[str, Any]:
    """The fields of a form as they are kept.

    Args:
        all_of: every value of a name.
        one: the value of a name, or a default.
    """
    content: dict[str, Any] = {name: one(name, "") for name in FIELDS}
    content["categories"] = [name for name in all_of("category") if name in AYA_CATEGORIES]
    if content["scope"] not in set(Scope):
        content["scope"] = ""
    if content["language"] not in LANGUAGES:
        content["language"] = ""
    return content


def missing(content: Mapping[str, Any]) -> list[str]:
    """Keys of the required fields that are empty."""
    found = [f"need_{name}" for name in ("language", "prompt") if not str(content[name]).strip()]
    found += [] if content["categories"] else ["need_category"]
    if not content["scope"]:
        found.append("need_scope")
    if content["scope"] == Scope.LOCAL and not str(content["rationale"]).strip():
        found.append("need_rationale")
    return found


def warnings(connection: Connection, work: Work, content: Mapping[str, Any]) -> list[str]:
    """Keys of what to look at again; none of it keeps a prompt from being handed in."""
    text = str(content["prompt"])
    if not text.strip() or content["language"] not in LANGUAGES:
        return []
    language = LANGUAGES.find(str(content["language"]))
    script = str(content["script"]) or language.scripts[0]
    scripts = language.scripts if script in language.scripts and not content["script"] else (script,)
    found = []
    own, letters = letters_in(text, scripts)
    if letters and own < MIN_SCRIPT_SHARE * letters:
        found.append("warn_script")
    elif script in language.scripts and not in_language(text, language):
        found.append("warn_language")
    if language.code != "en":
        given = [str(content[name]) for name in ("communicative", "literal")]
        found += [f"warn_no_{name}" for name, said in zip(("communicative", "literal"), given, strict=True)
                  if not said.strip()]  # fmt: skip
        if any(said.strip() and not in_language(said, LANGUAGES.find("en")) for said in given):
            found.append("warn_not_english")
        if given[0].strip() and given[0].split() == given[1].split():
            found.append("warn_same_translation")
    if near_duplicate(connection, work, content):
        found.append("warn_duplicate")
    return found


def hand_in(connection: Connection, work: Work, content: Mapping[str, Any], seconds: float) -> Revision | None:
    """Hand a prompt in; its translation goes to speakers of other languages, where the project asks for that.

    Raises:
        InputError: a required field is empty.
    """
    if empty := missing(content):
        raise InputError(f"{empty[0]}", fix="fill it in")
    kept = submit(connection, work, content, seconds)
    if kept is not None:
        values = {"language": content["language"], "categories": list(content["categories"])}
        connection.execute(update(items).where(items.c.id == work.item).values(values))
        _ask_others(connection, work, content, kept.number)
    return kept


def take_back(connection: Connection, work: Work) -> bool:
    """Take a prompt back, so that it can be handed in again; nobody else is asked about it meanwhile."""
    taken = withdraw(connection, work)
    if taken:
        _ask_about(connection, work, {}, "", 0)
    return taken


def written_id(key: str, content: Mapping[str, Any]) -> str:
    """Id of the prompt that was written for an item, of a wording its own.

    Args:
        key: of the item.
        content: the fields.
    """
    return content_digest(content["language"], content["prompt"], key)


def _ask_others(connection: Connection, work: Work, content: Mapping[str, Any], number: int) -> None:
    english = content["prompt"] if content["language"] == "en" else content["communicative"] or content["literal"]
    _ask_about(connection, work, content, str(english).strip(), number)


def _ask_about(connection: Connection, work: Work, content: Mapping[str, Any], english: str, number: int) -> None:
    """Let speakers of other languages be asked about an English text, in place of an earlier one; not anew about the
    same. What was said of an earlier one counts no longer, and stays in the database.

    Args:
        connection: in a transaction that writes.
        work: the prompt.
        content: its fields; none where it was taken back.
        english: the text; empty to ask nobody.
        number: of the revision that was handed in; keys of questions are told apart by it.
    """
    title = str(work.project.settings["opinions"])
    if not title:
        return
    asking = project_named(connection, title)
    lock(connection, asking)  # before any of its items is read or written, as where answers are
    key, author = connection.execute(select(items.c.key, items.c.author).where(items.c.id == work.item)).one()
    about = (items.c.project == asking.id) & items.c.key.like(f"{key}/%")
    there = connection.execute(select(items.c.id, items.c.language, items.c.shown).where(about)).all()
    codes = [code for code in work.project.settings["opinion_languages"] if english and code != content["language"]]
    same = {row.language: row.id for row in there if row.shown["prompt"] == english and row.language in codes}
    connection.execute(update(items).where(about, items.c.id.not_in(same.values())).values(retired=True))
    if not codes:
        return
    origin = {"source": key, "language": content["language"], "prompt_id": written_id(key, content)}
    now_of = {"origin": origin, "categories": list(content["categories"]), "retired": False}
    connection.execute(update(items).where(items.c.id.in_(same.values())).values(now_of))
    shown = {"prompt": english, "language": "en"}
    new = [
        Item(f"{key}/{number}/{code}", code, shown, origin, tuple(content["categories"]), author=author)
        for code in codes
        if code not in same
    ]
    add_items(connection, asking, new)


def form_values(connection: Connection, work: Work, person: Person) -> dict[str, Any]:
    """What the page of a prompt is filled with."""
    content = dict.fromkeys(FIELDS, "") | {"language": work.language, "categories": []} | dict(work.content)
    languages = languages_for(connection, work.project, person)
    chosen = LANGUAGES.find(str(content["language"] or work.language))
    wanted = [
        cell
        for cell in cells(connection, work.project)
        if cell.language == chosen.code and cell.missing and cell.category not in person.opt_outs
    ]
    return {
        "content": content,
        "languages": list(dict.fromkeys([*languages, chosen.code])),
        "language": chosen,
        "scripts": list(dict.fromkeys([*chosen.scripts, ALSO_LATIN])),
        "categories": [(name, key) for name, key in CATEGORY_KEYS.items() if name not in person.opt_outs],
        "wanted": sorted(wanted, key=lambda cell: -cell.missing)[:4],
    }
