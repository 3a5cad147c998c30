"""Sets and models on the Hub, through the real clients, against a server on this machine that answers as the Hub does.

Each command runs in a process of its own with `HF_ENDPOINT` set, an empty cache and no token, so that nothing of this
machine's own Hub is seen. The server keeps commits: a branch moves, a commit stays what it is. It is at one address and
the cache in one place, because the clients read theirs while they are loaded.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forked import Forks, forks
from hub_server import Hub, Repo

from alignment_prism.domain import LANGUAGES
from alignment_prism.models.shipped import shipped_base
from alignment_prism.prompts import SOURCES

pytestmark = pytest.mark.slow

SHORT = 8
AYA_FILES = {"ar": "arb", "en": "eng", "fil": "tgl", "fr": "fra", "hi": "hin", "ru": "rus", "sr": "srp", "es": "spa"}


def aya_row(code: str, number: int, edition: str) -> dict[str, Any]:
    return {
        "prompt": f"{edition} {code} {number}",
        "language": LANGUAGES.find(code).name,
        "harm_category": '["Profanity", "Violence, Threats & Incitement"]',
        "global_or_local": ("global", "local")[number % 2],
        "literal_translation": None if code == "en" else f"words {number}",
        "semantic_translation": None,
        "explanation": None,
    }


def aya(edition: str, rows: int) -> dict[str, bytes]:
    """The files of the red-teaming set: a card that names a file a split, and one of JSON lines a language."""
    card = ["---", "configs:", "- config_name: default", "  data_files:"]
    files = {}
    for code, name in AYA_FILES.items():
        card += [f"  - split: {LANGUAGES.find(code).name.lower()}", f"    path: aya_{name}.jsonl"]
        lines = [json.dumps(aya_row(code, number, edition), ensure_ascii=False) for number in range(rows)]
        files[f"aya_{name}.jsonl"] = "".join(f"{line}\n" for line in lines).encode()
    return {"README.md": "\n".join([*card, "---", ""]).encode(), **files}


def dolly() -> dict[str, bytes]:
    """The evaluation suite: a configuration a folder, Parquet, translations of one prompt under one `source_id`."""
    languages = {"hin": "Deva", "srp": "Cyrl", "rus": "Cyrl", "fra": "Latn", "arb": "Arab", "spa": "Latn"}
    rows = [
        {"id": number, "inputs": f"{language} {origin}", "targets": "", "language": language, "script": script,
         "source_id": origin}
        for number, (origin, (language, script)) in enumerate((o, each) for o in (7, 9) for each in languages.items())
    ]  # fmt: skip
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    card = ("---\nconfigs:\n- config_name: dolly_human_edited\n  data_files:\n  - split: test\n"
            "    path: dolly_human_edited/test-*\n---\n")  # fmt: skip
    return {"README.md": card.encode(), "dolly_human_edited/test-00000-of-00001.parquet": stream.getvalue()}


CONFIG = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "intermediate_size": 128, "vocab_size": 512}  # fmt: skip
MODEL = {"config.json": json.dumps(CONFIG).encode(), "chat_template.jinja": b"{{ messages }}"}


def shipped_model() -> dict[str, bytes]:
    """A model that can be loaded: the base of the nano lab."""
    return {path.name: path.read_bytes() for path in shipped_base().iterdir() if path.is_file()}


PINNED = SOURCES["aya"].revision
LATER, LATEST = "b" * 40, "c" * 40


@dataclass
class Place:
    """Where the Hub is and where its clients keep what they fetch, and the process that has loaded them so."""

    port: int
    home: Path
    environment: dict[str, str]
    prism: Forks


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("hub") / "home"
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    known = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    here = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(home), "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_XET": "1"}  # Xet's own storage is no part of this server  # fmt: skip
    environment = {**known, **here}
    with forks(
        "alignment_prism", "torch", "transformers.models.auto.modeling_auto", "datasets", "scipy.stats", env=environment
    ) as prism:
        yield Place(port, home, environment, prism)


@pytest.fixture
def hub(place: Place) -> Iterator[Hub]:
    """The Hub: the red-teaming set at its pinned commit and at later ones that differ, and two models."""
    red = Repo({PINNED: aya("first", 3), LATER: aya("second", 4), LATEST: aya("third", 5)}, {"main": LATER})
    suite = Repo({SOURCES["dolly"].revision: dolly()}, {"main": SOURCES["dolly"].revision})
    running = Hub(
        {
            "datasets/CohereLabs/aya_redteaming": red,
            "datasets/CohereLabs/aya_evaluation_suite": suite,
            "datasets/lab/closed": Repo({LATER: aya("closed", 1)}, {"main": LATER}, gated=True),
            "models/lab/nano": Repo({LATER: shipped_model()}, {"main": LATER}),
            "models/lab/open": Repo({LATER: MODEL}, {"main": LATER}),
            "models/lab/closed": Repo({LATER: MODEL}, {"main": LATER}, gated=True),
        },
        place.port,
    )
    running.start()
    yield running
    running.stop()
    shutil.rmtree(place.home, ignore_errors=True)


class Prism:
    """Runs the command against a Hub, with a cache of its own."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self.folder = place, folder

    def __call__(self, *arguments: str, **environment: str) -> CompletedProcess[str]:
        if "HF_HUB_OFFLINE" in environment:  # read while the clients are loaded
            done = subprocess.run(
                [sys.executable, "-m", "alignment_prism.cli.main", *arguments],
                capture_output=True, text=True, check=False, timeout=600, cwd=self.folder,
                env={**self.place.environment, **environment},
            )  # fmt: skip
        else:
            done = self.place.prism.run(*arguments, folder=self.folder, env={**self.place.environment, **environment})
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def convert(self, *arguments: str, **environment: str) -> list[dict[str, Any]]:
        """The records that `prompts convert` writes."""
        out = self.folder / "out.jsonl"
        done = self("prompts", "convert", *arguments, "--out", str(out), "--replace", **environment)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def prism(hub: Hub, place: Place, tmp_path: Path) -> Prism:
    return Prism(place, tmp_path)


