"""The passport of a judge: how often it is right, by language, scope and origin of the prompts, as people say."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alignment_prism.domain import ALL, InputError, Label, Outcome, content_digest
from alignment_prism.io import write_json
from alignment_prism.labels.frame import Design, require_design
from alignment_prism.labels.places import Place
from alignment_prism.labels.ratings import Scale, rate
from alignment_prism.labels.sealed import read_sealed
from alignment_prism.statistics.clustered import cluster_variance, rate_from_variance
from alignment_prism.statistics.intervals import Floats, critical_value
from alignment_prism.statistics.raters.annotators import AnnotatorError

VERSION = 1
"""Of the file."""

ENOUGH = 20
"""Labelled replies with the outcome, and without, from which on a cell of a passport is used."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval, and the labelled replies that it is of."""

    estimate: float
    lower: float
    upper: float
    labels: int


@dataclass(frozen=True, slots=True)
class PassportCell:
    """How often a judge is right on some replies.

    Attributes:
        language: code, or `all`.
        scope: global, local, or `all`.
        origin: of the prompts, or `all`.
        sensitivity: share that the judge gives the outcome, of the replies that people give it.
        specificity: share that it does not, of the others.
    """

    language: str
    scope: str
    origin: str
    sensitivity: Share
    specificity: Share

    @property
    def insufficient(self) -> bool:
        """Whether it rests on too few labels to correct with."""
        return min(self.sensitivity.labels, self.specificity.labels) < ENOUGH

    def error(self, level: float) -> AnnotatorError:
        """The judge's error with its variance, half a wrong and half a right reply added to each share.

        Args:
            level: of the intervals.

        Raises:
            InputError: the judge is no better than chance.
        """
        rates, variances = [], []
        for share in (self.sensitivity, self.specificity):
            rates.append((share.estimate * share.labels + 0.5) / (share.labels + 1))
            variances.append(((share.upper - share.lower) / (2 * critical_value(level))) ** 2)
        return AnnotatorError(rates[0], rates[1], variances[0], variances[1])


@dataclass(frozen=True, slots=True)
class Passport:
    """What labelled replies say of a judge.

    Attributes:
        judge: its name.
        rubric: that it was asked; empty where nobody says.
        outcome: that is asked about.
        source: names of the labelled sets.
        labels: labelled replies with a verdict.
        cells: by language, scope and origin; the first is over all.
        level: of the intervals.
    """

    judge: str
    rubric: str
    outcome: Outcome
    source: tuple[str, ...]
    labels: int
    cells: tuple[PassportCell, ...]
    level: float = 0.95

    @property
    def digest(self) -> str:
        """Key of its content."""
        return content_digest(asdict(self))

    def cell(self, language: str, scope: str, origin: str = ALL) -> PassportCell | None:
        """The cell, or None where there are no labels of it."""
        wanted = (language, scope, origin)
        return next((cell for cell in self.cells if (cell.language, cell.scope, cell.origin) == wanted), None)

    def write(self, path: str | Path) -> None:
        """Write it as JSON."""
        write_json(path, {"passport": VERSION, "digest": self.digest, **asdict(self)})

    @classmethod
    def read(cls, path: str | Path) -> Passport:
        """Read what `write` wrote.

        Raises:
            InputError: it cannot be read, is no passport, is of another version, or was altered.
        """

        def make(content: dict[str, Any]) -> Passport:
            version = content.pop("passport")
            if version != VERSION:
                raise InputError(f"a passport of version {version!r}", where=str(path), fix="make it anew")
            cells = tuple(
                PassportCell(**{**cell, **{name: Share(**cell[name]) for name in ("sensitivity", "specificity")}})
                for cell in content.pop("cells")
            )
            content |= {"outcome": Outcome(content["outcome"]), "source": tuple(content["source"])}
            return cls(**content, cells=cells)

        fix = "give a file that `prism labels passport` wrote"
        return read_sealed(path, "digest", make, what="passport", altered="the passport was altered", fix=fix)


