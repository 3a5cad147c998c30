"""What every part of a spec is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from alignment_prism.calls.failures import public_address


class Part(BaseModel):
    """A part of a spec: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Address = Annotated[str, PlainSerializer(public_address, when_used="json")]
"""Of a server; what is written of it has no credentials."""

Files = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
