"""The curve of `transfer_dial.md`: what English pairs teach other languages against what methods cost local norms.

    python benchmarks/dial_figure.py benchmarks/transfer_dial.md docs/figures/dial.svg

Draws the rows of the table and nothing else; a line joins a method's places on the dial.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import altair as alt

from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.figures.theme import SHAPES, light, rows_of
from alignment_prism.training.methods import find_method

VALUE = re.compile(r"([+-]\d+) \[([+-]\d+), ([+-]\d+)\]")
"""Mean, least and most, as the table has them."""
PAIRS = {"plain": "pairs of the quickstart", "norms": "with pairs that name the other side of a norm"}


def rows_in(page: str) -> list[dict[str, Any]]:
    """The places of the table: dial, pairs, method, fall of harm elsewhere by English pairs, spill-over of all."""
    rows = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 8 or not (found := VALUE.fullmatch(cells[4])) or not (spilt := VALUE.fullmatch(cells[7])):
            continue  # not a row of the table
        harm, least, most = (-int(value) for value in found.groups())
        spill, low, high = map(int, spilt.groups())
        rows.append(
            {
                "dial": float(cells[0]), "pairs": PAIRS[cells[1]], "method": find_method(cells[2]).title,
                "harm": harm, "harm_low": most, "harm_high": least, "spill": spill, "spill_low": low,
                "spill_high": high, "line": f"{cells[1]} {cells[2]}",
            }
        )  # fmt: skip
    return rows


def figure(rows: list[dict[str, Any]]) -> Figure:
    """The places as marks with what their seeds range over, joined along the dial."""
    said = "; ".join(
        f"{row['method']}, {row['pairs']}, dial {row['dial']:g}: {row['harm']} prevented, {row['spill']} spilt"
        for row in rows
    )
    caption = "Numbers are places of the dial; crosses are ranges of three seeds."
    return Figure(
        "dial", "Transfer against local norms, over the lab's dial", caption,
        f"Points of harm prevented in other languages by English pairs, against spill-over of all pairs. {said}.",
        lambda width: draw(rows, width),
    )  # fmt: skip


def draw(rows: list[dict[str, Any]], width: int) -> Any:
    """Altair's chart."""
    methods, pairs = (list(dict.fromkeys(row[key] for row in rows)) for key in ("method", "pairs"))
    colours = [light(f"arm{number}") for number in range(1, len(methods) + 1)]
    x = alt.X("spill:Q", axis=alt.Axis(title="spill-over of pairs in all languages, points", tickCount=8))
    y = alt.Y("harm:Q", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(
        title="harm prevented in other languages by English pairs, points", titleAngle=-90, tickCount=6))  # fmt: skip
    colour = alt.Color("method:N", scale=alt.Scale(domain=methods, range=colours))
    shape = alt.Shape("method:N", scale=alt.Scale(domain=methods, range=list(SHAPES[: len(methods)])))
    dash = alt.StrokeDash("pairs:N", scale=alt.Scale(domain=pairs, range=[[1, 0], [5, 4]]))
    chart = alt.Chart(rows_of(rows))
    cross = chart.mark_rule(strokeWidth=1.2, opacity=0.5).encode(color=colour)
    named = [row for row in rows if row["pairs"] == pairs[0] and (row["method"] == methods[0] or row["dial"] == 1)]
    words = alt.Chart(rows_of([{**row, "words": f"{row['dial']:g}"} for row in named]))
    line = chart.mark_line(strokeWidth=1.6).encode(color=colour, strokeDash=dash, detail="line:N", order="dial:Q")
    layers = [
        line.encode(x=x, y=y),
        cross.encode(x=alt.X("spill_low:Q"), x2="spill_high:Q", y=y),
        cross.encode(y=alt.Y("harm_low:Q"), y2="harm_high:Q", x=x),
        chart.mark_point(size=80, filled=True, opacity=1).encode(x=x, y=y, color=colour, shape=shape),
        words.mark_text(dx=9, dy=-9, align="left", fontSize=11).encode(x=x, y=y, text="words:N"),
    ]
    return alt.layer(*layers).properties(width=width - 90, height=380)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.write_text(figure(rows_in(options.table.read_text(encoding="utf-8"))).svg, encoding="utf-8")


if __name__ == "__main__":
    main()
