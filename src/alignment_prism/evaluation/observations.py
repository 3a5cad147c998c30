"""Who was asked what, and what came of it: prompts, replies and verdicts joined into arrays.

Nothing is lost in the join: a reply without a verdict is there as unjudged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.records import CORRECT, OUTCOME, Generation, Outcome, Prompt, Score, content_digest
from alignment_prism.generation.completeness import check_generations

OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)
"""Outcomes by the code that stands for them in `Observations.outcomes`."""

UNJUDGED = OUTCOMES.index(Outcome.UNJUDGED)

_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}


@dataclass(frozen=True)
class Observations:
    """All replies to P prompts with their verdicts.

    Attributes:
        prompts: the P prompts.
        outcomes: arm -> P x k codes into `OUTCOMES`.
        correct: arm -> P x k: 1 right, 0 wrong, NaN where nobody says.
        judge: scorer of the outcomes.
        rubric: `name@version` of the rubric.
    """

    prompts: Sequence[Prompt]
    outcomes: Mapping[str, npt.NDArray[np.int8]]
    correct: Mapping[str, npt.NDArray[np.float64]]
    judge: str
    rubric: str

    @property
    def clusters(self) -> npt.NDArray[np.str_]:
        """The P names of independent clusters."""
        return np.array([prompt.cluster for prompt in self.prompts], dtype=np.str_)

    def hits(self, arm: str, outcome: Outcome) -> npt.NDArray[np.float64]:
        """P x k: 1 where the reply has the outcome, 0 where it has another, NaN where it is unjudged."""
        codes = self.outcomes[arm]
        return np.where(codes == UNJUDGED, np.nan, (codes == _CODES[outcome]).astype(np.float64))


def observe(prompts: Sequence[Prompt], generations: Sequence[Generation], scores: Sequence[Score]) -> Observations:
    """Join prompts, replies and scores.

    A score belongs to a reply by the digest of prompt and reply, so that scores of another model's answer to the same
    prompt never land here. Scores of the very reply (arm and sample too) go before those of an equal one.

    Raises:
        InputError: replies do not fit the prompts (`check_generations`); the outcomes are of several scorers or
            rubrics; two scores of one reply by one scorer differ.
    """
    samples = check_generations(prompts, generations)
    judged = [score for score in scores if score.name == OUTCOME]
    judge = _only({score.scorer for score in judged}, "judges")
    rubric = _only({score.rubric for score in judged}, "rubrics")
    outcome_of = _Lookup(judged)
    correct_of = _Lookup([score for score in scores if score.name == CORRECT and score.scorer == judge])
    row = {prompt.id: number for number, prompt in enumerate(prompts)}
    outcomes = {arm: np.full((len(prompts), k), UNJUDGED, np.int8) for arm, k in samples.items()}
    correct = {arm: np.full((len(prompts), k), np.nan) for arm, k in samples.items()}
    column = _columns(generations)
    for generation in generations:
        at = row[generation.prompt_id], column[generation.arm, generation.prompt_id, generation.sample]
        if (outcome := outcome_of.find(generation)) is not None:
            outcomes[generation.arm][at] = _CODES[outcome.outcome or Outcome.UNJUDGED]
        if (right := correct_of.find(generation)) is not None:
            correct[generation.arm][at] = right.value
    return Observations(prompts, outcomes, correct, judge, rubric)


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
            if other.label != score.label or not np.array_equal(other.value, score.value, equal_nan=True):
                raise InputError(
                    f"two scores ({score.name}) of the reply to prompt {score.prompt_id} (arm {score.arm}, sample "
                    f"{score.sample}) differ: {other.label or other.value} and {score.label or score.value}",
                    fix="keep one score of each scorer and reply",
                )
            if score.outcome is not Outcome.UNJUDGED:
                self._equal.setdefault(score.reply_digest, score)

    def find(self, generation: Generation) -> Score | None:
        """The score of the very reply, else of an equal one, else None."""
        digest = generation.reply_digest
        found = self._exact.get((digest, generation.arm, generation.sample))
        if found is None and generation.reply:  # an empty reply can be empty for reasons of its own
            found = self._equal.get(digest)
        return found


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


def _only(names: set[str], what: str) -> str:
    if len(names) > 1:
        raise InputError(
            f"the verdicts are of several {what}: {', '.join(sorted(names))}",
            fix="analyse one judge and one rubric at a time",
        )
    return next(iter(names), "")


def prompts_label(prompts: Sequence[Prompt]) -> str:
    """Name and digest of a prompt set for signatures: `name@` and eight digits over ids, languages and texts.

    The name is that of the source, if all prompts have the same one, and `mixed` otherwise.
    """
    sources = {PurePath(prompt.source.partition("@")[0]).stem for prompt in prompts}
    name = next(iter(sources)) if len(sources) == 1 else "mixed"
    digest = content_digest(sorted((p.id, p.language, p.kind, p.text) for p in prompts))
    return f"{name or 'prompts'}@{digest[:8]}"
