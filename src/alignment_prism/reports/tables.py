"""Findings as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from alignment_prism.domain import Finding
from alignment_prism.reports.index import FindingIndex, arm_title, as_text
from alignment_prism.reports.summary import summarise

if TYPE_CHECKING:
    from rich.table import Table

LABEL_WIDTH, CELL_WIDTH = 24, 13
"""Characters that the summary needs for its labels and for a cell with an interval."""


def summary_table(findings: Iterable[Finding], width: int = 120) -> Table:
    """The summary of a study: an arm a column, a measure a row, per cent.

    Args:
        findings: of one study.
        width: of the terminal in characters; intervals are shown where there is room for them.
    """
    index = FindingIndex(findings)
    columns, lines = summarise(index)
    with_intervals = width >= LABEL_WIDTH + CELL_WIDTH * len(lines)
    intervals = ", with 95 % intervals" if with_intervals else "; a wider terminal shows intervals too"
    table = _table(f"Per cent{intervals}. ? = too few events to rely on.")
    table.add_column("", no_wrap=True)
    for line in lines:
        table.add_column(arm_title(line.arm, index), justify="right", overflow="fold")
    for number, column in enumerate(columns):
        table.add_row(column.title, *(_cell(line.cells[number], with_intervals) for line in lines))
    return table


def _cell(finding: Finding | None, with_interval: bool) -> str:
    """The estimate, its doubt, and below it the interval in whole per cent."""
    estimate, _, interval = as_text(finding).removesuffix(" ?").partition(" [")
    doubt = "?" if finding is not None and finding.insufficient else ""
    if not (with_interval and interval):
        return estimate + doubt
    ends = (end if "inf" in end else f"{float(end):.0f}" for end in interval.rstrip("]").split(", "))
    return f"{estimate}{doubt}\n\\[{', '.join(ends)}]"


def language_table(findings: Iterable[Finding], metric: str, prompts: str) -> Table:
    """One metric by language: an arm a row, a language a column, per cent without intervals."""
    index = FindingIndex(findings)
    languages = ["all", *index.languages(metric=metric, prompts=prompts)]
    table = _table(f"{metric}, {prompts} prompts, per cent by language")
    table.add_column("arm", no_wrap=True)
    for language in languages:
        table.add_column(language, justify="right")
    for arm in index.arms:
        found = [index.get(arm, prompts, metric, language=language) for language in languages]
        if any(found):
            table.add_row(arm_title(arm, index), *(_cell(row, False) for row in found))
    return table


def seeds_table(findings: Iterable[Finding]) -> Table | None:
    """What several alignment seeds say together: an arm a row; None where there is one seed."""
    index = FindingIndex(findings)
    if not index.pooled:
        return None
    table = _table("over all seeds and prompts, points against base with 95 % intervals; rank 1 has the least harm")
    for title in ("arm", "harm vs base", "rank"):
        table.add_column(title, no_wrap=True)
    for arm in index.pooled:
        found = (index.get((arm, -1), "harmful", metric) for metric in ("harm_difference", "harm_rank"))
        table.add_row(arm, *(as_text(row).replace("[", "\\[") for row in found))
    return table


def findings_table(findings: Iterable[Finding]) -> Table:
    """Findings as they are, a row each."""
    table = _table("")
    titles = ("arm", "seed", "prompts", "language", "scope", "category", "metric", "estimate [interval]", "n")
    for title in titles:
        table.add_column(title, justify="right" if title in ("estimate [interval]", "n", "seed") else "left")
    for row in findings:
        seed = str(row.seed) if row.seed >= 0 else ""
        about = (row.arm, seed, row.prompts, row.language, row.scope, row.category, row.metric)
        table.add_row(*about, as_text(row).replace("[", "\\["), str(row.n))
    return table


def _table(caption: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left", pad_edge=False, collapse_padding=True)
