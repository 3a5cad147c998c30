"""Reference log-probabilities come back exactly, and never across weights or numerics."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from alignment_prism.domain import StoreError
from alignment_prism.training.reference_store import ReferenceSpace, ReferenceStore, example_key

SPACE = ReferenceSpace(weights="w", template="t", dtype="float32", attention="eager")


def test_values_come_back_exactly_and_in_order(tmp_path: Path) -> None:
    values = {example_key([1, 2], [3]): -1.1, example_key([1], [2, 3]): -1e-17, example_key([], [1]): -0.1 - 0.2}
    ReferenceStore(tmp_path).put_many(SPACE, values)
    keys = [*reversed(values), example_key([9], [9])]
    assert ReferenceStore(tmp_path).get_many(SPACE, keys) == [*reversed(values.values()), None]


def test_another_space_knows_nothing(tmp_path: Path) -> None:
    store = ReferenceStore(tmp_path)
    key = example_key([1], [2])
    store.put_many(SPACE, {key: -1.0})
    for change in ({"weights": "x"}, {"template": "x"}, {"dtype": "bfloat16"}, {"attention": "sdpa"}):
        assert store.get_many(replace(SPACE, **change), [key]) == [None]


def test_the_key_knows_where_the_completion_begins() -> None:
    assert (
        len({example_key([1, 2], [3]), example_key([1], [2, 3]), example_key([1, 2, 3], []), example_key([1], [3])})
        == 4
    )


def test_a_folder_that_cannot_be_written_to_is_found_out_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot write") as error:
        ReferenceStore(tmp_path / "file" / "cache").get_many(SPACE, ["a"])
    assert "another place" in (error.value.fix or "")


WRITER = """
import sys
from alignment_prism.training.reference_store import ReferenceSpace, ReferenceStore
folder, name = sys.argv[1:]
store = ReferenceStore(folder)
sys.stdin.readline()
for batch in range(40):
    values = {f"{name}-{batch}-{number}": float(number) for number in range(50)}
    store.put_many(ReferenceSpace(weights="w", template="t", dtype="float32", attention="eager"), values)
"""


def test_two_processes_add_to_one_store_and_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name], stdin=subprocess.PIPE) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    keys = [f"{name}-{batch}-{number}" for name in ("a", "b") for batch in range(40) for number in range(50)]
    assert ReferenceStore(tmp_path).get_many(SPACE, keys) == [float(number) for number in range(50)] * 80
    (file,) = tmp_path.glob("*.jsonl")
    assert file.read_bytes().count(b"\n") == 4000  # no line within another
