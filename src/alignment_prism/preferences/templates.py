"""What models are asked while pairs are built, as versioned files: rephrasing, safe completion, critique and revision.

A wording never changes under its version. A user's own is a YAML file of the same keys:

    name: rephrase          # letters, digits, hyphens
    version: 1
    texts:                  # what the recipe asks for: instruction; or critique and revision
      instruction: Write ... {number} ... {language} ...
    languages:              # the same in the language of the prompt, for who asks for it
      hi: {instruction: ...}
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from alignment_prism.domain import InputError, content_digest
from alignment_prism.io.yaml import YamlDocument, validated

REPHRASE, SAFE, REVISE = "rephrase@1", "safe@1", "revise@1"
"""Templates that ship."""

Text = Annotated[str, Field(min_length=1)]


class Template(BaseModel):
    """A template, as its file has it.

    Attributes:
        name: of the template.
        version: of its wording.
        texts: role of a text -> the text, in English.
        languages: code -> the same in that language.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
    version: Annotated[int, Field(ge=1)]
    texts: Annotated[dict[str, Text], Field(min_length=1)]
    languages: dict[str, dict[str, Text]] = Field(default_factory=dict)

    @property
    def id(self) -> str:
        """`name@version`, as it stands in rows."""
        return f"{self.name}@{self.version}"

    @property
    def digest(self) -> str:
        """Of the whole wording."""
        return content_digest(self.model_dump(mode="json"))

    def text(self, role: str, language: str, *, native: bool = False) -> str:
        """A text, in the language of the prompt where that is asked for and there.

        Args:
            role: of the text.
            language: code of the prompt's.
            native: whether models are instructed in it.
        """
        return self.languages.get(language, self.texts)[role] if native else self.texts[role]


def load_template(name_or_path: str, roles: tuple[str, ...]) -> Template:
    """A template that ships, by its id, or one of a user's own.

    Args:
        name_or_path: id (`rephrase@1`) or path of a YAML file.
        roles: texts that it must have, in every language.

    Raises:
        InputError: there is none, or it lacks a text: file, line, key, value and fix.
    """
    template = _loaded(name_or_path)
    for place, texts in {"texts": template.texts, **template.languages}.items():
        if missing := [role for role in roles if role not in texts]:
            fix = f"write {', '.join(roles)}"
            raise InputError(f"no text {missing[0]!r} in {place}", where=name_or_path, fix=fix)
    return template


def shipped_templates() -> tuple[str, ...]:
    """Ids of the templates in the package."""
    files = resources.files("alignment_prism.preferences").joinpath("templates_shipped").iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


@cache
def _shipped(name: str) -> Template:
    folder = resources.files("alignment_prism.preferences").joinpath("templates_shipped")
    return _template(YamlDocument(folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8"), name))


def _loaded(name_or_path: str) -> Template:
    if name_or_path in shipped_templates():
        return _shipped(name_or_path)
    if Path(name_or_path).is_file():  # read each time: in a notebook it may have changed, or be another folder's
        return _template(YamlDocument.from_file(name_or_path))
    fix = f"use one of {', '.join(shipped_templates())}, or the path of a YAML file"
    raise InputError(f"unknown template {name_or_path!r}", fix=fix)


def _template(document: YamlDocument) -> Template:
    return validated(Template, document.mapping(fix="begin with: name: rephrase"), document)
