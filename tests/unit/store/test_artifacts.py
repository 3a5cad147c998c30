"""Artifacts are complete or absent, and say so when they were tampered with."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alignment_prism.domain import StoreError
from alignment_prism.io.writers import write_text
from alignment_prism.store import (
    artifact_key,
    file_digest,
    folder_lock,
    is_complete,
    read_manifest,
    storage_fault,
    verify,
    write_artifact,
)
from alignment_prism.store.locks import LOCK


def make(folder: Path, text: str = "eins", **spec: object) -> None:
    with write_artifact(folder, kind="thing", spec=spec, inputs={"source": "abc"}, seed=3) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a.txt").write_text(text)


def test_manifest_says_what_how_and_from_what(tmp_path: Path) -> None:
    make(tmp_path / "one", share=0.15)
    manifest = verify(tmp_path / "one")
    assert (manifest.kind, manifest.spec, manifest.inputs, manifest.seed) == (
        "thing",
        {"share": 0.15},
        {"source": "abc"},
        3,
    )
    # SHA-256 of "eins", computed with sha256sum
    assert manifest.files == {
        "inner/a.txt": {"sha256": "bfd6b995588ec54ce16871bc82a7ac86dd43a2c22309ea68e479a50043683937", "bytes": 4}
    }
    assert "alignment-prism" in manifest.versions
    assert manifest.key == artifact_key("thing", {"share": 0.15}, {"source": "abc"}, 3)


def test_key_follows_every_part() -> None:
    base = artifact_key("a", {"x": 1}, {"i": "d"}, 0)
    others = [
        artifact_key("b", {"x": 1}, {"i": "d"}, 0),
        artifact_key("a", {"x": 2}, {"i": "d"}, 0),
        artifact_key("a", {"x": 1}, {"i": "e"}, 0),
        artifact_key("a", {"x": 1}, {"i": "d"}, 1),
        artifact_key("a", {"x": 1}, {"i": "d"}, None),
    ]
    assert len({base, *others}) == 6
    assert base == artifact_key("a", {"x": 1}, {"i": "d"}, 0)


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), write_artifact(tmp_path / "one", kind="thing") as temporary:
        (temporary / "a.txt").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_replacing_keeps_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    make(tmp_path / "one", "eins")
    with pytest.raises(StoreError, match="exists already"):
        make(tmp_path / "one", "zwei")
    with (
        pytest.raises(RuntimeError),
        write_artifact(tmp_path / "one", kind="thing", replace=True) as temporary,
    ):
        (temporary / "b.txt").write_text("zwei")
        raise RuntimeError
    assert (tmp_path / "one" / "inner" / "a.txt").read_text() == "eins"
    with write_artifact(tmp_path / "one", kind="thing", replace=True) as temporary:
        (temporary / "b.txt").write_text("zwei")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["b.txt", "manifest.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_killed_process_leaves_nothing_that_looks_finished_and_its_leftover_is_swept(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from alignment_prism.store import write_artifact\n"
        "with write_artifact(sys.argv[1], kind='thing') as temporary:\n"
        "    (temporary / 'a.txt').write_text('half')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "one")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.05)
    assert len(list(tmp_path.iterdir())) == 1
    assert not is_complete(tmp_path / "one")
    make(tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_verify_finds_every_kind_of_damage(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    make(folder)
    (folder / "inner" / "a.txt").write_text("zwei")  # same size
    assert is_complete(folder)
    with pytest.raises(StoreError, match="altered: inner/a.txt"):
        verify(folder)
    (folder / "inner" / "a.txt").write_text("eins")
    (folder / "b.txt").write_text("")
    with pytest.raises(StoreError, match="does not belong"):
        verify(folder)
    (folder / "b.txt").unlink()
    verify(folder)
    (folder / "inner" / "a.txt").unlink()
    assert not is_complete(folder)
    with pytest.raises(StoreError, match="missing: inner/a.txt"):
        verify(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 99}'])
def test_an_unreadable_manifest_is_an_error_not_an_artifact(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert not is_complete(tmp_path)
    with pytest.raises(StoreError):
        read_manifest(tmp_path)


def test_is_complete_compares_the_key(tmp_path: Path) -> None:
    make(tmp_path / "one", share=0.15)
    key = read_manifest(tmp_path / "one").key
    assert is_complete(tmp_path / "one", key)
    assert not is_complete(tmp_path / "one", key[::-1])


def test_same_work_gives_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "one", share=0.15)
    make(tmp_path / "two", share=0.15)
    assert (tmp_path / "one" / "manifest.json").read_bytes() == (tmp_path / "two" / "manifest.json").read_bytes()
    assert json.loads((tmp_path / "one" / "manifest.json").read_text())["format"] == 1


def test_digests_of_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(StoreError):
        file_digest(tmp_path / "absent")


REPLACE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from alignment_prism.store import write_artifact

renames = int(sys.argv[2])
rename = Path.rename
def rename_and_die(self, target):
    global renames
    if renames == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    renames -= 1
    return rename(self, target)
Path.rename = rename_and_die
with write_artifact(sys.argv[1], kind="thing", replace=True) as temporary:
    (temporary / "b.txt").write_text("zwei")
"""


