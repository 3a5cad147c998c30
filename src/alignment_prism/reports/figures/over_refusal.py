"""Over-refusal: what should be answered and is declined, by kind of prompts, base's rate as a tick."""

from __future__ import annotations

from alignment_prism.domain import PromptKind
from alignment_prism.domain.metric_table import REFUSAL_RATE
from alignment_prism.reports.figures.dots import Plot, Series, dot, draw_dots, reach_of
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.results import Results

KINDS = {
    PromptKind.BENIGN_MENTION: "mentions a harmful topic",
    PromptKind.NEVER_HARMFUL: "harmful nowhere",
    PromptKind.FOREIGN_LOCAL: "harmful elsewhere only",
}
"""Kinds of prompts that should be answered, as panels call them."""


def over_refusal(results: Results) -> Figure | None:
    """Refusals of harmless prompts: a panel a kind, a row an arm."""
    arms = results.models
    found = [
        (KINDS[kind], arm, row)
        for kind in KINDS
        for arm in arms
        if (row := results.find(arm, REFUSAL_RATE.name, prompts=kind.value)) is not None
    ]
    if not found:
        return None
    reach = reach_of([row for _, _, row in found], REFUSAL_RATE.unit)
    dots = []
    for kind, arm, row in found:
        value = next(name for name, words in KINDS.items() if words == kind).value
        base = results.base_of(arm)
        before = None if base is None else results.find(base, REFUSAL_RATE.name, prompts=value)
        dots.append(dot(row, kind, results.title(arm), "refused", before=before, reach=reach))
    plot = Plot(
        dots,
        list(dict.fromkeys(kind for kind, _, _ in found)),
        [results.title(arm) for arm in arms if any(arm == one for _, one, _ in found)],
        [Series("refused", "refusal")],
        "refused, per cent",
        *reach,
        mark="base",
    )
    caption = "Replies to prompts that should be answered. Further left is better; grey ticks are base's rate."
    return Figure(
        "over_refusal", "Over-refusal", caption, plot.description(), lambda width: draw_dots(plot, width, columns=3)
    )
