"""From observations to rows: which numbers are given for which cells of which arms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from alignment_prism.domain.findings import ALL, BASE, Finding, Signature
from alignment_prism.domain.metric_table import METRICS
from alignment_prism.domain.metrics import Bound, Difference, Metric, Transition
from alignment_prism.domain.records import OUTCOME, Outcome, PromptKind
from alignment_prism.evaluation.cells import cells
from alignment_prism.evaluation.estimates import CellSums, Hits, finding
from alignment_prism.evaluation.observations import OUTCOMES, UNJUDGED, NamedScores, Observations, prompts_label
from alignment_prism.scoring.guards import GUARDS
from alignment_prism.statistics.grouped import Estimates
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.rates import MIN_EVENTS, insufficient

NO_SEED = -1
"""Seed of an arm that was not aligned."""

LEVEL = 0.95
"""Coverage of the intervals of findings, single and joint."""


@dataclass(frozen=True)
class Context:
    """What all rows of one analysis share.

    Attributes:
        study: its name.
        seed: of the alignment of every arm but base; or a mapping from arms to seeds.
        base_arm: which arm the others are compared with; without it among the arms there is no comparison.
        min_events: see `statistics.rates.insufficient`.
    """

    study: str
    seed: int | Mapping[str, int] = NO_SEED
    base_arm: str = "base"
    min_events: int = MIN_EVENTS

    def seed_of(self, arm: str) -> int:
        """The seed that stands in the rows of an arm."""
        if isinstance(self.seed, Mapping):
            return self.seed.get(arm, NO_SEED)
        return NO_SEED if arm == self.base_arm else self.seed


def sampling(observations: Observations, arm: str, base: str = "") -> list[tuple[str, str]]:
    """For signatures: how an arm's replies were drawn, where not greedily; of a change which arm is subtracted, unless
    it is called `base`, and how its replies were drawn, where not greedily or not as many."""
    warm, outcomes = observations.temperatures, observations.outcomes
    found = [("temperature", warm[arm])] if arm in warm else []
    if not base:
        return found
    found += [("base", base)] if base != BASE else []
    k = outcomes[base].shape[1]
    found += [("base_k", str(k))] if k != outcomes[arm].shape[1] else []
    return found + ([("base_temperature", warm.get(base, "0"))] if {arm, base} & warm.keys() else [])


class Rows:
    """Builds the rows of one analysis of some observations.

    Args:
        observations: who was asked what, and what came of it.
        context: what all rows share.
        analysis: first word of the signatures.
        kinds: of the prompts that the analysis is about.
        scores: what the numbers rest on, for the signatures; the outcomes unless given.
    """

    def __init__(
        self,
        observations: Observations,
        context: Context,
        analysis: str,
        kinds: Iterable[PromptKind],
        scores: NamedScores | None = None,
    ) -> None:
        self.scores = scores
        self.observations = observations
        self.context = context
        self.analysis = analysis
        self.cells = list(cells(observations.prompts, kinds))
        self.sums = CellSums(self.cells, observations.clusters)
        # Changes by category are given for all languages together only: in one language such cells are too small.
        compared = [cell for cell in self.cells if ALL in (cell.category, cell.language)]
        self.compared_sums = CellSums(compared, observations.clusters)
        rows: dict[str, set[int]] = {}
        for cell in self.cells:
            rows.setdefault(cell.prompts, set()).update(cell.rows.tolist())
        # Each set of prompts by itself: that other kinds are asked too changes nothing about harm.
        self.labels = {
            name: prompts_label([observations.prompts[row] for row in sorted(of)]) for name, of in rows.items()
        }
        self.findings: list[Finding] = []

    def rates(self, metrics: Mapping[str, Outcome]) -> None:
        """Add each outcome's share among judged replies, and beside it the share that is unjudged; none of outcomes
        that the judge does not tell apart."""
        metrics = {metric: outcome for metric, outcome in metrics.items() if self.observations.tells(outcome)}
        for arm in self.observations.outcomes:
            hits = {metric: self.observations.hits(arm, outcome) for metric, outcome in metrics.items()}
            hits["unjudged_rate"] = (self.observations.outcomes[arm] == UNJUDGED).astype(np.float64)
            for metric, table in hits.items():
                self.rate(arm, metric, table)

    def rate(self, arm: str, metric: str, hits: Hits) -> None:
        """Add a rate in every cell."""
        self._add(arm, metric, self.sums, self.sums.rates(hits))

    def changes(self, metric: str, hits: Mapping[str, Hits], relative_metric: str = "") -> None:
        """Add, for every arm but base, the difference to base in every cell, and the relative change if it has a name.

        Changes by category are given for all languages together only.
        """
        base = hits.get(self.context.base_arm)
        if base is None:
            return
        changes = {arm: self.compared_sums.changes(hits[arm], base) for arm in self._against_base(hits)}
        self._add_family(metric, {arm: change.differences for arm, change in changes.items()})
        if relative_metric:
            events = {arm: change.base_events.tolist() for arm, change in changes.items()}
            self._add_family(relative_metric, {arm: one.relative_changes for arm, one in changes.items()}, events)

    def mean(self, arm: str, metric: str, values: Hits) -> None:
        """Add the mean of numbers in every cell."""
        self._add(arm, metric, self.sums, self.sums.means(values))

    def mean_changes(self, metric: str, values: Mapping[str, Hits]) -> None:
        """Add, for every arm but base, the difference of means to base, in the cells in which changes are given."""
        base = values.get(self.context.base_arm)
        if base is not None:
            arms = self._against_base(values)
            self._add_family(metric, {arm: partial(self.compared_sums.mean_changes, values[arm], base) for arm in arms})

    def _against_base(self, values: Mapping[str, Hits]) -> list[str]:
        return [arm for arm in values if arm != self.context.base_arm]

    def _add_family(
        self,
        metric: str,
        estimates: Mapping[str, Callable[[float], Estimates]],
        divided_by: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Add changes of all arms, with the intervals that hold together and the false discovery rates of all of them.

        Args:
            metric: of the changes.
            estimates: arm -> its changes in the compared cells, at a level.
            divided_by: arm -> events that each change is divided by.
        """
        sums = self.compared_sums
        found = {arm: at(LEVEL) for arm, at in estimates.items()}
        level = sums.joint_level(list(found.values()), LEVEL)
        q_values = sums.q_values(list(found.values()))
        for (arm, one), adjusted in zip(found.items(), q_values, strict=True):
            joint = sums.intervals(estimates[arm](level))
            events = None if divided_by is None else divided_by[arm]
            self._add(arm, metric, sums, one, events, list(zip(joint, adjusted, strict=True)))

    def bounds(self, metric: Metric, hits: Mapping[str, Hits]) -> None:
        """Add, for arms with a reply that is not judged, what the metric would be at both extremes.

        The table of metrics says which there are: each takes unjudged replies of the arm as its `Bound` says and, in a
        change, those of base as the opposite. They hold whatever the missing verdicts are, which the rates, being over
        judged replies, do not (worst-case bounds: Manski 2003, Partial Identification of Probability Distributions). In
        every cell but those of categories.

        Args:
            metric: a rate, or the difference to base.
            hits: of all arms.
        """
        bounds = [(one.name, one.estimator.missing) for one in METRICS.values()
                  if isinstance(one.estimator, Bound) and one.estimator.of == metric.name]  # fmt: skip
        changes = isinstance(metric.estimator, Difference)
        cells = [cell for cell in self.cells if cell.category == ALL]
        sums = CellSums(cells, self.observations.clusters)
        base = hits.get(self.context.base_arm)
        for arm, model in hits.items():
            if changes and (arm == self.context.base_arm or base is None):
                continue
            if not (np.isnan(model).any() or (changes and base is not None and np.isnan(base).any())):
                continue
            for name, fill in bounds:
                filled = np.where(np.isnan(model), fill, model)
                if changes and base is not None:
                    found = sums.changes(filled, np.where(np.isnan(base), 1.0 - fill, base)).differences()
                else:
                    found = sums.rates(filled)
                self._add(arm, name, sums, found)

    def flows(self, event: Outcome) -> None:
        """Add what became of the prompts on which base had the outcome, and what those of the model were under base.

        The metrics whose `Transition` follows the event: shares of base's prompts with the event, by the outcome of the
        arm, and of the arm's prompts with it, by the outcome of base. Each family adds up to one. With several
        replies to a prompt, they are over all pairs of a reply of the arm and one of base. By language only: these are
        parts of parts.
        """
        base = self.observations.outcomes.get(self.context.base_arm)
        if base is None:
            return
        cells = [cell for cell in self.cells if ALL == cell.category == cell.scope and "/" not in cell.prompts]
        sums = CellSums(cells, self.observations.clusters)
        code = OUTCOMES.index(event)
        for arm, after in self.observations.outcomes.items():
            if arm == self.context.base_arm:
                continue
            for metric in METRICS.values():
                way = metric.estimator
                if not (isinstance(way, Transition) and way.score == OUTCOME and way.label == event):
                    continue
                given, other = (base, after) if way.way == "to" else (after, base)
                outcome = Outcome(way.other)
                number = OUTCOMES.index(outcome)
                if self.observations.tells(outcome) and (number != UNJUDGED or (other == UNJUDGED).any()):
                    found = sums.conditional((other == number).astype(np.float64), (given == code).astype(np.float64))
                    self._add(arm, metric.name, sums, found)

    def _add(
        self,
        arm: str,
        metric: str,
        sums: CellSums,
        found: Estimates,
        divided_by: Sequence[float] | None = None,
        together: Sequence[tuple[Interval | None, float]] | None = None,
    ) -> None:
        """Add the cells of one number of one arm, and its means over languages."""
        least = self.context.min_events
        divisors: Sequence[float | None] = divided_by or [None] * len(found.intervals)
        few = [
            insufficient(interval, least, divided_by=events)
            for interval, events in zip(found.intervals, divisors, strict=True)
        ]
        source = self.scores or self.observations
        signatures = {
            name: Signature(
                self.analysis,
                judge=source.scorer if source.judged else "",
                rubric=source.rubric,
                prompts=label,
                k=self.observations.outcomes[arm].shape[1],
                extra=(
                    (("guards", GUARDS) if source.judged else ("scorer", source.scorer)),
                    *sampling(self.observations, arm, self.context.base_arm if together else ""),
                ),
            )
            for name, label in self.labels.items()
        }
        family = together or [(None, math.nan)] * len(sums.cells)
        rows = zip(sums.cells, sums.intervals(found), sums.with_means(few), family, strict=True)
        for cell, interval, flag, (joint, q_value) in rows:
            self.findings.append(
                finding(
                    cell,
                    interval,
                    study=self.context.study,
                    arm=arm,
                    seed=self.context.seed_of(arm),
                    metric=metric,
                    insufficient=flag,
                    joint=joint,
                    q_value=q_value,
                    signature=str(signatures[cell.prompts]),
                )
            )
