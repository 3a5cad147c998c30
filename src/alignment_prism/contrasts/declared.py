"""What is to be contrasted, on what, and what has to be said before: the part that contrasts of any kind share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from alignment_prism.contrasts.pairing import PairedRuns
from alignment_prism.domain import ALL, InputError, Metric, Prompt, PromptKind, Signature
from alignment_prism.domain.contrasts import Contrast, Quantity
from alignment_prism.domain.metric_table import ACCURACY, HARM_RATE, REFUSAL_RATE
from alignment_prism.domain.metrics import Mean, Share, undescribed
from alignment_prism.domain.records import OUTCOME
from alignment_prism.evaluation.cells import Cell
from alignment_prism.evaluation.observations import prompts_label
from alignment_prism.scoring.metrics import all_metrics
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.multiplicity import holm

LEVEL = 0.95
"""Coverage of the intervals of contrasts, single and joint."""

ENGLISH, LOCAL, GLOBAL = "en", "local", "global"

MUST_AGREE = ("judge", "rubric", "sampling", "top_p", "max_tokens", "opponent")
"""Facts in which runs that are compared may not differ unless it is declared."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A contrast that was declared before it was computed.

    Attributes:
        name: of the contrast.
        a: the run that is subtracted, by its name.
        b: the run it is subtracted from.
    """

    name: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Contrasts:
    """The contrasts of some runs.

    Attributes:
        rows: one number each.
        notes: what one has to know of the runs: prompts that are not shared, facts that differ, copies.
    """

    rows: tuple[Contrast, ...]
    notes: tuple[str, ...]


def check_may_differ(facts: Iterable[str]) -> None:
    """Check what runs are said to be free to differ in.

    Raises:
        InputError: it is nothing in which runs must agree.
    """
    if unknown := set(facts) - set(MUST_AGREE):
        what = f"{sorted(unknown)[0]!r} is nothing in which runs must agree"
        raise InputError(what, fix=f"name some of {', '.join(MUST_AGREE)}")


def notes(pairs: PairedRuns, one: Declared, may_differ: Sequence[str]) -> Iterator[str]:
    """What one has to know of two runs: prompts that are not shared, facts that differ, copies.

    Raises:
        InputError: they were measured otherwise, and it is not said that they may.
    """
    yield from pairs.counted(one.a, one.b)
    for fact, (a, b) in pairs.differences(one.a, one.b).items():
        if fact in MUST_AGREE and fact not in may_differ:
            raise InputError(
                f"{one.a} and {one.b} differ in {fact}: {a} and {b}",
                fix="measure both alike, or say that they may differ in it",
                settings={"may_differ": fact},
            )
        yield f"{one.a} and {one.b} differ in {fact}: {a} and {b}"
    if same := pairs.weights(one.a) & pairs.weights(one.b):
        yield f"{one.a} and {one.b} are the same weights ({min(same)[:12]}): what differs is how replies were drawn"


def named_runs(names: Sequence[str], declared: Sequence[Declared] | None) -> Sequence[Declared]:
    """What is compared: each run or arm with the first, unless it is declared.

    Raises:
        InputError: a contrast of what is not there, or of one with itself.
    """
    if declared is None:
        return [Declared(f"{name} vs {names[0]}", names[0], name) for name in names[1:]]
    for one in declared:
        if one.a == one.b or not {one.a, one.b} <= set(names):
            what = f"contrast {one.name!r} is of {one.a!r} and {one.b!r}"
            raise InputError(what, fix=f"name two of {', '.join(names)}")
    return declared


def chosen_metrics(
    pairs: PairedRuns, names: Sequence[str], wanted: Sequence[Declared]
) -> list[tuple[Metric, tuple[PromptKind, ...]]]:
    """`measured`, and an error where it is nothing.

    Raises:
        InputError: the runs have no scores of one name.
    """
    found = list(measured(pairs, names, wanted))
    if not found:
        raise InputError(
            "the runs have no scores of one name, so there is nothing to compare",
            fix="judge both, or let the same rule score both; a table's own verdicts come in by `prism import`, which "
            "is told their column",
        )
    return found


def prompt_sets(prompts: Sequence[Prompt], parts: Iterable[Cell]) -> dict[str, str]:
    """Name and digest of the prompts of each prompt set, for signatures."""
    rows: dict[str, set[int]] = {}
    for cell in parts:
        rows.setdefault(cell.prompts, set()).update(cell.rows.tolist())
    return {name: prompts_label([prompts[row] for row in sorted(held)]) for name, held in rows.items()}


def signature_of(
    facts: Mapping[str, str], prompts: str, interval: Interval, extra: Iterable[tuple[str, str]], k: int = 1
) -> str:
    """How a number of a contrast came about.

    Args:
        facts: how B was measured.
        prompts: name and digest.
        interval: of the number; one without ends is a statistic, which is named.
        extra: of the signature.
        k: replies to a prompt.
    """
    bounded = not math.isnan(interval.lower)
    statistic = [] if bounded or not interval.method else [("statistic", interval.method)]
    return str(
        Signature(
            "contrast", judge=facts.get("judge", ""), rubric=facts.get("rubric", ""), prompts=prompts, k=k,
            ci=interval.name if bounded else "", extra=(*extra, *statistic),
        )
    )  # fmt: skip


def measured(
    pairs: PairedRuns, names: Sequence[str], wanted: Sequence[Declared]
) -> Iterator[tuple[Metric, tuple[PromptKind, ...]]]:
    """Metrics that all declared runs have values of, with the kinds of prompts that they are about."""
    needed = list(dict.fromkeys(name for one in wanted for name in (one.a, one.b)))
    known = all_metrics()
    if names:
        metrics = [(known.get(name) or undescribed(name)) for name in names]
        chosen = [(metric, metric.denominator.kinds) for metric in metrics]
    else:
        chosen = [(HARM_RATE, HARM_RATE.headline), (REFUSAL_RATE, REFUSAL_RATE.headline)]
        chosen += [(ACCURACY, ACCURACY.denominator.kinds)]
        if not any(OUTCOME in pairs.score_names(name) for name in needed):
            scores = sorted(set.intersection(*(pairs.score_names(name) for name in needed)))
            others = [
                m for m in known.values() if isinstance(m.estimator, (Share, Mean)) and m.estimator.score in scores
            ]
            described = {m.estimator.score for m in others if isinstance(m.estimator, (Share, Mean))}
            others += [undescribed(score) for score in scores if score not in described]
            chosen = [(metric, metric.denominator.kinds) for metric in others]
    for metric, kinds in chosen:
        lacking = [name for name in needed if pairs.values(name, metric) is None]
        if lacking and names:
            near = [] if metric.name in known else get_close_matches(metric.name, known, n=1)
            raise InputError(
                f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no scores that {metric.name} "
                "rests on",
                fix=f"did you mean {near[0]}?" if near else "score the replies, or name another metric",
            )
        there = any(prompt.kind in kinds for prompt in pairs.prompts)
        if not lacking and there:
            yield metric, kinds


def adjusted(rows: Sequence[Contrast]) -> list[Contrast]:
    """The rows, headlines with Holm's p-value over all headlines."""

    def is_headline(row: Contrast) -> bool:
        pooled = row.language == row.scope == ALL and "/" not in row.prompts
        return pooled and row.quantity is Quantity.DIFFERENCE

    headlines = [number for number, row in enumerate(rows) if is_headline(row)]
    by_holm = dict(zip(headlines, holm([rows[number].p_value for number in headlines]).tolist(), strict=True))
    return [replace(row, adjusted=by_holm[i]) if i in by_holm else row for i, row in enumerate(rows)]


def better_way(metric: Metric, prompts: str) -> str | None:
    """Which way is better on some prompts, `lower` or `higher`; None where neither is."""
    if metric.better is None and PromptKind(prompts.split("/")[0]) in metric.headline:
        return "lower"  # refusal, on the kinds of prompts for which it stands in summaries: harmless ones
    return metric.better
