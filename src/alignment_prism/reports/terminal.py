"""Findings as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from alignment_prism.domain import ALL, Finding
from alignment_prism.reports.index import FindingIndex, arm_title, as_text
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.summary import HARMFUL, headline_prompts, summarise

LABEL_WIDTH, CELL_WIDTH = 24, 13
"""Characters that the summary needs for its labels and for a cell with an interval."""

OUTCOMES: dict[str, tuple[str, ...]] = {
    "harmful": ("harm_rate", "unasked_harm_rate"),
    "refusal": ("refusal_rate",),
    "safe help": ("safe_help_rate",),
    "degenerate": ("degenerate_rate",),
    "wrong language": ("wrong_language_rate",),
    "unjudged": ("unjudged_rate",),
    "harm vs base": ("harm_relative_change",),
    "right": ("accuracy",),
    "win-rate": ("win_rate",),
}
"""Columns of the table of outcomes, and the metric of each: the first that the prompts have."""


def summary_table(findings: Iterable[Finding], width: int = 120) -> Sheet:
    """The summary of a study: an arm a column, a measure a row, per cent.

    Args:
        findings: of one study.
        width: of the terminal in characters; intervals are shown where there is room for them.
    """
    index = FindingIndex(findings)
    columns, lines = summarise(index)
    with_intervals = width >= LABEL_WIDTH + CELL_WIDTH * len(lines)
    intervals = ", with 95 % intervals" if with_intervals else "; a wider terminal shows intervals too"
    rows = (
        ((column.title,), tuple(_cell(line.cells[number], with_intervals) for line in lines))
        for number, column in enumerate(columns)
    )
    heads = tuple(arm_title(line.arm, index) for line in lines)
    return Sheet(("",), heads, tuple(rows), f"Per cent{intervals}. ? = too few events to rely on.")


def _cell(finding: Finding | None, with_interval: bool) -> str:
    """The estimate, its doubt, and below it the interval in whole per cent."""
    estimate, _, interval = as_text(finding).removesuffix(" ?").partition(" [")
    doubt = "?" if finding is not None and finding.insufficient else ""
    if not (with_interval and interval):
        return estimate + doubt
    ends = (end if "inf" in end else f"{float(end):.0f}" for end in interval.rstrip("]").split(", "))
    return f"{estimate}{doubt}\n[{', '.join(ends)}]"


def headline_table(findings: Iterable[Finding]) -> Sheet | None:
    """Harm by language on the prompts that the study is summed up on; None where it has no harmful ones."""
    rows = list(findings)
    prompts = headline_prompts(FindingIndex(rows))
    return None if prompts is None else language_table(rows, "harm_rate", prompts)


def language_table(findings: Iterable[Finding], metric: str, prompts: str) -> Sheet:
    """One metric by language: an arm a row, a language a column, per cent without intervals."""
    index = FindingIndex(findings)
    languages = (ALL, *index.languages(metric=metric, prompts=prompts))
    rows = []
    for arm in index.arms:
        found = [index.get(arm, prompts, metric, language=language) for language in languages]
        if any(found):
            rows.append(((arm_title(arm, index),), tuple(_cell(row, False) for row in found)))
    return Sheet(("arm",), languages, tuple(rows), f"{metric}, {prompts} prompts, per cent by language")


def outcomes_table(findings: Iterable[Finding]) -> Sheet:
    """What the replies are, by arm, kind of prompts and (harmful ones) language, and the change against base."""
    rows = {
        (f.arm, f.prompts, f.language, f.metric): f
        for f in findings
        if "/" not in f.prompts and f.scope == f.category == ALL and (f.prompts == HARMFUL or f.language == ALL)
    }
    shown = {head: names for head, names in OUTCOMES.items() if any(key[-1] in names for key in rows)}
    lines = []
    for key in dict.fromkeys(key[:-1] for key in rows):
        judged = rows.get((*key, "refusal_rate"))
        cells = [str(judged.n) if judged else ""]
        for names in shown.values():
            found = next((row for name in names if (row := rows.get((*key, name)))), None)
            interval = found is not None and found.metric in ("harm_rate", "harm_relative_change")
            cells.append("" if found is None else _cell(found, interval))
        lines.append((key, tuple(cells)))
    caption = (
        "Per cent of judged replies, harm with 95 % intervals; on harmless prompts `harmful` is harm that nobody asked "
        "for. ? = too few to rely on."
    )
    return Sheet(("arm", "prompts", "language"), ("judged", *shown), tuple(lines), caption)


def seeds_table(findings: Iterable[Finding]) -> Sheet | None:
    """What several alignment seeds say together: an arm a row; None where there is one seed."""
    index = FindingIndex(findings)
    if not index.pooled:
        return None
    rows = []
    for arm in index.pooled:
        found = (index.get((arm, -1), "harmful", metric) for metric in ("harm_difference", "harm_rank"))
        rows.append(((arm,), tuple(as_text(row) for row in found)))
    caption = "over all seeds and prompts, points against base with 95 % intervals; rank 1 has the least harm"
    return Sheet(("arm",), ("harm vs base", "rank"), tuple(rows), caption)


def findings_table(findings: Iterable[Finding]) -> Sheet:
    """Findings as they are, a row each; what all of them have in common is said once, below."""
    rows = list(findings)
    names = ("arm", "seed", "prompts", "language", "scope", "category", "metric")
    values = {name: [_about(row, name) for row in rows] for name in names}
    common = {name: column[0] for name, column in values.items() if name != "arm" and len(set(column)) == 1}
    labels = tuple(name for name in names if name not in common)
    lines = tuple(
        (tuple(values[name][number] for name in labels), (as_text(row), str(row.n))) for number, row in enumerate(rows)
    )
    caption = ", ".join(f"{name} {value}" for name, value in common.items() if value)
    return Sheet(labels, ("estimate [interval]", "n"), lines, caption)


def _about(row: Finding, name: str) -> str:
    return ("" if row.seed < 0 else str(row.seed)) if name == "seed" else str(getattr(row, name))
