"""Parts of a study: every training and reply is in one of them, none is made twice, and together they are the study."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from prism_command import prism

from alignment_prism.domain import InputError, Pair, Prompt, PromptKind, StoreError, user
from alignment_prism.models.names import ModelKind, ModelRef
from alignment_prism.store import folder_lock
from alignment_prism.studies import Sources, Study, build_plan, load_spec
from alignment_prism.studies.housekeeping import status
from alignment_prism.studies.shards import run_shard, shard_of
from alignment_prism.studies.steps import Step

PAIRS = [Pair(f"p{n}", user(f"ask {n}"), "yes", "no", "en", "safety") for n in range(2)]
BASE = {"base": ModelRef(ModelKind.FOLDER, "nano", "base")}
SOURCES = Sources([Prompt("q", user("ask"), "en", PromptKind.HARMFUL)], BASE, {"base": "digest"}, {}, PAIRS, PAIRS)


def paper() -> tuple[Step, ...]:
    return build_plan(load_spec("nano-paper", seeds=(0, 1)), SOURCES).steps


@pytest.mark.parametrize("of", [1, 2, 5, 12, 40])
def test_every_training_and_reply_is_in_one_part_after_what_it_needs(of: int) -> None:
    steps = paper()
    parts = [shard_of(steps, number, of) for number in range(1, of + 1)]
    made = Counter(step.key for part in parts for step in part)
    assert set(made) == {step.key for step in steps if step.kind in ("mix", "train", "reply")}
    assert set(made.values()) == {1}
    for part in parts:
        keys = [step.key for step in part]
        for step in part:
            there = [needed.key for needed in step.needs.values() if needed.kind != "source"]
            assert all(key in keys[: keys.index(step.key)] for key in there)


def test_parts_are_even() -> None:
    # Two seeds of six mixtures, each with four trainings and four replies; the thirteenth group is base's replies.
    trainings = [Counter(step.kind for step in shard_of(paper(), number, 4))["train"] for number in range(1, 5)]
    assert trainings == [12, 12, 12, 12]


@pytest.mark.parametrize(("number", "of"), [(0, 4), (5, 4), (1, 0)])
def test_a_part_that_there_is_not(number: int, of: int) -> None:
    with pytest.raises(InputError, match="no shard"):
        shard_of(paper(), number, of)


def slurm_lines(repository: Path, tasks: int) -> list[list[str]]:
    """What the tasks of the guide's array job run, word by word, as bash makes them."""
    text = (repository / "docs/cluster.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- slurm -->\n```text\n(.*?)```", text, re.S)
    assert found is not None
    script = 'prism() { printf "%q " "$@"; }\n' + found[1]
    lines = []
    for task in range(1, tasks + 1):
        numbers = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(tasks)}
        run = subprocess.run(["bash", "-euc", script], env={**os.environ, **numbers}, capture_output=True, check=True)
        lines.append(shlex.split(run.stdout.decode()))
    return lines


@pytest.mark.slow
def test_an_array_of_processes_and_the_command_after_it_are_the_study(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arms = "arms: [{name: sft, method: sft, share: 0.15}]"
    spec = prism("study", "show", "micro").stdout.replace("compare:\n  model: nano/oracle\n  rubric: pairwise@2\n", "")
    (tmp_path / "mine.yaml").write_text(re.sub(r"arms:\n(  - .*\n)+", f"{arms}\nkinds: [harmful]\n", spec))
    for words in slurm_lines(repository, 2):
        told = prism(*(str(out) if word == "/shared/mine" else word for word in words), folder=tmp_path)
        assert told.returncode == 0, told.stderr
        assert not status(out).has_findings
    assert {folder.split("/")[0] for folder in status(out).waiting} == {"score"}
    made = {
        path: path.stat().st_mtime_ns for kind in ("train", "reply") for path in out.glob(f"{kind}/*/manifest.json")
    }
    assert len(made) == 3  # a training, its replies, base's
    assert prism("study", "run", "mine.yaml", "--out", out, folder=tmp_path).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert Study.open(out).findings()

    with folder_lock(out), pytest.raises(StoreError, match="another prism"):
        run_shard("micro", out, 1, 2)
    with folder_lock(out, shared=True), folder_lock(out, shared=True):
        assert status(out).is_running
        with pytest.raises(StoreError, match="another prism"), folder_lock(out):
            pass
    assert not status(out).is_running


def test_a_part_that_calls_models_may_cost_no_more_than_is_said(tmp_path: Path) -> None:
    judged = {
        "name": "online",
        "method": "dpo_ift",
        "share": 0.5,
        "on_policy": {"judges": [{"model": "mockllm/model"}]},
    }
    spec = load_spec("micro", arms=[judged])
    with pytest.raises(InputError, match="a budget, and no price of mockllm/model"):
        run_shard(spec, tmp_path / "out", 1, 1, budget=1.0)


@pytest.mark.parametrize("words", [["--shard", "1"], ["--shard", "1/2", "--replace"], ["--shard", "3/2"]])
def test_what_is_no_part_is_refused(words: list[str], tmp_path: Path) -> None:
    told = prism("study", "run", "micro", "--out", tmp_path / "out", *words)
    assert told.returncode == 2 and "shard" in told.stderr
