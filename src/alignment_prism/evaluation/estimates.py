"""Estimates of all cells: rates, changes against base, and means over languages; the statistics do the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import ALL, MACRO, Finding
from alignment_prism.statistics.changes.paired import macro_over_languages
from alignment_prism.statistics.grouped import GroupedChanges, Grouping, grouped_rates, grouped_shares
from alignment_prism.statistics.intervals import Interval

Hits = npt.NDArray[np.float64]
"""P x k: 1, 0, or NaN where there is no verdict."""

Names = npt.NDArray[np.str_]
"""Clusters of P prompts."""

_About = tuple[str, str, int, str, str, str, str]
"""What a finding is about, but for its language."""


class CellSums:
    """Cells of prompts in clusters, ready to be summed.

    Args:
        rows: the prompts of each cell.
        clusters: of each prompt.
    """

    def __init__(self, rows: Sequence[npt.NDArray[np.intp]], clusters: Names) -> None:
        self._rows, self._clusters = rows, clusters
        self._groups: dict[int, Grouping] = {}

    def rates(self, hits: Hits) -> list[Interval]:
        """Share of ones among the verdicts of each cell, the prompt as unit; clusters of prompts widen the interval.

        One reply a prompt gives Wilson's interval, several give each prompt's share the same weight.
        """
        if hits.shape[1] > 1:
            return grouped_shares(hits, self._of(1))
        return grouped_rates(hits[:, 0], self._of(1))

    def changes(self, model: Hits, base: Hits) -> GroupedChanges:
        """Changes of each cell on the prompts that both answered and the judge could judge.

        Sample j of the model stands beside sample j of base; if base has fewer, they are used in turn. Samples of one
        prompt are one cluster.
        """
        columns = [base[:, sample % base.shape[1]] for sample in range(model.shape[1])]
        return GroupedChanges(model.ravel(), np.stack(columns, axis=1).ravel(), self._of(model.shape[1]))

    def _of(self, samples: int) -> Grouping:
        if samples not in self._groups:
            self._groups[samples] = Grouping(self._rows, self._clusters, samples)
        return self._groups[samples]


def too_few(interval: Interval, min_events: int) -> bool:
    """Whether a rate or a difference rests on fewer than twice `min_events` independent clusters.

    Units, not events: no harmful reply among two hundred is a reliable zero, and its interval says how reliable.
    """
    return interval.clusters < 2 * min_events


def with_interval(finding: Finding, interval: Interval, *, insufficient: bool, ci: str = "") -> Finding:
    """The finding with its numbers; the method of the interval is added to the signature."""
    return replace(
        finding,
        estimate=interval.estimate,
        lower=interval.lower,
        upper=interval.upper,
        interval=interval.method,
        n=interval.n,
        clusters=interval.clusters,
        insufficient=insufficient,
        signature=finding.signature + (f"|ci:{ci or interval.method}"),
    )


def macro(findings: Sequence[Finding], *, shared: bool) -> list[Finding]:
    """The plain mean over languages of every number that is there for two languages or more.

    Args:
        findings: of any arms, cells and metrics.
        shared: whether clusters reach over languages (translations of one prompt); the languages' errors are then
            taken to go together, which is the safe side.

    `n` is the sum over languages. `clusters` is that of the pooled row, in which a source that several languages share
    counts once; without such a row the sum, or where clusters are shared the largest language's.
    """
    groups: dict[_About, list[Finding]] = {}
    pooled: dict[_About, int] = {}
    for finding in findings:
        key = (
            finding.study,
            finding.arm,
            finding.seed,
            finding.prompts,
            finding.scope,
            finding.category,
            finding.metric,
        )
        if finding.language == ALL:
            pooled[key] = finding.clusters
        elif finding.language != MACRO:
            groups.setdefault(key, []).append(finding)
    means = []
    for key, members in groups.items():
        if len(members) < 2:
            continue
        distinct = max(f.clusters for f in members) if shared else sum(f.clusters for f in members)
        parts = [Interval(f.estimate, f.lower, f.upper, "i95", f.n, f.clusters) for f in members]
        mean = macro_over_languages(parts, 1.0 if shared else 0.0)
        signature = members[0].signature.rpartition("|ci:")[0]
        means.append(
            with_interval(
                replace(members[0], language=MACRO, signature=signature),
                replace(mean, clusters=pooled.get(key, distinct)),
                insufficient=any(finding.insufficient for finding in members),
            )
        )
    return means
