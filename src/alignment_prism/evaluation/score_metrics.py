"""Accuracy: right answers to prompts whose answer can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from alignment_prism.domain.findings import Finding
from alignment_prism.domain.records import Generation, Prompt, PromptKind, Score
from alignment_prism.evaluation.finding_rows import NO_SEED, Context, Rows
from alignment_prism.evaluation.observations import Observations, observe
from alignment_prism.statistics.rates import MIN_EVENTS


def accuracy_findings(
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    *,
    study: str,
    seed: int | Mapping[str, int] = NO_SEED,
    base_arm: str = "base",
    min_events: int = MIN_EVENTS,
) -> list[Finding]:
    """Share of right answers among prompts with a reference, of every kind, and its change against base.

    Over replies whose rightness the judge told: degenerate ones and those in another language are wrong, unjudged ones
    are in no rate (`n` says how many are). Cells, intervals, arguments and errors are those of `harm_findings`.
    """
    return accuracy_rows(observe(prompts, generations, scores), Context(study, seed, base_arm, min_events))


def accuracy_rows(observations: Observations, context: Context) -> list[Finding]:
    """`accuracy_findings` on records that are joined already."""
    checkable = [row for row, prompt in enumerate(observations.prompts) if prompt.reference]
    if not checkable:
        return []
    part = replace(
        observations,
        prompts=[observations.prompts[row] for row in checkable],
        outcomes={arm: codes[checkable] for arm, codes in observations.outcomes.items()},
        correct={arm: right[checkable] for arm, right in observations.correct.items()},
    )
    rows = Rows(part, context, "accuracy", PromptKind)
    for arm, right in part.correct.items():
        rows.rate(arm, "accuracy", right)
    rows.changes("accuracy_difference", part.correct)
    return rows.findings
