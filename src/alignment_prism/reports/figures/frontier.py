"""The frontier of safety and ability: change of harm against win-rate, a mark an arm, arms traced over mixtures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from alignment_prism.domain import Finding
from alignment_prism.domain.metric_table import HARM_DIFFERENCE
from alignment_prism.reports.figures.arms import series_of
from alignment_prism.reports.figures.dots import Series, reach_of, said
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.figures.theme import light, rows_of
from alignment_prism.reports.results import Results
from alignment_prism.scoring.metrics import find_metric

GENERAL, WIN_RATE = "general", "win_rate"
TALL = 380
"""Pixels of the plot from top to bottom."""
NAMED = 12
"""Of more arms, names stand only where there is room for them."""


@dataclass(frozen=True)
class Mark:
    """One arm; marks of one path are joined by their shares."""

    name: str
    arm: str
    method: str
    share: float
    path: str
    harm: Finding
    wins: Finding


def frontier(results: Results) -> Figure | None:
    """None where no arm has both a change of harm and a win-rate."""
    marks = []
    for arm in results.arms:
        harm = results.find(arm, HARM_DIFFERENCE.name)
        wins = results.find(arm, WIN_RATE, prompts=GENERAL)
        if harm is not None and wins is not None:
            method, share = results.recipes.get(arm[0], ("", math.nan))
            path = f"{method} {arm[1]}" if arm[0] in results.whole_mixtures else results.title(arm)
            marks.append(Mark(results.title(arm), arm[0], method, share, path, harm, wins))
    if not marks:
        return None
    methods = list(dict.fromkeys(mark.method for mark in marks))
    several = len({mark.arm for mark in marks}) < len(marks)
    if several:  # sixty names would lie on each other: a colour and a shape for each arm, and seeds without a name
        methods = list(dict.fromkeys(mark.arm for mark in marks))
        marks = [replace(mark, method=mark.arm) for mark in marks]
    names = methods if all(methods) and len(methods) > 1 else []
    description = "Change of harm in points, and win-rate in per cent, by arm. " + "; ".join(
        f"{mark.name}: harm {said(mark.harm)}, wins {said(mark.wins)}" for mark in marks
    )
    opponent = results.opponent(*dict.fromkeys(mark.arm for mark in marks))
    caption = (
        f"Down is safer (harm on {results.prompts} prompts against base), right is more able (general prompts won "
        f"against {opponent}). Crosses are intervals of both; the lines meet at "
        f"{'base' if opponent == 'base' else 'no change of harm and half of the prompts won'}."
    )
    traced = not several and len({mark.path for mark in marks}) < len(marks)
    caption += " A mark is one training." if several else ""
    caption += (
        " A thin line joins a method's arms from the smallest share of safety pairs to the largest." if traced else ""
    )
    caption += " Hollow: too few events to rely on."
    if not several and len(marks) > NAMED:
        caption += " Names stand where there is room; all arms are in the figure below."
    series = series_of(names) if names else [Series("arm", "all")]
    return Figure(
        "frontier", "Safety against ability", caption, f"{description}.",
        lambda width: _draw(marks, series, names, width, named=not several, opponent=opponent),
    )  # fmt: skip


def _draw(marks: list[Mark], series: list[Series], names: list[str], width: int, *, named: bool, opponent: str) -> Any:
    import altair as alt

    across = reach_of([mark.wins for mark in marks], find_metric(WIN_RATE).unit, holds=50.0)
    across = (min(across[0], 48.0), max(across[1], 52.0))  # base is not at the edge
    down = reach_of([mark.harm for mark in marks], HARM_DIFFERENCE.unit, holds=0.0)
    rows: list[dict[str, Any]] = []
    for mark, place in zip(marks, _places(marks, across, down, width), strict=True):
        dx, dy, align = place or (0, 0, "")
        wins = [_held(100 * value, across) for value in (mark.wins.lower, mark.wins.estimate, mark.wins.upper)]
        harm = [_held(100 * value, down) for value in (mark.harm.lower, mark.harm.estimate, mark.harm.upper)]
        rows.append(
            {
                "name": mark.name, "method": mark.method if names else "arm", "share": mark.share, "path": mark.path,
                "wins": wins[1], "wins_low": wins[0], "wins_high": wins[2], "harm": harm[1], "harm_low": harm[0],
                "harm_high": harm[2], "weak": mark.harm.insufficient or mark.wins.insufficient, "dx": dx, "dy": dy,
                "align": align,
            }
        )  # fmt: skip
    for row in rows:
        if math.isnan(float(row["share"])):
            row["share"] = None
    labels = [one.name for one in series]
    stacked = 2 if width < 500 or sum(map(len, labels)) > 80 else 0
    colour = alt.Color("method:N", scale=alt.Scale(domain=labels, range=[light(one.role) for one in series]),
                       legend=alt.Legend(columns=stacked) if names else None)  # fmt: skip
    shape = alt.Shape("method:N", scale=alt.Scale(domain=labels, range=[one.shape for one in series]),
                      legend=alt.Legend(columns=stacked) if names else None)  # fmt: skip
    scales = (
        alt.Scale(domain=list(across), nice=False, zero=False),
        alt.Scale(domain=list(down), nice=False, zero=False),
    )
    x = alt.X("wins:Q", scale=scales[0], axis=alt.Axis(
        title=f"prompts won against {opponent}, per cent", grid=False, tickCount=5))  # fmt: skip
    y = alt.Y("harm:Q", scale=scales[1], axis=alt.Axis(
        title="change of harm against base, points", grid=False, labelColor=light("faint"), tickCount=6,
        titleAngle=-90))  # fmt: skip
    chart = alt.Chart(rows_of(rows))
    nowhere = alt.Chart(rows_of([{}]))
    dashed = nowhere.mark_rule(color=light("base"), strokeDash=[3, 3])
    base = nowhere.mark_text(text="base", dx=-5, dy=-8, align="right", color=light("faint"), fontSize=12)
    layers: list[Any] = [
        dashed.encode(x=alt.XDatum(50.0, scale=scales[0])),
        dashed.encode(y=alt.YDatum(0.0, scale=scales[1])),
        base.encode(x=alt.XDatum(across[1], scale=scales[0]), y=alt.YDatum(0.0, scale=scales[1])),
    ]
    if named and len({mark.path for mark in marks}) < len(marks):
        layers.append(
            chart.transform_filter("isValid(datum.share)")
            .mark_line(strokeWidth=1.2, opacity=0.75)
            .encode(x=x, y=y, color=colour, order="share:Q", detail="path:N")
        )
    cross = chart.mark_rule(strokeWidth=1.3, opacity=0.55 if named else 0.25).encode(color=colour)
    point = chart.mark_point(size=110 if named else 60, opacity=1, strokeWidth=2, filled=False)
    fill = alt.condition(alt.datum.weak, alt.value(light("paper")), colour)
    layers += [
        cross.encode(x=alt.X("wins_low:Q", scale=scales[0]), x2="wins_high:Q", y=y),
        cross.encode(y=alt.Y("harm_low:Q", scale=scales[1]), y2="harm_high:Q", x=x),
        point.encode(x=x, y=y, color=colour, shape=shape, fill=fill),
    ]
    for row in [row for row in rows if row["align"]] if named else ():
        layers.append(
            alt.Chart(rows_of([row]))
            .mark_text(dx=row["dx"], dy=row["dy"], align=row["align"], fontSize=12, fontWeight=600, limit=220)
            .encode(x=x, y=y, text="name:N")
        )
    return alt.layer(*layers).properties(width=width - 70, height=TALL if width > 500 else 320)


def _held(value: float, reach: tuple[float, float]) -> float:
    """A value within the axis; its nearer end for none."""
    return reach[0] if math.isnan(value) else min(max(value, reach[0]), reach[1])


def _places(
    marks: list[Mark], across: tuple[float, float], down: tuple[float, float], width: int
) -> list[tuple[int, int, str] | None]:
    """Where each name stands beside its mark (pixels right, pixels down, which end): the first place of twelve at which
    it lies on no mark and on no name before it, within the plot. Of many arms those that no other beats are named
    first, and None is where there is no such place."""
    wide, tall = width - 70, TALL if width > 500 else 320
    at = [
        (
            (100 * mark.wins.estimate - across[0]) / (across[1] - across[0]) * wide,
            (down[1] - 100 * mark.harm.estimate) / (down[1] - down[0]) * tall,
        )
        for mark in marks
    ]
    many = len(marks) > NAMED
    beaten = [sum(x > at[own][0] and y > at[own][1] for x, y in at) for own in range(len(marks))]
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in at]
    placed: list[tuple[int, int, str] | None] = [None] * len(marks)
    for number in sorted(range(len(marks)), key=beaten.__getitem__) if many else range(len(marks)):
        x, y = at[number]
        length = 7.2 * min(len(marks[number].name), 30)
        choices = [(dx, dy, "left") for dy in (-11, 14, -26, 29, -41, 44) for dx in (10,)]
        choices += [(-dx, dy, "right") for dx, dy, _ in choices]
        boxes = []
        for dx, dy, align in choices:
            left = x + dx - (length if align == "right" else 0)
            box = (left, y + dy - 8, left + length, y + dy + 6)
            outside = max(0.0, -box[0]) + max(0.0, box[2] - wide) + max(0.0, -box[1]) + max(0.0, box[3] - tall)
            boxes.append((outside * 20 + sum(_overlap(box, other) for other in taken), box, (dx, dy, align)))
        cost, box, place = min(boxes, key=lambda one: one[0])
        if cost == 0 or not many:
            taken.append(box)
            placed[number] = place
    return placed


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Area that two boxes (left, top, right, bottom) share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(tall, 0.0)
