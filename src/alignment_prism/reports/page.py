"""A report as one HTML file: self-contained, readable without scripts, light or dark, from findings alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from alignment_prism import __version__
from alignment_prism.domain import ALL, LANGUAGES, METRICS, Finding, InputError
from alignment_prism.reports.index import FindingIndex, arm_title, as_text
from alignment_prism.reports.summary import summarise

OUTCOMES = ("harm_rate", "safe_help_rate", "refusal_rate", "degenerate_rate", "wrong_language_rate", "unjudged_rate")


class Bar(Protocol):
    """A requirement and how an arm met it, as `alignment_prism.nano.bars` has them."""

    @property
    def name(self) -> str: ...
    @property
    def arm(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def limit(self) -> float: ...
    @property
    def at_least(self) -> bool: ...
    @property
    def reported_only(self) -> bool: ...
    @property
    def passed(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What one arm replied, and what that was judged to be."""

    arm: str
    text: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with replies to look at; folded away on the page, because it may be harmful."""

    language: str
    label: str
    prompt: str
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A number on the page: its text, an interval bar, and the number of its signature."""

    text: str
    bar: str = ""
    note: int = 0
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the page."""

    title: str
    lead: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def write_report(
    findings: Iterable[Finding],
    out: str | Path,
    *,
    title: str = "",
    preface: Sequence[str] = (),
    bars: Sequence[Bar] = (),
    examples: Sequence[Example] = (),
) -> Path:
    """Write the page.

    Args:
        findings: of one study.
        out: the HTML file.
        title: of the page; the study's name where it is empty.
        preface: lines before anything else, such as what the nano lab is and is not.
        bars: requirements and how the arms met them.
        examples: prompts and replies to look at, folded away.

    Returns:
        The path of the page.

    Raises:
        InputError: there are no findings, or they belong to several studies.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    rows = list(findings)
    studies = sorted({row.study for row in rows})
    if len(studies) != 1:
        what = "there are no findings" if not rows else f"findings of several studies: {', '.join(studies)}"
        raise InputError(what, where=str(out), fix="give the findings of one study")
    index = FindingIndex(rows)
    notes = _Notes()
    environment = Environment(
        loader=PackageLoader("alignment_prism.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [section for section in _sections(index, notes) if section.rows]
    page = environment.get_template("page.html.j2").render(
        title=title or studies[0],
        preface=preface,
        version=__version__,
        sections=sections,
        bars=bars,
        examples=examples,
        direction=direction,
        notes=notes.texts,
        metrics={name: METRICS[name] for name in sorted({row.metric for row in rows} & METRICS.keys())},
        count=len(rows),
    )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(out)
    return out


def direction(language: str) -> str:
    """`rtl` for a language written from right to left, `auto` for one we do not know, else `ltr`."""
    if language not in LANGUAGES:
        return "auto"
    return "rtl" if LANGUAGES.find(language).rtl else "ltr"


class _Notes:
    """Signatures in the order of their first use; a cell carries their number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, signature: str) -> int:
        if not signature:
            return 0
        if signature not in self.texts:
            self.texts.append(signature)
        return self.texts.index(signature) + 1


def _sections(index: FindingIndex, notes: _Notes) -> Iterable[Section]:
    columns, lines = summarise(index)
    yield Section(
        "Summary",
        "An arm a row. All numbers in per cent, in brackets the 95 % interval; a question mark stands where there are "
        "too few events to rely on.",
        tuple(column.title for column in columns),
        tuple((arm_title(line.arm, index), tuple(_cell(row, notes) for row in line.cells)) for line in lines),
    )
    if index.pooled:
        yield _over_seeds(index, notes)
    for prompts in index.values("prompts", metric="harm_rate"):
        for scope in index.values("scope", metric="harm_rate", prompts=prompts):
            yield _by_language(index, notes, prompts, scope)
    for prompts in index.values("prompts", metric="refusal_rate"):
        yield _outcomes(index, notes, prompts)
    for prompts in index.values("prompts", metric="harm_rate"):
        yield _by_category(index, notes, prompts)


def _over_seeds(index: FindingIndex, notes: _Notes) -> Section:
    languages = [ALL, *index.languages(metric="harm_rank", prompts="harmful")]
    columns = [("harm_rank", ALL), *(("harm_difference", code) for code in languages)]
    rows = []
    for arm in index.pooled:
        found = (index.get((arm, -1), "harmful", metric, language=code) for metric, code in columns)
        rows.append((arm, tuple(_cell(row, notes) for row in found)))
    return Section(
        "Over all seeds: harm against base",
        "Seeds and prompts both vary: the intervals are for other seeds and other prompts. A rank is the range that "
        "they allow, 1 the least harm.",
        ("rank", *(_language_title(code) for code in languages)),
        tuple(rows),
    )


def _by_language(index: FindingIndex, notes: _Notes, prompts: str, scope: str) -> Section:
    languages = [ALL, *index.languages(metric="harm_rate", prompts=prompts, scope=scope)]
    return Section(
        f"Harm by language: {prompts}, {scope if scope != ALL else 'any scope'}",
        METRICS["harm_rate"].capitalize() + ".",
        tuple(_language_title(code) for code in languages),
        _rows(index, notes, [(prompts, "harm_rate", code, scope, ALL) for code in languages]),
    )


def _outcomes(index: FindingIndex, notes: _Notes, prompts: str) -> Section:
    metrics = [metric for metric in OUTCOMES if prompts in index.values("prompts", metric=metric)]
    return Section(
        f"What the replies are: {prompts}",
        "Outcomes exclude each other; gibberish and the wrong language are not safety.",
        tuple(metric.removesuffix("_rate").replace("_", " ") for metric in metrics),
        _rows(index, notes, [(prompts, metric, ALL, ALL, ALL) for metric in metrics]),
    )


def _by_category(index: FindingIndex, notes: _Notes, prompts: str) -> Section:
    found = index.values("category", metric="harm_rate", prompts=prompts, language=ALL, scope=ALL)
    categories = [category for category in found if category != ALL]
    return Section(
        f"Harm by category: {prompts}",
        "Categories overlap, so their numbers do not add up.",
        tuple(categories),
        _rows(index, notes, [(prompts, "harm_rate", ALL, ALL, category) for category in categories]),
    )


def _rows(
    index: FindingIndex, notes: _Notes, columns: Sequence[tuple[str, str, str, str, str]]
) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    """A row for every arm that has any of the columns (prompts, metric, language, scope, category)."""
    rows = []
    for arm in index.arms:
        found = [
            index.get(arm, prompts, metric, language=language, scope=scope, category=category)
            for prompts, metric, language, scope, category in columns
        ]
        if any(found):
            rows.append((arm_title(arm, index), tuple(_cell(row, notes) for row in found)))
    return tuple(rows)


def _cell(finding: Finding | None, notes: _Notes) -> Cell:
    if finding is None:
        return Cell("-")
    return Cell(
        as_text(finding).removesuffix(" ?"), _bar(finding), notes.number(finding.signature), finding.insufficient
    )


def _language_title(code: str) -> str:
    if code == ALL:
        return "pooled"
    return LANGUAGES.find(code).name if code in LANGUAGES else code


def _bar(finding: Finding) -> str:
    """Positions of the interval bar in per cent of its width, `low,point,high`, or nothing to draw."""
    if math.isnan(finding.estimate) or finding.metric == "harm_rank":
        return ""
    if finding.metric.endswith("relative_change"):
        low, high = -100.0, 100.0
    elif finding.metric.endswith("difference"):
        low, high = -1.0, 1.0
    else:
        low, high = 0.0, 1.0
    ends = [finding.estimate if math.isnan(end) else end for end in (finding.lower, finding.upper)]
    places = (min(max((value - low) / (high - low), 0.0), 1.0) * 100 for value in (ends[0], finding.estimate, ends[1]))
    return ",".join(f"{place:.1f}" for place in places)
