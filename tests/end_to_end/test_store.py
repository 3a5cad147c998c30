"""Machines that share no disk: finished steps go through a store, and findings are those of one machine."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from prism_command import prism
from s3_server import Bucket, bucket
from shared_store import FOUND, TRAINED, made, run, write_study

from alignment_prism.domain import StoreError
from alignment_prism.domain.progress import Progress
from alignment_prism.studies import Study, run_study
from alignment_prism.studies.progress import Silent


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket(monkeypatch) as one:
        yield one


@pytest.fixture
def study(tiny_model: Path, tmp_path: Path) -> Path:
    write_study(tmp_path, tiny_model)
    return tmp_path


def test_shards_on_machines_of_their_own(study: Path, s3: Bucket) -> None:
    run(study, "alone")
    for number in (1, 2):
        run(study, f"machine-{number}", "--shard", f"{number}/2", "--store", s3.url)
        assert len(list((study / f"machine-{number}/out").glob("train/*"))) == 1
    planned = prism("study", "plan", "spec.yaml", "--store", s3.url, folder=study)
    assert "3 of 10 steps to do" in planned.stdout  # three scores
    said = run(study, "desk", "--store", s3.url)
    assert said.count("fetch: ") == 7 and not re.search(TRAINED, said, re.M)  # two mixtures, trainings; three replies
    assert made(study / "desk") == made(study / "alone") and len(made(study / "alone")) == 2 + len(FOUND)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_second_machine_trains_nothing(jobs: int, study: Path, s3: Bucket) -> None:
    run(study, "first", "--store", s3.url, "--jobs", jobs)
    before = s3.objects()
    said = run(study, "second", "--store", s3.url)
    assert made(study / "second") == made(study / "first") and s3.objects() == before
    assert not re.search(TRAINED, said, re.M)


@pytest.mark.parametrize(
    "damage", ["flipped", "manifest", *(pytest.param(one, marks=pytest.mark.slow) for one in ("cut", "gone", "other"))]
)
def test_what_is_damaged_in_the_store_is_made_again_and_sent_anew(damage: str, study: Path, s3: Bucket) -> None:
    run(study, "first", "--store", s3.url)
    whole = s3.objects()
    manifests = {name: json.loads(text) for name, text in whole.items() if "/artifacts/" in name}
    training = next(name for name, manifest in manifests.items() if manifest["kind"] == "training")
    weights = f"studies/files/{manifests[training]['files']['model/model.safetensors']['sha256']}"
    content = whole[weights]
    if damage == "gone":
        s3.remove(weights)
    elif damage == "manifest":
        s3.put(training, whole[training][:-40])
    elif damage == "other":
        s3.put(training, next(whole[name] for name in manifests if manifests[name]["kind"] == "mix"))
    else:
        s3.put(weights, content[:-9] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    said = run(study, "second", "--store", s3.url)
    assert "the step is done again" in said
    assert made(study / "second") == made(study / "first")
    found = s3.objects()  # a training's log has its times, and is another file each time
    assert found[weights] == content and {name for name in found if "/artifacts/" in name} == manifests.keys()
    assert "done again" not in run(study, "third", "--store", s3.url)


def test_a_manifest_that_leads_out_of_its_folder_writes_nothing_there(study: Path, s3: Bucket) -> None:
    run(study, "first", "--store", s3.url)
    name, text = next((name, text) for name, text in s3.objects().items() if b'"kind": "mix"' in text)
    manifest = json.loads(text)
    (entry,) = (entry for file, entry in manifest["files"].items() if file == "pairs.parquet")
    s3.put(name, json.dumps({**manifest, "files": {"../../../outside": entry}}).encode())
    assert "outside of its folder" in run(study, "second", "--store", s3.url)
    assert not list(study.parent.rglob("outside"))


class Lost(Silent):
    """A reporter, at whose first reply the store is taken away."""

    def __init__(self, s3: Bucket) -> None:
        self.s3 = s3

    def step(self, number: int, total: int, title: str) -> AbstractContextManager[Progress]:
        if title.startswith("replies"):
            self.s3.refuse()
        return super().step(number, total, title)


@pytest.mark.slow
def test_a_store_that_is_lost_midway_costs_nothing_but_the_sending(
    study: Path, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    with pytest.raises(StoreError, match="could not be sent"):
        run_study("spec.yaml", "out", store=s3.url, progress=Lost(s3))
    assert Study.open("out").findings()
    s3.refuse(no_more=True)
    assert len([name for name in s3.objects() if "/artifacts/" in name]) < 10
    run_study("spec.yaml", "out", store=s3.url)
    assert len([name for name in s3.objects() if "/artifacts/" in name]) == 10


@pytest.mark.slow
def test_a_store_that_nobody_answers_at_is_told_before_any_step(study: Path, s3: Bucket) -> None:
    s3.server.stop()
    told = prism("study", "run", "spec.yaml", "--out", "out", "--store", s3.url, folder=study)
    assert told.returncode == 5 and "the store cannot be used" in told.stderr and "fix:" in told.stderr
    assert not (study / "out/train").exists()


def test_weights_that_are_fetched_or_there_are_held_against_their_digest_once(
    study: Path, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(study, "first", "--store", s3.url)
    hashed: Counter[str] = Counter()
    file_digest = hashlib.file_digest

    def counted(file: Any, *more: Any) -> Any:
        hashed[Path(file.name).name] += 1
        return file_digest(file, *more)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    run(study, "second", "--store", s3.url)
    assert (hashed["model.safetensors"], hashed["generations.parquet"]) == (2 + 1, 3 + 1)  # base; that of the study
    hashed.clear()
    run(study, "second")  # all is there
    assert (hashed["model.safetensors"], hashed["generations.parquet"]) == (2 + 1, 3 + 1)


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_bucket_that_is_not_there(command: str, study: Path, s3: Bucket) -> None:
    url = s3.url.replace("s3://", "s3://not-")
    told = prism("study", command, "spec.yaml", "--out", "out", "--store", url, folder=study)
    assert told.returncode == 5 and "bucket does not exist" in told.stderr and "fix:" in told.stderr
    assert f"where: {url}" in told.stderr and not (study / "out").exists()


def test_a_folder_is_a_store_too(study: Path) -> None:
    url = f"file://{study}/store"
    run(study, "first", "--store", url)
    run(study, "second", "--store", url)
    assert made(study / "second") == made(study / "first")
    (study / "store/prism").write_text("something else\n")
    told = prism("study", "run", "spec.yaml", "--store", url, folder=study)
    assert told.returncode == 5 and "format" in told.stderr


@pytest.mark.parametrize("url", ["bucket/path", "nowhere://bucket/path"])
def test_no_url_of_a_store(url: str, study: Path) -> None:
    told = prism("study", "run", "spec.yaml", "--out", "first", "--store", url, folder=study)
    assert told.returncode == 2 and "fix:" in told.stderr and not (study / "first").exists()
    file = f"file://{study}/spec.yaml"
    told = prism("study", "run", "spec.yaml", "--out", "first", "--store", file, folder=study)
    assert told.returncode == 5 and "Not a directory" in told.stderr and "Errno" not in told.stderr
