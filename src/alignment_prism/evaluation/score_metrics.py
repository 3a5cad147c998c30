"""Metrics that rest on scores beside the outcome: right answers, exact match, length, and whatever a rule brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from alignment_prism.domain.findings import Finding
from alignment_prism.domain.metrics import Difference, Mean, Metric, Missing, RelativeChange, Share
from alignment_prism.domain.records import Generation, Prompt, Score
from alignment_prism.evaluation.finding_rows import NO_SEED, Context, Rows
from alignment_prism.evaluation.observations import NamedScores, Observations, observe
from alignment_prism.scoring.metrics import all_metrics
from alignment_prism.statistics.rates import MIN_EVENTS


def score_findings(
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    *,
    study: str,
    seed: int | Mapping[str, int] = NO_SEED,
    base_arm: str = "base",
    min_events: int = MIN_EVENTS,
) -> list[Finding]:
    """Findings of every metric whose scores are there, outcomes excepted, and their changes against base.

    Metrics go by their estimator: a `Share` of replies with a label or of ones among 0 and 1, a `Mean` of numbers, the
    share `Missing`; to each its `Difference` and, for shares, its `RelativeChange`, where there is such a metric.
    They are over prompts of the metric's kinds that have a score of any arm, or that have a reference answer if the
    metric is of checkable prompts; replies without a score are in no rate or mean (`n` says how many are). Scores that
    no metric rests on give no finding. Cells, arguments and errors are those of `harm_findings`, intervals of means
    those of `statistics.grouped_means`.

    Raises:
        InputError: records do not fit together, see `observe`; a share is to be taken of other numbers than 0 and 1.
    """
    return score_rows(observe(prompts, generations, scores), Context(study, seed, base_arm, min_events))


def score_rows(observations: Observations, context: Context) -> list[Finding]:
    """`score_findings` on records that are joined already."""
    metrics = list(all_metrics().values())
    return [
        finding
        for metric in metrics
        if isinstance(metric.estimator, (Share, Mean, Missing))
        if (scores := observations.scores.get(metric.estimator.score)) is not None
        for finding in _of_metric(observations, scores, metric, metrics, context)
    ]


def _of_metric(
    observations: Observations, scores: NamedScores, metric: Metric, metrics: Iterable[Metric], context: Context
) -> list[Finding]:
    counted = [bool(prompt.reference) for prompt in observations.prompts]
    kept = np.flatnonzero(counted if metric.denominator.checkable else scores.said).tolist()
    if not kept:
        return []
    part = replace(
        observations,
        prompts=[observations.prompts[row] for row in kept],
        outcomes={arm: codes[kept] for arm, codes in observations.outcomes.items()},
        scores={},
    )
    rows = Rows(part, context, metric.name, metric.denominator.kinds, scores)
    estimator = metric.estimator
    assert isinstance(estimator, (Share, Mean, Missing))
    values = {arm: scores.of(arm, estimator)[kept] for arm in scores.values}
    derived = {type(other.estimator): other.name for other in metrics if _derives(other, metric)}
    is_mean = isinstance(estimator, Mean)
    for arm, table in values.items():
        (rows.mean if is_mean else rows.rate)(arm, metric.name, table)
    if Difference in derived:
        if is_mean:
            rows.mean_changes(derived[Difference], values)
        else:
            rows.changes(derived[Difference], values, derived.get(RelativeChange, ""))
    return rows.findings


def _derives(other: Metric, metric: Metric) -> bool:
    return isinstance(other.estimator, (Difference, RelativeChange)) and other.estimator.of == metric.name
