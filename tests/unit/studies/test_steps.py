"""Steps depend on nothing but what they are handed: another process does them to the same bytes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import Generation
from alignment_prism.io import write_records
from alignment_prism.nano import world
from alignment_prism.studies import Step, StudySpec, build_plan, load_sources
from alignment_prism.studies.steps import KINDS, Context

pytestmark = pytest.mark.slow


def silent(done: int, total: int, words: str = "", /) -> None:
    """Tells nobody."""


def do(step: Step, inputs: Mapping[str, Path], folder: Path) -> dict[str, bytes]:
    """Do a step as an executor of another machine would; returns the files that it left."""
    folder.mkdir(parents=True)
    with CallJournal(folder.parent / "calls.jsonl") as journal:
        KINDS[step.kind].do(
            step, inputs, folder, Context(folder.parent, journal), lambda done, total, words="", /: None
        )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_step_is_done_by_another_process_to_the_same_bytes(tmp_path: Path) -> None:
    prompts = world().evaluation_prompts()
    write_records(tmp_path / "stored.jsonl", [Generation(p.id, "mine", "m", "I cannot.") for p in prompts])
    spec = StudySpec.model_validate(
        {
            "name": "x",
            "training": "micro",
            "mixture": {"total": 40},
            "arms": [
                {"name": "trained", "method": "sft", "share": 0.5},
                {"name": "mine", "replies": str(tmp_path / "stored.jsonl")},
            ],
            "scorers": ["reply_length"],
            "judge": {"model": "nano/oracle"},
        }
    )
    plan = build_plan(spec, load_sources(spec))
    out = tmp_path / "out"
    for source in plan.sources:
        source.write(out)
    waiting = [step for step in plan.steps if step.kind == "mix" or (step.kind == "score" and step.arm == "mine")]
    assert [step.kind for step in waiting] == ["mix", "score", "score"]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = []
        for number, step in enumerate(waiting):
            inputs = {role: needed.folder(out) for role, needed in step.needs.items()}
            here = do(step, inputs, tmp_path / f"here{number}" / "step")
            jobs.append((step, here, pool.submit(do, step, inputs, tmp_path / f"there{number}" / "step")))
        for step, here, there in jobs:
            assert here and there.result() == here, step.title
