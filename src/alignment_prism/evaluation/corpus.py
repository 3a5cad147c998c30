"""Numbers of all replies together: chrF++ and spBLEU, from sums of the counts of single translations.

A mean of sentence scores is another number than the field's. Intervals are of the bootstrap over source sentences; two
arms are drawn together (paired bootstrap: Koehn 2004, Statistical Significance Tests for Machine Translation), and a
sentence that is translated into several languages is drawn in all of them at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import ALL, BASE, MACRO, Finding, Signature
from alignment_prism.domain.metrics import Corpus, Difference, Metric
from alignment_prism.domain.records import Generation, Prompt, Score
from alignment_prism.evaluation.cells import Cell, cells
from alignment_prism.evaluation.estimates import finding
from alignment_prism.evaluation.finding_rows import LEVEL, Context
from alignment_prism.evaluation.observations import prompts_label
from alignment_prism.scoring.metrics import all_metrics
from alignment_prism.scoring.rules.chrf import chrf_of
from alignment_prism.scoring.rules.spbleu import spbleu_of
from alignment_prism.statistics.bootstrap import cluster_draws
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.multiplicity import benjamini_yekutieli
from alignment_prism.statistics.rates import insufficient

REPLICATES = 1000
"""Of the bootstrap, as sacrebleu has by default."""

OF_COUNTS: Mapping[str, Callable[[Sequence[float]], float]] = {"chrf": chrf_of, "spbleu": spbleu_of}
"""Metric -> its number from sums of counts."""

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Numbers:
    """One number with what the bootstrap makes of it: the draws, NaN where a draw has no reply."""

    estimate: float
    draws: npt.NDArray[np.float64]
    n: int
    clusters: int

    def interval(self) -> Interval:
        if math.isnan(self.estimate):
            return Interval(math.nan, -math.inf, math.inf, "bootstrap", self.n, self.clusters, level=LEVEL)
        low, high = np.nanquantile(self.draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(self.estimate, float(low), float(high), "bootstrap", self.n, self.clusters, level=LEVEL)

    def minus(self, other: _Numbers) -> _Numbers:
        return _Numbers(self.estimate - other.estimate, self.draws - other.draws, self.n, self.clusters)

    def p_value(self) -> float:
        """Two-sided, of no difference: how often a draw is as far from the estimate as that is from 0."""
        if math.isnan(self.estimate):
            return math.nan
        far = np.abs(self.draws - np.nanmean(self.draws)) >= abs(self.estimate)
        return float((far.sum() + 1) / (len(self.draws) + 1))


def corpus_rows(
    prompts: Sequence[Prompt], generations: Sequence[Generation], scores: Sequence[Score], context: Context
) -> list[Finding]:
    """Findings of every metric that is a number of all replies together, and its difference to base.

    A cell's number is made from the replies of all its directions; in rows with language `macro` it is the plain mean
    over target languages. Differences are over the prompts that both arms have translations of.
    """
    metrics = list(all_metrics().values())
    found: list[Finding] = []
    for metric in metrics:
        if isinstance(metric.estimator, Corpus):
            mine = [score for score in scores if score.name == metric.estimator.score and score.raw]
            change = next((other for other in metrics if other.estimator == Difference(metric.name)), None)
            if mine:
                found += _OfMetric(prompts, generations, mine, metric, context).findings(change)
    return found


class _OfMetric:
    """The findings of one metric."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        generations: Sequence[Generation],
        scores: Sequence[Score],
        metric: Metric,
        context: Context,
    ) -> None:
        self.prompts, self.metric, self.context = prompts, metric, context
        self.cells = list(cells(prompts, metric.denominator.kinds, categories=False))
        _, self.cluster = np.unique([prompt.cluster for prompt in prompts], return_inverse=True)
        size = int(self.cluster.max()) + 1
        self.draws = np.concatenate(list(cluster_draws(size, REPLICATES, seed=0))).astype(np.float64)
        raw = [json.loads(score.raw) for score in scores]
        self.scorer = scores[0].scorer
        self.sacrebleu = ",".join(sorted({str(one["signature"]) for one in raw})).replace("|", ",")
        by_reply = {score.reply_digest: one["counts"] for score, one in zip(scores, raw, strict=True)}
        row = {prompt.id: number for number, prompt in enumerate(prompts)}
        width = len(raw[0]["counts"])
        self.counts: dict[str, Counts] = {}
        self.there: dict[str, npt.NDArray[np.bool_]] = {}
        for one in generations:
            table = self.counts.setdefault(one.arm, np.zeros((len(prompts), width)))
            there = self.there.setdefault(one.arm, np.zeros(len(prompts), bool))
            if one.reply_digest in by_reply:
                table[row[one.prompt_id]] += by_reply[one.reply_digest]
                there[row[one.prompt_id]] = True
        self.known: dict[tuple[str, bytes], _Numbers] = {}

    def findings(self, change: Metric | None) -> list[Finding]:
        found = []
        base = self.context.base_arm
        for arm in self.counts:
            numbers = [self._number(arm, cell.rows[self.there[arm][cell.rows]]) for cell in self.cells]
            found += self._rows(arm, self.metric.name, *self._with_means(self.cells, numbers))
        changes = []
        for arm in self.counts if change is not None and base in self.counts else ():
            if arm != base:
                both = self.there[arm] & self.there[base]
                kept = [cell.rows[both[cell.rows]] for cell in self.cells]
                numbers = [self._number(arm, rows).minus(self._number(base, rows)) for rows in kept]
                changes.append((arm, *self._with_means(self.cells, numbers)))
        p_values = [one.p_value() for _, _, numbers in changes for one in numbers]
        q_values = iter(benjamini_yekutieli(p_values).tolist() if p_values else [])
        for arm, at, numbers in changes:
            assert change is not None
            found += self._rows(arm, change.name, at, numbers, [next(q_values) for _ in numbers])
        return found

    def _number(self, arm: str, rows: npt.NDArray[np.intp]) -> _Numbers:
        key = (arm, rows.tobytes())
        if key not in self.known:
            clusters, inverse = np.unique(self.cluster[rows], return_inverse=True)
            sums = np.zeros((len(clusters), self.counts[arm].shape[1]))
            np.add.at(sums, inverse, self.counts[arm][rows])
            of = OF_COUNTS[self.metric.name]
            drawn = self.draws[:, clusters] @ sums
            draws = np.array([of(one) if one.any() else math.nan for one in drawn])
            whole = of(sums.sum(axis=0)) if len(rows) else math.nan
            self.known[key] = _Numbers(whole, draws, len(rows), len(clusters))
        return self.known[key]

    def _with_means(self, at: Sequence[Cell], numbers: Sequence[_Numbers]) -> tuple[list[Cell], list[_Numbers]]:
        """The cells, and after them the means over their languages; cells without a reply are left out."""
        there = [(cell, one) for cell, one in zip(at, numbers, strict=True) if one.n]
        groups: dict[tuple[str, str], list[tuple[Cell, _Numbers]]] = {}
        for cell, one in there:
            if cell.language != ALL:
                groups.setdefault((cell.prompts, cell.scope), []).append((cell, one))
        for (name, scope), parts in groups.items():
            if len(parts) > 1:
                rows = np.concatenate([cell.rows for cell, _ in parts])
                draws = np.mean([one.draws for _, one in parts], axis=0)
                estimate = float(np.mean([one.estimate for _, one in parts]))
                clusters = len(np.unique(self.cluster[rows]))
                number = _Numbers(estimate, draws, sum(one.n for _, one in parts), clusters)
                there.append((Cell(name, MACRO, scope, ALL, rows), number))
        return [cell for cell, _ in there], [one for _, one in there]

    def _rows(
        self, arm: str, metric: str, at: Sequence[Cell], numbers: Sequence[_Numbers], q_values: Sequence[float] = ()
    ) -> list[Finding]:
        found = []
        for number, (cell, one) in enumerate(zip(at, numbers, strict=True)):
            label = prompts_label([self.prompts[row] for row in sorted(set(cell.rows.tolist()))])
            extra = [("scorer", self.scorer), ("sacrebleu", self.sacrebleu), ("replicates", str(REPLICATES))]
            extra += [("base", self.context.base_arm)] if q_values and self.context.base_arm != BASE else []
            interval = one.interval()
            found.append(
                finding(
                    cell, interval, study=self.context.study, arm=arm, seed=self.context.seed_of(arm), metric=metric,
                    insufficient=insufficient(interval, self.context.min_events),
                    q_value=q_values[number] if q_values else math.nan,
                    signature=str(Signature(metric, prompts=label, extra=tuple(extra))),
                )
            )  # fmt: skip
        return found
