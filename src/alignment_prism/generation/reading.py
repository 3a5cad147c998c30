"""Replies from a file, whoever wrote it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.records import Generation, Prompt, StopReason
from alignment_prism.generation.completeness import check_generations
from alignment_prism.io import fields
from alignment_prism.io.readers import read_records, read_rows
from alignment_prism.prompts.matching import PromptIndex, folded

REPLY_COLUMNS = ("reply", "response", "completion", "output", "answer")
"""Columns that are taken for the reply, the first that is there."""

_LAST_SAMPLE = 10**6
"""Nobody draws more replies to a prompt."""

ID_COLUMNS = ("prompt_id", "id")
"""Columns that are taken for the prompt's id, if they hold ids of the prompts."""


def read_generations(
    path: str | Path | Sequence[str],
    prompts: Sequence[Prompt],
    *,
    arm: str = "",
    mapping: Mapping[str, str] | None = None,
    asked: Sequence[Prompt] | None = None,
    left_out: list[str] | None = None,
) -> list[Generation]:
    """Replies to `prompts` from one of our own files or from any table of rows, checked to be complete.

    Our own files are taken as they are. A row of any other file needs a reply (`REPLY_COLUMNS`) and says which prompt
    it answers by id (`ID_COLUMNS`) or by the prompt's text (column `prompt`; where both are there they must agree), and
    may have `arm` (or `model`) and `sample`. Equal prompts get their replies in the order of the rows.

    Args:
        path: JSONL, JSON, CSV, TSV or Parquet, with or without .gz; several files are read as one.
        prompts: what the replies answer.
        arm: name for replies whose row has none.
        mapping: `reply`, `prompt_id`, `prompt`, `arm`, `sample` to the file's columns.
        asked: those of the prompts that count, where a limit leaves some out; replies to the others are passed over.
        left_out: None is strict. A list takes the places of replies to none of the prompts, which are left out, and the
            replies are not checked to be complete: `answered` finds the prompts that have all of theirs. That none is
            left is still an error.

    Raises:
        InputError: the file cannot be read; a row has no reply, names no prompt, or names one prompt by its id and
            another by its text; replies are missing, double, or to unknown prompts (`check_generations`).
    """
    paths = [str(path)] if isinstance(path, str | Path) else list(path)
    where = ", ".join(paths)
    found, unknown = _read(paths, prompts, arm or "model", mapping or {})
    rows = len(found) + len(unknown)
    asked = prompts if asked is None else asked
    ids = {prompt.id for prompt in asked}
    if left_out is not None:
        known = {prompt.id for prompt in prompts}
        left_out += [*unknown, *(f"prompt {each.prompt_id}" for each in found if each.prompt_id not in known)]
        kept = [each for each in found if each.prompt_id in ids]
        if not kept:
            raise InputError(
                f"none of {rows} replies names one of the prompts",
                where=where,
                fix="give the prompts that were answered, or name the columns",
                settings={"reply_map": "prompt_id=COLUMN,reply=COLUMN"},
            )
        return kept
    if unknown:
        some = f"{len(unknown)} of {rows} replies name{'s' if len(unknown) == 1 else ''}"
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise InputError(
            f"{some} none of the prompts, neither by id nor by text",
            where=f"{where}, {shown}",
            fix="give the prompts that were answered, or name the columns; or leave such replies out, and prompts that "
            "lack one",
            settings={"reply_map": "prompt_id=COLUMN,reply=COLUMN", "keep_going": "True"},
        )
    if asked is not prompts:
        others = {prompt.id for prompt in prompts} - ids
        found = [each for each in found if each.prompt_id not in others]
    check_generations(asked, found, where=where)
    return found


def arms_in(path: str | Path, *, arm: str = "", mapping: Mapping[str, str] | None = None) -> list[str]:
    """Whose replies a file holds, in the order in which they begin.

    Args:
        path: as in `read_generations`, as are the others.

    Raises:
        InputError: the file cannot be read or is empty.
    """
    mapping = mapping or {}
    names: dict[str, None] = {}
    for row in read_rows(path):
        names.setdefault(_arm(row.values, mapping, arm or "model"))
    if not names:
        raise InputError("no rows", where=str(path), fix="check that the file is the right one and not empty")
    return list(names)