def test_the_pinned_commit_is_read_though_the_branch_has_moved_on(hub: Hub, prism: Prism) -> None:
    records = prism.convert("aya")
    assert len(records) == 3 * len(AYA_FILES)
    assert {record["source"] for record in records} == {f"aya@{PINNED[:SHORT]}"}
    assert {record["language"] for record in records} == set(AYA_FILES)
    assert all(record["messages"][0]["content"].startswith("first ") for record in records)
    assert {record["scope"] for record in records} == {"global", "local"}
    assert records[0]["categories"] == ["Profanity", "Violence, Threats & Incitement"]
    files = [line for line in hub.requests if "/resolve/" in line]
    assert files and all(f"/resolve/{PINNED}/" in line for line in files)
    assert all("CohereLabs/aya_redteaming" in line for line in hub.requests), "nothing else is asked or reported"


def test_a_branch_is_resolved_and_its_commit_recorded(hub: Hub, prism: Prism) -> None:
    records = prism.convert("aya", "--revision", "main", "--hub-split", "french")
    assert [record["source"] for record in records] == [f"aya@{LATER[:SHORT]}"] * 4
    assert "GET /api/datasets/CohereLabs/aya_redteaming/revision/main" in hub.requests
    hub.repos["datasets/CohereLabs/aya_redteaming"].refs["main"] = LATEST
    records = prism.convert("aya", "--revision", "main", "--hub-split", "french")
    assert [record["source"] for record in records] == [f"aya@{LATEST[:SHORT]}"] * 5
    # Read between the two questions the branch may move; what is fetched is the commit that was recorded.
    assert all(f"/resolve/{LATER}/" in line or f"/resolve/{LATEST}/" in line
               for line in hub.requests if "/resolve/" in line)  # fmt: skip


def test_what_is_in_the_cache_is_used_when_the_hub_is_gone(hub: Hub, prism: Prism) -> None:
    before = prism.convert("aya", "--hub-split", "hindi")
    hub.stop()
    assert prism.convert("aya", "--hub-split", "hindi") == before
    assert prism.convert("aya", "--hub-split", "hindi", HF_HUB_OFFLINE="1") == before
    done = prism("prompts", "stats", "dolly")
    assert done.returncode == 2 and "fix:" in done.stderr


