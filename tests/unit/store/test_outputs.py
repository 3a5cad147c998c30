"""What an output may replace, found out before any work; and one process at a time in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alignment_prism.domain import InputError, StoreError
from alignment_prism.store import check_files, check_folder, check_writable, folder_lock, write_artifact


def make(folder: Path, kind: str = "thing") -> Path:
    with write_artifact(folder, kind=kind) as temporary:
        (temporary / "a.txt").write_text("a")
    return folder


def test_what_cannot_be_written_is_found_out_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "y" / "x"):
        with pytest.raises(StoreError, match="is a file, not a folder"):
            check_writable(path)
    check_writable(tmp_path / "new" / "folders" / "out")
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_without_permission_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(StoreError, match="Permission denied") as error:
        check_writable(tmp_path / "out")
    assert error.value.exit_code == 5 and error.value.where == str(tmp_path / "out")


def test_a_file_is_replaced_only_if_that_is_wanted(tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    check_files([out, None, ""])
    out.write_text("mine")
    with pytest.raises(StoreError, match="exists already") as error:
        check_files([out])
    assert "replace" in error.value.settings
    check_files([out], replace=True)
    with pytest.raises(StoreError, match="is a folder"):
        check_files([tmp_path], replace=True)
    with pytest.raises(StoreError, match="no plain file"):
        check_files(["/dev/null"], replace=True)
    assert out.read_text() == "mine"


def test_an_output_is_never_an_input_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("x")
    (tmp_path / "link.jsonl").symlink_to(source)
    os.link(source, tmp_path / "hard.jsonl")
    monkeypatch.chdir(tmp_path)
    for out in (source, "in.jsonl", "./in.jsonl", "link.jsonl", "hard.jsonl"):
        with pytest.raises(InputError, match="also an input"):
            check_files([out], inputs=[None, "absent.jsonl", source], replace=True)
    with pytest.raises(InputError, match="two outputs"):
        check_files(["a.jsonl", "./a.jsonl"])


def test_only_a_result_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    check_folder(tmp_path / "absent", kind="thing")
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    made = make(tmp_path / "made")
    for folder, replace, words in (
        (precious, False, "something else than a result"),
        (precious, True, "something else than a result"),
        (tmp_path / "file", True, "a file is where"),
        (make(tmp_path / "other", "model"), True, "'model' where 'thing'"),
        (made, False, "exists already"),
    ):
        with pytest.raises(StoreError, match=words) as error:
            make(folder) if not replace else check_folder(folder, kind="thing", replace=True)
        assert ("replace" in error.value.settings) == (folder == made), "it is named only where it helps"
        with pytest.raises(StoreError), write_artifact(folder, kind="thing", replace=replace):
            pytest.fail("the work began")
    check_folder(made, kind="thing", replace=True)
    (made / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="1 file that prism did not write there.*notes.txt"):
        check_folder(made, kind="thing", replace=True)
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_the_folder_one_is_in_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for out in (".", "..", "/", tmp_path / "here"):
        with pytest.raises(StoreError, match="folder that prism runs in"):
            check_folder(out, kind="thing", replace=True)


def test_what_the_system_refuses_while_writing_is_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(StoreError, match="Read-only file system"), write_artifact(tmp_path / "x"):
        pytest.fail("the work began")


def test_two_processes_are_not_in_one_folder_and_a_dead_one_is_in_nobodys_way(tmp_path: Path) -> None:
    code = (
        "import sys, time; from alignment_prism.store import folder_lock\n"
        "with folder_lock(sys.argv[1]):\n print('held', flush=True)\n time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        words = f"another prism is at work here .process {other.pid}"
        with pytest.raises(StoreError, match=words), folder_lock(tmp_path):
            pytest.fail("held twice")
    finally:
        other.kill()
        other.wait()
    assert len(os.listdir(tmp_path)) == 1
    with folder_lock(tmp_path):
        pass
    assert os.listdir(tmp_path) == []
