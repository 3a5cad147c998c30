"""Samples that the Language Model Evaluation Harness logs (lm_eval 0.4): `samples_TASK_DATE.jsonl`.

A line is one document under one filter: `doc_id`, `doc`, `target`, `arguments`, `resps`, `filtered_resps`, `filter`,
`metrics`, and a column a metric. Lines of one document under several filters are one reply; the metrics of a filter
other than `none` are then called `METRIC,FILTER`, as in the harness's own tables. `results_DATE.json` beside them names
the model.

Of tasks that choose among continuations the reply is the most likely one. The prompt is the text as it was sent
(`arguments.gen_args_0.arg_0`), examples and chat template included; map it to the document's own column where the
tasks are to be paired with other runs (`prompt=doc.question`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from alignment_prism.domain import Languages
from alignment_prism.io import FieldError, Intake, Row
from alignment_prism.io.files import suffix_of
from alignment_prism.io.jsonrows import jsonl_rows
from alignment_prism.logs.columns import LogColumns, look, prompt_from
from alignment_prism.logs.documents import document
from alignment_prism.logs.entry import Entry, Harness, Opened, Said
from alignment_prism.logs.verdicts import as_number
from alignment_prism.prompts.plain import FIELDS

RIGHT = ("exact_match", "acc")
"""Metrics that say whether an answer is right."""

_NAME = re.compile(r"samples_(?P<task>.+?)(?:_\d{4}-\d\d-\d\dT[\d.:-]+)?\.(?:jsonl|ndjson)(?:\.gz)?$")


def open_lm_eval(path: Path, columns: LogColumns, intake: Intake) -> Opened:
    """The documents of a file, or of all tasks in a folder."""
    facts: dict[str, str] = {}

    def entries() -> Iterator[Entry]:
        files = sorted(path.rglob("samples_*.jsonl*")) if path.is_dir() else [path]
        for file in files:
            model = _model(file, facts)
            match = _NAME.match(file.name)
            task = match["task"] if match else file.stem
            yield from _task(file, task, columns.arm or model, columns, intake)

    return Opened(entries(), facts)


def _model(file: Path, facts: dict[str, str]) -> str:
    """Name of the model, and what the results beside the samples say of the run."""
    for results in sorted(file.parent.glob("results_*.json")):
        found = document(results)
        for fact, path in (
            ("sampling", "config.gen_kwargs"),
            ("template", "chat_template_sha"),
            ("harness", "git_hash"),
        ):
            value = look(found, path)
            if value and isinstance(value, (str, dict)):
                facts[fact] = str(value)
        shots = look(found, "n-shot")
        if isinstance(shots, Mapping):
            facts["shots"] = ", ".join(f"{task} {count}" for task, count in sorted(shots.items()))
        name = look(found, "model_name")
        if isinstance(name, str) and name:
            return name
    return file.parent.name or "model"


def _task(file: Path, task: str, arm: str, columns: LogColumns, intake: Intake) -> Iterator[Entry]:
    merged: dict[str, Entry] = {}
    for row in jsonl_rows(file, intake):
        row = replace(row, values={**row.values, "task": task, "task_language": task_language(task, columns.languages)})
        try:
            entry = _entry(row, task, arm, columns)
        except FieldError as error:
            intake.reject(row, error)
            continue
        key = str(row.values.get("doc_id"))
        other = merged.get(key)
        if other is None:
            merged[key] = entry
        elif other.said.keys() & entry.said.keys() or other.reply != entry.reply:
            what = (
                f"document {key[:40]} is there twice under one filter, or with another reply (row {other.row.number})"
            )
            intake.reject(row, FieldError("doc_id", None, what, "import one run at a time: a folder may hold several"))
        else:
            merged[key] = replace(other, said={**other.said, **entry.said})
            intake.read(-1)  # one reply, whatever the number of filters
    for entry in merged.values():
        yield entry


def _entry(row: Row, task: str, arm: str, columns: LogColumns) -> Entry:
    values = row.values
    if "doc_id" not in values:
        raise FieldError("doc_id", None, "no column 'doc_id'", "give samples that lm_eval logged")
    doc = values.get("doc")
    own: dict[str, Any] = {name: doc[name] for name in FIELDS if name in doc} if isinstance(doc, Mapping) else {}
    own.pop("messages", None)
    own |= {"id": f"{task}/{values['doc_id']}", "prompt": _argument(values, 0, 0), "subset": task}
    own["reference"] = str(values.get("target") or "")
    rule = str(values.get("filter") or "none")
    metrics = values.get("metrics")
    said = {
        name if rule == "none" else f"{name},{rule}": Said(values[name], correct=name in RIGHT)
        for name in (metrics if isinstance(metrics, list) else ())
        if name in values and not isinstance(values[name], (list, dict))
    }
    return Entry(row, prompt_from(row, own, columns, task), arm, _reply(values), None, said)


def _argument(values: Mapping[str, Any], request: int, place: int) -> object:
    """What was sent: a mapping since 0.4.2, a list of lists before."""
    for path in (f"arguments.gen_args_{request}.arg_{place}", f"arguments.{request}.{place}"):
        found = look(values, path)
        if isinstance(found, str):
            return found
    return None


def _reply(values: Mapping[str, Any]) -> str | None:
    """The reply before any filter, or the most likely continuation; None where there is neither."""
    replies = values.get("resps")
    if not isinstance(replies, list) or not replies:
        return None
    likely = [_log_likelihood(one) for one in replies]
    if all(number is not None for number in likely):
        chosen = _argument(values, max(range(len(likely)), key=lambda place: likely[place] or 0.0), 1)
        return chosen.strip() if isinstance(chosen, str) else None
    first = replies[0]
    while isinstance(first, list) and len(first) == 1:
        first = first[0]
    if isinstance(first, str):
        return first
    filtered = values.get("filtered_resps")  # several draws: the metrics are of what the filter made of them
    taken = filtered[0] if isinstance(filtered, list) and filtered else None
    return taken if isinstance(taken, str) else None


def _log_likelihood(answer: object) -> float | None:
    """Of a continuation, logged as a number and whether it is the greedy one; None for any other answer."""
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, list) and len(answer) == 2 and str(answer[1]) in ("True", "False"):
        return as_number(str(answer[0]))
    return None


def task_language(task: str, languages: Languages) -> str:
    """The language that the last part of a task's name stands for, empty where it is none: `fr` of `xnli_fr`.

    Nobody is taken at this word: it is the column `task_language`, for who maps it to the language.
    """
    part = re.split(r"[_-]", task)[-1]
    return languages.find(part).code if part in languages else ""


def _belongs(path: Path) -> bool:
    if path.is_dir():
        return next(path.rglob("samples_*.jsonl*"), None) is not None
    return path.name.startswith("samples_") and suffix_of(path) in (".jsonl", ".ndjson")


LM_EVAL = Harness("lm-eval", "lm-evaluation-harness: samples_*.jsonl, or a folder of them", _belongs, open_lm_eval)
