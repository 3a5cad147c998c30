"""How well a cue tells the preferred reply of a pair: cross-validated, clustered by group, language by language.

A logistic regression without intercept on the differences of the sides is fitted on the groups of all folds but one
and asked about the pairs of that one. Its AUC is the probability that the preferred reply of a pair gets the higher
score, a tie being one half; 0.5 says that the cue tells nothing. A group is a prompt with all that descends from its
seed: its pairs are in one fold and are one cluster of the interval, which is wide where there are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import minimize

from alignment_prism.domain import Pair, content_digest
from alignment_prism.preferences.cues import Cue, differences
from alignment_prism.statistics.grouped import clustered_rate
from alignment_prism.statistics.intervals import Floats, Interval

FOLDS = 5
"""Of the cross-validation."""

FEWEST_PROMPTS = 20
"""Different prompts of a language below which nothing is said of it: four a fold."""

FEWEST_GROUPS = FOLDS
"""Groups of a language below which nothing is said of it: one a fold."""

RIDGE = 0.1
"""Weight of the penalty |w|^2 / 2 beside the sum of the losses; rows have a length of about one."""

THRESHOLD = 0.7
"""AUC above whose value the whole interval must lie for a cue to be flagged. Ours: no source sets one."""

ALL = "all"
"""In the place of a language: the pairs of all languages that are measured, each by its own classifier."""


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one cue tells the preferred side in one language.

    Attributes:
        cue: its name.
        language: code, or `all`.
        auc: with its interval; NaN in [0, 1] where nothing can be said.
        flagged: whether the whole interval lies above the threshold.
    """

    cue: str
    language: str
    auc: Interval
    flagged: bool

    @property
    def is_known(self) -> bool:
        """Whether there were enough prompts to say anything."""
        return not np.isnan(self.auc.estimate)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        known = self.is_known
        return {
            "cue": self.cue,
            "language": self.language,
            "auc": round(self.auc.estimate, 4) if known else None,
            "lower": round(self.auc.lower, 4),
            "upper": round(self.auc.upper, 4),
            "interval": self.auc.name,
            "pairs": self.auc.n,
            "groups": self.auc.clusters,
            "flagged": self.flagged,
        }


def prompt_of(pair: Pair) -> str:
    """Digest of the conversation up to the replies."""
    return content_digest([turn.as_dict() for turn in pair.messages])


def group_of(pair: Pair) -> str:
    """What pairs that are no independent evidence have in common: their group, or else their prompt."""
    return pair.group or prompt_of(pair)


def can_be_measured(pairs: Sequence[Pair]) -> bool:
    """Whether there are enough prompts and groups of one language to say anything of it."""
    return len(set(map(prompt_of, pairs))) >= FEWEST_PROMPTS and len(set(map(group_of, pairs))) >= FEWEST_GROUPS


def fold_numbers(groups: Sequence[str], folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """A fold for every row, the same for rows of one group; by digests, whatever the order of the rows."""
    order = sorted(set(groups), key=content_digest)
    fold = {group: number % folds for number, group in enumerate(order)}
    return np.asarray([fold[group] for group in groups], np.int64)


def fit(rows: sparse.csr_array, ridge: float = RIDGE) -> Floats:
    """Weights w that minimise sum_i log(1 + exp(-w . d_i)) + ridge |w|^2 / 2 over differences d_i."""

    def loss(weights: Floats) -> tuple[float, Floats]:
        margins = rows @ weights
        value = np.logaddexp(0.0, -margins).sum() + 0.5 * ridge * weights @ weights
        gradient = -(rows.T @ (1.0 / (1.0 + np.exp(np.clip(margins, -500, 500))))) + ridge * weights
        return float(value), np.asarray(gradient, np.float64)

    start = np.zeros(rows.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x, np.float64)


def margins(pairs: Sequence[Pair], cues: Sequence[Cue]) -> Floats:
    """Score of the chosen side less that of the rejected, each by a classifier that has not seen the pair's group."""
    rows = differences(pairs, cues)
    folds = fold_numbers([group_of(pair) for pair in pairs])
    found = np.zeros(len(pairs))
    for fold in np.unique(folds):
        held = folds == fold
        if held.all():
            continue
        found[held] = rows[held] @ fit(sparse.csr_array(rows[~held]))
    return found


def separations(
    pairs: Sequence[Pair], cues: Sequence[Cue], *, threshold: float = THRESHOLD, level: float = 0.95
) -> list[Separation]:
    """How well each cue alone tells the preferred side, language by language, then over all of them.

    Args:
        pairs: of any languages.
        cues: to try.
        threshold: see `THRESHOLD`.
        level: of the intervals.

    Degenerate cases: a language of fewer than `FEWEST_PROMPTS` prompts or `FEWEST_GROUPS` groups has no estimate and is
    in no total; a cue that says nothing of any pair (no generator is named) is 0.5.
    """
    by_language: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_language.setdefault(pair.language, []).append(pair)
    measured = {language: can_be_measured(members) for language, members in by_language.items()}
    found: list[Separation] = []
    for cue in cues:
        told: list[float] = []
        groups: list[str] = []
        for language, members in sorted(by_language.items()):
            names = [group_of(pair) for pair in members]
            if not measured[language]:
                unknown = Interval(float("nan"), 0.0, 1.0, "none", len(members), len(set(names)), level=level)
                found.append(Separation(cue.name, language, unknown, False))
                continue
            right = _told(margins(members, (cue,)))
            found.append(_separation(cue, language, right, names, threshold, level))
            told += right.tolist()
            groups += names
        if len(by_language) > 1 and told:
            found.append(_separation(cue, ALL, np.asarray(told), groups, threshold, level))
    return found


def _told(scores: Floats) -> Floats:
    return np.where(scores > 0, 1.0, np.where(scores < 0, 0.0, 0.5))


def _separation(
    cue: Cue, language: str, told: Floats, groups: Sequence[str], threshold: float, level: float
) -> Separation:
    auc = clustered_rate(told, list(groups), level)
    return Separation(cue.name, language, auc, bool(auc.lower > threshold))
