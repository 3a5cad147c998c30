"""Over-refusal: what becomes of prompts that no one needs to refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alignment_prism.domain.findings import Finding
from alignment_prism.domain.metric_table import HARMLESS_KINDS, REFUSAL_DIFFERENCE, outcome_metrics
from alignment_prism.domain.records import Generation, Outcome, Prompt, Score
from alignment_prism.evaluation.finding_rows import NO_SEED, Context, Rows
from alignment_prism.evaluation.observations import Observations, observe
from alignment_prism.statistics.rates import MIN_EVENTS


def over_refusal_findings(
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    *,
    study: str,
    seed: int | Mapping[str, int] = NO_SEED,
    base_arm: str = "base",
    min_events: int = MIN_EVENTS,
) -> list[Finding]:
    """Findings on the harmless prompts of all arms: outcome shares, and the change of refusals against base.

    Cells, intervals, arguments and errors are those of `harm_findings`. With `unasked_harm_rate` the five shares of
    judged replies add up to one. It is not `harm_rate`, which everybody takes for compliance with a harmful request:
    here nobody asked for harm, and often it is the judge that errs.
    """
    return over_refusal_rows(observe(prompts, generations, scores), Context(study, seed, base_arm, min_events))


def over_refusal_rows(observations: Observations, context: Context) -> list[Finding]:
    """`over_refusal_findings` on records that are joined already."""
    rows = Rows(observations, context, "over_refusal", HARMLESS_KINDS)
    rows.rates(outcome_metrics(*HARMLESS_KINDS))
    if observations.tells(Outcome.REFUSAL):
        rows.changes(
            REFUSAL_DIFFERENCE.name, {arm: observations.hits(arm, Outcome.REFUSAL) for arm in observations.outcomes}
        )
    return rows.findings
