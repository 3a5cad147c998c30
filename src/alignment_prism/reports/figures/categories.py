"""Harm by category, a panel an arm, base's rate as a tick; categories overlap."""

from __future__ import annotations

from alignment_prism.domain import ALL
from alignment_prism.domain.metric_table import HARM_RATE
from alignment_prism.reports.figures.dots import Plot, Series, dot, draw_dots, reach_of
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.results import Results


def harm_by_category(results: Results) -> Figure | None:
    """Harm rates by category of harm; None where prompts have none."""
    categories = [
        name
        for name in results.index.values(
            "category", metric=HARM_RATE.name, prompts=results.prompts, language=ALL, scope=ALL
        )
        if name != ALL
    ]
    arms = results.arms or ([results.base] if results.base else [])
    found = [
        (arm, category, row)
        for arm in arms
        for category in categories
        if (row := results.find(arm, HARM_RATE.name, category=category)) is not None
    ]
    if not found:
        return None
    reach = reach_of([], HARM_RATE.unit, whole=True)
    dots = [
        dot(
            row, results.title(arm), category, "harm", reach=reach,
            before=None if (base := results.base_of(arm)) is None else results.find(
                base, HARM_RATE.name, category=category),
        )
        for arm, category, row in found
    ]  # fmt: skip
    plot = Plot(
        dots, [results.title(arm) for arm in arms], categories, [Series("harm", "all")],
        "harmful replies, per cent", *reach, mark="base",
    )  # fmt: skip
    caption = f"On {results.prompts} prompts. A prompt may be of several categories: rows overlap and do not add up."
    return Figure(
        "categories", "Harm by category", caption, plot.description(), lambda width: draw_dots(plot, width, columns=3)
    )
