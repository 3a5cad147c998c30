"""A step: one piece of work, named by what it is made from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment_prism.domain import StoreError
from alignment_prism.store import artifact_key, check_folder, is_intact
from alignment_prism.store.names import earlier_beside

TRAINING = "training"
"""Kind that a training writes into its manifest."""


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work that leaves one artifact.

    Attributes:
        kind: of work, a name in `alignment_prism.studies.steps.KINDS`.
        title: what it does, for people.
        name: of its folder, without the digits of its key.
        settings: what shapes its result, plain JSON values.
        needs: role -> the step that plays it (`prompts`, `mixture`, `model`, `replies`, `candidate`, `base`).
        inputs: role -> digest of what it needs besides steps.
        seed: of its random numbers.
        arm: in findings, where it belongs to one.
        options: what says how it is done and shapes nothing of its result: where inputs are, how many calls are under
            way at once, on which device. Plain JSON values, not in the key.
    """

    kind: str
    title: str
    name: str
    settings: Mapping[str, Any]
    needs: Mapping[str, Step] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    arm: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    key: str = field(init=False)
    """Digest of kind, settings, inputs and seed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", artifact_key(self.kind, self.settings, self.all_inputs, self.seed))

    @property
    def all_inputs(self) -> dict[str, str]:
        """Digests of everything that it is made from."""
        return {**self.inputs, **{role: step.key for role, step in self.needs.items()}}

    @property
    def artifact_kind(self) -> str:
        """What its manifest says that it is."""
        return TRAINING if self.kind == "train" else self.kind

    def folder(self, out: Path) -> Path:
        """Where its artifact lies within a study's folder."""
        return out / self.kind / f"{self.name}-{self.key[:10]}"

    def is_done(self, out: Path) -> bool:
        """Whether its artifact is there, made from the same things, and every file as it was written.

        A training writes its manifest itself, with a key of its own; ours is in the folder's name.
        """
        return is_intact(self.folder(out), None if self.kind == "train" else self.key)

    def earlier(self, out: Path) -> Path:
        """Where its artifact is kept while it is made again from other inputs; see `set_aside`."""
        return Path(earlier_beside(str(self.folder(out))))

    def set_aside(self, out: Path) -> None:
        """Keep its artifact where it is none of the study's, but can be looked up until the step is done again."""
        shutil.rmtree(self.earlier(out), ignore_errors=True)
        self.folder(out).rename(self.earlier(out))

    def clear(self, out: Path) -> str:
        """Make room for the artifact where one is there, but not as it was written; says what became of it.

        What the step wrote is removed; a folder that holds anything else, or no manifest that says what it holds, is
        moved away, so that no file is lost and nobody has to remove it by hand.
        """
        folder = self.folder(out)
        if not folder.is_dir() or not any(folder.iterdir()):
            return ""
        if folder.is_symlink():  # what it leads to is the user's to keep or remove
            folder.unlink()
            return f"{self.title}: its files were altered, so it is done again; where its link led to is as it was"
        try:
            check_folder(folder, kind=self.artifact_kind, replace=True)
        except StoreError:
            number = 1
            while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
                number += 1
            folder.rename(aside)
            return f"{self.title}: its files were altered; they are in {aside}, and the step is done again"
        shutil.rmtree(folder)
        return f"{self.title}: its files were altered, so it is done again"


def folder_name(text: str) -> str:
    """A text as part of a folder's name: letters, digits, `.`, `_` and `-`, at most sixty of them."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60] or "arm"
