"""How training went: the loss of all pairs, of the group it was highest in, and of pairs held out, a panel a stage."""

from __future__ import annotations

from typing import Any

from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.figures.theme import light, rows_of
from alignment_prism.reports.results import Curve, Results

PANELS = 12
"""Stages that are drawn; a page of sixty curves says nothing."""

ALL_PAIRS, WORST, HELD_OUT = "all pairs", "group of the highest loss", "held out"


def training(results: Results) -> Figure | None:
    """Loss by step; None where the study trained nothing."""
    stages = list(dict.fromkeys((curve.training, curve.stage) for curve in results.curves))
    shown = stages[:PANELS]
    rows: list[dict[str, Any]] = []
    said = []
    for stage in shown:
        curves = [curve for curve in results.curves if (curve.training, curve.stage) == stage]
        panel = stage[0] if stage[1] in stage[0] else f"{stage[0]}, {stage[1]}"
        words = []
        for name, curve in _named(curves):
            last = curve.points[-1]
            label = curve.group if name == WORST else ""
            rows += [
                {"panel": panel, "series": name, "step": step, "loss": loss,
                 "said": label if (step, loss) == last else ""}
                for step, loss in curve.points
            ]  # fmt: skip
            first = curve.points[0]
            words.append(f"{label or name} {first[1]:.3g} at step {first[0]}, {last[1]:.3g} at step {last[0]}")
        said.append(f"{panel}: {'; '.join(words)}")
    if not rows:
        return None
    caption = (
        "Loss by step, each training on a scale of its own: stages have different objectives. The second line is the "
        "language and scope that the loss was highest in."
    )
    if len(stages) > len(shown):
        caption += f" The first {len(shown)} of {len(stages)} stages; all are in the table of the data."
    panels = list(dict.fromkeys(str(row["panel"]) for row in rows))
    return Figure(
        "training", "How training went", caption, f"Loss by step. {'. '.join(said)}.",
        lambda width: _draw(rows, panels, width),
    )  # fmt: skip


def _named(curves: list[Curve]) -> list[tuple[str, Curve]]:
    """All pairs, the group whose mean over the steps is highest, and what was held out."""
    trained = [curve for curve in curves if curve.part == "trained" and curve.points]
    groups = [curve for curve in trained if curve.group]
    most = max((len(curve.points) for curve in groups), default=0)
    groups = [curve for curve in groups if 2 * len(curve.points) >= most]  # one pair of a rare group says little
    found = [(ALL_PAIRS, curve) for curve in trained if not curve.group]
    if len(groups) > 1:
        found.append((WORST, max(groups, key=lambda one: sum(loss for _, loss in one.points) / len(one.points))))
    return found + [(HELD_OUT, one) for one in curves if one.part == "held out" and not one.group and one.points]


def _draw(rows: list[dict[str, Any]], panels: list[str], width: int) -> Any:
    import altair as alt

    names = [name for name in (ALL_PAIRS, WORST, HELD_OUT) if any(row["series"] == name for row in rows)]
    roles = {ALL_PAIRS: "all", WORST: "worse", HELD_OUT: "base"}
    dashes = {ALL_PAIRS: [1, 0], WORST: [6, 3], HELD_OUT: [2, 3]}
    columns = max(1, min(3 if width > 500 else 1, len(panels)))
    inner = (width - 60 * columns) / columns
    legend = alt.Legend(columns=1 if width < 500 else 0, symbolType="stroke")
    colour = alt.Color("series:N", scale=alt.Scale(domain=names, range=[light(roles[n]) for n in names]), legend=legend)
    dash = alt.StrokeDash("series:N", scale=alt.Scale(domain=names, range=[dashes[n] for n in names]), legend=legend)
    x = alt.X("step:Q", axis=alt.Axis(title=None, tickCount=4, grid=False))
    y = alt.Y("loss:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title=None, tickCount=4, grid=True))
    chart = alt.Chart().encode(x=x, y=y, color=colour)
    lines = chart.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=14, filled=True)).encode(strokeDash=dash)
    text = (
        alt.Chart()
        .transform_filter("datum.said")
        .mark_text(align="right", baseline="top", fontSize=11, color=light(roles[WORST]))
        .encode(x=alt.value(round(inner)), y=alt.value(2), text="said:N")  # losses fall: this corner is free
    )
    layered = alt.layer(lines, text, data=rows_of(rows)).properties(width=round(inner), height=120)
    above = alt.Title("loss, by step", anchor="start", fontSize=12, fontWeight="normal", color=light("faint"), offset=6)
    facet = alt.Facet("panel:N", sort=panels, header=alt.Header())
    return layered.facet(facet=facet, columns=columns, spacing=24, title=above).resolve_scale(
        x="independent", y="independent"
    )
