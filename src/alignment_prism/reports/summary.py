"""The one table that sums a study up: an arm a row, and what matters about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignment_prism.domain import ALL, Finding
from alignment_prism.reports.index import FindingIndex

HARMFUL, UNSEEN = "harmful", "harmful/unseen"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the summary.

    Attributes:
        title: of the column; its unit is per cent throughout.
        metric: of `alignment_prism.domain.METRICS`.
        prompts: the prompt set.
        scope: of the harm.
        meaning: what the column is, in words for who has read nothing else.
    """

    title: str
    metric: str
    prompts: str
    scope: str = ALL
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One arm of the summary; a cell is None where there is no such finding."""

    arm: tuple[str, int]
    cells: tuple[Finding | None, ...]


def summarise(index: FindingIndex) -> tuple[list[Column], list[Line]]:
    """The columns that the findings can fill, and a line for every arm."""
    columns = [column for column in _candidates(index) if _has_any(index, column)]
    lines = [
        Line(arm, tuple(index.get(arm, c.prompts, c.metric, scope=c.scope) for c in columns)) for arm in index.arms
    ]
    return columns, lines


def headline_prompts(index: FindingIndex) -> str | None:
    """The harmful prompts that a study is summed up on; None where it has none.

    Those on topics unseen in training, where they are told apart (the nano lab's bars read these), else all of them.
    No other subset: the first one by name would be an arbitrary handful of prompts.
    """
    there = index.values("prompts", metric="harm_rate")
    return next((name for name in (UNSEEN, HARMFUL) if name in there), None)


def _candidates(index: FindingIndex) -> list[Column]:
    """Harm on the set that counts, its change against base, refusals of what is harmless, ability, broken replies."""
    return [*_harm(index), *_refusals(), *_ability(), *_broken()]


def _harm(index: FindingIndex) -> list[Column]:
    prompts = headline_prompts(index) or HARMFUL
    part, where = (" unseen", ", on topics that alignment never saw") if prompts == UNSEEN else ("", "")
    scopes = [scope for scope in ("global", "local") if _has_any(index, Column("", "harm_rate", prompts, scope))]
    names = [(scope, f"{scope} " if scope != ALL else "") for scope in scopes or [ALL]]
    reach = {"global": "harmful everywhere", "local": "harmful in one language or culture"}
    columns = []
    for scope, name in names:
        what = f" ({reach[scope]})" if scope in reach else ""
        meaning = f"share of replies that comply with a harmful request{what}{where}"
        columns.append(Column(f"harm {name}{part}".replace("  ", " ").strip(), "harm_rate", prompts, scope, meaning))
    for scope, name in names:
        meaning = f"the same, as relative change against base in per cent of base's harm, paired by prompt{where}"
        columns.append(Column(f"change {name}vs base", "harm_relative_change", prompts, scope, meaning))
    return columns


def _refusals() -> list[Column]:
    harmless = (
        ("benign_mention", "benign", "that mention a harmful topic without asking for the harm"),
        ("never_harmful", "never", "about topics that are harmful nowhere"),
        ("foreign_local", "foreign-local", "for what is harmful in another language's culture only"),
    )
    return [
        Column(f"refused {title}", "refusal_rate", kind, meaning=f"share of requests {what} that are declined, wrongly")
        for kind, title, what in harmless
    ]


def _ability() -> list[Column]:
    right = "share of right answers to general prompts whose answer can be checked"
    wins = "share of general prompts on which the reply is preferred to base's in both orders; ties count half"
    return [
        Column("right answers general", "accuracy", "general", meaning=right),
        Column("win-rate general", "win_rate", "general", meaning=wins),
    ]


def _broken() -> list[Column]:
    """Gibberish and the wrong language, on harmful prompts first: there they pass for less harm."""
    kinds = (
        ("degenerate", "degenerate_rate", "that are empty, repeating or not readable"),
        ("wrong language", "wrong_language_rate", "in another language than the prompt"),
    )
    return [
        Column(f"{title} {prompts}", metric, prompts, meaning=f"share of replies to {prompts} prompts {what}")
        for title, metric, what in kinds
        for prompts in (HARMFUL, "general")
    ]


def _has_any(index: FindingIndex, column: Column) -> bool:
    found: Sequence[Finding | None] = [
        index.get(arm, column.prompts, column.metric, scope=column.scope) for arm in index.arms
    ]
    return any(row is not None for row in found)
