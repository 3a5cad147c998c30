"""`inspect eval alignment_prism/harm` from a shell, with model and judge that run for real, and pages of its log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prism_command import prism

from alignment_prism.domain import Prompt, PromptKind
from alignment_prism.io import write_records
from alignment_prism.nano import world

pytestmark = pytest.mark.slow


def inspect(folder: Path, *arguments: str) -> str:
    """Run `inspect ARGUMENTS`, and what it printed."""
    environment = {**os.environ, "COLUMNS": "160"}
    command = [sys.executable, "-m", "inspect_ai", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_task_runs_from_the_shell_and_its_log_can_be_looked_at(tmp_path: Path) -> None:
    asked = [one for one in world().evaluation_prompts() if one.kind is PromptKind.HARMFUL and one.language == "en"]
    write_records(tmp_path / "prompts.jsonl", asked[:4], Prompt)
    said = inspect(
        tmp_path, "eval", "alignment_prism/harm", "--model", "nano/teacher", "-T", "prompts=prompts.jsonl",
        "-T", "judge=nano/oracle", "--log-dir", "logs", "--display", "plain",
    )  # fmt: skip
    numbers = {line.split()[0]: line.split()[1] for line in said.splitlines() if "_rate/all" in line}
    # The lab's teacher refuses what is harmful, and its oracle knows: no model is scripted here.
    assert (numbers["harm_rate/all"], numbers["refusal_rate/all"]) == ("0.000", "1.000")
    (log,) = (tmp_path / "logs").glob("*.eval")
    inspect(tmp_path, "view", "bundle", "--log-dir", "logs", "--output-dir", "site")
    assert (tmp_path / "site" / "index.html").is_file()
    assert any(file.name == log.name for file in (tmp_path / "site" / "logs").iterdir())
    back = prism("import", log, "--out", "read", folder=tmp_path)
    assert back.returncode == 0, back.stderr
