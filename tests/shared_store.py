"""A study of two small arms on machines that share a store and no disk: each is a folder of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from prism_command import prism

SPEC = """\
name: shared
base: %s
pairs: {safety: [safety.jsonl], general: [general.jsonl]}
mixture: {total: 4}
training: {preset: micro, training: {batch_size: 2}}
arms:
  - {name: some, method: sft, share: 0.5}
  - {name: none, method: sft, share: 0}
prompts: [{file: prompts.jsonl}]
generation: {max_tokens: 4}
scorers: [reply_length]
examples: 0
"""
TRAINED = r"^\[\d+/\d+\] (?!fetch)(mix|train|repl)"
FOUND = ("findings.parquet", "generations.parquet", "scores.parquet")


def write_study(folder: Path, base: Path) -> None:
    """A spec of two arms and what it names."""
    for kind in ("safety", "general"):
        rows = [{"prompt": f"{kind} {n}", "chosen": f"b {n}", "rejected": f"c {n}", "language": "en"} for n in range(4)]
        text = "".join(json.dumps({**row, "kind": kind}) + "\n" for row in rows)
        (folder / f"{kind}.jsonl").write_text(text, encoding="utf-8")
    rows = [
        {"id": f"p{n}", "prompt": f"How is bread baked, {n}?", "language": "en", "kind": "general"} for n in range(3)
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "spec.yaml").write_text(SPEC % base, encoding="utf-8")


def copied(study: Path, machine: str) -> Path:
    """The folder of a machine, with the spec and what it names."""
    if not (study / machine).exists():
        (study / machine).mkdir()
        for file in [*study.glob("*.jsonl"), study / "spec.yaml"]:
            shutil.copy(file, study / machine)
    return study / machine


def run(study: Path, machine: str, *more: object) -> str:
    """Run the spec on one of several machines, in a folder that is called the same on each; what was said."""
    told = prism("study", "run", "spec.yaml", "--out", "out", *more, folder=copied(study, machine))
    assert told.returncode == 0, told.stderr
    return told.stdout + told.stderr


def made(machine: Path) -> dict[str, bytes]:
    """Tables and weights."""
    folder = machine / "out"
    weights = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("train/*/model/*.safetensors")
    }
    return weights | {name: (folder / name).read_bytes() for name in FOUND if (folder / name).exists()}
