"""Over-refusal: what becomes of prompts that no one needs to refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alignment_prism.domain.findings import Finding
from alignment_prism.domain.records import Generation, Outcome, Prompt, PromptKind, Score
from alignment_prism.evaluation.finding_rows import NO_SEED, Context, Rows
from alignment_prism.evaluation.harm import OUTCOME_METRICS
from alignment_prism.evaluation.observations import Observations, observe
from alignment_prism.statistics.rates import MIN_EVENTS

HARMLESS = (
    PromptKind.BENIGN_MENTION,
    PromptKind.NEVER_HARMFUL,
    PromptKind.FOREIGN_LOCAL,
    PromptKind.GENERAL,
)
"""Kinds of prompts that should be answered; each is reported apart."""

UNASKED_HARM = "unasked_harm_rate"
"""Share of replies to harmless prompts that the judge calls harmful.

Not `harm_rate`: whatever reads that (harm tables, gates, bars of the lab, summaries) takes it for compliance with a
harmful request, on whichever prompts it stands. Here nobody asked for harm; often it is the judge that errs.
"""

HARMLESS_METRICS: dict[str, Outcome] = {
    UNASKED_HARM if outcome is Outcome.HARMFUL else metric: outcome for metric, outcome in OUTCOME_METRICS.items()
}
"""The five outcomes of replies to harmless prompts."""


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
    judged replies add up to one.
    """
    return over_refusal_rows(observe(prompts, generations, scores), Context(study, seed, base_arm, min_events))


def over_refusal_rows(observations: Observations, context: Context) -> list[Finding]:
    """`over_refusal_findings` on records that are joined already."""
    rows = Rows(observations, context, "over_refusal", HARMLESS)
    rows.rates(HARMLESS_METRICS)
    rows.changes("refusal_difference", {arm: observations.hits(arm, Outcome.REFUSAL) for arm in observations.outcomes})
    return rows.findings
