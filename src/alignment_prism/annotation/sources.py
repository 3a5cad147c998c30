"""Items of a project: replies of a study, lines of a sheet (`labels sample`, `labels next`), or prompts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from alignment_prism.annotation.projects import CHOICES, Item, Kind, Project, add_items, set_design
from alignment_prism.domain import LANGUAGES, Generation, InputError, Prompt, PromptKind, content_digest
from alignment_prism.io import read_records, read_rows
from alignment_prism.io.delimited import FORMULA
from alignment_prism.labels import Design
from alignment_prism.prompts import read_prompts
from alignment_prism.store.names import GENERATIONS, PROMPTS, STUDY, design_beside
from alignment_prism.studies import Study

SHEET = ("reply_digest", "prompt", "reply")
"""Columns of a sheet that it cannot do without."""


def add_source(
    connection: Connection,
    project: Project,
    source: str | Path,
    *,
    arms: Sequence[str] = (),
    languages: Sequence[str] = (),
    number: int | None = None,
    kind: PromptKind = PromptKind.HARMFUL,
    seed: int | None = None,
) -> tuple[int, int]:
    """Add the items of a study's folder, a sheet or a file of prompts to a project.

    Args:
        connection: in a transaction that writes.
        project: that they are for.
        source: folder of a study, or of what `prism import` wrote;
            CSV or JSONL of a sheet, with its design beside it; prompts for a project of scopes.
        arms: of the study whose replies are taken; base and all others unless given. A comparison is of two.
        languages: codes to keep; all unless given.
        number: most prompts of each language, by digest, so that the same ones are taken again.
        kind: of the study's prompts.
        seed: of the study's alignment.

    Returns:
        How many items were added, and how many were there already.

    Raises:
        InputError: there is nothing to add, it does not suit the project, or something is to choose by that it does
            not have.
    """
    if project.kind in (Kind.WRITING, Kind.OPINION):
        raise InputError(f"the project {project.title!r} takes no items", fix="name one of another kind")
    wanted = {LANGUAGES.find(one).code for one in languages}
    path = Path(source)
    is_scope, is_study = project.kind is Kind.SCOPE, (path / STUDY).is_file()
    has_arms = not is_scope and (is_study or (path / GENERATIONS).is_file())
    if arms and not has_arms:
        raise _idle("arm", arms[0], source, "only replies of a study, or of an import, have arms")
    if seed is not None and not (has_arms and is_study):
        raise _idle("seed", seed, source, "only replies of a study have seeds")
    if number is not None and not (has_arms or is_scope):
        raise _idle("number", number, source, "a sheet is labelled whole")
    if is_scope:
        found = list(_prompts(read_prompts(path)))
    elif has_arms:
        found = _of_study(path, project.kind, arms, kind, seed)
    else:
        found = _of_sheet(connection, project, path)
    found = _first([one for one in found if not wanted or one.language in wanted], number)
    if not found:
        raise InputError("no items", where=str(source), fix="check languages, arms and the kind of the prompts")
    return add_items(connection, project, found)


def add_gold(connection: Connection, project: Project, source: str | Path) -> tuple[int, int]:
    """Add items whose right answer is known: a sheet whose column `label` is filled in, or prompts with a scope.

    Raises:
        InputError: a row has no answer, or one that cannot be chosen in the project.
    """
    path = Path(source)
    if project.kind is Kind.SCOPE:
        given = [(item, item.origin["scope"]) for item in _prompts(read_prompts(path))]
    elif project.kind is Kind.OUTCOME:
        rows = list(read_rows(path))
        given = [(_line(row.values, str(path), row.number), str(row.values.get("label") or "")) for row in rows]
    else:
        raise InputError("gold answers are for outcomes and scopes", fix="name a project of one of these kinds")
    found = []
    for number, (item, answer) in enumerate(given, start=1):
        if answer not in CHOICES[project.kind]:
            fix = f"write one of {', '.join(CHOICES[project.kind])}"
            raise InputError(f"the gold answer {answer[:40]!r}", where=f"{path}, row {number}", fix=fix)
        found.append(
            Item(f"gold:{item.key}", item.language, item.shown, item.origin, item.categories, gold=str(answer))
        )
    return add_items(connection, project, found)


def _idle(name: str, value: object, source: str | Path, why: str) -> InputError:
    return InputError(why, where=str(source), fix="leave that out", settings={name: str(value)})


def _of_sheet(connection: Connection, project: Project, path: Path) -> list[Item]:
    if project.kind is not Kind.OUTCOME:
        raise InputError("a sheet is labelled by outcome", where=str(path), fix="name a project of the kind outcome")
    found = [_line(row.values, str(path), row.number) for row in read_rows(path)]
    drawn = {str(item.origin["design"]) for item in found} - {""}
    beside = Path(design_beside(str(path)))
    if not drawn:
        return found
    if not beside.is_file():
        fix = "put it beside the sheet: labels without their design correct nothing"
        raise InputError("the design of the sheet is missing", where=str(beside), fix=fix)
    design = Design.read(beside)
    known = {design.digest, *design.extends}
    if drawn - known:
        raise InputError("the sheet was drawn by another design", where=str(beside), fix="use the one written with it")
    if project.design and json.loads(project.design)["design"] not in known:
        fix = "begin another project; a further draw is made by `prism labels next` from the design of this one"
        raise InputError("the project has a sheet of another design", where=str(path), fix=fix)
    set_design(connection, project, beside.read_text(encoding="utf-8"))
    return found


def _line(values: Mapping[str, Any], path: str, number: int) -> Item:
    texts = {name: "" if value is None else str(value) for name, value in values.items()}
    missing = [name for name in SHEET if name not in texts]
    if missing:
        fix = f"give a sheet with the columns {', '.join(SHEET)}, or the folder of a study"
        raise InputError(f"no column {missing[0]!r}", where=path, fix=fix)
    if not texts["reply_digest"]:
        raise InputError("reply_digest is empty", where=f"{path}, row {number}", fix="keep the sheet's keys")
    language = LANGUAGES.find(texts.get("language") or "und").code
    origin = {name: texts.get(name, "") for name in ("item", "design", "question")}
    shown = {name: _cell(texts[name]) for name in ("prompt", "reply")}
    return Item(texts["reply_digest"], language, shown, {**origin, "reply_digest": texts["reply_digest"]})


def _cell(text: str) -> str:
    """A text without the apostrophe that `write_table` puts before what a spreadsheet would compute."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _of_study(path: Path, what: Kind, arms: Sequence[str], kind: PromptKind, seed: int | None) -> list[Item]:
    asked, given, base = _records(path, seed)
    prompts = {prompt.id: prompt for prompt in asked if prompt.kind is kind}
    replies = [one for one in given if one.prompt_id in prompts and one.sample == 0]
    there = list(dict.fromkeys(one.arm for one in replies))
    if unknown := set(arms) - set(there):
        raise InputError(f"no arm {sorted(unknown)[0]!r}", where=str(path), fix=f"use some of {', '.join(there)}")
    names = list(arms) or there
    if what is Kind.OUTCOME:
        return _replies([one for one in replies if one.arm in names], prompts)
    if not arms and base in there:
        names = [*(name for name in there if name != base), base]
    if len(names) != 2:
        fix = f"name two of {', '.join(there)}, the candidate first"
        raise InputError(f"{len(names)} arms to compare", where=str(path), fix=fix, settings={"arm": "NAME"})
    return _pairs(replies, prompts, names[0], names[1])


