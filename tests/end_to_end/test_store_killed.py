"""Machines that end while they send what they have done: nothing is lost, and no half of a step is found."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest
from forked import Forked, Forks, forks
from s3_server import Bucket, bucket
from shared_store import copied, made, run, write_study

from alignment_prism.domain import StoreError
from alignment_prism.store import write_artifact
from alignment_prism.store.locks import folder_lock
from alignment_prism.store.remote import BLOCK, RemoteStore

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
    wait_for_workers(folder / "out")
    return ended


def wait_for_workers(out: Path) -> None:
    """Of a killed run: they stop as by Ctrl-C once its end has reached them, and hold their folders until then."""
    for _ in range(1200):
        try:
            for unfinished in out.rglob("*.unfinished"):
                with folder_lock(unfinished):
                    pass
            return
        except (StoreError, FileNotFoundError):
            time.sleep(0.1)
    raise AssertionError("workers of a killed run are still there")


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


@pytest.mark.parametrize("words", ["replies of", "still to be sent"], ids=["while the next step is done", "at the end"])
def test_ctrl_c_does_not_wait_for_what_is_being_sent(words: str, study: Path, s3: Bucket) -> None:
    run(study, "alone")
    go_on = Event()
    program = "from alignment_prism.cli.main import main; main()"
    command = [sys.executable, "-c", program, "study", "run", "spec.yaml", "--out", "out", "--store", s3.url]
    with (study / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=copied(study, "one"), stdout=said, stderr=said)
    s3.take = lambda name: not name.startswith("files/") or (go_on.wait(300) and False)
    while words not in (study / "said").read_text("utf-8") and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130 and not go_on.is_set()
    go_on.set()
    told = (study / "said").read_text("utf-8")
    assert re.search(r"finished steps are not in s3.*, and sent by the same command: mixture.*replies of base", told)
    assert "Traceback" not in told and "to go on, run the same command again" in told
    s3.take = lambda name: True
    assert whole(s3) == (0, 0) and s3.unfinished() == 0
    run(study, "one", "--store", s3.url)
    assert made(study / "one") == made(study / "alone") and whole(s3) == (10, 0)


@pytest.mark.parametrize("kind", ["bucket", "folder"])
def test_what_is_stopped_within_a_file_leaves_no_part_of_it(kind: str, tmp_path: Path, s3: Bucket) -> None:
    with write_artifact(tmp_path / "large") as folder:
        (folder / "weights").write_bytes(bytes(2 * BLOCK + 1))
    store = RemoteStore(s3.url if kind == "bucket" else f"file://{tmp_path}/store")
    store.make()
    told = []

    def stop(done: int, total: int, words: str = "", /) -> None:
        told.append((done, total))
        raise KeyboardInterrupt

    def found() -> list[str]:
        inside = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
        return sorted(name.rpartition("/")[2] for name in (s3.objects() if kind == "bucket" else inside))

    with pytest.raises(KeyboardInterrupt):
        store.send("key", tmp_path / "large", stop)
    gc.collect()
    assert told == [(BLOCK, 2 * BLOCK + 1)] and found() == ["prism"] and s3.unfinished() == 0
    store.send("key", tmp_path / "large")
    assert found() == sorted(["prism", "key", sha256(bytes(2 * BLOCK + 1)).hexdigest()]) and s3.unfinished() == 0
    store.fetch("key", tmp_path / "here", "artifact")
    assert (tmp_path / "here/weights").read_bytes() == bytes(2 * BLOCK + 1)
