"""The disk fills at every kind of file that a command writes: exit code 5, how to go on, the same result in the end.

The kinds are found by watching a run, so that a new one is tried without anybody thinking of it. A limit on the size of
files (`ulimit -f`) is laid on this process at the moment when a file of the kind is opened for writing, whatever
library writes it.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripted_server import Server

from alignment_prism.cli.main import main
from alignment_prism.domain import Finding
from alignment_prism.io import read_records

pytestmark = pytest.mark.slow

WRITING = os.O_WRONLY | os.O_RDWR
WEIGHTS = ("checkpoint-", "model/")
"""Folders whose first file is written by a library in Rust, which no audit hook hears of."""
ALIKE = ("generation_config.json", "chat_template.jinja", "tokenizer_config.json", "trainer_state.json")
"""Files of a checkpoint that are written like another one, which is tried."""
HARD = resource.getrlimit(resource.RLIMIT_FSIZE)[1]


class Disk:
    """What is opened for writing below a folder, and when it is full.

    Attributes:
        below: the folder; None watches nothing.
        kinds: of files that were opened, in their order.
        full_at: the kind at which there is no more room.
    """

    def __init__(self) -> None:
        self.below: Path | None = None
        self.kinds: list[str] = []
        self.full_at = ""

    def heard(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook."""
        if self.below is None or event not in ("open", "os.mkdir"):
            return
        path, flags = arguments[0], arguments[2]
        if not isinstance(path, str | os.PathLike) or not str(path).startswith(str(self.below)):
            return
        if event == "open" and (Path(path).is_dir() or not (isinstance(flags, int) and flags & WRITING)):
            return
        name = kind(Path(path).name) + "/" * (event == "os.mkdir")
        if event == "os.mkdir" and not name.startswith(WEIGHTS):
            return
        if name not in self.kinds:
            self.kinds.append(name)
        if name == self.full_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, HARD))

    def run(self, below: Path, arguments: list[str], full_at: str = "") -> int:
        self.below, self.full_at = below, full_at
        try:
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (HARD, HARD))
            self.below = None
        return int(ended.value.code or 0)


def kind(name: str) -> str:
    """The name of a file without what differs from run to run."""
    name = re.sub(r"^\.(.+)\.[\w-]+-\d+-\w+\.part$", r"\1", name)
    return re.sub(r"\d+", "N", re.sub(r"-[0-9a-f]{10,}\b|tmp-.*", "-X", name))


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    found = Disk()
    sys.addaudithook(found.heard)  # there is no way to take one off again: it is told to hear nothing
    yield found
    found.below = None


def fill_at_every_kind(
    disk: Disk, arguments: Callable[[Path], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[list[str], Path, Path]:
    """The kinds of files of a command at which its disk was full, the output of a run with room, and that of one that
    was stopped at each of them in turn."""
    disk.kinds = []
    whole, parts = tmp_path / "whole" / "out", tmp_path / "parts" / "out"
    assert disk.run(whole.parent, arguments(whole)) == 0, capsys.readouterr().err
    met = []
    for name in [kind for kind in disk.kinds if kind not in ALIKE]:
        code = disk.run(parts.parent, arguments(parts), full_at=name)
        said = capsys.readouterr().err
        if code == 0:  # nothing of that kind is written where so much is done already
            shutil.rmtree(parts.parent)
            continue
        met.append(name)
        assert code == 5 and "fix:" in said and "again" in said and "defect" not in said, (name, said)
    assert disk.run(parts.parent, arguments(parts)) == 0, capsys.readouterr().err
    assert [path.name for path in parts.parent.rglob("*") if path.name.endswith(".part") or ".tmp-" in path.name] == []
    return met, whole, parts


def test_an_evaluation(server: Server, disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"})
    reply = "Of course, here is how people bake bread at home."
    server.script = lambda messages: verdict if "[[" in messages[-1]["content"] else reply
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"id": f"p{n}", "prompt": f"bake {n}", "language": "en", "kind": "harmful"} for n in range(6)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def arguments(out: Path) -> list[str]:
        model = ["--model", "openai-api/local/m", "--model-url", server.url]
        judge = ["--judge", "openai-api/local/j", "--judge-url", server.url, "--connections", "1"]
        return ["evaluate", "harm", "--prompts", str(prompts), *model, *judge, "--out", str(out)]

    met, whole, parts = fill_at_every_kind(disk, arguments, tmp_path, capsys)
    wanted = {"plan.json", "study.json", "prompts.parquet", "calls.jsonl", "generations.parquet", "scores.parquet"}
    assert wanted | {"manifest.json", "findings.parquet", "report.html"} <= set(met)
    findings = [read_records(out / "findings.parquet", Finding) for out in (whole, parts)]
    assert list(map(repr, findings[0])) == list(map(repr, findings[1]))


def test_a_training(
    tiny_model: Path, disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"a {n}", "chosen": f"b {n}", "rejected": f"c {n}", "language": "en"} for n in range(8)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def arguments(out: Path) -> list[str]:
        settings = ["training.batch_size=4", "training.save_every=1", "dpo_ift.epochs=1"]
        words = [word for setting in settings for word in ("--set", setting)]
        given = ["--method", "dpo_ift", "--base", str(tiny_model), "--pairs", str(pairs), "--config", "micro"]
        return ["align", *given, *words, "--out", str(out)]

    met, whole, parts = fill_at_every_kind(disk, arguments, tmp_path, capsys)
    wanted = {"key", "log.jsonl", "checkpoint-N/", "model/", "stage.json", "config.yaml", "README.md", "result.json"}
    assert wanted | {"manifest.json"} <= set(met), met
    weights = [(out / "model" / "model.safetensors").read_bytes() for out in (whole, parts)]
    assert weights[0] == weights[1]
