"""All analyses of single replies at once: the join is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alignment_prism.domain.findings import Finding
from alignment_prism.domain.records import Generation, Prompt, Score
from alignment_prism.evaluation.corpus import corpus_rows
from alignment_prism.evaluation.finding_rows import NO_SEED, Context
from alignment_prism.evaluation.harm import harm_rows
from alignment_prism.evaluation.norms import norm_rows
from alignment_prism.evaluation.observations import observe
from alignment_prism.evaluation.over_refusal import over_refusal_rows
from alignment_prism.evaluation.panel_agreement import panel_rows
from alignment_prism.evaluation.score_metrics import score_rows
from alignment_prism.statistics.rates import MIN_EVENTS


def reply_findings(
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    *,
    study: str,
    seed: int | Mapping[str, int] = NO_SEED,
    base_arm: str = "base",
    min_events: int = MIN_EVENTS,
) -> list[Finding]:
    """`harm_findings`, `over_refusal_findings` and `score_findings` together, and what `norm_rows` says; see there.

    Where nobody said what the replies are, but rules were applied, there are findings of the rules alone.

    Where a panel of judges judged, also how far its members agree.

    Raises:
        InputError: records do not fit together, see `observe`.
    """
    observations = observe(prompts, generations, scores)
    context = Context(study, seed, base_arm, min_events)
    findings = [*score_rows(observations, context), *corpus_rows(prompts, generations, scores, context)]
    if observations.scorer or not findings:
        judged = (harm_rows, norm_rows, over_refusal_rows)
        findings = [*(row for rows in judged for row in rows(observations, context)), *findings]
        findings += panel_rows(prompts, generations, scores, context)
    return findings