def _records(path: Path, seed: int | None) -> tuple[Iterable[Prompt], Iterable[Generation], str]:
    """Prompts, replies and the name of base of a study, or of a folder that `prism import` wrote."""
    if (path / STUDY).is_file():
        study = Study.open(path)
        if seed is not None and not study.seeds:
            raise _idle("seed", seed, path, "the study trained nothing, so that it has no seeds")
        return study.prompts(), study.generations(seed), study.base or ""
    return read_records(path / PROMPTS, Prompt), read_records(path / GENERATIONS, Generation), "base"


def _replies(replies: Iterable[Generation], prompts: dict[str, Prompt]) -> list[Item]:
    """One item a reply; one that several arms gave alike comes once."""
    arms: dict[str, list[str]] = {}
    first: dict[str, Generation] = {}
    for one in replies:
        arms.setdefault(one.reply_digest, []).append(one.arm)
        first.setdefault(one.reply_digest, one)
    found = []
    for digest, one in first.items():
        prompt = prompts[one.prompt_id]
        origin = {"reply_digest": digest, "prompt_id": prompt.id, "arms": arms[digest]}
        found.append(_item(digest, prompt, {"reply": one.reply}, origin))
    return found


def _pairs(replies: Iterable[Generation], prompts: dict[str, Prompt], arm: str, opponent: str) -> list[Item]:
    by_arm: dict[str, dict[str, Generation]] = {arm: {}, opponent: {}}
    for one in replies:
        if one.arm in by_arm:
            by_arm[one.arm][one.prompt_id] = one
    found = []
    for key, candidate in by_arm[arm].items():
        other = by_arm[opponent].get(key)
        if other is None or other.reply == candidate.reply:
            continue  # nothing to prefer
        origin = {"prompt_id": key, "arm": arm, "opponent": opponent}
        digest = content_digest(key, candidate.reply_digest, other.reply_digest)
        found.append(_item(digest, prompts[key], {"first": candidate.reply, "second": other.reply}, origin))
    return found


def _prompts(prompts: Iterable[Prompt]) -> Iterator[Item]:
    for prompt in prompts:
        scope = prompt.scope.value if prompt.scope else ""
        translation = str(prompt.metadata.get("semantic_translation") or "")
        yield _item(prompt.id, prompt, {"translation": translation}, {"prompt_id": prompt.id, "scope": scope})


def _item(key: str, prompt: Prompt, shown: dict[str, str], origin: Mapping[str, Any]) -> Item:
    said = "\n\n".join(turn.content for turn in prompt.messages if turn.content)
    return Item(key, prompt.language, {"prompt": said, **shown}, origin, prompt.categories)


def _first(found: list[Item], number: int | None) -> list[Item]:
    """Items in an order that follows from their keys alone, and of each language the first prompts."""
    if all("item" in one.origin for one in found):
        return found  # a sheet has its own order
    found = sorted(found, key=lambda one: content_digest("order", one.key))
    if number is None:
        return found
    prompts: dict[str, Counter[str]] = {}
    for one in sorted(found, key=lambda one: content_digest("prompt", str(one.origin["prompt_id"]))):
        taken = prompts.setdefault(one.language, Counter())
        key = str(one.origin["prompt_id"])
        if key in taken or len(taken) < number:
            taken[key] += 1
    return [one for one in found if str(one.origin["prompt_id"]) in prompts[one.language]]
