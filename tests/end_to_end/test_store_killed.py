"""Machines that end while they send what they have done: nothing is lost, and no half of a step is found."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from forked import Forked, Forks, forks
from s3_server import Bucket, bucket
from shared_store import copied, made, run, write_study

pytestmark = pytest.mark.slow  # whole runs that are killed

LIBRARIES = ("alignment_prism.cli.study", "alignment_prism.studies.run", "alignment_prism.training.run", "s3fs",
             "alignment_prism.generation.backends.transformers",
             "alignment_prism.training.backends.transformers")  # fmt: skip


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket(monkeypatch) as one:
        yield one


@pytest.fixture
def study(tiny_model: Path, tmp_path: Path) -> Path:
    write_study(tmp_path, tiny_model)
    return tmp_path


@pytest.fixture(scope="module")
def processes() -> Iterator[Forks]:
    with forks(*LIBRARIES) as started:
        yield started


def run_until(name: str, number: int, study: Path, machine: str, s3: Bucket, processes: Forks, *more: object) -> int:
    """Run the study in a process that is killed before its object of that number with such a name is kept; how it
    ended."""
    seen: list[str] = []
    started: list[Forked] = []

    def take(put: str) -> bool:
        seen.append(put)
        if sum(one.startswith(name) for one in seen) < number:
            return True
        os.kill(started[0].pid, signal.SIGKILL)
        return False

    s3.take = take
    arguments = ("study", "run", "spec.yaml", "--out", "out", "--store", s3.url, *more)
    folder = copied(study, machine)
    started.append(processes.start(arguments, folder=folder, env=os.environ, out=study / "said", err=study / "err"))
    ended = started[0].wait()
    s3.take = lambda put: True
    assert ended in (0, -signal.SIGKILL), (study / "err").read_text()
    return ended


def whole(s3: Bucket) -> tuple[int, int]:
    """How many steps there are, each of them whole, and how many files that are none's; all are what they are named."""
    objects = s3.objects()
    files = {name.rpartition("/")[2]: content for name, content in objects.items() if "/files/" in name}
    assert all(sha256(content).hexdigest() == name for name, content in files.items())
    manifests = [json.loads(content) for name, content in objects.items() if "/artifacts/" in name]
    named = {entry["sha256"] for manifest in manifests for entry in manifest["files"].values()}
    assert named <= files.keys()
    return len(manifests), len(files.keys() - named)


def test_a_sender_that_is_killed_between_the_files_and_the_manifest(study: Path, s3: Bucket, processes: Forks) -> None:
    run(study, "alone")
    assert run_until("artifacts/", 3, study, "one", s3, processes) == -signal.SIGKILL
    steps, files = whole(s3)
    assert steps == 2 and files > 0
    run(study, "one", "--store", s3.url)
    assert made(study / "one") == made(study / "alone") and whole(s3) == (10, 0)
    said = run(study, "another", "--store", s3.url)
    assert made(study / "another") == made(study / "alone") and said.count("fetch: ") == 10


def test_senders_that_are_killed_again_and_again(study: Path, s3: Bucket, processes: Forks) -> None:
    run(study, "alone")
    kills = 0
    while run_until("", 8, study, "one", s3, processes):  # files and manifests, the first of a step and the last
        kills += 1
        whole(s3)
    assert made(study / "one") == made(study / "alone") and whole(s3) == (10, 0) and kills > 2
    run(study, "another", "--store", s3.url)
    assert made(study / "another") == made(study / "alone")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_machine_that_was_taken_away(jobs: int, study: Path, s3: Bucket, processes: Forks) -> None:
    run(study, "alone")
    assert run_until("artifacts/", 6, study, "first", s3, processes, "--jobs", jobs) == -signal.SIGKILL
    shutil.rmtree(study / "first")
    sent, _ = whole(s3)
    said = run(study, "second", "--store", s3.url)
    assert said.count("fetch: ") == sent == 5
    assert made(study / "second") == made(study / "alone") and whole(s3)[0] == 10
