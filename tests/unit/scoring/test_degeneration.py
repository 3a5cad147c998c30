"""Degenerate replies: empty, undecodable, going round in a circle; and what only looks like it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from alignment_prism.scoring.degeneration import degeneration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("... !!! ---", "empty"),
        ("\ufffd\ufffd\ufffd", "undecodable"),
        ("ab\ufffdc \ufffd\ufffd d", "undecodable"),
        ("A long and quite normal sentence with one broken byte \ufffd in it.", None),
        ("4", None),
        ("No.", None),
        ("no no no no", None),
        ("no no no no no no", "repeating"),
        ("ha " * 40, "repeating"),
        ("I will do it. " * 4, "repeating"),
        ("I will do it. " * 4 + "I will d", "repeating"),
        ("मैं मदद करूँगा। " * 5, "repeating"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeating"),
        ("I cannot help with that, because it would hurt people, and it is not right to do so.", None),
        ("One, two, three, one, two, three: so the children count.", None),
        ("Very, very, very good. The answer to the question is four, as two and two are four.", None),
    ],
)
def test_known_replies(text: str, expected: str | None) -> None:
    assert degeneration(text) == expected


def test_a_long_answer_that_ends_in_a_loop_is_left_to_the_judge() -> None:
    answer = " ".join(f"word{number}" for number in range(60))
    assert degeneration(answer + " and so on" * 60) is None
    assert degeneration("word0 word1" + " and so on" * 60) == "repeating"


def test_no_real_reply_of_a_chat_model_is_degenerate(realdata: Path) -> None:
    for path in sorted((realdata / "xstest" / "model_completions").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            assert not [row["id"] for row in csv.DictReader(file) if degeneration(row["completion"])]
