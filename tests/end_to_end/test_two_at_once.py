"""Two commands on one output, in processes of their own: the second is told so, and nothing is done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_server import Reply, Server

from alignment_prism.cli.main import main
from alignment_prism.models.shipped import shipped_base

PRISM = (sys.executable, "-m", "alignment_prism.cli.main")
VERDICT = json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"})
TRAIN = """
import json, sys
from alignment_prism.preferences import read_pairs
from alignment_prism.training import load_config
from alignment_prism.training.train import train_method

def progress(step, total, message):
    if step == 1:
        print("begun", flush=True)
        sys.stdin.readline()

base, pairs, out = sys.argv[1:]
config = load_config("micro", {"training.batch_size": 2, "training.save_every": 1, "sft.epochs": 1})
train_method("sft", base=base, pairs=read_pairs(pairs), out=out, config=config, progress=progress)
"""


def said_by_main(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0), capsys.readouterr().err


def jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["generate", "judge"])
def test_the_second_that_calls_is_told_and_nothing_is_paid_twice(
    command: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda messages: Reply(VERDICT, fault="late")
    rows = [{"id": f"p{n}", "prompt": f"bake bread {n}", "language": "en", "kind": "harmful"} for n in range(6)]
    prompts = jsonl(tmp_path / "prompts.jsonl", rows)
    reply = "Of course, here is how people bake bread at home."
    replies = jsonl(tmp_path / "replies.jsonl", [{"prompt_id": f"p{n}", "reply": reply} for n in range(6)])
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    judge = ("--generations", replies, "--judge", "openai-api/local/j", "--judge-url", server.url)
    out = tmp_path / "out.jsonl"
    arguments = (command, "--prompts", prompts, *(model if command == "generate" else judge), "--out", out)
    first = subprocess.Popen([*PRISM, *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    try:
        server.wait_for(1)
        code, said = said_by_main(*arguments, capsys=capsys)
        assert code == 5 and f"another prism is at work here (process {first.pid})" in said, said
    finally:
        server.go_on.set()
        _, error = first.communicate(timeout=120)
    assert first.returncode == 0, error
    assert len(out.read_text(encoding="utf-8").splitlines()) == 6
    assert len(server.requests) == 6
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "prompts.jsonl", "replies.jsonl"}
    code, said = said_by_main(*arguments, capsys=capsys)
    assert code == 5 and "exists already" in said and len(server.requests) == 6


def test_the_second_training_is_told_and_the_log_is_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = jsonl(
        tmp_path / "pairs.jsonl",
        [{"prompt": f"a {n}", "chosen": f"b {n}", "rejected": f"c {n}", "language": "en"} for n in range(8)],
    )
    out = tmp_path / "run"
    arguments = [sys.executable, "-c", TRAIN, str(shipped_base()), str(pairs), str(out)]
    first = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdin is not None and first.stdout is not None
    try:
        assert first.stdout.readline() == "begun\n"
        align = ("align", "--method", "sft", "--base", shipped_base(), "--pairs", pairs, "--out", out)
        for more in ((), ("--restart",), ("--seed", 7)):
            code, said = said_by_main(*align, "--config", "micro", *more, capsys=capsys)
            assert code == 5 and f"another prism is at work here (process {first.pid})" in said, said
    finally:
        first.communicate("go on\n", timeout=120)
    assert first.returncode == 0
    log = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in log] == ["start", "step", "step", "step", "step", "end"]
    assert {path.name for path in tmp_path.iterdir()} == {"run", "pairs.jsonl"}