@pytest.mark.parametrize(("renames", "wanted"), [(0, "inner/a.txt"), (1, "b.txt")])
def test_a_process_killed_while_it_replaces_hides_neither_result(tmp_path: Path, renames: int, wanted: str) -> None:
    """Between the two renames neither folder has the name; the next look puts the whole one there."""
    folder = tmp_path / "one"
    make(folder)
    done = subprocess.run([sys.executable, "-c", REPLACE_AND_DIE, str(folder), str(renames)], check=False)
    assert done.returncode == -signal.SIGKILL and folder.exists() == (renames == 0)
    assert list(verify(folder).files) == [wanted]
    with pytest.raises(StoreError, match="exists already"):
        make(folder)


def test_an_old_result_comes_back_where_the_new_one_was_not_whole(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    make(folder)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    hidden = tmp_path / f".one.tmp-{socket.gethostname()}-{process.pid}"
    folder.rename(f"{hidden}-old")
    hidden.mkdir()
    assert is_complete(folder) and list(read_manifest(folder).files) == ["inner/a.txt"]


def test_the_work_of_other_runs_is_left_alone_whatever_the_name(tmp_path: Path) -> None:
    """`run[1]` is a pattern that matches `run1`: the name must be taken as it is."""
    here = f"tmp-{socket.gethostname()}"
    others = [tmp_path / f".run1.{here}-999999", tmp_path / f".run1.{here}-mine", tmp_path / f".run[1].{here}-mine"]
    for other in others:
        other.mkdir()
    gone = tmp_path / f".run[1].{here}-{2**22 + 1}"  # above the largest number of a process on Linux
    gone.mkdir()
    make(tmp_path / "run[1]")
    assert all(other.is_dir() for other in others) and not gone.exists()
    verify(tmp_path / "run[1]")


def refused(number: int, filename: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), filename)


def test_what_the_file_system_refuses_is_an_error_of_the_store() -> None:
    wrapped = RuntimeError("writing failed")
    wrapped.__cause__ = refused(errno.EROFS)
    rust = RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    for error, words in (
        (refused(errno.ENOSPC, "/x/y"), "No space left"),
        (wrapped, "Read-only"),
        (rust, "No space left"),
        (refused(errno.EDQUOT), "quota"),
    ):
        fault = storage_fault(error)
        assert fault is not None and words in fault.what and fault.fix and fault.exit_code == 5
    for short in (
        MemoryError(),
        OSError(errno.ENOMEM, "no"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ):
        fault = storage_fault(short)
        assert (
            fault is not None and fault.exit_code == 5 and "memory" in fault.what.lower() and "again" in str(fault.fix)
        )
    assert storage_fault(refused(errno.ENOSPC, "/x/y")).where == "/x/y"  # type: ignore[union-attr]
    for other in (ValueError("no"), refused(errno.ENOENT), StoreError("said already")):
        assert storage_fault(other) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_midway_ends_a_command_with_the_exit_code_of_the_store(tmp_path: Path) -> None:
    script = (
        "import click\n"
        "from alignment_prism.cli.main import cli, main\n"
        "@click.command('write')\n"
        "def write():\n"
        "    with open('/dev/full', 'w') as file:\n"
        "        file.write('x')\n"
        "type(cli).get_command = lambda self, ctx, name: write\n"
        "main(['write'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 5 and "No space left" in done.stderr and "defect" not in done.stderr


def test_leftovers_of_an_earlier_process_of_the_same_number_are_in_nobodys_way(tmp_path: Path) -> None:
    """In a container that is started anew, the command has the number that the one that was killed had."""
    make(tmp_path / "one", "eins")
    mine = f".one.tmp-{socket.gethostname()}-{os.getpid()}"
    (tmp_path / mine).mkdir()
    (tmp_path / mine / "half").write_text("half")
    (tmp_path / "one").rename(tmp_path / f"{mine}-old")  # killed between the two renames, the new one not whole
    assert is_complete(tmp_path / "one")
    with write_artifact(tmp_path / "one", kind="thing", replace=True) as temporary:
        (temporary / "b.txt").write_text("zwei")
        assert is_complete(tmp_path / "one")  # looks for what is to be restored, and leaves this one alone
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    (tmp_path / f".two.{socket.gethostname()}-{os.getpid()}-abc.part").write_text("half")
    (tmp_path / f".two.{socket.gethostname()}-{10**30}-abc.part").write_text("no process has this number")
    write_text(tmp_path / "two", "zwei")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(StoreError, match="lock is a link"), folder_lock(tmp_path / "study"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("name", ["format", "x" * 5_000])
def test_an_error_about_a_manifest_is_no_wall_of_text(name: str, tmp_path: Path) -> None:
    make(tmp_path / "one")
    path = tmp_path / "one" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: "y" * 5_000}))
    with pytest.raises(StoreError) as refused:
        read_manifest(tmp_path / "one")
    assert len(str(refused.value)) < 1_000 and refused.value.fix
