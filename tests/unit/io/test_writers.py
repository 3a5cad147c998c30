"""Files appear whole or not at all."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

import pytest

from alignment_prism.domain import InputError, Pair, Prompt, PromptKind, StoreError, user
from alignment_prism.io import Intake, read_records, read_rows, write_json, write_records, write_text
from alignment_prism.io.delimited import write_table
from alignment_prism.io.writers import text_writer


def prompts(count, stop_at=None):
    for number in range(count):
        if number == stop_at:
            raise KeyboardInterrupt
        yield Prompt(str(number), user("x"), "en", PromptKind.HARMFUL)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "jsonl.gz"])
def test_an_interrupted_write_leaves_the_old_file_and_no_litter(tmp_path, suffix):
    path = tmp_path / f"p.{suffix}"
    write_records(path, prompts(3))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_records(path, prompts(3000, stop_at=2500))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_many_records_come_back_in_order(tmp_path):
    assert write_records(tmp_path / "p.parquet", prompts(2500)) == 2500
    assert [prompt.id for prompt in read_records(tmp_path / "p.parquet", Prompt)] == [str(n) for n in range(2500)]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_no_records_need_a_type(tmp_path, suffix):
    path = tmp_path / f"p.{suffix}"
    with pytest.raises(InputError, match="no type"):
        write_records(path, [])
    assert write_records(path, [], Pair) == 0
    assert read_records(path, Pair) == []


def test_same_content_same_bytes_also_compressed(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_records(tmp_path / name, prompts(10))
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert len(gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).splitlines()) == 10


def test_folders_are_made_and_permissions_are_the_users(tmp_path):
    write_json(tmp_path / "new" / "folder" / "x.json", {"ä": 1})
    assert (tmp_path / "new" / "folder" / "x.json").read_text(encoding="utf-8") == '{\n  "ä": 1\n}\n'
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "new" / "folder" / "x.json").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        write_text(tmp_path / "file" / "x.txt", "y")
    assert str(tmp_path / "file") in str(caught.value)


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(InputError, match="'.csv'"):
        write_records(tmp_path / "p.csv", prompts(1))


def test_a_sheet_reads_back_whatever_its_cells_hold(tmp_path):
    """A lone carriage return ends no record; what a spreadsheet would compute is a text for it."""
    texts = ["plain", "a\rb", "a\r\nb\nc", 'say "x", y', "=1+1", "+49", "-3", "@SUM(A1)", "\t=1", "\r=1", "", "ends="]
    path = tmp_path / "sheet.csv"
    write_table(path, [{"item": str(number), "reply": text} for number, text in enumerate(texts)])
    rows = list(read_rows(path, intake=Intake()))
    assert [row.values["item"] for row in rows] == [str(number) for number in range(len(texts))]
    for row, text in zip(rows, texts, strict=True):
        dangerous = text[:1] in {"=", "+", "-", "@", "\t", "\r"} and bool(text)
        assert row.values["reply"] == (f"'{text}" if dangerous else text)


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path):
    path = tmp_path / "out[1].jsonl"
    script = (
        "import os, signal, sys\nfrom alignment_prism.io.writers import text_writer\n"
        "with text_writer(sys.argv[1]) as stream:\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part")
    with text_writer(path) as stream:
        assert not left.exists()
        stream.write("one")
        write_text(path, "two")  # while the other is being written
    assert path.read_text(encoding="utf-8") == "one" and list(tmp_path.iterdir()) == [path]