def test_another_commit_in_the_cache_is_never_passed_off_as_the_one_asked_for(hub: Hub, prism: Prism) -> None:
    later = prism.convert("aya", "--revision", "main", "--hub-split", "hindi")
    assert {record["source"] for record in later} == {f"aya@{LATER[:SHORT]}"}
    hub.stop()
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        done = prism("prompts", "stats", "aya", "--hub-split", "hindi", **environment)
        assert done.returncode == 2 and PINNED[:SHORT] in done.stderr and "fix:" in done.stderr
    assert prism.convert("aya", "--revision", LATER, "--hub-split", "hindi") == later


def test_the_right_one_of_two_commits_in_the_cache(hub: Hub, prism: Prism) -> None:
    pinned = prism.convert("aya", "--hub-split", "hindi")
    prism.convert("aya", "--revision", LATER, "--hub-split", "hindi")  # now the last that was fetched
    assert prism.convert("aya", "--hub-split", "hindi", HF_HUB_OFFLINE="1") == pinned


def test_dolly_has_its_configuration_its_commit_and_its_groups(prism: Prism) -> None:
    records = prism.convert("dolly")
    assert {record["source"] for record in records} == {f"dolly@{SOURCES['dolly'].revision[:SHORT]}"}
    assert sorted({record["language"] for record in records}) == ["ar", "es", "fr", "hi", "ru", "sr"]
    assert {record["group"] for record in records} == {"dolly-7", "dolly-9"}
    assert len({record["id"] for record in records}) == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lab/none",), "no such dataset"),
        (("aya", "--revision", "v9"), "no such revision"),
        (("aya", "--hub-split", "klingon"), "split"),
        (("dolly", "--config", "nothing"), "config"),
        (("lab/closed", "--hub-split", "english"), "gated"),
    ],
)
def test_what_cannot_be_had_is_told_without_a_traceback(prism: Prism, arguments: tuple[str, ...], words: str) -> None:
    done = prism("prompts", "stats", *arguments)
    assert done.returncode == 2
    assert words in done.stderr and "where:" in done.stderr and "fix:" in done.stderr


def test_a_token_opens_what_is_gated(hub: Hub, prism: Prism) -> None:
    records = prism.convert("lab/closed", "--hub-split", "english", HF_TOKEN=hub.token)
    assert [record["source"] for record in records] == [f"closed@{LATER[:SHORT]}"]


def test_the_doctor_looks_at_access_template_and_shape(hub: Hub, prism: Prism) -> None:
    def checks(model: str, **environment: str) -> tuple[int, dict[str, dict[str, str]]]:
        done = prism("doctor", "--model", model, "--gpu-memory", "80", "--json", **environment)
        return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}

    code, found = checks("lab/open")
    assert code == 0 and (found["model"]["status"], found["chat template"]["status"]) == ("ok", "ok")
    assert found["memory"]["status"] == "ok"
    code, found = checks("lab/closed")
    assert code == 3 and "gated" in found["model"]["what"] and "HF_TOKEN" in found["model"]["fix"]
    code, found = checks("lab/closed", HF_TOKEN=hub.token)
    assert code == 0 and found["model"]["status"] == "ok" and found["hub"]["status"] == "ok"
    code, found = checks("lab/none")
    assert code == 3 and "no model lab/none" in found["model"]["what"]


