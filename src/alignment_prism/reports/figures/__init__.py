"""Figures: findings drawn, one specification a module, one theme; nothing here measures anything."""

from __future__ import annotations

from collections.abc import Callable

from alignment_prism.reports.figures.categories import harm_by_category
from alignment_prism.reports.figures.change import harm_against_base
from alignment_prism.reports.figures.figure import Figure
from alignment_prism.reports.figures.frontier import frontier
from alignment_prism.reports.figures.general import general_ability
from alignment_prism.reports.figures.judge import judge_error
from alignment_prism.reports.figures.languages import harm_by_language
from alignment_prism.reports.figures.outcomes import outcomes, whereabouts
from alignment_prism.reports.figures.over_refusal import over_refusal
from alignment_prism.reports.figures.passport import judge_passport
from alignment_prism.reports.figures.power import power
from alignment_prism.reports.figures.training import training
from alignment_prism.reports.figures.transfer import spill_over, transfer
from alignment_prism.reports.results import Results

FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "frontier": frontier,
    "change": harm_against_base,
    "languages": harm_by_language,
    "outcomes": outcomes,
    "whereabouts": whereabouts,
    "transfer": transfer,
    "spill_over": spill_over,
    "over_refusal": over_refusal,
    "general": general_ability,
    "categories": harm_by_category,
    "judge": judge_error,
    "passport": judge_passport,
    "power": power,
    "training": training,
}
"""Name -> the figure, None where the findings have nothing for it; in the order in which a report shows them."""


def draw_figures(results: Results) -> dict[str, Figure]:
    """The figures that the findings can fill, by name."""
    drawn = {name: make(results) for name, make in FIGURES.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


__all__ = ["FIGURES", "Figure", "draw_figures"]
