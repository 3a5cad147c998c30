"""The order of an epoch: every example once, batches of like length, the same for the same seed."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from alignment_prism.training.epoch_order import BLANK, epoch_order, padded_order


@given(
    st.lists(st.integers(1, 50), max_size=60),
    st.integers(1, 9),
    st.integers(0, 5),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 9)),
)
def test_every_example_comes_exactly_once(
    lengths: list[int], batch: int, horizon: int, epoch: int, micro: int | None
) -> None:
    def make() -> list[int]:
        return epoch_order(lengths, batch_size=batch, horizon=horizon, seed=7, epoch=epoch, micro_batch=micro)

    order = make()
    assert sorted(order) == list(range(len(lengths)))
    assert order == make()


def test_epochs_and_seeds_differ() -> None:
    lengths = list(range(100))
    orders = [
        epoch_order(lengths, batch_size=4, horizon=0, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1)
    ]
    assert len({tuple(order) for order in orders}) == 4


def test_grouping_by_length_saves_padding() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(5, 60) for _ in range(512)]

    def padded(horizon: int) -> int:
        order = epoch_order(lengths, batch_size=16, horizon=horizon, seed=0, epoch=0)
        return sum(16 * max(lengths[i] for i in order[start : start + 16]) for start in range(0, 512, 16))

    assert padded(8) < 0.75 * padded(0)
    assert padded(8) < 1.15 * sum(lengths)


def test_a_horizon_of_one_only_reorders_within_the_batch() -> None:
    rng = random.Random(1)
    lengths = [rng.randint(1, 99) for _ in range(40)]
    plain = epoch_order(lengths, batch_size=8, horizon=0, seed=5, epoch=2)
    sorted_within = epoch_order(lengths, batch_size=8, horizon=1, seed=5, epoch=2, micro_batch=2)
    for start in range(0, 40, 8):
        assert set(plain[start : start + 8]) == set(sorted_within[start : start + 8])


def test_blanks_fill_up_to_a_multiple() -> None:
    assert padded_order([3, 1, 2], 4) == [3, 1, 2, BLANK]
    assert padded_order([3, 1], 2) == [3, 1]
