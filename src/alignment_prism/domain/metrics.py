"""Metrics: what is measured, in which unit, over which replies, how it is estimated, and which way is better.

Evaluation goes by the estimator, gates by the direction, reports and docs by title, unit and words. The metrics of
outcomes and comparisons stand in `metric_table`, those that come with a rule in the rule's file (`scoring.rules`);
`alignment_prism.scoring.metrics` has all of them together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from alignment_prism.domain.records import PromptKind


@dataclass(frozen=True, slots=True)
class Unit:
    """How a number is written and drawn.

    Attributes:
        name: shown beside the number.
        scale: a stored value times this is the number that is shown.
        signed: whether it is shown with its sign, as changes are.
        low: least value that is possible, as stored; -inf where there is none.
        high: greatest, likewise.
        decimals: digits after the point.
    """

    name: str
    scale: float = 1.0
    signed: bool = False
    low: float = -math.inf
    high: float = math.inf
    decimals: int = 1

    def text(self, value: float, *, short: bool = False) -> str:
        """One number as it is shown, with a digit less if it is to be short.

        Example:
            >>> SHARE.text(0.123), POINTS.text(0.1), Unit("words").text(7.25, short=True)
            ('12.3', '+10.0', '7')
        """
        if math.isinf(value):
            return "-inf" if value < 0 else "inf"
        return f"{value * self.scale:{'+' if self.signed else ''}.{self.decimals - short}f}"

    def change(self) -> Unit:
        """The unit of a difference of two such numbers."""
        name = "percentage points" if self == SHARE else self.name
        reach = self.high - self.low
        return Unit(name, self.scale, True, -reach, reach, self.decimals)


SHARE = Unit("per cent", 100.0, low=0.0, high=1.0)
"""A share: stored as 0 to 1, shown in per cent."""

POINTS = SHARE.change()
"""A difference of shares: stored as -1 to 1, shown in percentage points."""

PER_CENT_OF_BASE = Unit("per cent of base", 1.0, True, -100.0, 100.0)
"""A relative change, stored and shown in per cent; it may exceed 100, and is drawn up to there."""

PER_CENT_UNITS = (SHARE, POINTS, PER_CENT_OF_BASE)
"""Units that tables show without a name; they say "per cent" once."""

RANK = Unit("rank", low=1.0)
"""A rank, 1 the best; its interval is the range of ranks that the data allow."""

AGREEMENT = Unit("1 at most", high=1.0, decimals=2)
"""Of coefficients of agreement: 0 is what chance gives."""

NUMBER = Unit("", decimals=3)
"""A number of a metric that nobody has described."""


@dataclass(frozen=True, slots=True)
class Denominator:
    """Which replies or prompts a metric is a share or a mean of.

    Attributes:
        words: in words, as in "share of ...".
        kinds: of the prompts that count.
        checkable: whether only prompts with a reference answer count.
    """

    words: str
    kinds: tuple[PromptKind, ...] = tuple(PromptKind)
    checkable: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """Share of the replies that have a label, among those that have any; or of those with value 1, among 0 and 1.

    Attributes:
        score: name of the scores.
        label: that counts; empty for scores that are 0 or 1.
    """

    score: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class ShareOrMarked:
    """Share of the replies that have a label or of which another score is 1, among those that have any label.

    Attributes:
        score: name of the scores with labels.
        label: that counts.
        mark: name of the scores that are 0 or 1.
    """

    score: str
    label: str
    mark: str


@dataclass(frozen=True, slots=True)
class AnyReply:
    """Share of the prompts to which some reply has a label, among those whose replies are all scored.

    Attributes:
        score: name of the scores.
        label: that counts.
    """

    score: str
    label: str


@dataclass(frozen=True, slots=True)
class AnyVariant:
    """Share of the prompts that have variants, in other scripts for example, of which some variant or the prompt itself
    has a reply with a label, among those whose replies are all scored.

    Attributes:
        score: name of the scores.
        label: that counts.
    """

    score: str
    label: str


@dataclass(frozen=True, slots=True)
class BothSides:
    """Share of the norms of which no reply where they hold has one label, and no reply where they do not has another.

    Attributes:
        score: name of the scores.
        inside: label that a reply must not have where the norm holds.
        outside: label that a reply must not have where it does not.
    """

    score: str
    inside: str
    outside: str


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of the values of the scores of a name."""

    score: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """One number of all replies together, made from the sums of the counts that the scores of a name carry."""

    score: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Share of the replies that have no usable score of a name."""

    score: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of an arm minus that of base, on the prompts that both have it of."""

    of: str


