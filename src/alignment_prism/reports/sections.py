"""The tables of the page: which there are, and what stands in their cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alignment_prism.domain import ALL, LANGUAGES, OUTCOME, Finding, FindingIndex, Metric
from alignment_prism.domain.findings import NATIVE
from alignment_prism.domain.metric_table import ACCURACY, HARM_DIFFERENCE, HARM_RATE, REFUSAL_RATE
from alignment_prism.domain.metrics import (
    Agreement,
    Corpus,
    Difference,
    JudgeCorrected,
    Mean,
    Missing,
    Preference,
    Share,
    ShareOrMarked,
)
from alignment_prism.reports.numbers import (
    arm_title,
    estimate_text,
    interval_text,
    intervals_in_words,
    sentence,
    units_in_words,
)
from alignment_prism.reports.summary import (
    GENERAL,
    HARMFUL,
    KIND_WORDS,
    REACH,
    REACH_WORDS,
    harm_over_seeds,
    pooled_arms,
    price_over_seeds,
    summarise,
)
from alignment_prism.scoring.metrics import all_metrics, find_metric


@dataclass(frozen=True, slots=True)
class IntervalBar:
    """Where an interval is drawn: positions of its ends and of the estimate in per cent of the bar's width."""

    low: float
    point: float
    high: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A number on the page: its text, an interval bar, the number of its signature, and what it rests on."""

    text: str
    bar: IntervalBar | None = None
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
    """One table of the page; `block` is the part of the page whose details it is among."""

    block: str
    title: str
    lead: str
    head: tuple[Head, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


class Notes:
    """Signatures in the order of their first use; a cell carries their number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def texts(self) -> list[str]:
        """The signatures, the first with number 1."""
        return list(self._numbers)

    def number(self, signature: str) -> int:
        if not signature:
            return 0
        return self._numbers.setdefault(signature, len(self._numbers) + 1)


def sections(index: FindingIndex, notes: Notes) -> Iterable[Section]:
    """All tables of the page, the summary first; those without rows are to be left out."""
    columns, lines = summarise(index)
    seeds = {seed for _, seed in index.arms if seed >= 0}
    one_seed = (
        " One seed ranks nothing: every arm was aligned once, and the intervals are for other prompts; how far another "
        "seed would change the numbers is not known from this study."
    )
    several = " A row is one seed of an arm: its intervals are for other prompts, and none is for other seeds."
    units = units_in_words(column.metric.name for column in columns)
    yield Section(
        "verdict",
        "Summary",
        f"An arm a row{f': {units}' if units else ''}, with {intervals_in_words(index.findings)} in brackets; a "
        "question mark stands where there are too few events to rely on. n is what a number rests on."
        + (f" {REACH_WORDS}" if any(column.scope in REACH for column in columns) else "")
        + (one_seed if len(seeds) == 1 else several if seeds else ""),
        tuple(Head(column.title, column.meaning) for column in columns),
        tuple((arm_title(line.arm, index), tuple(_cell(row, notes) for row in line.cells)) for line in lines),
    )
    if pooled_arms(index):
        yield from _over_seeds(index, notes)
    yield _native_beside_translated(index, notes)
    for prompts in index.values("prompts", metric=HARM_RATE.name):
        for scope in index.values("scope", metric=HARM_RATE.name, prompts=prompts):
            yield _by_language(index, notes, prompts, scope)
    for prompts in index.values("prompts", metric=REFUSAL_RATE.name):
        yield _outcomes(index, notes, prompts)
    for prompts in index.values("prompts", metric=HARM_RATE.name):
        yield _by_category(index, notes, prompts)
    for name in sorted(index.values("metric"), key=_place):
        if _stands_apart(metric := find_metric(name)):
            yield _of_metric(index, notes, metric)


