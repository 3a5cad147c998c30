"""Harm against base: a row an arm, seeds one by one, and what they say together."""

from __future__ import annotations

from alignment_prism.domain.metric_table import HARM_DIFFERENCE
from alignment_prism.reports.figures.arms import SCOPE_SERIES
from alignment_prism.reports.figures.dots import Plot, Series, dot, draw_dots, reach_of
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.results import ArmSeed, Results

SEED, TOGETHER = Series("one training (seed)", "base", "circle"), Series("over seeds and prompts", "all", "diamond")

ONE = Series("one model (no seed)", "ink", "square")


def harm_against_base(results: Results) -> Figure | None:
    """The risk difference of every arm; by scope where there is one seed, seed by seed where there are several."""
    if results.several_seeds:
        rows = [
            (name, series, row)
            for name in dict.fromkeys(name for name, _ in results.arms)
            for series, arms in _series(results, name)
            for arm in arms
            if (row := results.find(arm, HARM_DIFFERENCE.name)) is not None
        ]
        shown = [one for one in (SEED, TOGETHER, ONE) if any(series == one for _, series, _ in rows)]
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
        caption += "Each seed is a training of its own, with an interval for other prompts"
        caption += "; the blue one is for other seeds as well." if TOGETHER in shown else "."
    elif results.recipes:
        caption += "One training of each arm: how far another seed would move it is not known from here."
    return Figure("change", "Harm against base", caption, plot.description(), lambda width: draw_dots(plot, width))


def _series(results: Results, name: str) -> list[tuple[Series, list[ArmSeed]]]:
    """What is drawn of an arm: its seeds and what they say together, or the one model that it is."""
    seeds = results.seeds_of(name)
    if results.over_seeds(name, HARM_DIFFERENCE.name) is not None:
        return [(SEED, seeds), (TOGETHER, [(name, -1)])]
    return [(SEED if seed >= 0 else ONE, [(name, seed)]) for _, seed in seeds]
