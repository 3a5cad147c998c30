"""Which replies are at work at once: every row once, bounded memory, little padding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alignment_prism.generation import plan_windows
from alignment_prism.generation.batching import FULL_ROWS, MAX_PADDING, Window, entering


@given(
    st.lists(st.integers(1, 200), max_size=200),
    st.integers(1, 64),
    st.integers(1, 2000),
    st.integers(1, 64),
    st.integers(1, 9),
)
def test_every_row_once_within_the_bounds(lengths: list[int], new: int, tokens: int, rows: int, window: int) -> None:
    found = plan_windows(lengths, new_tokens=new, batch_tokens=tokens, batch_rows=rows, window=window)
    assert sorted(row for one in found for row in one.rows) == list(range(len(lengths)))
    for one in found:
        longest = max(lengths[row] for row in one.rows)
        assert len(one.rows) <= window * one.at_once and one.at_once <= rows
        assert one.at_once == 1 or one.at_once * (longest + new) <= tokens
    order = [lengths[row] for one in found for row in one.rows]
    assert order == sorted(order, reverse=True)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=200))
def test_prompts_enter_together_unless_the_shorter_would_be_padded_much(lengths: list[int]) -> None:
    lengths = sorted(lengths, reverse=True)
    taken = entering(lengths)
    assert min(len(lengths), FULL_ROWS) <= taken <= len(lengths)
    assert taken <= FULL_ROWS or 1 - sum(lengths[:taken]) / (taken * lengths[0]) <= MAX_PADDING + 1e-9


def test_rows_of_one_length_share_what_is_allowed() -> None:
    found = plan_windows([5] * 10, new_tokens=5, batch_tokens=40, window=2)
    assert found == [Window((0, 1, 2, 3, 4, 5, 6, 7), 4), Window((8, 9), 4)]


def test_no_rows_no_windows() -> None:
    assert plan_windows([], new_tokens=8) == []