def test_a_model_by_its_id_replies_and_is_aligned_and_the_second_time_from_the_cache(hub: Hub, prism: Prism) -> None:
    prompts, pairs = prism.folder / "prompts.jsonl", prism.folder / "pairs.jsonl"
    asked = "Hello, what is 2 plus 3? Thank you."
    prompts.write_text(json.dumps({"id": "p", "prompt": asked, "language": "en", "kind": "general"}) + "\n")
    pairs.write_text(json.dumps({"prompt": asked, "chosen": "2 plus 3 makes 5.", "rejected": "5."}) + "\n")
    generate = ("generate", "--model", "hub:lab/nano", "--prompts", str(prompts), "--max-tokens", "16")
    done = prism(*generate, "--out", "first.jsonl")
    assert done.returncode == 0, done.stderr
    assert any(line == "GET /lab/nano/resolve/" + LATER + "/model.safetensors" for line in hub.requests)
    done = prism("align", "--method", "sft", "--base", "lab/nano", "--pairs", str(pairs), "--config", "micro",
                 "--out", "run")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (prism.folder / "run" / "model" / "model.safetensors").is_file()
    hub.stop()
    assert prism(*generate, "--out", "second.jsonl").returncode == 0
    replies = [json.loads((prism.folder / f"{name}.jsonl").read_text())["reply"] for name in ("first", "second")]
    assert replies[0] == replies[1] and "5" in replies[0]
    done = prism("generate", "--model", "hub:lab/none", "--prompts", str(prompts), "--out", "third.jsonl")
    assert done.returncode != 0 and "lab/none" in done.stderr and "fix:" in done.stderr


def write_pairs(place: Path) -> None:
    """Three safety pairs in a file."""
    pairs = [
        {
            "id": f"p{n}",
            "prompt": f"ask {n}",
            "chosen": f"no {n}",
            "rejected": f"yes {n}",
            "language": "en",
            "kind": "safety",
        }
        for n in range(3)
    ]
    (place / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")


def test_a_data_set_is_sent_as_one_private_commit(hub: Hub, prism: Prism) -> None:
    write_pairs(prism.folder)
    done = prism(
        "preferences", "export", "pairs.jsonl", "--name", "mine", "--licence", "pairs.jsonl=mit", "--out", "mine"
    )
    assert done.returncode == 0, done.stderr
    (prism.folder / "mine" / ".DS_Store").write_bytes(b"x")
    before = list(hub.requests)
    done = prism("push", "mine", "lab/mine", "--dry-run", HF_TOKEN=hub.token)
    assert done.returncode == 0, done.stderr
    assert "dataset lab/mine, private" in done.stdout and "nothing was sent" in done.stdout
    assert hub.requests == before
    done = prism("push", "mine", "lab/mine", HF_TOKEN=hub.token)
    assert done.returncode == 0, done.stderr
    assert hub.token not in done.stdout + done.stderr
    repo = hub.repos["datasets/lab/mine"]
    assert repo.private and len(repo.commits) == 2
    mine = prism.folder / "mine"
    files = [path for path in mine.rglob("*") if path.is_file() and not path.name.startswith(".")]
    sent = {path.relative_to(mine).as_posix(): path.read_bytes() for path in files}
    assert repo.commits[repo.refs["main"]] == sent and "README.md" in sent
    assert all(f"  {name}" in done.stdout for name in sent)
    assert sorted(hub.large.values()) == sorted(data for name, data in sent.items() if name.endswith(".parquet"))
    done = prism("push", "mine", "lab/mine", "--public", HF_TOKEN=hub.token)
    assert done.returncode == 2 and "the repository is private already" in done.stderr


def test_a_model_is_sent_with_its_card_and_nothing_without(hub: Hub, prism: Prism) -> None:
    model = prism.folder / "model"
    shutil.copytree(shipped_base(), model)
    (model / "README.md").unlink(missing_ok=True)
    done = prism("push", "model", "lab/mine", HF_TOKEN=hub.token)
    assert done.returncode == 2 and "no card" in done.stderr
    (model / "README.md").write_text("---\nlibrary_name: transformers\ntags:\n- alignment-prism\n---\n\n# Mine\n")
    for code, words, environment in ((2, "no token", {}), (2, "may write there", {"HF_TOKEN": "hf_wrong"})):
        done = prism("push", "model", "lab/mine", **environment)
        assert done.returncode == code and words in done.stderr and "hf_wrong" not in done.stderr
    done = prism("push", "model", "lab/mine", "--public", HF_TOKEN=hub.token)
    assert done.returncode == 0, done.stderr
    repo = hub.repos["models/lab/mine"]
    assert not repo.private
    assert repo.commits[repo.refs["main"]]["model.safetensors"] == (model / "model.safetensors").read_bytes()
    hub.stop()
    done = prism("push", "model", "lab/mine", "--public", HF_TOKEN=hub.token)
    assert done.returncode == 2 and "fix:" in done.stderr and hub.token not in done.stderr
