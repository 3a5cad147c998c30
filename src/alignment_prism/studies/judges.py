"""Judges in a spec: who they are, and how they are called."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.io.yaml import KeyFault
from alignment_prism.studies.generation import Calls, Retries, Seconds
from alignment_prism.studies.parts import Address, Part


class CalledSpec(Part):
    """A judge and how it is called.

    Attributes:
        model: Inspect model id.
        rubric: one that ships, or a YAML file of one's own.
        base_url: address of the judge's server, where it is not the provider's own.
        max_connections: calls under way at once.
        retries: of a call that failed for a passing reason.
        timeout: seconds that an attempt of a call may take; None is a minute and a fifth of a second a token.
        batch: whether calls go through the provider's batch API: cheaper, and answered within a day.
    """

    model: str
    rubric: str
    base_url: Address = ""
    max_connections: Calls | None = None
    retries: Retries | None = None
    timeout: Seconds | None = None
    batch: bool = False

    @property
    def billed_as(self) -> str:
        """What its calls are counted and priced under."""
        return Endpoint(self.model, batch=self.batch).billed_as


class CompareSpec(CalledSpec):
    """Who compares replies with base's."""

    rubric: str = "pairwise@2"


class TranslatorSpec(Part):
    """Who translates what a judge is shown into English.

    Attributes:
        model: Inspect model id.
        base_url: address of its server, where it is not the provider's own.
        max_tokens: most tokens of a translation.
    """

    model: str
    base_url: Address = ""
    max_tokens: Calls = 2048


class JudgeSpec(CalledSpec):
    """Who judges single replies: one judge, or a panel of them (`panel` in place of `model`).

    Attributes:
        model: Inspect model id; or a model folder or `hub:OWNER/NAME`, which runs on this machine.
        rubric: a rubric or a guard model's format that ships, or a YAML file of one's own.
        policies: file or folder of policies, for a rubric that judges by them (`policy@1`).
        instructions: `english`, or `prompt`: in the language of each prompt.
        max_tokens: most tokens of an answer, in place of the rubric's.
        thought_tokens: most tokens of thoughts before the answer, for a judge that thinks.
        translator: who translates what the judge is shown; None for nobody.
        device: of a model on this machine.
        panel: judges who judge together, see `alignment_prism.scoring.panel`.
        rule: how they decide: `majority`, or `adjudicate`: two, and the adjudicator where they do not agree.
        adjudicator: who decides then.
    """

    model: str = ""
    rubric: str = "standalone@2"
    policies: str = ""
    instructions: Literal["english", "prompt"] = "english"
    max_tokens: Calls | None = None
    thought_tokens: Annotated[int, Field(ge=0)] = 0
    translator: TranslatorSpec | None = None
    device: str = "auto"
    panel: tuple[JudgeSpec, ...] = ()
    rule: Literal["majority", "adjudicate"] = "majority"
    adjudicator: JudgeSpec | None = None

    @model_validator(mode="after")
    def _one_or_several(self) -> JudgeSpec:
        if bool(self.model) == bool(self.panel):
            raise KeyFault("a judge is a model or a panel of judges, and one of the two", "model")
        if self.panel and any(member.panel for member in self.everyone):
            raise KeyFault("a panel within a panel", "panel")
        if (self.adjudicator is not None) != (bool(self.panel) and self.rule == "adjudicate"):
            raise KeyFault("an adjudicator goes with the rule adjudicate, and that rule with an adjudicator", "rule")
        if len(self.panel) == 1 or (self.panel and self.rule == "adjudicate" and len(self.panel) != 2):
            raise KeyFault("a panel has two members or more, and exactly two beside an adjudicator", "panel")
        return self

    @property
    def everyone(self) -> tuple[JudgeSpec, ...]:
        """The judge; or the members of the panel, and the adjudicator if there is one."""
        if not self.panel:
            return (self,)
        return self.panel if self.adjudicator is None else (*self.panel, self.adjudicator)
