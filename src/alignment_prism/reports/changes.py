"""Changes in words: what an interval shows, and of several alignments of an arm in how many it does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from alignment_prism.domain import Finding, Metric, PromptKind, Signature
from alignment_prism.domain.metrics import Difference
from alignment_prism.scoring.metrics import all_metrics, find_metric

FALSE_DISCOVERY = 0.05
"""Share of false alarms among the cells that are called changes; over seeds the chance of any, by Holm."""

HARMLESS = {
    PromptKind.BENIGN_MENTION: "requests that only mention a harmful topic",
    PromptKind.NEVER_HARMFUL: "requests about what is harmful nowhere",
    PromptKind.FOREIGN_LOCAL: "requests for what is harmful in another culture only",
}
"""Prompts whose refusals are a price, in words."""


@dataclass(frozen=True)
class Change:
    """A difference with its interval, from a finding or a contrast, in shares."""

    lower: float
    upper: float
    weak: bool
    by_chance: bool = False

    @property
    def side(self) -> int:
        """-1 where it is shown to be a fall, 1 a rise, 0 where neither is shown."""
        if self.weak or math.isnan(self.lower) or math.isnan(self.upper):
            return 0
        return -1 if self.upper < 0 else 1 if self.lower > 0 else 0

    @property
    def shown(self) -> int:
        """The same, and 0 where so many arms and cells are compared that one such interval may come about by chance."""
        return 0 if self.by_chance else self.side

    @property
    def points(self) -> str:
        """How much, in points: `12 to 30 points`."""
        ends = sorted(abs(100 * end) for end in (self.lower, self.upper))
        return f"{number(ends[0])} to {number(ends[1])} points"

    @property
    def either(self) -> str:
        """What is possible, where nothing is shown."""
        if any(not math.isfinite(end) for end in (self.lower, self.upper)):
            return "the data set no bound"
        return f"anything from {number(-100 * self.lower)} points less to {number(100 * self.upper)} points more"

    @property
    def words(self) -> str:
        """What it shows: `down by 12 to 30 points`."""
        way = "up" if self.side > 0 else "down"
        if self.shown:
            return f"{way} by {self.points}"
        if self.weak:
            return "too few to say"
        if self.side:
            return f"the interval lies on the side of {way}, by {self.points}, as one of so many may by chance"
        if math.isfinite(self.lower) and math.isfinite(self.upper):
            return f"no change is shown, {self.either} is compatible with the data"
        return "no change is shown"


def change_of(row: Finding) -> Change:
    """The change that a finding is."""
    metric = find_metric(row.metric)
    assert metric.unit.signed
    scale = metric.unit.scale / 100  # a point is a hundredth of a share, and 1 of a score of 100
    return Change(row.lower * scale, row.upper * scale, row.insufficient, by_chance(row))


def by_chance(row: Finding) -> bool:
    """Whether an interval on one side may come about by chance among so many arms and cells: what the false discovery
    rate of its cell says; over seeds, whose rows have none, Holm over arms."""
    return row.q_value > FALSE_DISCOVERY or said(row, "holm") > FALSE_DISCOVERY


def of_general_prompts() -> Iterator[tuple[Metric, Metric]]:
    """Changes of right answers and of the scores of translations, each with what it is a change of."""
    for metric in all_metrics().values():
        if isinstance(metric.estimator, Difference):
            of = find_metric(metric.estimator.of)
            if PromptKind.GENERAL in of.headline:
                yield metric, of


def said(row: Finding, name: str) -> float:
    """A number of the signature; NaN where it is not there."""
    return float(dict(Signature.parts(row.signature)).get(name, "nan"))


def in_words(changes: Sequence[Change]) -> str:
    """What the alignments of an arm show, each by itself: those that show the same together, with how many they are.

    Example:
        >>> in_words([Change(0.1, 0.2, False), Change(0.12, 0.3, False), Change(-0.1, 0.1, True)])
        'up by 10 to 30 points (in 2 of 3 seeds); too few to say (in 1 of 3 seeds)'
    """
    alike: dict[tuple[bool, int, int], list[Change]] = {}
    for change in changes:
        alike.setdefault((change.weak, change.side, change.shown), []).append(change)
    return "; ".join(
        Change(
            least(one.lower for one in own), -least(-one.upper for one in own), own[0].weak, own[0].by_chance
        ).words + in_seeds(len(own), len(changes))
        for own in alike.values()
    )  # fmt: skip


def least(values: Iterable[float]) -> float:
    """The least of some numbers, NaN where any is."""
    found = list(values)
    return math.nan if any(map(math.isnan, found)) else min(found)


def in_seeds(some: int, of: int) -> str:
    """` (in 2 of 3 seeds)`; nothing where there is one."""
    return f" (in {some} of {of} seeds)" if of > 1 else ""


def of_which(signs: Sequence[int], words: Mapping[int, tuple[str, str]]) -> str:
    """What seeds show by themselves, as a part of a sentence about all of them; nothing where none shows anything.

    Args:
        signs: one a seed.
        words: sign -> what is said of one seed, and of several.

    Example:
        >>> of_which([1, 0, 0], {1: ("goes up", "go up"), -1: ("goes down", "go down")})
        ', of which 1 by itself goes up'
    """
    found = [(signs.count(sign), said) for sign, said in words.items() if sign in signs]
    parts = [f"{n} by {'itself' if n == 1 else 'themselves'} {said[n > 1]}" for n, said in found]
    return f", of which {' and '.join(parts)}" if parts else ""


def number(value: float) -> str:
    """Points, short."""
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}"
