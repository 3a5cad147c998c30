"""Labels that people gave elsewhere: exports of Label Studio and of Potato, as answers in a project."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from alignment_prism.annotation import audit
from alignment_prism.annotation.database import now
from alignment_prism.annotation.history import DONE, FINAL
from alignment_prism.annotation.people import LONGEST_NAME, Role, add_person, check_name, person_named
from alignment_prism.annotation.projects import CHOICES, Item, Kind, Project, add_items
from alignment_prism.annotation.schema import assignments, items, revisions
from alignment_prism.domain import LANGUAGES, InputError, content_digest
from alignment_prism.domain.errors import reason
from alignment_prism.io import read_rows

LARGEST = 512 * 2**20
"""Bytes of an export that are read at once."""
POTATO = ("user_state.json", "annotations.jsonl", "annotated_instances.jsonl")
"""Files with labels in Potato's output, those that are looked for first before the others."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One label of an export.

    Attributes:
        key: of the item.
        annotator: as the export names them.
        label: their word.
        comment: what they typed beside it.
        at: when, in seconds since 1970; 0 where it is not said.
        seconds: that it took.
        data: fields of the item in the export.
    """

    key: str
    annotator: str
    label: str
    comment: str = ""
    at: float = 0.0
    seconds: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the labels of an export.

    Attributes:
        added: answers that were added.
        new_items: items that were not in the project.
        there: answers that were there already.
        unknown: labels of items that are not in the project and have no texts.
        unread: labels that cannot be chosen in the project, by their word.
    """

    added: int
    new_items: int
    there: int
    unknown: int
    unread: Counter[str]


def read_label_studio(path: str | Path, key: str, question: str = "", comment: str = "") -> Iterator[Imported]:
    """Labels of Label Studio's JSON export; annotations that were cancelled are none.

    Args:
        path: of the file.
        key: field of a task's data that names the item.
        question: name of the control whose choice is the label; the only one with choices unless given.
        comment: name of the control with a text.

    Raises:
        InputError: it is no such export, or there are several controls to choose from.
    """
    tasks = _json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "annotations" in task for task in tasks):
        fix = "export the project as JSON (not JSON-MIN)"
        raise InputError("no export of Label Studio: not a list of tasks with annotations", where=str(path), fix=fix)
    for number, task in enumerate(tasks, start=1):
        data = task.get("data") or {}
        if key not in data:
            fix = f"name the field of the data that names the item: one of {', '.join(map(str, data))}"
            raise InputError(f"no field {key!r}", where=f"{path}, task {number}", fix=fix, settings={"key": "FIELD"})
        for one in task["annotations"]:
            if not isinstance(one, dict) or one.get("was_cancelled"):
                continue
            chosen = [
                (str(part.get("from_name", "")), part.get("value") or {})
                for part in one.get("result") or ()
                if isinstance(part, dict)
            ]
            labels = {name: value["choices"] for name, value in chosen if value.get("choices")}
            words = [value["text"] for name, value in chosen if value.get("text") and comment in ("", name)]
            if given := _asked(labels, question, f"{path}, task {number}"):
                yield Imported(
                    key=str(data[key]),
                    annotator=_who(one.get("completed_by")),
                    label=" + ".join(map(str, given)),
                    comment="\n".join(str(word[0] if isinstance(word, list) else word) for word in words),
                    at=_when(one.get("updated_at") or one.get("created_at")),
                    seconds=float(one.get("lead_time") or 0.0),
                    data=data,
                )


