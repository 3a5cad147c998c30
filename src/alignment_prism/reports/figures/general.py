"""General ability: win-rates against base or another model, else right answers, by arm."""

from __future__ import annotations

import math

from alignment_prism.domain import ALL
from alignment_prism.domain.metric_table import ACCURACY
from alignment_prism.reports.figures.arms import language_title
from alignment_prism.reports.figures.dots import Plot, Series, dot, draw_dots, reach_of
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.results import Results
from alignment_prism.scoring.metrics import find_metric

GENERAL = "general"


def general_ability(results: Results) -> Figure | None:
    """A panel an arm, a row a language; None where nothing general was measured."""
    for name, rule in (("win_rate", 50.0), (ACCURACY.name, math.nan)):
        metric = find_metric(name)
        arms = [arm for arm in results.models if results.find(arm, name, prompts=GENERAL) is not None]
        if not arms:
            continue
        languages = [ALL, *sorted(results.index.languages(metric=name, prompts=GENERAL))]
        found = [
            (arm, code, row)
            for arm in arms
            for code in languages
            if (row := results.find(arm, name, prompts=GENERAL, language=code)) is not None
        ]
        reach = reach_of([], metric.unit, whole=True)
        plot = Plot(
            [dot(row, results.title(arm), language_title(code), metric.title, reach=reach) for arm, code, row in found],
            [results.title(arm) for arm in arms],
            [language_title(code) for code in languages],
            [Series(metric.title, "all")],
            f"{metric.title}, per cent",
            *reach,
            rule=rule,
        )
        caption = f"{metric.words[:1].upper()}{metric.words[1:]}. "
        opponent = results.opponent(*dict.fromkeys(name for name, _ in arms))
        caption += f"Right of the line the judge prefers the arm to {opponent}." if name == "win_rate" else ""
        return Figure(
            "general", f"General ability: {metric.title}", caption.strip(), plot.description(),
            lambda width, plot=plot: draw_dots(plot, width, columns=3),  # type: ignore[misc]
        )  # fmt: skip
    return None