@dataclass(frozen=True, slots=True)
class RelativeChange:
    """The difference to base as a share of base's value, paired by prompt."""

    of: str


@dataclass(frozen=True, slots=True)
class Bound:
    """What a metric would be if every reply without a score counted as `missing` (and, in a difference, those of base
    as the opposite)."""

    of: str
    missing: float


@dataclass(frozen=True, slots=True)
class Transition:
    """What became of the replies with a label, from base to an arm.

    Attributes:
        score: name of the scores.
        label: of the replies that are followed.
        way: `to`: base's replies with the label, by what the arm says; `from`: the arm's, by what base said.
        other: label on the other side that is counted.
    """

    score: str
    label: str
    way: Literal["to", "from"]
    other: str


@dataclass(frozen=True, slots=True)
class Rank:
    """Rank of the arms by a metric."""

    of: str


@dataclass(frozen=True, slots=True)
class Preference:
    """Mean over prompts of what a comparison with base's reply counts for.

    Attributes:
        win: what a prompt counts on which the reply is preferred in both orders.
        tie: what a tied prompt counts.
        loss: what a lost prompt counts.
    """

    win: float
    tie: float
    loss: float


@dataclass(frozen=True, slots=True)
class JudgeCorrected:
    """A metric without the errors of the judge, which labels of people have shown; it never takes the metric's place.

    The signature says by what: `labels:N` on a drawn sample (`labels.correct`), or `passport:DIGEST` of the judge.
    """

    of: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the members of a panel agree on the scores of a name.

    Attributes:
        score: name of the scores.
        coefficient: `raw`, the share of pairs of members who say the same, or `krippendorff`, alpha of nominal labels.
    """

    score: str
    coefficient: Literal["raw", "krippendorff"]


Estimator = (
    Share
    | ShareOrMarked
    | AnyReply
    | AnyVariant
    | BothSides
    | Mean
    | Corpus
    | Missing
    | Difference
    | RelativeChange
    | Bound
    | Transition
    | Rank
    | Preference
    | JudgeCorrected
    | Agreement
)


@dataclass(frozen=True, slots=True)
class Metric:
    """What a number of the findings is.

    Attributes:
        name: as in the findings.
        words: the definition.
        title: short, for the heads of tables.
        unit: how it is written.
        better: which way is better; None where that depends on the prompts or there is no better.
        denominator: what it is a share or a mean of.
        estimator: how it is estimated, and from what.
        headline: kinds of prompts for which it stands in the summary of a report.
    """

    name: str
    words: str
    title: str
    unit: Unit
    better: Literal["lower", "higher"] | None
    denominator: Denominator
    estimator: Estimator
    headline: tuple[PromptKind, ...] = ()

    def difference(self, name: str = "", *, headline: tuple[PromptKind, ...] = ()) -> Metric:
        """The metric that is this one minus that of base, on the same prompts.

        Args:
            name: of the new metric; `NAME_difference` where it is empty.
            headline: kinds of prompts for which it stands in the summary.
        """
        return Metric(
            name or f"{self.name}_difference",
            f"{self.title} minus that of base on the same prompts",
            f"{self.title} vs base",
            self.unit.change(),
            self.better,
            self.denominator,
            Difference(self.name),
            headline,
        )


def undescribed(name: str) -> Metric:
    """What can be said of a metric that no table has: its numbers are shown as they are."""
    return Metric(name, "", name.replace("_", " "), NUMBER, None, Denominator("replies"), Mean(name))
