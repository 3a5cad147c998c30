"""Replies from a file, whoever wrote it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.records import Generation, Prompt, StopReason
from alignment_prism.generation.completeness import check_generations

REPLY_COLUMNS = ("reply", "response", "completion", "output", "answer")
"""Columns that are taken for the reply, the first that is there."""

ID_COLUMNS = ("prompt_id", "id")
"""Columns that are taken for the prompt's id, if they hold ids of the prompts."""


def read_generations(
    path: str | Path,
    prompts: Sequence[Prompt],
    *,
    arm: str = "",
    mapping: Mapping[str, str] | None = None,
    left_out: list[str] | None = None,
) -> list[Generation]:
    """Replies to `prompts` from one of our own files or from any table of rows, checked to be complete.

    Our own files are taken as they are. A row of any other file needs a reply (`REPLY_COLUMNS`) and says which prompt
    it answers by id (`ID_COLUMNS`) or by the prompt's text (column `prompt`), and may have `arm` (or `model`) and
    `sample`. Equal prompts get their replies in the order of the rows.

    Args:
        path: JSONL, JSON, CSV, TSV or Parquet, with or without .gz.
        prompts: what the replies answer.
        arm: name for replies whose row has none.
        mapping: `reply`, `prompt_id`, `prompt`, `arm`, `sample` to the file's columns.
        left_out: None is strict. A list takes the places of replies to none of the prompts, which are left out, and the
            replies are not checked to be complete: `answered` finds the prompts that have all of theirs. That none is
            left is still an error.

    Raises:
        InputError: the file cannot be read; a row has no reply or names no prompt; replies are missing, double, or to
            unknown prompts (`check_generations`).
    """
    from alignment_prism.io.readers import read_records, read_rows

    first = next(iter(read_rows(path)), None)
    if first is None:
        raise InputError("no rows", where=str(path), fix="check that the file is the right one and not empty")
    own = {"prompt_id", "arm", "reply", "stop_reason", "weights"} <= first.values.keys()
    strangers: list[str] = []
    if own and not mapping:
        found = read_records(path, Generation)
        rows = len(found)
    else:
        found = list(_from_rows(read_rows(path), prompts, arm or "model", mapping or {}, str(path), strangers))
        rows = len(found) + len(strangers)
    if left_out is not None:
        ids = {prompt.id for prompt in prompts}
        left_out += [*strangers, *(f"prompt {each.prompt_id}" for each in found if each.prompt_id not in ids)]
        kept = [each for each in found if each.prompt_id in ids]
        if not kept:
            fix = "give the prompts that were answered, or name the columns: --reply-map prompt_id=COLUMN,reply=COLUMN"
            raise InputError(f"none of {rows} replies names one of the prompts", where=str(path), fix=fix)
        return kept
    if strangers:
        some = f"{len(strangers)} of {rows} replies name{'s' if len(strangers) == 1 else ''}"
        shown = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        raise InputError(
            f"{some} none of the prompts, neither by id nor by text",
            where=f"{path}, {shown}",
            fix="give the prompts that were answered, or name the columns: --reply-map prompt_id=COLUMN,reply=COLUMN; "
            "or leave such replies out, and prompts without one, with --keep-going",
        )
    check_generations(prompts, found, where=str(path))
    return found


def _from_rows(
    rows: Iterator[Any],
    prompts: Sequence[Prompt],
    arm: str,
    mapping: Mapping[str, str],
    path: str,
    strangers: list[str],
) -> Iterator[Generation]:
    ids = {prompt.id for prompt in prompts}
    by_text: dict[str, list[str]] = defaultdict(list)
    for prompt in prompts:
        by_text[prompt.text.strip()].append(prompt.id)
    turns: dict[tuple[str, str, int], deque[str]] = {}
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        values = row.values
        place = f"{path}, row {row.number}"
        reply = _reply(values, mapping, place)
        name = str(values.get(mapping.get("arm", "arm")) or values.get("model") or arm)
        given = values.get(mapping.get("sample", "sample"))
        prompt_id = _prompt_id(values, mapping, ids)
        if prompt_id is None:
            text = str(values.get(mapping.get("prompt", "prompt")) or "").strip()
            if text not in by_text:
                strangers.append(f"row {row.number}")
                continue
            queue = turns.setdefault((name, text, int(given or 0)), deque(by_text[text]))
            if not queue:
                queue.extend(by_text[text])
            prompt_id = queue.popleft()
        sample = int(given) if given is not None else counts[name, prompt_id]
        counts[name, prompt_id] += 1
        yield Generation(prompt_id, name, name, reply, sample=sample, stop_reason=StopReason.STORED)


def _reply(values: Mapping[str, Any], mapping: Mapping[str, str], place: str) -> str:
    columns = (mapping["reply"],) if "reply" in mapping else REPLY_COLUMNS
    column = next((column for column in columns if column in values), None)
    if column is None:
        raise InputError(
            f"no column {' or '.join(map(repr, columns))}",
            where=place,
            fix=f"name the replies' column with --reply-map reply=COLUMN; the columns are: {', '.join(values)}",
        )
    reply = values[column]
    if reply is None:
        return ""
    if not isinstance(reply, str):
        raise InputError(f"the reply in column {column!r} is no text", where=place, fix="give the reply as text")
    return reply


def _prompt_id(values: Mapping[str, Any], mapping: Mapping[str, str], ids: set[str]) -> str | None:
    if "prompt_id" in mapping:
        return str(values.get(mapping["prompt_id"]))
    if values.get("prompt_id") is not None:
        return str(values["prompt_id"])
    return next((str(values[c]) for c in ID_COLUMNS if c in values and str(values[c]) in ids), None)
