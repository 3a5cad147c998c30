"""Two commands on one output, in processes of their own: the second is told so, and nothing is done twice.

The second process is forked while the first command is under way, so that nothing is imported again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from scripted_server import Server

from alignment_prism.cli.main import main
from alignment_prism.models.shipped import shipped_base
from alignment_prism.preferences import read_pairs
from alignment_prism.training import load_config
from alignment_prism.training.train import train_method

pytestmark = pytest.mark.slow

VERDICT = json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"})
SECONDS = 60
"""After which another process that hangs is ended."""


def code_of(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def said_elsewhere(*arguments: object) -> tuple[int, str]:
    """Exit code and messages of a command in a process of its own."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            signal.alarm(SECONDS)
            sys.stderr = os.fdopen(writing, "w", encoding="utf-8")
            code = code_of(*arguments)
            sys.stderr.flush()
        except BaseException as error:
            os.write(writing, repr(error).encode())
            code = 99
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as said:
        words = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), words


def jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.filterwarnings("ignore:This process")
@pytest.mark.parametrize("command", ["generate", "judge"])
def test_the_second_that_calls_is_told_and_nothing_is_paid_twice(
    command: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": f"p{n}", "prompt": f"bake bread {n}", "language": "en", "kind": "harmful"} for n in range(6)]
    prompts = jsonl(tmp_path / "prompts.jsonl", rows)
    reply = "Of course, here is how people bake bread at home."
    replies = jsonl(tmp_path / "replies.jsonl", [{"prompt_id": f"p{n}", "reply": reply} for n in range(6)])
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    judge = ("--generations", replies, "--judge", "openai-api/local/j", "--judge-url", server.url)
    out = tmp_path / "out.jsonl"
    arguments = (command, "--prompts", prompts, *(model if command == "generate" else judge), "--out", out)
    second: list[tuple[int, str]] = []

    def answer(messages: list[dict[str, str]]) -> str:
        if not second:
            second.append(said_elsewhere(*arguments))
        return VERDICT

    server.script = answer
    assert code_of(*arguments) == 0, capsys.readouterr().err
    ((code, said),) = second
    assert code == 5 and f"another prism is at work here (process {os.getpid()})" in said, said
    assert len(out.read_text(encoding="utf-8").splitlines()) == 6
    assert len(server.requests) == 6
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "prompts.jsonl", "replies.jsonl"}
    assert code_of(*arguments) == 5 and len(server.requests) == 6
    assert "exists already" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:This process")
def test_the_second_training_is_told_and_the_log_is_of_one(tmp_path: Path) -> None:
    rows = [{"prompt": f"a {n}", "chosen": f"b {n}", "rejected": f"c {n}", "language": "en"} for n in range(8)]
    pairs = jsonl(tmp_path / "pairs.jsonl", rows)
    out = tmp_path / "run"
    others: list[tuple[int, str]] = []

    def progress(step: int, total: int, message: str = "") -> None:
        if step == 1 and not others:
            align = ("align", "--method", "sft", "--base", shipped_base(), "--pairs", pairs, "--out", out)
            more: tuple[tuple[object, ...], ...] = ((), ("--restart",), ("--seed", 7))
            others.extend(said_elsewhere(*align, "--config", "micro", *options) for options in more)

    config = load_config("micro", {"training.batch_size": 4, "training.save_every": 1, "sft.epochs": 1})
    train_method("sft", base=shipped_base(), pairs=read_pairs(pairs), out=out, config=config, progress=progress)
    assert len(others) == 3
    for code, said in others:
        assert code == 5 and f"another prism is at work here (process {os.getpid()})" in said, said
    log = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in log] == ["start", "step", "step", "end"]
    assert {path.name for path in tmp_path.iterdir()} == {"run", "pairs.jsonl"}
