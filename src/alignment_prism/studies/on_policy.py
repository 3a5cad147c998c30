"""On-policy training in a spec: rounds of replies by the current model, ranked by a judge, that it is trained on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from alignment_prism.domain import InputError, Pair, PairKind
from alignment_prism.io.yaml import KeyFault
from alignment_prism.studies.generation import Calls
from alignment_prism.studies.judges import CompareSpec, JudgeSpec
from alignment_prism.studies.parts import Part
from alignment_prism.training.methods import find_method


class OnPolicySpec(Part):
    """Rounds of on-policy training (iterative DPO: Xiong et al. 2023, arXiv 2312.11456; Guo et al. 2024, arXiv
    2402.04792).

    In every round the model of the round before replies to prompts of the arm's mixture, several times each; judges
    compare couples of the replies; and the arm's method trains on the pairs that follow, from that model, which is its
    reference too. The first round's model is the arm's base. Every round leaves a model: arms that differ in nothing
    but `rounds` share those that they have in common.

    Attributes:
        rounds: how many.
        prompts: of each round, drawn from the mixture; all of them come before one comes again. None takes all.
        samples: replies to a prompt.
        temperature: of the replies, above 0.
        top_p: nucleus.
        max_tokens: most tokens of a reply.
        judges: who compares two replies, in both orders: one, or a panel.
        outcomes: who judges each reply alone, so that a harmful one is never preferred, and pairs say which of their
            replies do harm (SafeDPO learns from that); None for nobody.
        couples: most couples of replies to a prompt that are compared.
        per_prompt: most pairs of a prompt.
        refusal_cap: largest share of refusals among the preferred replies of a language; 1 for no cap.
    """

    rounds: Annotated[int, Field(ge=1)] = 1
    prompts: Calls | None = None
    samples: Annotated[int, Field(ge=2)] = 4
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Calls = 512
    judges: Annotated[tuple[CompareSpec, ...], Field(min_length=1)]
    outcomes: JudgeSpec | None = None
    couples: Calls = 4
    per_prompt: Calls = 1
    refusal_cap: Annotated[float, Field(ge=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _couples_are_there(self) -> OnPolicySpec:
        most = self.samples * (self.samples - 1) // 2
        if self.couples > most:
            raise KeyFault(f"{self.couples} couples of {self.samples} replies, of which there are {most}", "couples")
        if self.per_prompt > self.couples:
            raise KeyFault(f"{self.per_prompt} pairs a prompt of {self.couples} couples", "per_prompt")
        return self


def needs_outcomes(method: str) -> str | None:
    """Why a method cannot learn from safety pairs whose replies nobody judged alone; None where it can."""
    silent = Pair("", (), "one", "another", kind=PairKind.SAFETY)
    try:
        for stage in find_method(method).stages:
            stage.objective.replies(silent, 0)
    except InputError as error:
        return f"{method} on replies that nobody judges alone: {error.what}"
    return None