def _read(
    paths: Sequence[str], prompts: Sequence[Prompt], arm: str, mapping: Mapping[str, str]
) -> tuple[list[Generation], list[str]]:
    """Replies, and the places of rows that name none of the prompts."""
    rows = _Rows(prompts, arm, mapping)
    found: list[Generation] = []
    for path in paths:
        first = next(iter(read_rows(path)), None)
        if first is None:
            raise InputError("no rows", where=path, fix="check that the file is the right one and not empty")
        own = {"prompt_id", "arm", "reply", "stop_reason", "weights"} <= first.values.keys()
        found += read_records(path, Generation) if own and not mapping else rows.of(path)
    return found, rows.unknown


def _arm(values: Mapping[str, Any], mapping: Mapping[str, str], arm: str) -> str:
    return str(values.get(mapping.get("arm", "arm")) or values.get("model") or arm)


class _Rows:
    """Rows of foreign tables as replies; equal prompts and samples without a number are counted over all tables."""

    def __init__(self, prompts: Sequence[Prompt], arm: str, mapping: Mapping[str, str]) -> None:
        self.arm = arm
        self.mapping = mapping
        self.index = PromptIndex(prompts)
        self.turns: dict[tuple[str, str, int], deque[str]] = {}
        self.counts: dict[tuple[str, str], int] = defaultdict(int)
        self.unknown: list[str] = []

    def of(self, path: str) -> Iterator[Generation]:
        """Replies of one table; rows that name none of the prompts go to `unknown`."""
        for row in read_rows(path):
            place = f"{path}, row {row.number}"
            reply = _reply(row.values, self.mapping, place)
            name = _arm(row.values, self.mapping, self.arm)
            given = _sample(row.values.get(self.mapping.get("sample", "sample")), place)
            prompt_id = self._prompt(row.values, name, given or 0, place)
            if prompt_id is None:
                self.unknown.append(f"row {row.number}")
                continue
            sample = given if given is not None else self.counts[name, prompt_id]
            self.counts[name, prompt_id] += 1
            draft = Generation(prompt_id, name, name, reply or "", sample=sample, stop_reason=StopReason.STORED)
            yield draft if reply is not None else replace(draft, stop_reason=StopReason.ERROR, error="the row has none")

    def _prompt(self, values: Mapping[str, Any], arm: str, sample: int, place: str) -> str | None:
        """Id of the prompt that a row names, by its id or its text."""
        prompt_id = _prompt_id(values, self.mapping, self.index)
        text = str(values.get(self.mapping.get("prompt", "prompt")) or "")
        if prompt_id is None:
            same = [prompt.id for prompt in self.index.with_text(text)]
            if not same:
                return None
            queue = self.turns.setdefault((arm, folded(text), sample), deque(same))
            if not queue:
                queue.extend(same)
            return queue.popleft()
        if prompt_id in self.index.by_id and (fault := self.index.contradiction(prompt_id, text)):
            raise InputError(
                fault,
                where=place,
                fix="say which column holds the prompts' ids; or leave out the column of ids, if they are not those "
                "of the prompts",
                settings={"reply_map": "prompt_id=COLUMN"},
            )
        return prompt_id


def _reply(values: Mapping[str, Any], mapping: Mapping[str, str], place: str) -> str | None:
    """The reply; None where the row says that there is none, which is not an empty one."""
    columns = (mapping["reply"],) if "reply" in mapping else REPLY_COLUMNS
    column = next((column for column in columns if column in values), None)
    if column is None:
        raise InputError(
            f"no column {' or '.join(map(repr, columns))}",
            where=place,
            fix=f"name the replies' column; the columns are: {fields.column_names(values)}",
            settings={"reply_map": "reply=COLUMN"},
        )
    reply = values[column]
    if reply is None:
        return None
    if not isinstance(reply, str):
        raise InputError(f"the reply in column {column!r} is no text", where=place, fix="give the reply as text")
    return reply


def _sample(value: Any, place: str) -> int | None:
    if value is None:
        return None
    try:
        number = int(value)
        if isinstance(value, bool) or (isinstance(value, float) and number != value) or not 0 <= number <= _LAST_SAMPLE:
            raise ValueError
        return number
    except (TypeError, ValueError, OverflowError):
        fix = "number the replies to a prompt from 0, or leave the column out"
        raise InputError(f"the sample is no number of a reply: {str(value)[:40]!r}", where=place, fix=fix) from None


def _prompt_id(values: Mapping[str, Any], mapping: Mapping[str, str], index: PromptIndex) -> str | None:
    if "prompt_id" in mapping:
        return str(values.get(mapping["prompt_id"]))
    if values.get("prompt_id") is not None:
        return str(values["prompt_id"])
    return next((str(values[c]) for c in ID_COLUMNS if c in values and str(values[c]) in index.by_id), None)
