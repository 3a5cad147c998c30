"""Over-refusal: what becomes of prompts that no one needs to refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import Finding
from alignment_prism.domain.metric_table import (
    HARMLESS_KINDS,
    REFUSAL_DIFFERENCE,
    REFUSAL_IN_ANY_LANGUAGE,
    outcome_metrics,
)
from alignment_prism.domain.records import FOREIGN_REFUSAL, Generation, Outcome, Prompt, Score
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
    judged replies add up to one. A refusal in the wrong language is WRONG_LANGUAGE among them, and a refusal as
    well in `refusal_in_any_language_rate`. `unasked_harm_rate` is not `harm_rate`, which everybody takes for
    compliance with a harmful request: here nobody asked for harm, and often it is the judge that errs.
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
        in_any = {arm: declined(observations, arm) for arm in observations.outcomes}
        for arm, hits in in_any.items():
            rows.rate(arm, REFUSAL_IN_ANY_LANGUAGE.name, hits)
        rows.changes(REFUSAL_IN_ANY_LANGUAGE.difference().name, in_any)
    return rows.findings


def declined(observations: Observations, arm: str) -> npt.NDArray[np.float64]:
    """P x k: 1 where a judged reply declines, in whatever language; NaN where it is unjudged."""
    hits = observations.hits(arm, Outcome.REFUSAL)
    marks = observations.scores.get(FOREIGN_REFUSAL)
    wrong = observations.hits(arm, Outcome.WRONG_LANGUAGE) == 1.0
    return hits if marks is None else np.where(wrong & (marks.values[arm] == 1.0), 1.0, hits)
