"""What every scorer is: something that says of replies, under names, what they are or how much of something they have.

A judge is a scorer (`scoring.judge`), and so are the rules (`scoring.rules`); a panel of judges, a guard model or an
overlap with a reference is one more class with these four members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.records import (
    CATEGORIES,
    CORRECT,
    FOREIGN_REFUSAL,
    OUTCOME,
    POLICY,
    TRANSLATION,
    Generation,
    Prompt,
    Score,
)

PANEL = "panel:"
"""How the id of a panel of judges begins."""

OF_JUDGES = (OUTCOME, FOREIGN_REFUSAL, CORRECT, CATEGORIES, POLICY, TRANSLATION)
"""Names of the scores that judges make."""


def deciding(scores: Sequence[Score]) -> list[Score]:
    """The scores that count: where a panel judged, what its members say one by one is left out."""
    if not any(score.scorer.startswith(PANEL) for score in scores):
        return list(scores)
    return [score for score in scores if score.name not in OF_JUDGES or score.scorer.startswith(PANEL)]


class Scorer(Protocol):
    """Something that makes scores of replies."""

    @property
    def id(self) -> str:
        """As it stands in `Score.scorer`: an Inspect model id, or a rule with its version."""
        ...

    @property
    def makes(self) -> tuple[str, ...]:
        """Names of the scores that it makes (`Score.name`)."""
        ...

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Find out before any work whether it lacks what it needs (an address, reference answers); nothing is called.

        Raises:
            PrismError: what is missing.
        """
        ...

    def score(self, prompts: Sequence[Prompt], generations: Sequence[Generation]) -> list[Score]:
        """Scores of the replies, in their order; none where the scorer has nothing to say of a reply.

        Raises:
            InputError: a reply belongs to none of the prompts.
        """
        ...


def prompt_of(generation: Generation, prompts: Mapping[str, Prompt]) -> Prompt:
    """The prompt that a reply is to.

    Raises:
        InputError: it is not among the prompts.
    """
    if generation.prompt_id not in prompts:
        raise InputError(
            f"the reply to prompt {generation.prompt_id} belongs to none of the prompts",
            fix="give the prompts file that the replies were generated from",
        )
    return prompts[generation.prompt_id]
