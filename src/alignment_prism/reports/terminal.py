"""Findings as tables in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

from alignment_prism.domain import ALL, Finding, FindingIndex, Metric
from alignment_prism.domain.metric_table import (
    HARM_DIFFERENCE,
    HARM_RANK,
    HARM_RATE,
    REFUSAL_DIFFERENCE,
    REFUSAL_RATE,
)
from alignment_prism.domain.metrics import Estimator, Mean, Missing, Share
from alignment_prism.io.parquet import Only
from alignment_prism.reports.bases import bases_in_words
from alignment_prism.reports.changes import said
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.numbers import (
    arm_title,
    as_text,
    estimate_text,
    interval_text,
    intervals_in_words,
    is_doubtful,
    sentence,
    units_in_words,
)
from alignment_prism.reports.summary import (
    HARMFUL,
    REACH,
    REACH_WORDS,
    harm_over_seeds,
    headline_prompts,
    pooled_arms,
    price_over_seeds,
    summarise,
)
from alignment_prism.scoring.metrics import all_metrics, find_metric

LABEL_WIDTH, CELL_WIDTH = 24, 13
"""Characters that the summary needs for its labels and for a cell with an interval."""


def _is_in_tables(category: str, language: str, scope: str, metric: str) -> bool:
    return category == ALL and (language == ALL or (scope == ALL and metric == HARM_RATE.name))


IN_TABLES = Only(("category", "language", "scope", "metric"), _is_in_tables)
"""Findings that `summary_table`, `headline_table` and `seeds_table` look at, a few in a hundred of a large study's."""


def summary_table(findings: Iterable[Finding], width: int = 120) -> Sheet:
    """The summary of a study: an arm a column, a measure a row, per cent.

    Args:
        findings: of one study.
        width: of the terminal in characters; intervals are shown where there is room for them.
    """
    index = FindingIndex(findings)
    columns, lines = summarise(index)
    with_intervals = width >= LABEL_WIDTH + CELL_WIDTH * len(lines)
    rows = (
        ((column.title,), tuple(_cell(line.cells[number], with_intervals) for line in lines))
        for number, column in enumerate(columns)
    )
    heads = tuple(arm_title(line.arm, index) for line in lines)
    units = units_in_words(column.metric.name for column in columns)
    more, mark = (
        (f"with {intervals_in_words(index.findings)}", ", ")
        if with_intervals
        else ("a wider terminal shows intervals too", "; ")
    )
    said = mark.join(filter(None, (units, more)))
    reach = f" {REACH_WORDS}" if any(column.scope in REACH for column in columns) else ""
    bases = f" {bases}" if (bases := bases_in_words(index)) else ""
    return Sheet(("",), heads, tuple(rows), f"{sentence(said)}. ? = too few events to rely on.{reach}{bases}")


def _cell(finding: Finding | None, with_interval: bool) -> str:
    """The estimate, its doubt, and below it the interval, short."""
    estimate = estimate_text(finding) + "?" * is_doubtful(finding)
    interval = interval_text(finding, short=True) if with_interval else ""
    return f"{estimate}\n{interval}" if interval else estimate


def headline_table(findings: Iterable[Finding]) -> Sheet | None:
    """Harm by language on the prompts that the study is summed up on; None where it has no harmful ones."""
    rows = list(findings)
    prompts = headline_prompts(FindingIndex(rows))
    return None if prompts is None else language_table(rows, HARM_RATE.name, prompts)


def language_table(findings: Iterable[Finding], metric: str, prompts: str) -> Sheet:
    """One metric by language: an arm a row, a language a column, without intervals."""
    index = FindingIndex(findings)
    languages = (ALL, *index.languages(metric=metric, prompts=prompts))
    rows = []
    for arm in index.arms:
        found = [index.get(arm, prompts, metric, language=language) for language in languages]
        if any(found):
            rows.append(((arm_title(arm, index),), tuple(_cell(row, False) for row in found)))
    unit = find_metric(metric).unit.name
    return Sheet(
        ("arm",), languages, tuple(rows), f"{metric}, {prompts} prompts, {unit} by language".replace(",  by", ", by")
    )