def read_potato(path: str | Path, question: str = "", comment: str = "") -> Iterator[Imported]:
    """Labels of Potato: what its version 2 keeps, `USER/user_state.json`, and what it exports as JSONL.

    Potato 1 wrote `annotated_instances.jsonl` in the folder of each annotator; version 2 exports `annotations.jsonl`.

    Args:
        path: a file, or the folder of the output.
        question: schema whose label counts; the only one with labels unless given.
        comment: schema with a text.

    Raises:
        InputError: there is no such file, it is another kind of file, or there are several schemas to choose from.
    """
    place = Path(path)
    files = [place]
    if place.is_dir():  # what is exported beside the states says the same once more
        files = next((found for name in POTATO if (found := sorted(place.rglob(name)))), [])
    if not files:
        fix = "name the folder of Potato's output"
        raise InputError(f"none of {', '.join(POTATO)}", where=str(path), fix=fix)
    for file in files:
        for where, name, who, schemas, data in _potato_state(file) if file.suffix == ".json" else _potato_rows(file):
            ticked = {
                schema: given
                for schema, labels in schemas.items()
                if schema != comment and (given := [label for label, value in labels.items() if _is_ticked(value)])
            }
            if given := _asked(ticked, question, where):
                said = " ".join(map(str, schemas.get(comment, {}).values())) if comment else ""
                yield Imported(name, who, " + ".join(map(str, given)), said, data=data)


def _potato_state(file: Path) -> Iterator[tuple[str, str, str, dict[str, dict[str, Any]], dict[str, Any]]]:
    """Place, item, annotator, labels by schema and further fields of what Potato 2 keeps of one annotator."""
    content = _json(file)
    labels = content.get("instance_id_to_label_to_value") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        raise InputError("no output of Potato", where=str(file), fix="give a user_state.json")
    who = str(content.get("user_id") or file.parent.name)
    for name, given in labels.items():
        yield f"{file}, item {name}", str(name), who, _schemas(given), {}


def _potato_rows(file: Path) -> Iterator[tuple[str, str, str, dict[str, dict[str, Any]], dict[str, Any]]]:
    """The same of what Potato exports, a line an answer."""
    for row in read_rows(file):
        values = row.values
        given = next((values[name] for name in ("labels", "label_annotations", "annotations") if name in values), None)
        name = values.get("instance_id", values.get("id"))
        if not isinstance(given, dict | list) or name is None:
            fix = f"give one of {', '.join(POTATO)}"
            raise InputError("no output of Potato", where=f"{file}, line {row.line}", fix=fix)
        who = values.get("user_id") or values.get("user") or values.get("annotator") or file.parent.name
        yield f"{file}, line {row.line}", str(name), str(who), _schemas(given), dict(values)


def _schemas(given: object) -> dict[str, dict[str, Any]]:
    """Labels by schema: Potato keeps pairs of `{schema, name}` and value, and exports them nested."""
    found: dict[str, dict[str, Any]] = {}
    if isinstance(given, list):
        for pair in given:
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], dict):
                found.setdefault(str(pair[0].get("schema", "")), {})[str(pair[0].get("name", ""))] = pair[1]
    elif isinstance(given, dict):
        found = {str(schema): labels for schema, labels in given.items() if isinstance(labels, dict)}
    return found


def _asked(given: Mapping[str, Any], question: str, where: str) -> Any:
    """What was answered to a question, or to the only one; several labels are not one, and mean nothing here.

    Raises:
        InputError: there are several, and none is named.
    """
    if question:
        return given.get(question)
    if len(given) > 1:
        fix = f"name the question: one of {', '.join(sorted(given))}"
        what = f"{len(given)} questions have labels"
        raise InputError(what, where=where, fix=fix, settings={"question": "NAME"})
    return next(iter(given.values()), None)


