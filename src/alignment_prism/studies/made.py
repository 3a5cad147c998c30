"""Whether what a study's folder shows is what would be made anew: then a run that had nothing to do is over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from alignment_prism.domain import content_digest
from alignment_prism.store import file_digest
from alignment_prism.store.names import (
    COMPARISONS,
    CONTRASTS,
    FINDINGS,
    GENERATIONS,
    MANIFEST,
    PLAN,
    PROMPTS,
    REPORT,
    SCORES,
    STUDY,
    TRANSFER,
)
from alignment_prism.studies.plan import Plan
from alignment_prism.studies.spec import StudySpec

SHOWN = (PROMPTS, GENERATIONS, SCORES, COMPARISONS, FINDINGS, CONTRASTS, TRANSFER, REPORT, STUDY, PLAN)
"""What is made of the artifacts of steps, and what says which they are."""

MADE = "made.json"
"""Of a study's folder: what `SHOWN` was made from, and the digest of each file of it."""

_COMPUTING = ("numpy", "scipy", "pyarrow", "pydantic", "jinja2", "altair", "vl-convert-python")


def made_from(spec: StudySpec, plan: Plan, index: Mapping[str, Any], out: Path) -> str:
    """Digest of everything that shapes findings and report: artifacts, spec, this package's own files, and what it
    computes with."""
    steps = (*(one.step for one in plan.sources), *plan.steps)
    artifacts = {step.key: file_digest(step.folder(out) / MANIFEST) for step in steps}  # which has those of its files
    return content_digest(spec.model_dump(mode="json"), dict(index), artifacts, _code(), _versions())


def is_made(out: Path, digest: str) -> bool:
    """Whether every file of the folder is as it was made from the same."""
    try:
        known = json.loads((out / MADE).read_text(encoding="utf-8"))
        return bool(known["from"] == digest and known["files"] == _files(out))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def write_made(out: Path, digest: str) -> None:
    """Write down what the folder shows, and what it was made from."""
    from alignment_prism.io import write_json

    write_json(out / MADE, {"from": digest, "files": _files(out)})


def _files(out: Path) -> dict[str, str]:
    return {name: file_digest(out / name) for name in SHOWN if (out / name).is_file()}


@cache
def _code() -> str:
    """Of the package as it lies there: a version number is the same after a change to its files."""
    package = Path(__file__).parents[1]
    whole = sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".yaml", ".json", ".j2", ".css", ".js"):
            whole.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return whole.hexdigest()


@cache
def _versions() -> Mapping[str, str]:
    found = {}
    for name in _COMPUTING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found