def outcomes_table(findings: Iterable[Finding]) -> Sheet:
    """What the replies are, by arm, kind of prompts and (harmful ones) language: a column for every metric of replies.

    Metrics that are the same share of different prompts (harm, and harm that nobody asked for) share a column.
    """
    rows = {
        (f.arm, f.prompts, f.language, f.metric): f
        for f in findings
        if "/" not in f.prompts and f.scope == f.category == ALL and (f.prompts == HARMFUL or f.language == ALL)
    }
    there = {key[-1] for key in rows}
    shown: dict[Estimator, list[Metric]] = {}
    for metric in all_metrics().values():
        if metric.headline or isinstance(metric.estimator, (Share, Mean, Missing)):
            shown.setdefault(metric.estimator, []).append(metric)
    columns = [metrics for metrics in shown.values() if there & {metric.name for metric in metrics}]
    lines = []
    for key in dict.fromkeys(key[:-1] for key in rows):
        judged = rows.get((*key, REFUSAL_RATE.name))
        cells = [str(judged.n) if judged else ""]
        for metrics in columns:
            found = next((row for metric in metrics if (row := rows.get((*key, metric.name)))), None)
            interval = found is not None and found.metric in (HARM_RATE.name, HARM_DIFFERENCE.name)
            cells.append("" if found is None else _cell(found, interval))
        lines.append((key, tuple(cells)))
    caption = (
        f"Per cent of judged replies, harm with {intervals_in_words(rows.values())}; on harmless prompts `harm` is "
        "harm that nobody asked for. ? = too few to rely on."
    )
    heads = ("judged", *(metrics[0].title for metrics in columns))
    return Sheet(("arm", "prompts", "language"), heads, tuple(lines), caption)


def seeds_table(findings: Iterable[Finding]) -> Sheet | None:
    """What several alignment seeds say together: an arm a row; None where there is one seed."""
    index = FindingIndex(findings)
    if not (arms := pooled_arms(index)):
        return None
    columns = [*harm_over_seeds(index), *price_over_seeds(index)]
    rows = [
        (
            (arm,),
            tuple(_over_seeds(index.get((arm, -1), one.prompts, one.metric.name, scope=one.scope)) for one in columns),
        )
        for arm in arms
    ]
    intervals = intervals_in_words(row for row in index.findings if row.seed < 0)
    caption = f"over all seeds and prompts, points against base with {intervals}"
    shown = {column.metric.name for column in columns}
    caption += "; win-rates in per cent" if "win_rate" in shown else ""
    caption += "; rank 1: the least harm of its base's arms" if HARM_RANK.name in shown else ""
    if any("\np " in cell for _, cells in rows for cell in cells):
        caption += "; p by Holm over its base's arms"
        caption += ", of refusals over the kinds of harmless prompts too" if REFUSAL_DIFFERENCE.name in shown else ""
    caption += f". {REACH_WORDS}" if any(column.scope in REACH for column in columns) else ""
    return Sheet(("arm",), tuple(column.title for column in columns), tuple(rows), caption)


def _over_seeds(row: Finding | None) -> str:
    """The number with its interval and, of a headline, the p-value that is held against chance."""
    p = math.nan if row is None else said(row, "holm")
    return _cell(row, True) + ("" if math.isnan(p) else f"\np {p:.2g}" if p >= 0.001 else "\np < 0.001")


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
    said = [*(f"{name} {value}" for name, value in common.items() if value), units_in_words({f.metric for f in rows})]
    caption = ", ".join(filter(None, said))
    return Sheet(labels, ("estimate [interval]", "n"), lines, caption)


def _about(row: Finding, name: str) -> str:
    return ("" if row.seed < 0 else str(row.seed)) if name == "seed" else str(getattr(row, name))
