"""Contrasts as tables: for a terminal, and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from alignment_prism.domain import ALL, Contrast, Quantity
from alignment_prism.domain.metrics import PER_CENT_OF_BASE, Unit
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.numbers import listed, sentence
from alignment_prism.scoring.metrics import find_metric

HEADS = ("B - A [interval]", "both / A / B / neither", "p", "n", "more would decide")

WORDS = {
    Quantity.RELATIVE_CHANGE: "relative to A",
    Quantity.LOCAL_MINUS_GLOBAL: "local - global",
    Quantity.MINUS_ENGLISH: "minus English",
    Quantity.HETEROGENEITY: "languages alike?",
    Quantity.WORST_LANGUAGE: "worst language",
    Quantity.EVERY_LANGUAGE: "better in every language?",
}
"""Quantities beside the difference, as the first column calls them."""

FEW = 60
"""Rows that a terminal shows whole."""

CAPTION = (
    ", on the prompts that both answered; relative to A: per cent of A's. local - global, "
    "minus English: by how much that difference is larger there; local is harm in one language or culture, global "
    "everywhere. p by Holm over the headlines, where it has a *. both / A / B / neither: prompts on which both, only "
    "A, only B, none is 1. ? = too few to rely on."
)


def contrasts_table(rows: Iterable[Contrast]) -> Sheet:
    """Contrasts by language and scope, and what is said of all languages; bounds and subsets are in the file only."""
    shown = [row for row in rows if is_shown(row)]
    several = len({row.contrast for row in shown}) > 1
    labels = ("contrast",) * several + ("metric", "language", "scope", "what")
    lines = tuple(((row.contrast,) * several + names(row), values(row)) for row in shown)
    return Sheet(labels, HEADS, lines, _caption(shown))


def told_first(rows: Sequence[Contrast]) -> list[Contrast]:
    """What a terminal has room for: all rows that tables show, if these are few; else the headlines (all languages and
    scopes, with Holm's p-value), over seeds where these tell a number together."""
    shown = [row for row in rows if is_shown(row)]
    if len(shown) <= FEW:
        return shown
    headlines = [row for row in shown if not math.isnan(row.adjusted)]
    pooled = {_number(row) for row in headlines if _is_over_seeds(row)}
    return [row for row in headlines if _is_over_seeds(row) or _number(row) not in pooled]


def _number(row: Contrast) -> tuple[str, str, str]:
    """Which number a headline is of, whatever its seed."""
    return row.contrast, row.metric, row.prompts


def _caption(rows: Sequence[Contrast]) -> str:
    """Which run is A and which B, where the names of the contrasts do not say it, what numbers are in, and what the
    columns are."""
    sides = {row.contrast: f"A is {row.a}, B is {row.b}" for row in rows}
    if len(sides) > 1:
        vs = {f"{row.b} vs {row.a}" for row in rows}
        sides = {name: f"{name}: {said}" for name, said in sides.items() if name not in vs}
    return " ".join([*(f"{said}." for said in sides.values()), _difference(rows) + CAPTION])


def _difference(rows: Sequence[Contrast]) -> str:
    """What a difference is, with its unit; where there are several units, each with its metrics."""
    metrics: dict[str, dict[str, None]] = {}
    for row in rows:
        unit = find_metric(row.metric).unit.change().name or "units of the scores"
        metrics.setdefault(unit, {}).setdefault(row.metric)
    if len(metrics) == 1:
        return f"{sentence(*metrics)}, B minus A"
    words = "; ".join(f"{listed(list(names))} in {unit}" for unit, names in metrics.items())
    return f"B minus A ({words})" if words else "B minus A"


def contrasts_markdown(rows: Sequence[Contrast], notes: Sequence[str] = ()) -> str:
    """The same as Markdown, with the notes before it."""
    lines = ["# Contrasts", "", *(f"- {note}" for note in notes), *[""] * bool(notes)]
    heads = ("contrast", "metric", "language", "scope", "what", *HEADS)
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    shown = list(filter(is_shown, rows))
    for row in shown:
        cells = (row.contrast, *names(row), *values(row))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", _caption(shown), ""])


def is_shown(row: Contrast) -> bool:
    """Whether tables have the row."""
    if "/" in row.prompts or row.quantity in (Quantity.LOWEST, Quantity.HIGHEST):
        return False
    return row.quantity is not Quantity.RELATIVE_CHANGE or row.language == row.scope == ALL


def names(row: Contrast) -> tuple[str, str, str, str]:
    """Metric, language, scope and what the number is, beside the difference."""
    of = [WORDS.get(row.quantity, ""), f"seed {row.seed}" if row.seed >= 0 else ""]
    of += ["over seeds"] if _is_over_seeds(row) else []
    return f"{row.metric} ({row.prompts})", row.language, row.scope, ", ".join(filter(None, of))


def _is_over_seeds(row: Contrast) -> bool:
    return "|seeds:" in row.signature


def values(row: Contrast) -> tuple[str, str, str, str, str]:
    """The cells of a row, as `HEADS` has them."""
    p = "" if math.isnan(row.p_value) else f"{row.p_value:.2g}"
    if not math.isnan(row.adjusted):
        p = f"{row.adjusted:.2g}*"
    further = ""
    if row.further > 0 and row.quantity is not Quantity.RELATIVE_CHANGE:
        further = f"{row.further:.0f} prompts" if math.isfinite(row.further) else "no number"
    return number(row), _counts(row), p, str(row.n), further


def number(row: Contrast) -> str:
    """Estimate and interval in the unit of the metric."""
    if row.quantity is Quantity.HETEROGENEITY:
        sign = "t" if "|statistic:max-t" in row.signature else "Q"
        return "" if math.isnan(row.estimate) else f"{sign} {row.estimate:.1f}"
    unit: Unit = find_metric(row.metric).unit.change()
    if row.quantity is Quantity.RELATIVE_CHANGE:
        unit = PER_CENT_OF_BASE
    estimate = "undefined" if math.isnan(row.estimate) else unit.text(row.estimate)
    ends = "" if math.isnan(row.lower) else f" [{unit.text(row.lower)}, {unit.text(row.upper)}]"
    return f"{estimate}{ends}" + "?" * row.insufficient


def _counts(row: Contrast) -> str:
    if math.isnan(row.both):
        return ""
    return " / ".join(f"{count:.4g}" for count in (row.both, row.only_a, row.only_b, row.neither))
