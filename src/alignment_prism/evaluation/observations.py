"""Who was asked what, and what came of it: prompts, replies and scores joined into arrays.

Nothing is lost in the join: a reply without an outcome is there as unjudged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.metrics import Mean, Missing, Share
from alignment_prism.domain.records import OUTCOME, Generation, Outcome, Prompt, Score, content_digest
from alignment_prism.generation.completeness import check_generations
from alignment_prism.scoring.scorer import deciding

OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)
"""Outcomes by the code that stands for them in `Observations.outcomes`."""

UNJUDGED = OUTCOMES.index(Outcome.UNJUDGED)

_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}


@dataclass(frozen=True)
class NamedScores:
    """What one scorer says of all replies to P prompts under one name.

    Attributes:
        name: of the scores.
        scorer: who says it.
        rubric: `name@version` of what a judge was asked, empty for other scorers.
        values: arm -> P x k numbers, NaN where there is none.
        labels: arm -> P x k words, empty where there is none.
    """

    name: str
    scorer: str
    rubric: str
    values: Mapping[str, npt.NDArray[np.float64]]
    labels: Mapping[str, npt.NDArray[np.str_]]

    def hits(self, arm: str, label: str) -> npt.NDArray[np.float64]:
        """P x k: 1 where the reply has the label, 0 where it has another, NaN where it has none; without a label the
        values themselves.

        Raises:
            InputError: there is no label to look for and a value is neither 0 nor 1.
        """
        if label:
            words = self.labels[arm]
            return np.where(words == "", np.nan, (words == label).astype(np.float64))
        values = self.values[arm]
        wrong = values[~np.isnan(values) & (values != 0.0) & (values != 1.0)]
        if len(wrong):
            raise InputError(
                f"{self.scorer} gives {wrong[0]:g} as {self.name}, which counts as a share",
                fix="give 0 or 1, or describe the metric as a mean",
            )
        return values

    def of(self, arm: str, estimator: Share | Mean | Missing) -> npt.NDArray[np.float64]:
        """P x k numbers whose mean a metric of these scores is."""
        if isinstance(estimator, Share):
            return self.hits(arm, estimator.label)
        if isinstance(estimator, Missing):
            return np.where(np.isnan(self.values[arm]) & (self.labels[arm] == ""), 1.0, 0.0)
        return self.values[arm]

    @property
    def judged(self) -> bool:
        """Whether they are a judge's, who is asked behind the guards: judges have a rubric."""
        return bool(self.rubric)

    @property
    def said(self) -> npt.NDArray[np.bool_]:
        """Of P prompts: whether a reply of any arm has a score."""
        there = [(~np.isnan(self.values[arm]) | (self.labels[arm] != "")).any(axis=1) for arm in self.values]
        return np.asarray(np.any(there, axis=0))


@dataclass(frozen=True)
class Observations:
    """All replies to P prompts with what is said of them.

    Attributes:
        prompts: the P prompts.
        outcomes: arm -> P x k codes into `OUTCOMES`.
        scorer: who says the outcomes.
        rubric: `name@version` of the rubric.
        scores: what is said of the replies under other names.
        temperatures: arm -> the temperatures of its replies, in words; arms with greedy replies alone are absent.
    """

    prompts: Sequence[Prompt]
    outcomes: Mapping[str, npt.NDArray[np.int8]]
    scorer: str
    rubric: str
    scores: Mapping[str, NamedScores] = field(default_factory=dict)
    temperatures: Mapping[str, str] = field(default_factory=dict)

    judged = True
    """Outcomes are a judge's, behind the guards."""

    @property
    def clusters(self) -> npt.NDArray[np.str_]:
        """The P names of independent clusters."""
        return np.array([prompt.cluster for prompt in self.prompts], dtype=np.str_)

    def tells(self, outcome: Outcome) -> bool:
        """Whether the judge tells this outcome from the others: some know of harm only, and say nothing of refusals."""
        knows_harm_only = any((codes == _CODES[Outcome.NOT_HARMFUL]).any() for codes in self.outcomes.values())
        if outcome in (Outcome.REFUSAL, Outcome.SAFE_HELP):
            return not knows_harm_only
        return knows_harm_only or outcome is not Outcome.NOT_HARMFUL

    def hits(self, arm: str, outcome: Outcome) -> npt.NDArray[np.float64]:
        """P x k: 1 where the reply has the outcome, 0 where it has another, NaN where it is unjudged."""
        codes = self.outcomes[arm]
        return np.where(codes == UNJUDGED, np.nan, (codes == _CODES[outcome]).astype(np.float64))

    def values(self, arm: str, estimator: Share | Mean | Missing) -> npt.NDArray[np.float64] | None:
        """P x k numbers whose mean a metric is, whatever scores it rests on; None where there are no such scores."""
        if estimator.score != OUTCOME:
            scores = self.scores.get(estimator.score)
            return None if scores is None else scores.of(arm, estimator)
        if not self.scorer:
            return None
        if isinstance(estimator, Share):
            return self.hits(arm, Outcome(estimator.label))
        return np.where(self.outcomes[arm] == UNJUDGED, 1.0, 0.0)