def add_labels(
    connection: Connection,
    project: Project,
    found: Iterator[Imported],
    *,
    source: str,
    words: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> Outcome:
    """Add labels of an export as answers of people who have no password here.

    Args:
        connection: in a transaction that writes.
        project: with the items; those that are not there are added where the export has their texts.
        found: the labels.
        source: of which tool, said behind the names.
        words: the export's labels and ours, where they differ by more than case and blanks.
        fields: ours (`prompt`, `reply`, `language`) and the export's fields.

    Raises:
        InputError: the project does not take labels, or a name is none.
    """
    if project.kind not in (Kind.OUTCOME, Kind.SCOPE):
        raise InputError(f"the project {project.title!r} asks for {project.kind}", fix="import outcomes or scopes")
    known = {row.key: row.id for row in connection.execute(select(items).where(items.c.project == project.id))}
    added = new = there = unknown = 0
    unread: Counter[str] = Counter()
    for one in found:
        label = (words or {}).get(one.label) or "_".join(one.label.casefold().split())
        if label not in CHOICES[project.kind]:
            unread[one.label] += 1
            continue
        if one.key not in known:
            item = _item(one, {"prompt": "prompt", "reply": "reply", "language": "language", **(fields or {})})
            if item is None:
                unknown += 1
                continue
            add_items(connection, project, [item])
            here = (items.c.project == project.id) & (items.c.key == one.key)
            known[one.key] = connection.execute(select(items.c.id).where(here)).scalar_one()
            new += 1
        if _add(connection, known[one.key], one, label, source):
            added += 1
        else:
            there += 1
    audit.record(connection, None, "imported labels", project.title, source=source, added=added, items=new)
    return Outcome(added, new, there, unknown, unread)


def _add(connection: Connection, item: int, one: Imported, label: str, source: str) -> bool:
    name = check_name(f"{_short(one.annotator, LONGEST_NAME - len(source) - 3)} ({source})")
    person = person_named(connection, name) or add_person(connection, name, Role.ANNOTATOR, ())
    here = (assignments.c.item == item) & (assignments.c.person == person.id)
    if connection.scalar(select(assignments.c.id).where(here)) is not None:
        return False
    at = one.at or now()
    work = connection.execute(
        insert(assignments)
        .values(
            item=item, person=person.id, token=secrets.token_urlsafe(15), state=DONE, flipped=False,
            leased_until=at, given_at=at - one.seconds, ended_at=at,
        )
        .returning(assignments.c.id)
    ).scalar_one()  # fmt: skip
    content = {"label": label, "comment": one.comment}
    row = {"assignment": work, "number": 1, "at": at, "kind": FINAL, "content": content, "seconds": one.seconds}
    connection.execute(insert(revisions).values(row))
    connection.execute(update(items).where(items.c.id == item).values(done=items.c.done + 1))
    return True


def _item(one: Imported, fields: Mapping[str, str]) -> Item | None:
    """An item from the export's texts; None where it has none."""
    prompt, reply = (str(one.data.get(fields[name]) or "") for name in ("prompt", "reply"))
    language = str(one.data.get(fields["language"]) or "")
    if not prompt or language not in LANGUAGES:
        return None
    origin = {"reply_digest": one.key, "prompt_id": content_digest(prompt), "design": ""}
    return Item(one.key, LANGUAGES.find(language).code, {"prompt": prompt, "reply": reply}, origin)


def _short(name: str, room: int) -> str:
    """A name that fits, and is no other's: of a long one the beginning, with a digest."""
    return name if len(name) <= room else f"{name[: room - 7]}~{content_digest(name)[:6]}"


def _is_ticked(value: object) -> bool:
    """Potato writes true, "true", "1", the place in the list, or the label again."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().casefold()
    return word not in ("", "0", "false", "none", "null")


def _who(value: object) -> str:
    """Who annotated: a number, or an object with number and address, of which the name before the @ is taken too.

    Not without the number: two people's addresses may differ behind the @ alone.
    """
    if not isinstance(value, dict):
        return str(value if value is not None else "unknown")
    name = str(value.get("email") or value.get("username") or "")
    return f"{name.split('@')[0]} {value['id']}".strip() if "id" in value else name or "unknown"


def _when(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def _json(path: str | Path) -> Any:
    place = Path(path)
    try:
        if place.stat().st_size > LARGEST:
            raise InputError("the export is larger than 512 MiB", where=str(path), fix="export it in parts")
        return json.loads(place.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        what = f"cannot read the export: {reason(error)}"
        raise InputError(what, where=str(path), fix="export it as JSON") from error
