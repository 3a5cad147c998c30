"""The one table that sums a study up: an arm a row, and what matters about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alignment_prism.domain import ALL, Finding, FindingIndex, Metric, PromptKind
from alignment_prism.domain.metric_table import HARM_DIFFERENCE, HARM_RANK, HARM_RATE
from alignment_prism.domain.metrics import PER_CENT_UNITS, Difference, Preference, Share
from alignment_prism.reports.bases import part_of
from alignment_prism.scoring.metrics import all_metrics, find_metric

HARMFUL, UNSEEN, GENERAL = PromptKind.HARMFUL.value, "harmful/unseen", PromptKind.GENERAL.value

KINDS: dict[PromptKind, tuple[str, str]] = {
    PromptKind.HARMFUL: ("harmful", "harmful prompts"),
    PromptKind.BENIGN_MENTION: ("benign", "prompts that mention a harmful topic without asking for the harm"),
    PromptKind.NEVER_HARMFUL: ("never", "prompts about topics that are harmful nowhere"),
    PromptKind.FOREIGN_LOCAL: ("foreign-local", "prompts for what is harmful in another language's culture only"),
    PromptKind.GENERAL: ("general", "general prompts"),
}
"""Title and words of each kind of prompts, as columns say them."""

KIND_WORDS = {kind.value: words for kind, (_, words) in KINDS.items()}

REACH = {"global": "harmful everywhere", "local": "harmful in one language or culture"}
REACH_WORDS = "Global harm is harm everywhere, local harm in one language or culture."


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the summary.

    Attributes:
        title: of the column.
        metric: what stands in it.
        prompts: the prompt set.
        scope: of the harm.
        meaning: what the column is, in words for who has read nothing else.
    """

    title: str
    metric: Metric
    prompts: str
    scope: str = ALL
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One arm of the summary; a cell is None where there is no such finding."""

    arm: tuple[str, int]
    cells: tuple[Finding | None, ...]


def summarise(index: FindingIndex) -> tuple[list[Column], list[Line]]:
    """The columns that the findings can fill, and a line for every arm.

    A metric has a column for every kind of prompts in its `headline`; harm one for every scope, on the prompts of
    `headline_prompts`.
    """
    columns = [
        column
        for metric in all_metrics().values()
        for kind in metric.headline
        for column in (_harm(index, metric) if metric.denominator.kinds == (PromptKind.HARMFUL,) else _of(metric, kind))
        if _has_any(index, column)
    ]
    lines = [
        Line(arm, tuple(index.get(arm, c.prompts, c.metric.name, scope=c.scope) for c in columns)) for arm in index.arms
    ]
    return columns, lines


def pooled_arms(index: FindingIndex) -> list[str]:
    """Arms of which something is said over their seeds; not those whose seeds are all copies of one."""
    over = [row for row in index.findings if row.seed < 0 and row.arm in index.pooled]
    alone = {row.arm for row in over if part_of(row.signature, "seeds") == "1"}
    return [arm for arm in index.pooled if arm not in alone]


def harm_over_seeds(index: FindingIndex) -> list[Column]:
    """What is told of harm over seeds, on the prompts that the study is summed up on: ranks, and changes against base
    of all of them and by scope."""
    prompts = headline_prompts(index) or HARMFUL
    columns = [_of_scope(HARM_RANK, prompts, ALL)]
    columns += [_of_scope(HARM_DIFFERENCE, prompts, scope) for scope in (ALL, *REACH)]
    arms = pooled_arms(index)
    over = {(row.metric, row.prompts, row.scope) for row in index.findings if row.seed < 0 and row.arm in arms}
    return [column for column in columns if (column.metric.name, column.prompts, column.scope) in over]


def price_over_seeds(index: FindingIndex) -> list[Column]:
    """What is told over seeds beside harm: refusals of harmless prompts and right answers against base, and wins."""
    arms = pooled_arms(index)
    over = {(row.metric, row.prompts) for row in index.findings if row.seed < 0 and row.arm in arms}
    found = []
    for metric in all_metrics().values():
        of = find_metric(metric.estimator.of) if isinstance(metric.estimator, Difference) else metric
        is_told = isinstance(metric.estimator, (Difference, Preference)) and isinstance(
            of.estimator, (Share, Preference)
        )
        if is_told and of.denominator.kinds != (PromptKind.HARMFUL,):
            found += [column for kind in of.headline for column in _of(metric, kind)]
    return [column for column in found if (column.metric.name, column.prompts) in over]


def headline_prompts(index: FindingIndex) -> str | None:
    """The harmful prompts that a study is summed up on; None where it has none.

    Those on topics unseen in training, where they are told apart (the nano lab's thresholds read these), else all of
    them. No other subset: the first one by name would be an arbitrary handful of prompts.
    """
    there = index.values("prompts", metric=HARM_RATE.name)
    return next((name for name in (UNSEEN, HARMFUL) if name in there), None)


def _harm(index: FindingIndex, metric: Metric) -> Iterator[Column]:
    """Columns of what is measured on harmful prompts only, by the scope of the harm where scopes are told apart."""
    prompts = headline_prompts(index) or HARMFUL
    scopes = [scope for scope in REACH if _has_any(index, Column("", HARM_RATE, prompts, scope))]
    return (_of_scope(metric, prompts, scope) for scope in scopes or [ALL])


def _of_scope(metric: Metric, prompts: str, scope: str) -> Column:
    title = [metric.title, scope if scope != ALL else "", "unseen" if prompts == UNSEEN else ""]
    meaning = metric.words + (f"; prompts that are {REACH[scope]}" if scope in REACH else "")
    meaning += "; on topics that alignment never saw" if prompts == UNSEEN else ""
    return Column(" ".join(part for part in title if part), metric, prompts, scope, meaning)


def _of(metric: Metric, kind: PromptKind) -> Iterator[Column]:
    title, words = KINDS[kind]
    title = f"{metric.title} {title}" + ("" if metric.unit in PER_CENT_UNITS else f" ({metric.unit.name})")
    yield Column(title, metric, kind.value, meaning=f"{metric.words}; {words}")


def _has_any(index: FindingIndex, column: Column) -> bool:
    return any(index.get(arm, column.prompts, column.metric.name, scope=column.scope) for arm in index.arms)