def observe(prompts: Sequence[Prompt], generations: Sequence[Generation], scores: Sequence[Score]) -> Observations:
    """Join prompts, replies and scores.

    A score belongs to a reply by the digest of prompt and reply, so that scores of another model's answer to the same
    prompt never land here. Scores of the very reply (arm and sample too) go before those of an equal one.

    Of a panel of judges its own scores count, and not those of its members.

    Raises:
        InputError: replies do not fit the prompts (`check_generations`); scores of one name are of several scorers or
            rubrics; two scores of one reply by one scorer differ.
    """
    scores = deciding(scores)
    samples = check_generations(prompts, generations)
    row = {prompt.id: number for number, prompt in enumerate(prompts)}
    column = _columns(generations)

    digests = [generation.reply_digest for generation in generations]

    def places(lookup: _Lookup) -> Iterator[tuple[str, tuple[int, int], Score]]:
        for generation, digest in zip(generations, digests, strict=True):
            arm, prompt_id = generation.arm, generation.prompt_id
            if (found := lookup.find(generation, digest)) is not None:
                yield arm, (row[prompt_id], column[arm, prompt_id, generation.sample]), found

    by_name: dict[str, list[Score]] = {OUTCOME: []}
    for score in scores:
        by_name.setdefault(score.name, []).append(score)
    shapes = {arm: (len(prompts), k) for arm, k in samples.items()}
    outcomes = {arm: np.full(shape, UNJUDGED, np.int8) for arm, shape in shapes.items()}
    for arm, at, found in places(_Lookup(judged := by_name.pop(OUTCOME))):
        outcomes[arm][at] = _CODES[found.outcome or Outcome.UNJUDGED]
    named = {}
    for name, said in by_name.items():
        values = {arm: np.full(shape, np.nan) for arm, shape in shapes.items()}
        labels = {arm: np.full(shape, "", object) for arm, shape in shapes.items()}
        for arm, at, found in places(_Lookup(said)):
            values[arm][at], labels[arm][at] = found.value, found.label
        words = {arm: table.astype(np.str_) for arm, table in labels.items()}
        named[name] = NamedScores(name, *_source(name, said), values, words)
    return Observations(prompts, outcomes, *_source(OUTCOME, judged), named, _temperatures(generations))


def _temperatures(generations: Sequence[Generation]) -> dict[str, str]:
    found: dict[str, set[float]] = {}
    for generation in generations:
        found.setdefault(generation.arm, set()).add(generation.temperature)
    return {arm: ",".join(f"{each:g}" for each in sorted(values)) for arm, values in found.items() if any(values)}


class _Lookup:
    """Scores of one scorer and name, by reply.

    Raises:
        InputError: two scores of one reply differ.
    """

    def __init__(self, scores: Sequence[Score]) -> None:
        self._exact: dict[tuple[str, str, int], Score] = {}
        self._equal: dict[str, Score] = {}
        for score in scores:
            other = self._exact.setdefault((score.reply_digest, score.arm, score.sample), score)
            if other is not score and not _agree(other, score):
                raise InputError(
                    f"two scores ({score.name}) of the reply to prompt {score.prompt_id} (arm {score.arm}, sample "
                    f"{score.sample}) differ: {other.label or other.value} and {score.label or score.value}",
                    fix="keep one score of each scorer and reply",
                )
            if score.outcome is not Outcome.UNJUDGED:
                self._equal.setdefault(score.reply_digest, score)

    def find(self, generation: Generation, digest: str) -> Score | None:
        """The score of the very reply, whose digest is given, else of an equal one, else None."""
        found = self._exact.get((digest, generation.arm, generation.sample))
        if found is None and generation.reply:  # an empty reply can be empty for reasons of its own
            found = self._equal.get(digest)
        return found


def _agree(one: Score, other: Score) -> bool:
    return one.label == other.label and (one.value == other.value or math.isnan(one.value) and math.isnan(other.value))


def _columns(generations: Sequence[Generation]) -> dict[tuple[str, str, int], int]:
    """Column of each reply among those to its prompt: samples in order, whatever number the first one has."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for generation in generations:
        numbers.setdefault((generation.arm, generation.prompt_id), []).append(generation.sample)
    return {
        (arm, prompt_id, sample): column
        for (arm, prompt_id), samples in numbers.items()
        for column, sample in enumerate(sorted(samples))
    }


def _source(name: str, scores: Sequence[Score]) -> tuple[str, str]:
    """The scorer of some scores of one name, and its rubric."""
    sources = {(score.scorer, score.rubric) for score in scores}
    for what, found in (("scorers", {scorer for scorer, _ in sources}), ("rubrics", {rubric for _, rubric in sources})):
        if len(found) > 1:
            raise InputError(
                f"the scores of name {name!r} are of several {what}: {', '.join(sorted(found))}",
                fix="analyse one scorer and one rubric of a name at a time",
            )
    return next(iter(sources), ("", ""))


def prompts_label(prompts: Sequence[Prompt]) -> str:
    """Name and digest of a prompt set for signatures: `name@` and eight digits over ids, languages and texts.

    The name is that of the source, if all prompts have the same one, and `mixed` otherwise.
    """
    sources = {PurePath(prompt.source.partition("@")[0]).stem for prompt in prompts}
    name = next(iter(sources)) if len(sources) == 1 else "mixed"
    digest = content_digest(sorted((p.id, p.language, p.kind, p.text) for p in prompts))
    return f"{name or 'prompts'}@{digest[:8]}"
