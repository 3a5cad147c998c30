"""Training metrics per language x scope, kept as exact sums and counts.

A mean of micro-batch means gives the members of a rare group more weight when they fall into small batches. Here
every observation enters its group's sum once and its count once; means are taken last, and sums of two processes
or of two steps simply add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alignment_prism.domain import Pair

NO_SCOPE = "none"
"""Scope of the groups of pairs that have none: general pairs, and safety pairs whose source does not say."""

Group = tuple[str, str]
"""(language, scope)."""


def group_of(pair: Pair) -> Group:
    """The group a pair is counted under."""
    return (pair.language, pair.scope.value if pair.scope is not None else NO_SCOPE)


@dataclass(slots=True)
class GroupSums:
    """Sums and counts of metrics by group.

    Attributes:
        totals: group -> metric -> [sum, count]. The unit of the count is the metric's own: tokens for `nll`, pairs
            for `loss`.
    """

    totals: dict[Group, dict[str, list[float]]] = field(default_factory=dict)

    def add(
        self, groups: Sequence[Group], metric: str, values: Sequence[float], counts: Sequence[float] | None = None
    ) -> None:
        """Add one value an example, with the count it stands for (1 where `counts` is None)."""
        for index, (group, value) in enumerate(zip(groups, values, strict=True)):
            cell = self.totals.setdefault(group, {}).setdefault(metric, [0.0, 0.0])
            cell[0] += value
            cell[1] += 1.0 if counts is None else counts[index]

    def merge(self, other: GroupSums) -> None:
        """Add the sums and counts of `other`, from another process or another stretch of steps."""
        for group, metrics in other.totals.items():
            for metric, (total, count) in metrics.items():
                cell = self.totals.setdefault(group, {}).setdefault(metric, [0.0, 0.0])
                cell[0] += total
                cell[1] += count

    def pooled(self) -> dict[str, tuple[float, float]]:
        """Metric -> (sum, count) over all groups."""
        result: dict[str, tuple[float, float]] = {}
        for metrics in self.totals.values():
            for metric, (total, count) in metrics.items():
                before = result.get(metric, (0.0, 0.0))
                result[metric] = (before[0] + total, before[1] + count)
        return result

    def mean(self, metric: str, group: Group | None = None) -> float:
        """Mean of a metric, in one group or over all; NaN where nothing was counted."""
        total, count = self.pooled().get(metric, (0.0, 0.0)) if group is None else self._cell(group, metric)
        return total / count if count else float("nan")

    def worst(self, metric: str) -> Group | None:
        """The group of the highest mean of a metric, NaN above all; the first by name of several, None where nothing
        was counted."""
        counted = [group for group in self if self._cell(group, metric)[1]]
        means = {group: self.mean(metric, group) for group in counted}
        return max(counted, key=lambda group: math.inf if math.isnan(means[group]) else means[group], default=None)

    def worst_row(self, metric: str) -> dict[str, Any] | None:
        """The same for the log: `{"language", "scope", metric: mean}`."""
        group = self.worst(metric)
        return None if group is None else {"language": group[0], "scope": group[1], metric: self.mean(metric, group)}

    def rows(self) -> list[dict[str, Any]]:
        """One plain row a group, sorted, for the log: `{"language", "scope", "metrics": {name: [sum, count]}}`."""
        return [
            {"language": language, "scope": scope, "metrics": {name: list(cell) for name, cell in metrics.items()}}
            for (language, scope), metrics in sorted(self.totals.items())
        ]

    def __iter__(self) -> Iterator[Group]:
        return iter(sorted(self.totals))

    def _cell(self, group: Group, metric: str) -> tuple[float, float]:
        total, count = self.totals.get(group, {}).get(metric, (0.0, 0.0))
        return total, count


def sums_from_rows(rows: Iterable[Mapping[str, Any]]) -> GroupSums:
    """The sums that `GroupSums.rows` wrote, for example those of one line of a training log."""
    sums = GroupSums()
    for row in rows:
        cells = {name: [float(total), float(count)] for name, (total, count) in row["metrics"].items()}
        sums.merge(GroupSums({(row["language"], row["scope"]): cells}))
    return sums
