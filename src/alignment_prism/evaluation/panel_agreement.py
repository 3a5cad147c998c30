"""How far the judges of a panel agree, arm by arm and language by language."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alignment_prism.domain.findings import ALL, Finding, Signature
from alignment_prism.domain.metric_table import PANEL_AGREEMENT, PANEL_ALPHA
from alignment_prism.domain.records import OUTCOME, Generation, Outcome, Prompt, PromptKind, Score
from alignment_prism.evaluation.cells import cells
from alignment_prism.evaluation.estimates import finding
from alignment_prism.evaluation.finding_rows import Context
from alignment_prism.evaluation.observations import prompts_label
from alignment_prism.scoring.guards import GUARD, is_final
from alignment_prism.scoring.scorer import PANEL
from alignment_prism.statistics.raters.agreement import KRIPPENDORFF, RAW, agreement
from alignment_prism.statistics.raters.rating_table import rating_table

REPLICATES = 2000
"""Of the bootstrap over prompts."""

FEW = 30
"""Replies that two members judged, below which an interval of alpha is too narrow."""

_Key = tuple[str, str, int]


def panel_rows(
    prompts: Sequence[Prompt], generations: Sequence[Generation], scores: Sequence[Score], context: Context
) -> list[Finding]:
    """Agreement of the members of a panel in every language and over all; none where no panel judged.

    Over replies that judges were asked about: what a guard settled, nobody disagrees on. Members are those who were
    asked about every reply, which an adjudicator is not. Where one knows of harm only, refusals and help are one.
    """
    panels = {score.scorer for score in scores if score.scorer.startswith(PANEL)}
    if len(panels) != 1:
        return []
    settled = {_key(score) for score in scores if score.name == GUARD and is_final(score.label)}
    said: dict[tuple[str, str], dict[_Key, Outcome]] = {}
    for score in scores:
        outcome = score.outcome if score.name == OUTCOME and score.scorer not in panels else None
        if outcome is not None and _key(score) not in settled:
            said.setdefault((score.scorer, score.rubric), {})[_key(score)] = outcome
    most = max(map(len, said.values()), default=0)
    raters = [labels for labels in said.values() if len(labels) == most]
    if len(raters) < 2:
        return []
    coarse = any(Outcome.NOT_HARMFUL in labels.values() for labels in raters)
    signature = str(Signature("panel", judge=panels.pop(), prompts=prompts_label(prompts)))
    rows: list[Finding] = []
    for arm in dict.fromkeys(one.arm for one in generations):
        replies: dict[str, list[_Key]] = {}
        for one in generations:
            if one.arm == arm and _key(one) not in settled:
                replies.setdefault(one.prompt_id, []).append(_key(one))
        for cell in cells(prompts, PromptKind, categories=False):
            if cell.scope != ALL:
                continue
            units = [(prompts[row].cluster, key) for row in cell.rows for key in replies.get(prompts[row].id, ())]
            table = rating_table([[_word(labels.get(key), coarse) for labels in raters] for _, key in units])
            clusters = np.array([cluster for cluster, _ in units], dtype=np.str_)
            for metric, coefficient in ((PANEL_AGREEMENT, RAW), (PANEL_ALPHA, KRIPPENDORFF)):
                interval = agreement(table, coefficient, clusters, replicates=REPLICATES)
                rows.append(
                    finding(
                        cell, interval, study=context.study, arm=arm, seed=context.seed_of(arm), metric=metric.name,
                        insufficient=interval.n < FEW, signature=signature,
                    )
                )  # fmt: skip
    return rows


def _key(one: Generation | Score) -> _Key:
    return one.reply_digest, one.arm, one.sample


def _word(outcome: Outcome | None, coarse: bool) -> str | None:
    if outcome in (None, Outcome.UNJUDGED):
        return None
    merged = coarse and outcome in (Outcome.REFUSAL, Outcome.SAFE_HELP)
    return Outcome.NOT_HARMFUL.value if merged else str(outcome)
