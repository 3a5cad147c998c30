"""What every part of a spec is made of."""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, PlainSerializer

from alignment_prism.calls.failures import public_address


class Part(BaseModel):
    """A part of a spec: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> Any:
        """The schema, in which every key has the words of the class's docstring, for editors to show."""
        schema = handler(core_schema)
        own = handler.resolve_ref_schema(schema)
        own["description"] = _summary(cls)
        for kind in reversed(cls.__mro__):
            for key, words in _attributes(kind).items():
                if key in own.get("properties", {}):
                    own["properties"][key]["description"] = words
        return schema


def _summary(kind: type) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:")[0].split())


def _attributes(kind: type) -> dict[str, str]:
    """Name -> words of what a docstring lists under `Attributes:`, which stands last in it."""
    listed = inspect.cleandoc(vars(kind).get("__doc__") or "").partition("\nAttributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", listed, re.MULTILINE)
    return {key: " ".join(words.split()) for key, words in found}


Address = Annotated[str, PlainSerializer(public_address, when_used="json")]
"""Of a server; what is written of it has no credentials."""

Files = Annotated[
    tuple[str, ...],
    BeforeValidator(
        lambda value: (value,) if isinstance(value, str) else value, json_schema_input_type=str | tuple[str, ...]
    ),
]
"""One file or several."""
