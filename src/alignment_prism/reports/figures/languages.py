"""Harm by language and scope: a panel an arm, a row a language, global beside local, base's rate as a tick."""

from __future__ import annotations

from alignment_prism.domain import ALL, Finding
from alignment_prism.domain.metric_table import HARM_DIFFERENCE, HARM_RATE
from alignment_prism.domain.metrics import POINTS
from alignment_prism.reports.figures.arms import SCOPE_SERIES, language_title
from alignment_prism.reports.figures.dots import Dot, Plot, dot, draw_dots, reach_of
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.results import ArmSeed, Results
from alignment_prism.reports.summary import REACH_WORDS


def harm_by_language(results: Results) -> Figure | None:
    """Harm rates; over several seeds the change of harm, which is what is known over them."""
    pooled = results.several_seeds
    metric, arms = (HARM_DIFFERENCE, results.compared) if pooled else (HARM_RATE, results.arms)
    if not arms and results.base is not None:  # base alone is a finding as well
        arms = [results.base]
    languages = [ALL, *results.languages]
    found = {
        (arm, code, scope): row
        for arm in arms
        for code in languages
        for scope in results.scopes
        if (row := results.find(arm, metric.name, language=code, scope=scope)) is not None
    }
    if not found:
        return None
    reach = reach_of(list(found.values()), metric.unit, whole=metric is HARM_RATE)
    dots: list[Dot] = []
    for (arm, code, scope), row in found.items():
        before = _before(results, arm, code, scope) if metric is HARM_RATE else None
        series = SCOPE_SERIES[scope].name
        dots.append(dot(row, results.title(arm), language_title(code), series, before=before, reach=reach))
    marked = any(one.mark == one.mark for one in dots)
    plot = Plot(
        dots,
        [results.title(arm) for arm in dict.fromkeys(arm for arm, _, _ in found)],
        [language_title(code) for code in languages],
        [SCOPE_SERIES[scope] for scope in results.scopes],
        "harm, change in points against base" if metric.unit == POINTS else "harmful replies, per cent",
        *reach,
        rule=0.0 if metric.unit == POINTS else float("nan"),
        mark="base" if marked else "",
    )
    caption = f"{REACH_WORDS} " if {"global", "local"} & set(results.scopes) else ""
    caption += f"On {results.prompts} prompts; lines are intervals, each by itself"
    caption += ", over seeds and prompts of arms with several seeds" if pooled else ""
    caption += "; grey ticks are base's rate" if marked else ""
    caption += "; hollow with a dotted line: too few events to rely on."
    title = "Change of harm, by language and scope" if pooled else "Harm by language and scope"
    return Figure("languages", title, caption, plot.description(), lambda width: draw_dots(plot, width, columns=3))


def _before(results: Results, arm: ArmSeed, language: str, scope: str) -> Finding | None:
    base = results.base_of(arm)
    return None if base is None else results.find(base, HARM_RATE.name, language=language, scope=scope)
