"""A forked command is a process as any other: its environment, its folder, its signals, its exit code."""

import os
import signal
from pathlib import Path

from forked import forks


def test_a_forked_command_is_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id": "a", "prompt": "x", "language": "en", "kind": "general"}\n')
    with forks("click") as prism:
        done = prism.run("prompts", "validate", "p.jsonl", folder=tmp_path, env={**os.environ, "COLUMNS": "120"})
        assert (done.returncode, done.stderr) == (0, "") and "1" in done.stdout
        done = prism.run("prompts", "validate", "absent.jsonl", folder=tmp_path)
        assert done.returncode == 2 and "fix:" in done.stderr
        os.mkfifo(tmp_path / "waits.jsonl")
        arguments = ("prompts", "validate", "waits.jsonl")
        out, err = tmp_path / "out", tmp_path / "err"
        for number in (signal.SIGKILL, signal.SIGTERM):
            process = prism.start(arguments, folder=tmp_path, env=os.environ, out=out, err=err)
            process.send_signal(number)
            assert process.wait() in (-number, 128 + number, 130)
