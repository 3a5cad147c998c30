"""From observations to rows: which numbers are given for which cells of which arms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alignment_prism.domain.findings import ALL, Finding, Signature
from alignment_prism.domain.records import Outcome, Prompt, PromptKind
from alignment_prism.evaluation.cells import Cell, cells
from alignment_prism.evaluation.estimates import CellSums, Hits, macro, too_few, with_interval
from alignment_prism.evaluation.observations import OUTCOMES, UNJUDGED, Observations, prompts_label
from alignment_prism.scoring.guards import GUARDS
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.rates import MIN_EVENTS

NO_SEED = -1
"""Seed of an arm that was not aligned."""


@dataclass(frozen=True)
class Context:
    """What all rows of one analysis share.

    Attributes:
        study: its name.
        seed: of the alignment of every arm but base; or a mapping from arms to seeds.
        base_arm: which arm the others are compared with; without it among the arms there is no comparison.
        min_events: cells resting on less are marked insufficient.
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


class Rows:
    """Builds the rows of one analysis of some observations.

    Args:
        observations: who was asked what, and what came of it.
        context: what all rows share.
        analysis: first word of the signatures.
        kinds: of the prompts that the analysis is about.
    """

    def __init__(
        self, observations: Observations, context: Context, analysis: str, kinds: Iterable[PromptKind]
    ) -> None:
        self.observations = observations
        self.context = context
        self.analysis = analysis
        self.cells = list(cells(observations.prompts, kinds))
        self.sums = CellSums([cell.rows for cell in self.cells], observations.clusters)
        # Changes by category are given for all languages together only: in one language such cells are too small.
        self.compared = [cell for cell in self.cells if ALL in (cell.category, cell.language)]
        self.compared_sums = CellSums([cell.rows for cell in self.compared], observations.clusters)
        self.label = prompts_label(observations.prompts)
        self.findings: list[Finding] = []

    def rates(self, metrics: Mapping[str, Outcome]) -> None:
        """Add each outcome's share among judged replies, and beside it the share that is unjudged."""
        for arm in self.observations.outcomes:
            hits = {metric: self.observations.hits(arm, outcome) for metric, outcome in metrics.items()}
            hits["unjudged_rate"] = (self.observations.outcomes[arm] == UNJUDGED).astype(np.float64)
            for metric, table in hits.items():
                self.rate(arm, metric, table)

    def rate(self, arm: str, metric: str, hits: Hits) -> None:
        """Add a rate in every cell."""
        self._add(arm, metric, self.cells, self.sums.rates(hits))

    def changes(self, metric: str, hits: Mapping[str, Hits], relative_metric: str = "") -> None:
        """Add, for every arm but base, the difference to base in every cell, and the relative change if it has a name.

        A relative change is insufficient where base has too few events to divide by. Changes by category are given
        for all languages together only.
        """
        base = hits.get(self.context.base_arm)
        if base is None:
            return
        for arm, model in hits.items():
            if arm == self.context.base_arm:
                continue
            change = self.compared_sums.changes(model, base)
            self._add(arm, metric, self.compared, change.differences())
            if relative_metric:
                events, ratios = change.base_events.tolist(), change.relative_changes()
                for cell, interval, hit in zip(self.compared, ratios, events, strict=True):
                    few = too_few(interval, self.context.min_events) or hit < self.context.min_events
                    row = self._row(arm, relative_metric, cell)
                    self.findings.append(with_interval(row, interval, insufficient=few))

    def bounds(self, metric: str, hits: Mapping[str, Hits], *, changes: bool) -> None:
        """Add, for arms with a reply that is not judged, what the metric would be at both extremes.

        `METRIC_lowest` takes unjudged replies of the arm as 0 and, in a change, those of base as 1; `METRIC_highest`
        the other way round. They hold whatever the missing verdicts are (`statistics.missing`), which the rates, being
        over judged replies, do not. In every cell but those of categories.

        Args:
            metric: of a rate, or of the difference to base.
            hits: of all arms.
            changes: whether it is of the difference.
        """
        cells = [cell for cell in self.cells if cell.category == ALL]
        sums = CellSums([cell.rows for cell in cells], self.observations.clusters)
        base = hits.get(self.context.base_arm)
        for arm, model in hits.items():
            if changes and (arm == self.context.base_arm or base is None):
                continue
            if not (np.isnan(model).any() or (changes and base is not None and np.isnan(base).any())):
                continue
            for end, fill in (("lowest", 0.0), ("highest", 1.0)):
                filled = np.where(np.isnan(model), fill, model)
                if changes and base is not None:
                    found = sums.changes(filled, np.where(np.isnan(base), 1.0 - fill, base)).differences()
                else:
                    found = sums.rates(filled)
                self._add(arm, f"{metric}_{end}", cells, found)

    def flows(self, event: Outcome) -> None:
        """Add what became of the prompts on which base had the outcome, and what those of the model were under base.

        `EVENT_to_OUTCOME` are shares of base's prompts with the event, by the outcome of the arm; `EVENT_from_OUTCOME`
        shares of the arm's prompts with the event, by the outcome of base. Each family adds up to one. Sample j
        of the arm stands beside sample j of base. By language only: these are parts of parts.
        """
        base = self.observations.outcomes.get(self.context.base_arm)
        if base is None:
            return
        cells = [cell for cell in self.cells if ALL == cell.category == cell.scope and "/" not in cell.prompts]
        sums = CellSums([cell.rows for cell in cells], self.observations.clusters)
        code = OUTCOMES.index(event)
        for arm, after in self.observations.outcomes.items():
            if arm == self.context.base_arm:
                continue
            before = np.stack([base[:, sample % base.shape[1]] for sample in range(after.shape[1])], axis=1)
            for word, given, other in (("to", before, after), ("from", after, before)):
                for number, outcome in enumerate(OUTCOMES):
                    if number != UNJUDGED or (other == UNJUDGED).any():
                        shares = np.where(given == code, (other == number).astype(np.float64), np.nan)
                        self._add(arm, f"{event.value}_{word}_{outcome.value}", cells, sums.rates(shares))

    def _add(self, arm: str, metric: str, cells: Sequence[Cell], found: Sequence[Interval]) -> None:
        for cell, interval in zip(cells, found, strict=True):
            few = too_few(interval, self.context.min_events)
            self.findings.append(with_interval(self._row(arm, metric, cell), interval, insufficient=few))

    def done(self) -> list[Finding]:
        """All rows, the means over languages among them."""
        return self.findings + macro(self.findings, shared=clusters_span_languages(self.observations.prompts))

    def _row(self, arm: str, metric: str, cell: Cell) -> Finding:
        signature = Signature(
            self.analysis,
            judge=self.observations.judge,
            rubric=self.observations.rubric,
            prompts=self.label,
            k=self.observations.outcomes[arm].shape[1],
            extra=(("guards", GUARDS),),
        )
        return Finding(
            study=self.context.study,
            arm=arm,
            seed=self.context.seed_of(arm),
            prompts=cell.prompts,
            language=cell.language,
            scope=cell.scope,
            category=cell.category,
            metric=metric,
            estimate=float("nan"),
            signature=str(signature),
        )


def clusters_span_languages(prompts: Sequence[Prompt]) -> bool:
    """Whether some cluster has prompts in several languages, as translations of one source have."""
    languages: dict[str, set[str]] = defaultdict(set)
    for prompt in prompts:
        languages[prompt.cluster].add(prompt.language)
    return any(len(spoken) > 1 for spoken in languages.values())
