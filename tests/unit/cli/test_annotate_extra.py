"""The app's packages are an extra: who has installed Alignment Prism alone is told so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("arguments", [("init", "people"), ("serve", "people")])
def test_without_the_extra_a_command_says_what_to_install(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"  # as where it is not installed
        "from alignment_prism.cli.main import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "annotate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr
    assert "annotation needs sqlalchemy, which is not installed" in done.stderr
    assert "pip install 'alignment-prism[annotate]'" in done.stderr
    assert not list(tmp_path.iterdir())
