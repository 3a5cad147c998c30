"""A log as records, and the folder that it is brought into."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment_prism.domain import Generation, InputError, Label, Prompt, Score, StoreError
from alignment_prism.domain.runs import Run
from alignment_prism.io import read_records, write_json, write_records
from alignment_prism.store.names import GENERATIONS, PROMPTS, SCORES

IMPORT = "import.json"
"""What the folder was made from, and what was noticed."""
HUMAN = "human.parquet"
"""What the raters of a log say together."""
LABELS = "labels.jsonl"
"""What each rater says."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log as records, of one arm or of several.

    Attributes:
        harness: what kind of log it is.
        where: the files that it was read from.
        prompts: what was asked.
        generations: the replies.
        scores: what the log says of them.
        human: what its raters say together.
        labels: what each rater says.
        facts: of how the run was made (`Run.facts`).
        notes: what was noticed, a sentence each.
        counts: rows read, accepted and rejected.
    """

    harness: str
    where: str
    prompts: tuple[Prompt, ...]
    generations: tuple[Generation, ...]
    scores: tuple[Score, ...] = ()
    human: tuple[Score, ...] = ()
    labels: tuple[Label, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def arms(self) -> list[str]:
        """Names of the models, in the order in which they begin."""
        return list(dict.fromkeys(reply.arm for reply in self.generations))

    def run(self, arm: str | None = None) -> Run:
        """One arm as a run; its scores are those of the log, or where it has none what its raters say together.

        Raises:
            InputError: there are several arms and none is named, or none of that name.
        """
        arms = self.arms
        if arm is None and len(arms) > 1:
            fix = "say which is meant"
            raise InputError(
                f"there are replies of several arms: {', '.join(arms)}",
                where=self.where,
                fix=fix,
                settings={"arm": arms[0]},
            )
        name = arms[0] if arm is None else arm
        if name not in arms:
            raise InputError(
                f"there are no replies of {name!r}", where=self.where, fix=f"name one of {', '.join(arms)}"
            )
        generations = tuple(reply for reply in self.generations if reply.arm == name)
        asked = {reply.prompt_id for reply in generations}
        scores = tuple(score for score in self.scores or self.human if score.arm == name)
        prompts = tuple(prompt for prompt in self.prompts if prompt.id in asked)
        return Run(name, prompts, generations, scores, self.facts, self.where)


def write_log(log: Log, folder: str | Path, settings: Mapping[str, Any], digests: Mapping[str, str]) -> list[Path]:
    """Write a log as files of ours; returns them.

    Args:
        log: what it came to.
        folder: made if it is not there.
        settings: how it was read, for who wonders.
        digests: file -> SHA-256 of what was read.

    Raises:
        StoreError: they cannot be written.
    """
    folder = Path(folder)
    parts: list[tuple[str, Sequence[Any], type]] = [
        (PROMPTS, log.prompts, Prompt),
        (GENERATIONS, log.generations, Generation),
        (SCORES, log.scores, Score),
        (HUMAN, log.human, Score),
        (LABELS, log.labels, Label),
    ]
    written = []
    for name, records, kind in parts:
        if records:
            write_records(folder / name, records, kind)
            written.append(folder / name)
    told = {"harness": log.harness, "files": dict(digests), "settings": dict(settings), "counts": dict(log.counts)}
    write_json(folder / IMPORT, {**told, "facts": dict(log.facts), "notes": list(log.notes)})
    return [*written, folder / IMPORT]


def files_of(folder: str | Path) -> list[str]:
    """Every file that `write_log` may write."""
    return [str(Path(folder) / name) for name in (PROMPTS, GENERATIONS, SCORES, HUMAN, LABELS, IMPORT)]


def read_import(folder: Path) -> Log:
    """A log that was written by `write_log`.

    Raises:
        StoreError: the folder's account of itself cannot be read.
        InputError: one of its files cannot be read.
    """
    try:
        told = json.loads((folder / IMPORT).read_text(encoding="utf-8"))
        facts, notes, harness = dict(told["facts"]), tuple(map(str, told["notes"])), str(told["harness"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"cannot be read: {error}", where=str(folder / IMPORT), fix="import the log again") from error

    def held(name: str, kind: type) -> tuple[Any, ...]:
        return tuple(read_records(folder / name, kind)) if (folder / name).is_file() else ()

    return Log(
        harness, str(folder), held(PROMPTS, Prompt), held(GENERATIONS, Generation), held(SCORES, Score),
        held(HUMAN, Score), held(LABELS, Label), facts, notes, told.get("counts", {}),
    )  # fmt: skip


def is_import(path: Path) -> bool:
    """Whether a folder is one that a log was brought into."""
    return (path / IMPORT).is_file()
