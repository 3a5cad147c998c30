"""Reference log-probabilities come back exactly, and never across weights or numerics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
