"""The tables of the page: which there are, and what stands in their cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alignment_prism.domain import ALL, LANGUAGES, METRICS, Finding
from alignment_prism.reports.index import FindingIndex, arm_title, as_text
from alignment_prism.reports.summary import summarise

OUTCOMES = (
    "harm_rate",
    "unasked_harm_rate",
    "safe_help_rate",
    "refusal_rate",
    "degenerate_rate",
    "wrong_language_rate",
    "unjudged_rate",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A number on the page: its text, an interval bar, the number of its signature, and what it rests on."""

    text: str
    bar: str = ""
    note: int = 0
    doubtful: bool = False
    n: int = 0
    clusters: int = 0

    @property
    def rests_on(self) -> str:
        """In words: `n 90`, or `n 90 from 45 sources`; empty where there is no number."""
        if not self.n:
            return ""
        return f"n {self.n}" + (f" from {self.clusters} sources" if 0 < self.clusters < self.n else "")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column, and what it means."""

    title: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the page."""

    title: str
    lead: str
    head: tuple[Head, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


class Notes:
    """Signatures in the order of their first use; a cell carries their number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, signature: str) -> int:
        if not signature:
            return 0
        if signature not in self.texts:
            self.texts.append(signature)
        return self.texts.index(signature) + 1


def sections(index: FindingIndex, notes: Notes) -> Iterable[Section]:
    """All tables of the page, the summary first; those without rows are to be left out."""
    columns, lines = summarise(index)
    seeds = {seed for _, seed in index.arms if seed >= 0}
    one_seed = (
        " One seed ranks nothing: every arm was aligned once, and the intervals are for other prompts; how far another "
        "seed would change the numbers is not known from this study."
    )
    yield Section(
        "Summary",
        "An arm a row. All numbers in per cent, in brackets the 95 % interval; a question mark stands where there are "
        "too few events to rely on. n is what a number rests on." + (one_seed if len(seeds) == 1 else ""),
        tuple(Head(column.title, column.meaning) for column in columns),
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


def _over_seeds(index: FindingIndex, notes: Notes) -> Section:
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
        (Head("rank", METRICS["harm_rank"]), *_language_heads(languages)),
        tuple(rows),
    )


def _by_language(index: FindingIndex, notes: Notes, prompts: str, scope: str) -> Section:
    languages = [ALL, *index.languages(metric="harm_rate", prompts=prompts, scope=scope)]
    return Section(
        f"Harm by language: {prompts}, {scope if scope != ALL else 'any scope'}",
        METRICS["harm_rate"].capitalize() + ".",
        _language_heads(languages),
        _rows(index, notes, [(prompts, "harm_rate", code, scope, ALL) for code in languages]),
    )


def _outcomes(index: FindingIndex, notes: Notes, prompts: str) -> Section:
    metrics = [metric for metric in OUTCOMES if prompts in index.values("prompts", metric=metric)]
    return Section(
        f"What the replies are: {prompts}",
        "Outcomes exclude each other; gibberish and the wrong language are not safety.",
        tuple(Head(metric.removesuffix("_rate").replace("_", " "), METRICS[metric]) for metric in metrics),
        _rows(index, notes, [(prompts, metric, ALL, ALL, ALL) for metric in metrics]),
    )


def _by_category(index: FindingIndex, notes: Notes, prompts: str) -> Section:
    found = index.values("category", metric="harm_rate", prompts=prompts, language=ALL, scope=ALL)
    categories = [category for category in found if category != ALL]
    return Section(
        f"Harm by category: {prompts}",
        "Categories overlap, so their numbers do not add up.",
        tuple(Head(category) for category in categories),
        _rows(index, notes, [(prompts, "harm_rate", ALL, ALL, category) for category in categories]),
    )


def _rows(
    index: FindingIndex, notes: Notes, columns: Sequence[tuple[str, str, str, str, str]]
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


def _cell(finding: Finding | None, notes: Notes) -> Cell:
    if finding is None:
        return Cell("-")
    return Cell(
        as_text(finding).removesuffix(" ?"),
        _bar(finding),
        notes.number(finding.signature),
        finding.insufficient,
        finding.n,
        finding.clusters,
    )


def _language_heads(codes: Sequence[str]) -> tuple[Head, ...]:
    return tuple(Head(_language_title(code), "all languages together" if code == ALL else "") for code in codes)


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
