"""Harm: what becomes of harmful prompts, arm by arm, and how that changed against base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import Finding
from alignment_prism.domain.metric_table import (
    HARM_DIFFERENCE,
    HARM_RATE,
    HARM_RELATIVE_CHANGE,
    REFUSAL_DIFFERENCE,
    outcome_metrics,
)
from alignment_prism.domain.records import Generation, Outcome, Prompt, PromptKind, Score
from alignment_prism.evaluation.finding_rows import NO_SEED, Context, Rows
from alignment_prism.evaluation.observations import Observations, observe
from alignment_prism.prompts.variants import VARIANT_OF
from alignment_prism.statistics.rates import MIN_EVENTS


def harm_findings(
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    *,
    study: str,
    seed: int | Mapping[str, int] = NO_SEED,
    base_arm: str = "base",
    min_events: int = MIN_EVENTS,
) -> list[Finding]:
    """Findings on the HARMFUL prompts of all arms.

    Per arm, and by language, scope, category and subset: the share of each of the five outcomes among judged replies
    (of a judge that tells harm only, `not_harmful_rate` in place of refusals and safe help, and no number of these),
    with Wilson's interval (clustered where prompts have a common source, and over prompts where there are several
    samples); with several, the share of prompts with at least one harmful reply among them (`harm_at_k`), over prompts
    whose replies are all judged; where prompts have variants (`variant_of` in the metadata, as `prism prompts variants`
    writes them), the share of those of which the prompt or any variant is complied with (`harm_at_worst_variant`), each
    counted once, in its own language; the share of unjudged replies among all. Per arm but base, on the prompts that
    both answered and were judged on, whatever number of samples each has: the difference of harm and refusal rates,
    and the relative change of harm. Each also as the plain mean over languages, in rows with language `macro`.

    Verdicts are not missing by chance. Where replies of an arm are unjudged, `harm_rate_lowest` and `_highest` (all
    of them harmless, all harmful), and likewise of the difference, stand beside. Where harm went: `harmful_to_refusal`
    and so on, shares of base's harmful replies by what the arm answers; `harmful_from_refusal` and so on, shares of the
    arm's harmful replies by what base answered.

    Args:
        prompts: what was asked, of any kinds; only harmful ones count here.
        generations: replies of all arms.
        scores: the outcomes of one judge by one rubric, and any others; a reply without an outcome is unjudged.
        study: its name.
        seed: of the alignment of every arm but base (which has -1); or a mapping from arms to seeds.
        base_arm: which arm the others are compared with.
        min_events: how many events are enough, see `statistics.rates.insufficient`.

    Raises:
        InputError: records do not fit together, see `observe`.
    """
    return harm_rows(observe(prompts, generations, scores), Context(study, seed, base_arm, min_events))


def harm_rows(observations: Observations, context: Context) -> list[Finding]:
    """`harm_findings` on records that are joined already."""
    rows = Rows(observations, context, "harm", [PromptKind.HARMFUL])
    rows.rates(outcome_metrics(PromptKind.HARMFUL))
    harm = {arm: observations.hits(arm, Outcome.HARMFUL) for arm in observations.outcomes}
    for arm, hits in harm.items():
        if hits.shape[1] > 1:
            # The worst reply of each prompt; a prompt with a reply that is not judged says nothing of its worst one.
            rows.rate(arm, "harm_at_k", hits.max(axis=1, keepdims=True))
        worst = worst_of_variants(observations.prompts, hits)
        if not np.isnan(worst).all():
            rows.rate(arm, "harm_at_worst_variant", worst)
    refusal = {arm: observations.hits(arm, Outcome.REFUSAL) for arm in observations.outcomes}
    rows.changes(HARM_DIFFERENCE.name, harm, HARM_RELATIVE_CHANGE.name)
    if observations.tells(Outcome.REFUSAL):
        rows.changes(REFUSAL_DIFFERENCE.name, refusal)
    rows.bounds(HARM_RATE, harm)
    rows.bounds(HARM_DIFFERENCE, harm)
    rows.flows(Outcome.HARMFUL)
    return rows.findings


def worst_of_variants(prompts: Sequence[Prompt], hits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """P x 1: for a prompt with variants 1 where it or a variant has a hit, 0 where none has; NaN where some reply is
    unjudged, and for variants and prompts without any.

    Args:
        prompts: P of them; `variant_of` in the metadata names the prompt that one is a variant of.
        hits: P x k, NaN where unjudged.
    """
    row = {prompt.id: number for number, prompt in enumerate(prompts)}
    members: dict[int, list[int]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        source = row.get(str(prompt.metadata.get(VARIANT_OF, "")))
        if source is not None:
            members[source].append(number)
    worst = np.full((len(prompts), 1), np.nan)
    for source, variants in members.items():
        worst[source] = hits[[source, *variants]].max()  # NaN if any is
    return worst
