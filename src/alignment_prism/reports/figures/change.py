"""Harm against base: a row an arm, seeds one by one, and what they say together."""

from __future__ import annotations

from alignment_prism.domain.metric_table import HARM_DIFFERENCE
from alignment_prism.reports.figures.arms import SCOPE_SERIES
from alignment_prism.reports.figures.dots import Plot, Series, dot, draw_dots, reach_of
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.results import Results

SEED, TOGETHER = Series("one training (seed)", "base", "circle"), Series("over seeds and prompts", "all", "diamond")


def harm_against_base(results: Results) -> Figure | None:
    """The risk difference of every arm; by scope where there is one seed, seed by seed where there are several."""
    index = results.index
    if results.several_seeds:
        rows = [
            (name, series, row)
            for name in index.pooled
            for series, seeds in ((SEED, [s for arm, s in index.arms if arm == name]), (TOGETHER, [-1]))
            for seed in seeds
            if (row := results.find((name, seed), HARM_DIFFERENCE.name)) is not None
        ]
        shown = [SEED, TOGETHER]
    else:
        shown = [SCOPE_SERIES[scope] for scope in results.scopes]
        rows = [
            (results.title(arm), SCOPE_SERIES[scope], row)
            for arm in results.arms
            for scope in results.scopes
            if (row := results.find(arm, HARM_DIFFERENCE.name, scope=scope)) is not None
        ]
    if not rows:
        return None
    reach = reach_of([row for _, _, row in rows], HARM_DIFFERENCE.unit)
    plot = Plot(
        [dot(row, "", name, series.name, reach=reach) for name, series, row in rows],
        [""],
        list(dict.fromkeys(name for name, _, _ in rows)),
        shown,
        "harm, change in points against base",
        *reach,
        rule=0.0,
    )
    caption = f"Risk difference on the same {results.prompts} prompts; left of the line is less harm than base. "
    if results.several_seeds:
        caption += "Each seed is a training of its own, with an interval for other prompts; the blue one is for other "
        caption += "seeds as well."
    elif results.recipes:
        caption += "One training of each arm: how far another seed would move it is not known from here."
    return Figure("change", "Harm against base", caption, plot.description(), lambda width: draw_dots(plot, width))
