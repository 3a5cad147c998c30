"""Studies as folders: how far one is, which there are, and what in one belongs to no findings any more."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.domain import StoreError
from alignment_prism.store import folder_lock
from alignment_prism.store.artifacts import is_complete
from alignment_prism.store.names import FINDINGS, MANIFEST, PLAN, STEPS, earlier_beside, unfinished_beside
from alignment_prism.studies.step_log import read_step_log
from alignment_prism.studies.steps import KINDS, Step
from alignment_prism.studies.steps.source import SOURCE


@dataclass(frozen=True, slots=True)
class Status:
    """How far a study is.

    Attributes:
        out: its folder.
        done: folders of steps whose artifacts are there, within `out`.
        begun: those of trainings that were stopped, and their last step.
        waiting: those of steps that nothing is there of.
        failed: what a step failed with the last time, by its title, unless it was done later.
        has_findings: whether there are any.
        is_running: whether a process is at work in the folder.
    """

    out: Path
    done: tuple[str, ...]
    begun: dict[str, int]
    waiting: tuple[str, ...]
    failed: dict[str, str]
    has_findings: bool
    is_running: bool


def status(out: str | Path) -> Status:
    """How far the study in a folder is; reads no artifact, so that files that were altered since are not noticed.

    Raises:
        StoreError: the folder holds no study.
    """
    out = Path(out)
    done, begun, waiting = [], {}, []
    for folder in _steps(out).values():
        if folder.startswith(f"{SOURCE}/"):  # what steps start from, which no plan counts as one
            continue
        unfinished = out / unfinished_beside(folder)
        if is_complete(out / folder):
            done.append(folder)
        elif os.path.isdir(unfinished):  # False for a name that no folder has
            lines = [line for line in read_step_log(unfinished / "log.jsonl") if line["event"] == "step"]
            begun[folder] = max((line["step"] for line in lines if isinstance(line.get("step"), int)), default=0)
        else:
            waiting.append(folder)
    failed: dict[str, str] = {}
    for line in read_step_log(out / STEPS):
        if line["event"] == "failed":
            failed[str(line.get("step"))] = str(line.get("error"))
        elif line["event"] == "done":
            failed.pop(str(line.get("step")), None)
    if not begun and not waiting:  # what failed is of a spec that was changed since
        failed = {}
    return Status(out, tuple(done), begun, tuple(waiting), failed, (out / FINDINGS).exists(), _is_running(out))


def studies_in(folder: str | Path) -> Iterator[Status]:
    """The study in a folder, and those in its folders."""
    folder = Path(folder)
    for out in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())) if folder.is_dir() else ():
        if (out / PLAN).is_file():
            yield status(out)


@dataclass(frozen=True, slots=True)
class Unused:
    """An artifact, or a training that was stopped, which the study's plan does not know."""

    folder: Path
    bytes: int


def unused(out: str | Path) -> list[Unused]:
    """What an earlier spec left in a study's folder: artifacts of ours that its findings do not rest on.

    Anything else in the folder is nobody's but the user's, and not among them. Nor is what is younger than the plan:
    it is of a further spec whose run was stopped, and the plan is written when that ends.

    Raises:
        StoreError: the folder holds no study, or the plan does not fit to what is there.
    """
    out = Path(out)
    known = set(_steps(out).values())
    if (out / FINDINGS).exists() and (missing := sorted(folder for folder in known if not is_complete(out / folder))):
        what = f"the plan names a step that is not there, so what its findings rest on is not known: {missing[0][:100]}"
        raise StoreError(what, where=str(out), fix="run the study again, which makes the step and the plan anew")
    known |= {beside(folder) for folder in known for beside in (unfinished_beside, earlier_beside)}
    written = (out / PLAN).stat().st_mtime_ns
    found = []
    for kind in (*KINDS, SOURCE):
        for path in sorted((out / kind).glob("*/") if not (out / kind).is_symlink() else ()):
            if path.is_symlink():  # what it leads to is not this study's to remove
                continue
            mark = path / ("key" if path.name.endswith(".unfinished") else MANIFEST)
            ours = mark.is_file() and mark.stat().st_mtime_ns <= written and (mark.name == "key" or is_complete(path))
            if ours and path.relative_to(out).as_posix() not in known:
                found.append(Unused(path, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())))
    return found


def remove_leftovers(steps: Iterable[Step], out: Path) -> None:
    """Remove what finished trainings were made in: who was killed while that was removed has left some of it.

    Args:
        steps: of a study, all of them done.
        out: its folder.
    """
    for step in steps:
        shutil.rmtree(unfinished_beside(str(step.folder(out))), ignore_errors=True)


def remove_unused(out: str | Path) -> list[Unused]:
    """Remove what `unused` finds, and say what it was.

    Raises:
        StoreError: the folder holds no study, or another process is at work in it.
    """
    with folder_lock(out):
        found = unused(out)
        for one in found:
            shutil.rmtree(one.folder)
    return found


def _steps(out: Path) -> dict[str, str]:
    try:
        plan: dict[str, Any] = json.loads((out / PLAN).read_text(encoding="utf-8"))
        steps = plan["steps"]
        if not isinstance(steps, dict) or not all(isinstance(folder, str) for folder in steps.values()):
            raise TypeError("steps is no object of texts")
        return steps
    except FileNotFoundError as error:
        fix = "name the folder that a study or an evaluation was written to"
        raise StoreError(f"the folder holds no study: {PLAN} is missing", where=str(out), fix=fix) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"cannot be read: {error}", where=str(out / PLAN), fix="run the study again") from error


def _is_running(out: Path) -> bool:
    try:
        with folder_lock(out):
            return False
    except StoreError:
        return True
