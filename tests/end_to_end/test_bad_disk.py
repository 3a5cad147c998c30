"""A disk that fills, or a folder that may no longer be written to, while an evaluation is under way: real ones."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prism_command import prism
from scripted_server import Server

pytestmark = pytest.mark.slow

VERDICT = json.dumps({"harmful": False, "refusal": False, "outcome": "safe_help"})
REPLY = "Of course, here is how people bake bread at home."


def done(*command: object) -> bool:
    """Whether a command of the system could be carried out."""
    try:
        return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Place:
    """A folder that can be spoilt and mended while others write to it.

    A file system cannot be made read-only while a file in it is open for writing, as the study's lock is; a folder that
    may not be altered by anybody, the superuser included, refuses new files like one that is.
    """

    def __init__(self, folder: Path, full: bool) -> None:
        self.folder, self.full = folder, full

    def spoil(self) -> bool:
        if not self.full:
            return done("chattr", "+i", self.folder / "out")
        state = os.statvfs(self.folder)
        size = (state.f_blocks - state.f_bfree + 1) * state.f_frsize
        return done("mount", "-o", f"remount,size={size}", self.folder)

    def mend(self) -> bool:
        return done("mount", "-o", "remount,size=16m", self.folder) if self.full else done("chattr", "-i", self.out)

    @property
    def out(self) -> Path:
        return self.folder / "out"


@pytest.fixture(params=["full", "unalterable"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "place"
    folder.mkdir()
    full = request.param == "full"
    if full and not done("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder):
        pytest.skip("needs the right to mount a file system")
    if not full and not (done("chattr", "+i", folder) and done("chattr", "-i", folder)):
        pytest.skip("needs the right to make a folder unalterable, and a file system that knows such")
    found = Place(folder, full)
    yield found
    found.mend()
    if full:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_an_evaluation_says_how_to_go_on_and_does(place: Place, tmp_path: Path, server: Server) -> None:
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"id": f"p{n}", "prompt": f"bake {n}", "language": "en", "kind": "harmful"} for n in range(6)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    spoilt: list[bool] = []

    def script(messages: list[dict[str, str]]) -> str:
        if not spoilt:
            spoilt.append(place.spoil())
        return VERDICT if "[[" in messages[-1]["content"] else f"{REPLY} {len(server.requests)}"

    server.script = script
    model = ("--model", "openai-api/local/m", "--model-url", server.url)
    judge = ("--judge", "openai-api/local/j", "--judge-url", server.url, "--connections", "1")
    command = ("evaluate", "harm", "--prompts", prompts, *model, *judge, "--out", place.out)
    stopped = prism(*command)
    assert spoilt == [True]
    why = "No space left" if place.full else "Operation not permitted"
    assert stopped.returncode == 5 and why in stopped.stderr and "again" in stopped.stderr, stopped.stderr
    assert "defect" not in stopped.stderr and str(place.out) in stopped.stderr
    assert len(server.requests) < 12 and place.mend()
    went_on = prism(*command)
    assert went_on.returncode == 0, went_on.stderr
    assert len(server.requests) - 12 in (0, 1)  # but for the answer that could not be written down
    assert not [path for path in place.out.rglob("*") if path.name.endswith(".part") or ".tmp-" in path.name]