def _over_seeds(index: FindingIndex, notes: Notes) -> Iterable[Section]:
    """Harm and ranks by scope and language, and beside them what else is told over seeds; nothing without a row."""
    columns = harm_over_seeds(index)
    prompts = columns[0].prompts if columns else HARMFUL
    languages = index.languages(metric=HARM_DIFFERENCE.name, prompts=prompts)
    cells = [(one.metric.name, one.prompts, ALL, one.scope) for one in columns]
    cells += [(HARM_DIFFERENCE.name, prompts, code, ALL) for code in languages]
    both = "Seeds and prompts both vary: the intervals are for other seeds and other prompts."
    yield Section(
        "change",
        "Over all seeds: harm against base" + (f", {prompts}" if prompts != HARMFUL else ""),
        f"{both} A rank is the range that they allow, 1 the least harm of its base's arms.",
        (*(Head(column.title, column.meaning) for column in columns), *_language_heads(languages)),
        _pooled(index, notes, cells),
    )
    columns = price_over_seeds(index)
    refusals = [column for column in columns if column.prompts != GENERAL]
    general = [column for column in columns if column.prompts == GENERAL]
    for block, title, own in (
        ("over_refusal", "refusals of harmless prompts against base", refusals),
        ("general", "right answers against base, and win-rates", general),
    ):
        units = units_in_words(column.metric.name for column in own)
        yield Section(
            block,
            f"Over all seeds: {title}",
            f"{both} {sentence(units)}.",
            tuple(Head(column.title, column.meaning) for column in own),
            _pooled(index, notes, [(column.metric.name, column.prompts, ALL, ALL) for column in own]),
        )


def _pooled(
    index: FindingIndex, notes: Notes, columns: Sequence[tuple[str, str, str, str]]
) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    """A row for every arm that has any of the columns (metric, prompts, language, scope) over its seeds."""
    rows = []
    for arm in pooled_arms(index):
        found = [
            index.get((arm, -1), prompts, metric, language=code, scope=scope)
            for metric, prompts, code, scope in columns
        ]
        if any(found):
            rows.append((arm, tuple(_cell(row, notes) for row in found)))
    return tuple(rows)


def _native_beside_translated(index: FindingIndex, notes: Notes) -> Section:
    """Harm on what people wrote in each language, and on the same prompts translated into all: a row each."""
    found = index.values("prompts", metric=HARM_RATE.name)
    native = f"{HARMFUL}/{NATIVE}"
    parts = [native, *sorted({name for name in found if "/" in name} - {native})] if native in found else []
    languages = [ALL, *index.languages(metric=HARM_RATE.name, prompts=HARMFUL)]
    rows = []
    for arm in index.arms:
        for prompts in parts:
            cells = [index.get(arm, prompts, HARM_RATE.name, language=code) for code in languages]
            if any(cells):
                rows.append((f"{arm_title(arm, index)}, {prompts}", tuple(_cell(row, notes) for row in cells)))
    return Section(
        "languages",
        "Harm on native and on translated prompts",
        "Native prompts are other prompts in every language; translations are the same ones in all, and say nothing "
        "that only one country would ask.",
        _language_heads(languages),
        tuple(rows),
    )


def _by_language(index: FindingIndex, notes: Notes, prompts: str, scope: str) -> Section:
    languages = [ALL, *index.languages(metric=HARM_RATE.name, prompts=prompts, scope=scope)]
    return Section(
        "languages",
        f"Harm by language: {prompts}, {scope if scope != ALL else 'any scope'}",
        f"{sentence(HARM_RATE.words)}{f'; prompts that are {REACH[scope]}' if scope in REACH else ''}. In per cent.",
        _language_heads(languages),
        _rows(index, notes, [(prompts, HARM_RATE.name, code, scope, ALL) for code in languages]),
    )


def _outcomes(index: FindingIndex, notes: Notes, prompts: str) -> Section:
    named = set(index.values("metric", prompts=prompts))
    found = [metric for metric in all_metrics().values() if metric.name in named]
    outcomes = [metric for metric in found if _is_outcome(metric)]
    changes = [m for m in found if isinstance(m.estimator, Difference) and _is_outcome(find_metric(m.estimator.of))]
    metrics = [*outcomes, *changes]
    kind = prompts.partition("/")[0]
    return Section(
        "outcomes" if kind == HARMFUL else "over_refusal",
        f"What the replies are: {prompts}",
        f"Replies to {KIND_WORDS.get(kind, prompts)}. Outcomes exclude each other; gibberish and the wrong language "
        "are not safety. Shares are in per cent, changes in percentage points.",
        tuple(Head(metric.title, metric.words) for metric in metrics),
        _rows(index, notes, [(prompts, metric.name, ALL, ALL, ALL) for metric in metrics]),
    )


