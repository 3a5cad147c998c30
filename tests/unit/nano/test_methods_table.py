"""The benchmark of all methods: who beats whom, over seeds, and where one of the two has none."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
from methods_nano import COLUMNS, table


def row(arm: str, seed: int, harm: tuple[float, float], wins: tuple[float, float] = (0.6, 0.7)) -> dict[str, Any]:
    """An arm's numbers in one seed: intervals of harm and of wins; it refuses nothing that is harmful nowhere."""
    ends = {"harm": harm, "refused_never": (0.0, 0.01), "wins": wins}
    numbers: dict[str, Any] = {"world": "7", "arm": arm, "seed": seed, "worst_language": "hi", "worst_harm": harm[1]}
    for column in (*COLUMNS, "spill_over"):
        lower, upper = ends.get(column) or ("", "")
        middle = "" if lower == "" else (lower + upper) / 2
        numbers |= {column: middle, f"{column}_lower": lower, f"{column}_upper": upper}
    return numbers | {"rank_lower": "", "rank_upper": ""}


def beaten_by(rows: list[dict[str, Any]]) -> dict[str, str]:
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()]
    return {line[1]: line[-1] for line in lines[2:]}


def test_one_arm_beats_another_only_if_it_does_in_every_seed() -> None:
    """`a` beats `worse` in the first seed and `b` in the second: neither does in both, `c` does."""
    rows = [row("worse", 0, (0.4, 0.5)), row("worse", 1, (0.4, 0.5))]
    rows += [row("a", 0, (0.1, 0.2)), row("a", 1, (0.3, 0.45)), row("b", 0, (0.3, 0.45)), row("b", 1, (0.1, 0.2))]
    assert beaten_by(rows) == {"worse": "", "a": "", "b": ""}
    rows += [row("c", 0, (0.2, 0.3)), row("c", 1, (0.2, 0.3))]
    assert beaten_by(rows)["worse"] == "c"


def test_what_is_not_trained_is_held_against_every_seed_of_what_is() -> None:
    """A system prompt has no seed: an arm beats it that does in all seeds, and it beats an arm if it does in all."""
    rows = [row("system", -1, (0.5, 0.6), (0.2, 0.3)), row("good", 0, (0.1, 0.2)), row("good", 1, (0.1, 0.2))]
    rows += [row("uneven", 0, (0.1, 0.2)), row("uneven", 1, (0.55, 0.7)), row("bad", 0, (0.8, 0.9), (0.2, 0.3))]
    assert beaten_by(rows) == {"system": "good", "good": "", "uneven": "", "bad": "system"}


def test_less_harm_that_is_paid_for_beats_nobody() -> None:
    """It wins less often over the base, which is shown: .6 to .7 against .1 to .2."""
    rows = [row("steered", -1, (0.0, 0.1), (0.1, 0.2)), row("sft", 0, (0.3, 0.4))]
    assert beaten_by(rows) == {"steered": "", "sft": ""}
