"""The command as a user types it, without the seconds in which a new process loads its libraries."""

from __future__ import annotations

import io
import os
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from alignment_prism.cli.main import main


def prism(*arguments: object, folder: Path | None = None) -> CompletedProcess[str]:
    """Run `prism ARGUMENTS` in a folder, as wide as tables need; with its exit code and what it printed."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        chdir(folder or Path.cwd()),
        patch.dict(os.environ, {"COLUMNS": "200"}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main(words)
        except SystemExit as stop:
            code = stop.code
    return CompletedProcess(words, int(str(code or 0)), out.getvalue(), err.getvalue())