def _is_outcome(metric: Metric) -> bool:
    return isinstance(metric.estimator, (Share, Missing)) and metric.estimator.score == OUTCOME


def _stands_apart(metric: Metric) -> bool:
    """Whether a metric has a table of its own: what is said of replies beside their outcome, corrected numbers, and
    win-rates."""
    if isinstance(metric.estimator, (JudgeCorrected, Agreement)):
        return True
    if isinstance(metric.estimator, (Share, ShareOrMarked, Mean, Corpus)):
        return not _is_outcome(metric)
    return isinstance(metric.estimator, Preference) and bool(metric.headline)


def _block(metric: Metric) -> str:
    """The part of the page that a metric with a table of its own belongs to."""
    if isinstance(metric.estimator, (JudgeCorrected, Agreement)):
        return "judge"
    if isinstance(metric.estimator, (Preference, Corpus)) or metric == ACCURACY:
        return "general"
    return "over_refusal" if isinstance(metric.estimator, ShareOrMarked) else "more"


def _place(name: str) -> tuple[int, str]:
    """Metrics in the order of the table, those that it lacks last."""
    names = list(all_metrics())
    return (names.index(name) if name in names else len(names), name)


def _of_metric(index: FindingIndex, notes: Notes, metric: Metric) -> Section:
    """One metric by language, and pooled against base: a row for an arm and a kind of prompts."""
    languages = [ALL, *index.languages(metric=metric.name)]
    change = next((m for m in all_metrics().values() if m.estimator == Difference(metric.name)), None)
    columns = [(metric.name, code) for code in languages]
    heads = list(_language_heads(languages))
    if change is not None and index.values("metric", metric=change.name):
        columns.append((change.name, ALL))
        heads.append(Head("vs base", change.words))
    rows = []
    for prompts in index.values("prompts", metric=metric.name):
        if "/" in prompts:  # a part of a kind; the whole of it has its row
            continue
        for arm in index.arms:
            found = [index.get(arm, prompts, name, language=code) for name, code in columns]
            if any(found):
                rows.append((f"{arm_title(arm, index)}, {prompts}", tuple(_cell(row, notes) for row in found)))
    lead = f"{sentence(metric.words)}, of {metric.denominator.words}" if metric.words else "Not described"
    unit = f"; {metric.unit.name}" if metric.unit.name else ""
    return Section(_block(metric), f"{sentence(metric.title)} by language", f"{lead}{unit}.", tuple(heads), tuple(rows))


def _by_category(index: FindingIndex, notes: Notes, prompts: str) -> Section:
    found = index.values("category", metric=HARM_RATE.name, prompts=prompts, language=ALL, scope=ALL)
    categories = [category for category in found if category != ALL]
    return Section(
        "categories",
        f"Harm by category: {prompts}",
        f"{sentence(HARM_RATE.words)}, in per cent. Categories overlap, so their numbers do not add up.",
        tuple(Head(category) for category in categories),
        _rows(index, notes, [(prompts, HARM_RATE.name, ALL, ALL, category) for category in categories]),
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
        " ".join(part for part in (estimate_text(finding), interval_text(finding)) if part),
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


def _bar(finding: Finding) -> IntervalBar | None:
    """The interval on the range that the unit allows; None where there is no number or no such range."""
    unit = find_metric(finding.metric).unit
    if math.isnan(finding.estimate) or math.isinf(unit.high - unit.low):
        return None
    ends = [finding.estimate if math.isnan(end) else end for end in (finding.lower, finding.upper)]
    low, point, high = (
        100.0 * min(max((value - unit.low) / (unit.high - unit.low), 0.0), 1.0)
        for value in (ends[0], finding.estimate, ends[1])
    )
    return IntervalBar(low, point, high)