def measure_passport(
    labels: Sequence[Label],
    judge: str,
    places: Mapping[str, Place],
    *,
    scale: Scale | None = None,
    people: Collection[str] | None = None,
    rubric: str = "",
    source: Sequence[str] = (),
    design: Design | None = None,
    level: float = 0.95,
) -> Passport:
    """Sensitivity and specificity of a judge against what people say together (`Scale.joint`), by cell.

    A reply that people tie on is half of each. On a drawn sheet every reply counts as often as the draw says. Variances
    are by source prompt, intervals Wilson's at the effective size.

    Args:
        labels: of people and of the judge.
        judge: rater of `labels`.
        places: by reply; those without one are in the cells over all.
        scale: how labels are read.
        people: raters that are people; all others unless given.
        rubric: of the judge.
        source: names of the labelled sets.
        design: of the sample that the labels were drawn in.
        level: of the intervals.

    Raises:
        InputError: nothing of a rater can be read, the judge or the people are missing, they share no reply, or labels
            of a drawn sheet come without its design.
    """
    scale = scale or Scale(design.outcome if design else Outcome.HARMFUL)
    if scale.categories and len(scale.categories) != 2:
        raise InputError(
            f"{len(scale.categories)} categories", fix="name two, or a threshold: the outcome is there or not"
        )
    require_design(labels, design)
    ratings = rate(labels, scale)
    ratings.require_readable()
    named = [name for name in ratings.raters if name != judge and (people is None or name in people)]
    if judge not in ratings.raters or not named:
        missing = "no people" if judge in ratings.raters else f"no judge {judge!r}"
        raise InputError(f"{missing} among {', '.join(ratings.raters)}", fix="name the judge as the files do")
    event = scale.order[1]
    column, others = ratings.raters.index(judge), [ratings.raters.index(name) for name in named]
    rows: list[tuple[Place, float, float, float]] = []
    weights = None if design is None else design.weights(ratings.replies)
    for reply, words in zip(ratings.replies, ratings.words, strict=True):
        said = scale.joint(word for i in others if (word := words[i]) is not None)
        verdict = None if words[column] is None else scale.read(words[column] or "")
        weight = 1.0 if weights is None else weights.get(reply, 0.0)
        if said and verdict is not None and weight > 0:
            place = places.get(reply, Place(reply))
            rows.append((place, said.get(event, 0.0), float(verdict == event), weight))
    if not rows:
        raise InputError(
            f"no reply has labels of people and a verdict of {judge!r}", fix="give both, with the same keys"
        )
    cells: dict[tuple[str, str, str], list[tuple[Place, float, float, float]]] = {}
    for row in rows:
        place = row[0]
        for key in {
            (language, scope, origin)
            for language in (ALL, place.language or ALL)
            for scope in (ALL, place.scope or ALL)
            for origin in (ALL, place.origin or ALL)
        }:
            cells.setdefault(key, []).append(row)
    order = sorted(cells, key=lambda key: [(name != ALL, name) for name in key])
    found = tuple(PassportCell(*key, *_shares(cells[key], level)) for key in order)
    return Passport(judge, rubric, scale.outcome, tuple(source), len(rows), found, level)


def _shares(rows: Sequence[tuple[Place, float, float, float]], level: float) -> tuple[Share, Share]:
    truth, flag, weight = (np.array([row[i] for row in rows]) for i in (1, 2, 3))
    clusters = np.array([row[0].cluster for row in rows])
    return _share(flag, weight * truth, clusters, level), _share(1 - flag, weight * (1 - truth), clusters, level)


def _share(right: Floats, weight: Floats, clusters: Any, level: float) -> Share:
    """Weighted share with Wilson's interval at the size that its clustered variance leaves."""
    held = weight > 0
    right, weight, clusters = right[held], weight[held], clusters[held]
    n = len(right)
    if n == 0:
        return Share(math.nan, 0.0, 1.0, 0)
    weight = weight / weight.mean()
    estimate = float((weight @ right) / n)
    variance, number = cluster_variance(weight * (right - estimate), clusters)
    found = rate_from_variance(
        min(max(estimate, 0.0), 1.0), variance, number - 1, n=n, clusters=number, level=level, name="wilson",
        most=float(n**2 / np.sum(weight**2)),
    )  # fmt: skip
    return Share(estimate, found.lower, found.upper, n)
