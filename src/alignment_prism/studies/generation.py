"""How replies of a study are drawn."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from alignment_prism.domain import Sampling
from alignment_prism.io.yaml import KeyFault
from alignment_prism.studies.parts import Part

Calls = Annotated[int, Field(gt=0)]
Retries = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class GenerationSpec(Part):
    """How replies are drawn; temperature 0 is greedy. What follows `seed` changes how, and not what comes out.

    Attributes:
        temperature: 0 is greedy.
        top_p: nucleus; 1 keeps everything.
        max_tokens: most tokens of a reply.
        samples: replies per prompt.
        seed: of the draws.
        batch_tokens: of a model on this machine: positions of a batch; None is a safe default.
        device: of a model on this machine: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`.
        max_connections: of a model behind an API: calls under way at once.
        retries: of a call that failed for a passing reason.
        timeout: seconds that an attempt of a call may take; None is a minute and a fifth of a second a token.
    """

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(gt=0)] = 512
    samples: Annotated[int, Field(gt=0)] = 1
    seed: int = 0
    batch_tokens: Annotated[int, Field(gt=0)] | None = None
    device: str = "auto"
    max_connections: Calls | None = None
    retries: Retries | None = None
    timeout: Seconds | None = None

    @model_validator(mode="after")
    def _samples_differ(self) -> GenerationSpec:
        if self.samples > 1 and self.temperature == 0:
            raise KeyFault(
                f"{self.samples} samples of one greedy reply would be the same: set a temperature", "samples"
            )
        return self

    def sampling(self) -> Sampling:
        """As generation takes it."""
        return Sampling(self.temperature, self.top_p, self.max_tokens, self.samples, self.seed)
