"""What people said, out of the database and into files: labels, settled answers, comparisons, prompts, the Aya schema.

A project's labels are written as filled-in sheets, so that `prism agreement`, `labels correct` and `labels passport`
read them as they are. Texts of prompts and replies are in prompts and data sets alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from alignment_prism.annotation.history import DONE, FINAL
from alignment_prism.annotation.projects import Kind, Project
from alignment_prism.annotation.schema import assignments, decisions, guidelines, items, people, reads, revisions
from alignment_prism.annotation.writing import written_id
from alignment_prism.domain import (
    LANGUAGES,
    Comparison,
    InputError,
    Prompt,
    PromptKind,
    Scope,
    StoreError,
    Winner,
    user,
)
from alignment_prism.io import write_records, write_text
from alignment_prism.labels import write_sheet
from alignment_prism.store.names import design_beside

RUBRIC = "annotation@1"
"""What people were asked, in records of comparisons."""
WINNERS = {"first": Winner.WIN, "second": Winner.LOSS, "tie": Winner.TIE}


@dataclass(frozen=True, slots=True)
class Answer:
    """One final answer of one person.

    Attributes:
        item: id of the item.
        key: what it is about.
        language: of the item.
        shown: the item's texts.
        origin: the item's source.
        annotator: name of the person; `settled` for a lead's decision.
        content: label and comment, or the fields of a prompt that was written.
        flipped: whether the second of two replies stood on the left.
        seconds: of attention, drafts included.
        at: when it was handed in.
    """

    item: int
    key: str
    language: str
    shown: Mapping[str, Any]
    origin: Mapping[str, Any]
    annotator: str
    content: Mapping[str, Any]
    flipped: bool
    seconds: float
    at: float


def answers(connection: Connection, project: Project, *, gold: bool = False) -> list[Answer]:
    """The answers that count, in the order of the items; those to gold items apart."""
    newest = (
        select(revisions.c.assignment, func.max(revisions.c.number).label("number"))
        .where(revisions.c.kind == FINAL)
        .group_by(revisions.c.assignment)
        .subquery()
    )
    spent = select(func.sum(revisions.c.seconds)).where(revisions.c.assignment == assignments.c.id).scalar_subquery()
    last = revisions.alias()
    query = (
        select(items, assignments.c.flipped, people.c.name, last.c.content, last.c.at, spent.label("seconds"))
        .join(assignments, assignments.c.item == items.c.id)
        .join(people, people.c.id == assignments.c.person)
        .join(newest, newest.c.assignment == assignments.c.id)
        .join(last, (last.c.assignment == assignments.c.id) & (last.c.number == newest.c.number))
        .where(items.c.project == project.id, items.c.retired.is_(False), assignments.c.state == DONE)
        .where(items.c.gold.is_not(None) if gold else items.c.gold.is_(None))
        .order_by(items.c.position, assignments.c.id)
    )
    return [
        Answer(
            item=row.id,
            key=row.key,
            language=row.language,
            shown=row.shown,
            origin=row.origin,
            annotator=row.name,
            content=row.content,
            flipped=row.flipped,
            seconds=float(row.seconds or 0.0),
            at=row.at,
        )
        for row in connection.execute(query)
    ]


def settled(connection: Connection, project: Project) -> list[Answer]:
    """What leads settled, the last decision on each item."""
    newest = select(func.max(decisions.c.id)).group_by(decisions.c.item)
    query = (
        select(items, decisions.c.content, decisions.c.at.label("decided"))
        .join(decisions, decisions.c.item == items.c.id)
        .where(items.c.project == project.id, items.c.retired.is_(False), decisions.c.id.in_(newest))
        .order_by(items.c.position)
    )
    return [
        Answer(row.id, row.key, row.language, row.shown, row.origin, "settled", row.content, False, 0.0, row.decided)
        for row in connection.execute(query)
    ]


def guidelines_read(connection: Connection, project: Project) -> dict[str, list[tuple[float, str]]]:
    """When each person read which version of a project's guidelines, such as `ar@2`, oldest first."""
    query = (
        select(people.c.name, reads.c.at, guidelines.c.language, guidelines.c.version)
        .join(reads, reads.c.person == people.c.id)
        .join(guidelines, guidelines.c.id == reads.c.guideline)
        .where(guidelines.c.project == project.id)
        .order_by(reads.c.at)
    )
    found: dict[str, list[tuple[float, str]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.name, []).append((row.at, f"{row.language}@{row.version}"))
    return found


def label_lines(found: list[Answer], read: Mapping[str, list[tuple[float, str]]]) -> list[dict[str, str]]:
    """Answers as lines of a sheet: its columns without the texts, seconds, and the guidelines that were read last."""
    return [
        {
            "item": str(number),
            "reply_digest": str(answer.origin.get("reply_digest", answer.key)),
            "design": str(answer.origin.get("design", "")),
            "language": answer.language,
            "question": str(answer.origin.get("question", "")),
            "prompt_id": str(answer.origin.get("prompt_id", "")),
            "annotator": answer.annotator,
            "label": str(answer.content.get("label", "")),
            "comment": str(answer.content.get("comment", "")),
            "seconds": f"{answer.seconds:.1f}",
            "guidelines": next((name for at, name in reversed(read.get(answer.annotator, [])) if at <= answer.at), ""),
        }
        for number, answer in enumerate(found, start=1)
    ]


def comparisons(found: list[Answer]) -> Iterator[Comparison]:
    """Preferences as our records; who was shown on the left is who was shown first."""
    for answer in found:
        label = str(answer.content.get("label", ""))
        yield Comparison(
            prompt_id=str(answer.origin["prompt_id"]),
            arm=str(answer.origin["arm"]),
            opponent=str(answer.origin["opponent"]),
            candidate_first=not answer.flipped,
            judge=f"human:{answer.annotator}",
            rubric=RUBRIC,
            winner=WINNERS.get(label, Winner.UNJUDGED),
            raw=str(answer.content.get("comment", "")),
        )


def write_labels(connection: Connection, project: Project, path: str) -> list[str]:
    """Write the labels of a project, and the design of its sample beside them.

    Args:
        connection: a snapshot.
        project: of outcomes, scopes or opinions (CSV or JSONL), or of pairs (comparisons: Parquet or JSONL).
        path: of the file.

    Returns:
        The files that were written.

    Raises:
        InputError: nobody has answered yet, or the project is one of writing.
    """
    found = answers(connection, project)
    _require(found, project)
    if project.kind is Kind.WRITING:
        fix = "export it as aya, prompts or dataset"
        raise InputError(f"the project {project.title!r} holds prompts, not labels", fix=fix)
    if project.kind is Kind.PAIRWISE:
        write_records(path, comparisons(found), Comparison)
        return [path]
    return _write_lines(connection, project, path, found)


def write_settled(connection: Connection, project: Project, path: str) -> list[str]:
    """Write the answers that leads settled, which the correction of a judge takes for the truth.

    Raises:
        InputError: none was settled.
    """
    found = settled(connection, project)
    _require(found, project, "settled")
    return _write_lines(connection, project, path, found)


def _write_lines(connection: Connection, project: Project, path: str, found: list[Answer]) -> list[str]:
    write_sheet(path, label_lines(found, guidelines_read(connection, project)))
    if not project.design:
        return [path]
    write_text(design_beside(path), project.design)
    return [path, design_beside(path)]


def _require(found: list[Answer], project: Project, what: str = "handed in") -> None:
    if not found:
        raise InputError(f"nothing was {what} in {project.title!r}", fix="wait until somebody has answered")


def aya_row(answer: Answer) -> dict[str, str | None]:
    """A prompt that was written, in the columns of the Aya Red-teaming set (arXiv 2406.18682)."""
    said = answer.content
    return {
        "prompt": str(said["prompt"]),
        "language": LANGUAGES.find(answer.language).name,
        "harm_category": json.dumps(list(said["categories"]), ensure_ascii=False),
        "global_or_local": str(said["scope"]),
        "literal_translation": str(said.get("literal") or "") or None,
        "semantic_translation": str(said.get("communicative") or "") or None,
        "explanation": str(said.get("rationale") or said.get("comment") or ""),
    }


def prompt_record(answer: Answer) -> Prompt:
    """A prompt that was written, as our record."""
    said = answer.content
    row = aya_row(answer)
    extra = {name: row[name] for name in ("literal_translation", "semantic_translation", "explanation")}
    facts = {"dialect": said.get("dialect"), "script": said.get("script"), "annotator": answer.annotator}
    return Prompt(
        id=written_id(answer.key, said),
        messages=user(str(said["prompt"])),
        language=answer.language,
        scope=Scope(str(said["scope"])),
        categories=tuple(map(str, said["categories"])),
        source="annotation",
        metadata={name: value for name, value in (extra | facts).items() if value},
        kind=PromptKind.HARMFUL,
    )


def write_prompts(connection: Connection, project: Project, path: str) -> list[str]:
    """Write the prompts of a writing project as our records, `.jsonl` or `.parquet`."""
    write_records(path, map(prompt_record, _written(connection, project)), Prompt)
    return [path]


def write_aya(connection: Connection, project: Project, path: str) -> list[str]:
    """Write the prompts of a writing project in the columns of the Aya set, as JSONL."""
    if not path.endswith(".jsonl"):
        raise InputError(f"the Aya schema is not written as {path!r}", fix="name it .jsonl")
    write_text(path, _jsonl(map(aya_row, _written(connection, project))))
    return [path]


def write_dataset(connection: Connection, project: Project, folder: str) -> list[str]:
    """Write the prompts of a writing project as a folder that `datasets.load_dataset` reads, one split a language.

    The card names the columns and counts and says what is left to say: licence, who wrote, how they were paid.

    Raises:
        InputError: nobody has handed in a prompt, or the project is of labels.
        StoreError: the folder holds an earlier export's prompts in a language that has none any more.
    """
    by_language: dict[str, list[Answer]] = {}
    for answer in _written(connection, project):
        by_language.setdefault(answer.language, []).append(answer)
    paths = {code: Path(folder) / f"aya_{LANGUAGES.find(code).iso639_3}.jsonl" for code in sorted(by_language)}
    if left := sorted({*Path(folder).glob("aya_*.jsonl")} - {*paths.values()}):
        fix = "remove it, so that what was taken back is not passed on; or name another folder"
        raise StoreError("prompts of an earlier export, in a language that has none now", where=str(left[0]), fix=fix)
    for code, path in paths.items():
        write_text(path, _jsonl(map(aya_row, by_language[code])))
    card = Path(folder) / "README.md"
    write_text(card, _card(project, by_language))
    return [*map(str, paths.values()), str(card)]


def _written(connection: Connection, project: Project) -> list[Answer]:
    if project.kind is not Kind.WRITING:
        raise InputError(f"the project {project.title!r} holds labels, not prompts", fix="export it as labels")
    found = answers(connection, project)
    _require(found, project)
    return found


def _jsonl(rows: Iterator[dict[str, str | None]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _card(project: Project, by_language: Mapping[str, list[Answer]]) -> str:
    names = {code: LANGUAGES.find(code) for code in sorted(by_language)}
    files = [
        f"      - split: {one.name.lower().replace(' ', '_')}\n        path: aya_{one.iso639_3}.jsonl"
        for one in names.values()
    ]
    rows = [
        f"| {one.name} | {len(by_language[code])} | "
        f"{sum(answer.content['scope'] == 'global' for answer in by_language[code])} | "
        f"{sum(answer.content['scope'] == 'local' for answer in by_language[code])} |"
        for code, one in names.items()
    ]
    return "\n".join(
        [
            "---",
            "language:",
            *(f"- {code}" for code in names),
            "tags:",
            "- red-teaming",
            "- not-for-all-audiences",
            "configs:",
            "- config_name: default",
            "  data_files:",
            *files,
            "---",
            "",
            f"# {project.title}",
            "",
            "Prompts that native speakers wrote to provoke harmful replies, for testing and aligning language models.",
            "Many are offensive.",
            "",
            "| language | prompts | global | local |",
            "|---|---|---|---|",
            *rows,
            "",
            "Columns are those of the Aya Red-teaming set (arXiv 2406.18682): `prompt`, `language`, `harm_category`",
            "(a list as JSON), `global_or_local`, `literal_translation`, `semantic_translation`, `explanation`.",
            "",
            "To be written before this is published: the licence, who wrote the prompts, how they were paid and cared",
            "for, and what the set must not be used for.",
            "",
        ]
    )
