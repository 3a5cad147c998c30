"""What the judge's errors do: the rate as judged beside the rate without them, by arm and language."""

from __future__ import annotations

from alignment_prism.domain import ALL
from alignment_prism.domain.metric_table import HARM_RATE, corrected
from alignment_prism.reports.figures.arms import language_title
from alignment_prism.reports.figures.dots import Plot, Series, dot, draw_dots, reach_of
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.results import Results

NAIVE, CORRECTED = Series("as judged", "base", "circle"), Series("without the judge's errors", "all", "diamond")


def judge_error(results: Results) -> Figure | None:
    """Harm as judged and corrected; None where nobody labelled replies."""
    name = corrected(HARM_RATE.name)
    prompts = next(
        (one for one in (results.prompts, "harmful") if one in results.index.values("prompts", metric=name)), None
    )
    if prompts is None:
        return None
    codes = [ALL, *sorted(results.index.languages(metric=name, prompts=prompts))]
    arms = [arm for arm in results.models if any(results.find(arm, name, prompts=prompts, language=c) for c in codes)]
    reach = reach_of([], HARM_RATE.unit, whole=True)
    dots = [
        dot(row, results.title(arm), language_title(code), series.name, reach=reach)
        for arm in arms
        for code in codes
        for series, metric in ((NAIVE, HARM_RATE.name), (CORRECTED, name))
        if results.find(arm, name, prompts=prompts, language=code)
        and (row := results.find(arm, metric, prompts=prompts, language=code)) is not None
    ]
    plot = Plot(
        dots, [results.title(arm) for arm in arms], [language_title(code) for code in codes], [NAIVE, CORRECTED],
        "harmful replies, per cent", *reach,
    )  # fmt: skip
    caption = f"{prompts} prompts. The corrected rate takes out what labels of people show of the judge; where the two "
    caption += "part by language, the judge makes languages look different."
    return Figure(
        "judge", "Judge error: naive beside corrected", caption, plot.description(),
        lambda width: draw_dots(plot, width, columns=3),
    )  # fmt: skip
