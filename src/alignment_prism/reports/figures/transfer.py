"""Transfer and spill-over as heat maps: what an arm was trained on down, what it is tested on across."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from alignment_prism.domain import ALL, MACRO, Reach, Transfer, TransferQuantity
from alignment_prism.domain.transfer import OTHER
from alignment_prism.reports.figures.arms import language_title
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.figures.theme import light, rows_of
from alignment_prism.reports.results import Results
from alignment_prism.reports.transfer import NOT_A_CHOICE, headline_rows, trained_words

UNTRAINED = "not trained on"


def transfer(results: Results) -> Figure | None:
    """Change of harm where an arm was trained and where it was not; None where no arm had a choice."""
    rows = headline_rows([row for row in results.transfer if row.quantity is TransferQuantity.HARM])
    if not any({row.trained_languages, row.trained_scopes} - set(NOT_A_CHOICE) for row in rows):
        return None
    caption = f"Points against base on {rows[0].prompts} prompts, seeds together where there are several; blue is less "
    caption += (
        "harm. A frame: the arm was trained on such prompts. A question mark: too little to rely on. Intervals are "
    )
    caption += "in the table."
    return _figure("transfer", "Transfer: harm where an arm was trained, and elsewhere", caption, rows, better=-1)


def spill_over(results: Results) -> Figure | None:
    """Rise of refusals of what is harmful elsewhere only, beyond that of what is harmful nowhere, by language."""
    rows = [
        row for row in results.transfer if row.quantity is TransferQuantity.SPILL_OVER and "/" not in row.prompts
        and row.scope == ALL
    ]  # fmt: skip
    if not rows:
        return None
    caption = "Rise of refusals of what is harmful in another culture only, less that of what is harmful nowhere, in "
    caption += "points; orange is spill-over. A question mark: too little to rely on."
    return _figure("spill_over", "Spill-over across borders", caption, rows, better=-1)


def _figure(name: str, title: str, caption: str, rows: Sequence[Transfer], *, better: int) -> Figure | None:
    seeds = {(row.arm): min(one.seed for one in rows if one.arm == row.arm) for row in rows}
    cells, columns = [], dict[str, tuple[int, str]]()
    for row in rows:
        if row.seed != seeds[row.arm] or math.isnan(row.estimate):
            continue
        if (place := _column(row)) is None:
            continue
        columns[place[1]] = place
        trained = row.reach is Reach.TRAINED and {row.trained_languages, row.trained_scopes} - set(NOT_A_CHOICE)
        words = trained_words(row)
        arm = f"{row.arm}  ·  {words}" if words not in NOT_A_CHOICE else row.arm
        value = 100 * row.estimate
        cells.append(
            {
                "arm": arm, "column": place[1], "value": value, "size": min(abs(value) / 60, 1.0) * 0.85,
                "way": "better" if value * better > 0 else "worse",
                "said": ("0" if abs(value) < 0.5 else f"{value:+.0f}") + "?" * row.insufficient,
                "trained": bool(trained),
                "words": f"{value:+.1f} ({100 * row.lower:+.1f} to {100 * row.upper:+.1f})",
            }
        )  # fmt: skip
    if not cells:
        return None
    order = [title for _, title in sorted(columns.values())]
    arms = list(dict.fromkeys(str(cell["arm"]) for cell in cells))
    said = "; ".join(
        f"{arm}: " + ", ".join(f"{cell['column']} {cell['words']}" for cell in cells if cell["arm"] == arm)
        for arm in arms
    )
    return Figure(name, title, caption, f"{title}, in points. {said}.", lambda width: _heat(cells, arms, order, width))


def _column(row: Transfer) -> tuple[int, str] | None:
    """Where a row stands: what is not trained on, all, scopes, languages; None where it is of a scope in a language."""
    if row.language == OTHER:
        return (0, UNTRAINED) if row.scope == ALL else None
    if row.language == ALL:
        return (1, "all") if row.scope == ALL else (2, row.scope)
    if row.language == MACRO or row.scope != ALL:
        return None
    return 3, language_title(row.language)


def _heat(cells: list[dict[str, Any]], arms: list[str], columns: list[str], width: int) -> Any:
    import altair as alt

    labels = min(max(40, 7 * max(map(len, arms))), 260 if width > 500 else 120) + 16
    cell = max((width - labels - 16) / len(columns), 34)
    base = alt.Chart(rows_of(cells)).encode(
        x=alt.X("column:N", sort=columns, axis=alt.Axis(orient="top", labelAngle=0 if cell > 78 else -45, title=None,
                                                        labelLimit=120, labelColor=light("ink"))),
        y=alt.Y("arm:N", sort=arms, axis=alt.Axis(labelLimit=labels)),
    )  # fmt: skip
    squares = base.mark_rect(stroke=light("paper"), strokeWidth=2).encode(
        color=alt.Color(
            "way:N", legend=None,
            scale=alt.Scale(domain=["better", "worse"], range=[light("better"), light("worse")]),
        ),
        opacity=alt.Opacity("size:Q", scale=alt.Scale(domain=[0, 1], range=[0.0, 0.72]), legend=None),
    )  # fmt: skip
    frames = base.transform_filter("datum.trained").mark_rect(
        filled=False, stroke=light("ink"), strokeWidth=1.6, opacity=1
    )
    text = base.mark_text(fontSize=12, fontWeight=600).encode(text="said:N")
    return alt.layer(squares, frames, text).properties(width=alt.Step(cell), height=alt.Step(34))
