"""What a study starts from, as artifacts: records that were read before there was a plan, each under its digest.

They are written where the plan is made and not by an executor: the files they came from are the user's, and may be on
no other machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from alignment_prism.domain import content_digest
from alignment_prism.io import write_records
from alignment_prism.store import write_artifact
from alignment_prism.studies.steps.step import Step

SOURCE = "source"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Records that steps start from and no step makes.

    Attributes:
        step: that they play the part of; it is done as soon as they are written.
        tables: file name -> records, and their type.
    """

    step: Step
    tables: Mapping[str, tuple[type, Sequence[Any]]]

    def write(self, out: Path) -> None:
        """Write the artifact into a study's folder, unless it is there and whole."""
        if self.step.is_done(out):
            return
        self.step.clear(out)
        settings, inputs = self.step.settings, self.step.all_inputs
        with write_artifact(self.step.folder(out), kind=SOURCE, spec=settings, inputs=inputs) as folder:
            for name, (kind, records) in self.tables.items():
                write_records(folder / name, records, kind)


def source(name: str, tables: Mapping[str, tuple[type, Sequence[Any]]], *, arm: str = "") -> Source:
    """Records as a step under the digest of what they say, whatever file they came from.

    Args:
        name: of the step and its folder: `prompts`, `pairs`, `replies-ARM`.
        tables: file name -> type of the records, and the records.
        arm: whose they are, if they are of one.
    """
    digests = {file: records_digest(records) for file, (_, records) in tables.items()}
    return Source(Step(SOURCE, name, name, {}, inputs=digests, arm=arm), tables)


def records_digest(records: Iterable[Any]) -> str:
    """Of records in their order: SHA-256, 64 hexadecimal digits."""
    digest = sha256()
    for record in records:
        digest.update(content_digest(_plain(record)).encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """What `dataclasses.asdict` gives, without a copy of every value in it: a study is named by tens of thousands."""
    kind: Any = type(value)
    if kind is str or value is None:
        return value
    if names := _fields(kind):
        return {name: _plain(getattr(value, name)) for name in names}
    return tuple(map(_plain, value)) if kind in (tuple, list) else value


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()
