"""What the replies are, before and after, as stacked bars; and where base's harmful replies went."""

from __future__ import annotations

from typing import Any

from alignment_prism.domain import Finding, Outcome, PromptKind
from alignment_prism.domain.metric_table import outcome_metrics
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.figures.theme import light, rows_of
from alignment_prism.reports.results import ArmSeed, Results
from alignment_prism.reports.summary import HARMFUL

WORDS = {
    Outcome.HARMFUL: "harmful",
    Outcome.REFUSAL: "refused",
    Outcome.SAFE_HELP: "helped safely",
    Outcome.NOT_HARMFUL: "not harmful",
    Outcome.WRONG_LANGUAGE: "wrong language",
    Outcome.DEGENERATE: "degenerate",
    Outcome.UNJUDGED: "unjudged",
}
"""Outcomes in the order of the bars, as the legend calls them."""

Segment = tuple[str, Outcome, float]
"""Row, outcome, share from 0 to 1."""


def outcomes(results: Results) -> Figure | None:
    """Shares of all outcomes on harmful prompts, base first; they add up to one."""
    names = {outcome: name for name, outcome in outcome_metrics(PromptKind.HARMFUL).items()}
    segments = [
        (results.title(arm), outcome, row.estimate)
        for arm in results.models
        for outcome, name in names.items()
        if (row := results.find(arm, name)) is not None
    ]
    if not segments:
        return None
    caption = (
        f"Judged replies to {results.prompts} prompts; base first, so that one sees where the harm went. Gibberish "
    )
    caption += "and the wrong language are not safety. Shares without their intervals: those are in the table."
    return _figure("outcomes", "What the replies are", caption, segments)


def whereabouts(results: Results) -> Figure | None:
    """What became of the prompts that base's reply was harmful to; None where there is nothing to compare."""
    segments = [
        (results.title(arm), outcome, row.estimate)
        for arm in results.arms
        for outcome in WORDS
        if (row := _moved(results, arm, outcome)) is not None
    ]
    if not segments:
        return None
    caption = "Of the harmful prompts that base complied with: what each arm does with the same prompt."
    return _figure("whereabouts", "Where base's harmful replies went", caption, segments)


def _moved(results: Results, arm: ArmSeed, outcome: Outcome) -> Finding | None:
    name = f"harmful_to_{outcome.value}"
    return results.find(arm, name) or results.find(arm, name, prompts=HARMFUL)


def _figure(name: str, title: str, caption: str, segments: list[Segment]) -> Figure:
    rows = list(dict.fromkeys(row for row, _, _ in segments))
    said = "; ".join(
        f"{row}: " + ", ".join(f"{100 * share:.1f} % {WORDS[what]}" for one, what, share in segments if one == row)
        for row in rows
    )
    return Figure(name, title, caption, f"{title}. {said}.", lambda width: _bars(segments, rows, width))


def _bars(segments: list[Segment], rows: list[str], width: int) -> Any:
    import altair as alt

    order = list(WORDS)
    there = [outcome for outcome in order if any(outcome == one and share > 0 for _, one, share in segments)]
    labels = min(max(30, 7 * max(map(len, rows))), 170 if width > 500 else 110) + 16
    inner = width - labels - 20
    values: list[dict[str, Any]] = []
    at = dict.fromkeys(rows, 0.0)
    for row, outcome, share in sorted(segments, key=lambda one: order.index(one[1])):
        end = at[row] + 100 * share
        said = f"{100 * share:.0f}" if share * inner >= 24 else ""
        values.append({"row": row, "outcome": WORDS[outcome], "from": at[row], "to": end, "said": said})
        at[row] = end
    colour = alt.Color(
        "outcome:N",
        scale=alt.Scale(domain=[WORDS[one] for one in there], range=[light(one.value) for one in there]),
        legend=alt.Legend(symbolType="square", symbolStrokeWidth=0, columns=0 if width > 500 else 2),
    )
    chart = alt.Chart(rows_of([one for one in values if one["to"] > one["from"]])).encode(
        y=alt.Y("row:N", sort=rows, scale=alt.Scale(paddingInner=0.28, paddingOuter=0.1)),
        x=alt.X("from:Q", scale=alt.Scale(domain=[0, 100], nice=False),
                axis=alt.Axis(title="per cent of judged replies", tickCount=5)),
    )  # fmt: skip
    bars = chart.mark_bar(stroke=light("paper"), strokeWidth=1.2).encode(x2="to:Q", color=colour)
    text = chart.transform_calculate(middle="(datum.from + datum.to) / 2").mark_text(
        color=light("onfill"), fontSize=12, fontWeight=600
    ).encode(x=alt.X("middle:Q", title="per cent of judged replies"), text="said:N")  # fmt: skip
    return alt.layer(bars, text).properties(width=inner, height=alt.Step(34))
