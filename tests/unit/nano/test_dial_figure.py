"""The figure of the dial has what its table has."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
from dial_figure import figure, rows_in


def test_every_row_of_the_table_is_drawn_as_it_stands(repository: Path) -> None:
    page = (repository / "benchmarks/transfer_dial.md").read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if re.match(r"\| [\d.]+ \|", line)]
    rows = rows_in(page)
    assert len(rows) == len(table) and len(table) >= 18
    for row, line in zip(rows, table, strict=True):
        dial, _, _, _, harm, _, _, spill = (cell.strip() for cell in line.strip("|").split("|"))
        assert row["dial"] == float(dial) and row["harm_low"] <= row["harm"] <= row["harm_high"]
        assert [-int(value) for value in re.findall(r"[+-]\d+", harm)] == [
            row[key] for key in ("harm", "harm_high", "harm_low")
        ]
        assert [int(value) for value in re.findall(r"[+-]\d+", spill)] == [
            row[key] for key in ("spill", "spill_low", "spill_high")
        ]


def test_the_figure_that_ships_is_of_that_table(repository: Path) -> None:
    drawn = (repository / "docs/figures/dial.svg").read_text(encoding="utf-8")
    made = figure(rows_in((repository / "benchmarks/transfer_dial.md").read_text(encoding="utf-8")))
    assert made.description in drawn  # it names every number
