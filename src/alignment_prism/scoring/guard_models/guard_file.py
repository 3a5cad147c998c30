"""What the file of a guard's format may hold, checked key by key; loaded only where one is."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from alignment_prism.io.yaml import YamlDocument, validated


class _GuardFile(BaseModel):
    """The fields of `GuardFormat`, as a file has them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    version: int = Field(ge=1)
    kind: Literal["guard"]
    models: str = ""
    source: str = ""
    licence: str = ""
    verified_against_weights: bool = False
    send: Literal["conversation", "text", "raw"]
    max_tokens: int = Field(ge=1)
    answer: str
    harm: dict[str, Literal["harmful", "not_harmful"]] = Field(min_length=2)
    system: str = ""
    text: str = ""
    template_arguments: dict[str, Any] = Field(default_factory=dict)
    guidelines: dict[str, str] = Field(default_factory=dict)
    verdict_first: bool = False
    thinks: bool = False
    refusal: dict[str, bool] = Field(default_factory=dict)
    categories: dict[str, str] = Field(default_factory=dict)
    marks: list[str] = Field(default_factory=list)

    @field_validator("answer")
    @classmethod
    def _is_an_expression(cls, text: str) -> str:
        try:
            groups = re.compile(text.strip()).groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        if "harm" not in groups:
            raise ValueError("has no group (?P<harm>...), which holds the label")
        return text.strip()

    @model_validator(mode="after")
    def _fits_together(self) -> _GuardFile:
        said = self.text.replace(":json}", "}")
        there = [word for word in ("{request}", "{reply}") if word in said]
        if self.send == "conversation" and there:
            raise ValueError(f"text says {' and '.join(there)}, and a conversation has turns of their own for these")
        missing = [word for word in ("{request}", "{reply}") if word not in there]
        if self.send != "conversation" and missing:
            raise ValueError(f"text does not say {' and '.join(missing)}, where these go")
        if self.guidelines and "{guideline}" not in self.text:
            raise ValueError("there are guidelines, and text does not say {guideline}, where each goes")
        if self.refusal and "refusal" not in re.compile(self.answer).groupindex:
            raise ValueError("there are labels of refusal, and answer has no group (?P<refusal>...)")
        return self


def guard_fields(text: str | None, name: str) -> dict[str, Any]:
    """The fields of a `GuardFormat` from a text, or from the file of that name where there is none.

    Raises:
        InputError: it is none: file, line, key, value and fix.
    """
    document = YamlDocument(text, name) if text is not None else YamlDocument.from_file(name)
    content = document.mapping(fix="write the keys of a format that ships, name: to begin with")
    fields = validated(_GuardFile, content, document).model_dump(exclude={"kind"})
    return {**fields, "marks": tuple(fields["marks"])}
