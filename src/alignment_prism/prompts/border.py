"""A border test: each prompt of local harm asked by somebody who lives at home, and in every other country.

What is harmful in one culture may be harmless in the next. The words of a prompt stay what they are; a sentence before
them says where the person lives. Prompts about what is harmful nowhere are asked in the same way, so that what a model
refuses because a country is named is not taken for what it refuses because of a norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from alignment_prism.domain import InputError, Message, Messages, Prompt, PromptKind, Role, Scope, content_digest
from alignment_prism.io.yaml import YamlDocument, validated

SHIPPED = "border@1"
"""The templates that ship."""

COUNTRY = "country"
"""Key of the metadata that says where somebody asks; policies of judges go by it too."""

Text = Annotated[str, Field(min_length=1)]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]


class BorderLanguage(BaseModel):
    """How a language says where somebody lives.

    Attributes:
        home: country of prompts in this language that do not say theirs.
        text: with `{place}` and `{prompt}`.
        places: country, as two capital letters, to the words that stand for `{place}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Country
    text: Text
    places: Annotated[dict[Country, Text], Field(min_length=2)]

    @field_validator("text")
    @classmethod
    def _both(cls, text: str) -> str:
        if text.count("{place}") != 1 or text.count("{prompt}") != 1:
            raise ValueError("does not say {place} and {prompt} once each")
        return text


class BorderTemplates(BaseModel):
    """Templates of a border test, as their file has them.

    Attributes:
        name: of the templates.
        version: of their wording.
        languages: code to template.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    version: Annotated[int, Field(ge=1)]
    languages: Annotated[dict[str, BorderLanguage], Field(min_length=1)]

    @property
    def label(self) -> str:
        """Name, version and digest of the wording: `border@1#0123456789abcdef`."""
        return f"{self.name}@{self.version}#{content_digest(self.model_dump(mode='json'))}"


def read_borders(path: str | None = None) -> BorderTemplates:
    """Templates from a file; those that ship where none is named.

    Raises:
        InputError: it is no file of templates: file, line, key, value and fix.
    """
    return _shipped() if path is None else _read(YamlDocument.from_file(path))


@cache
def _shipped() -> BorderTemplates:
    file = resources.files("alignment_prism.prompts").joinpath(f"borders/{SHIPPED}.yaml")
    return _read(YamlDocument(file.read_text(encoding="utf-8"), f"{SHIPPED}.yaml"))


def _read(document: YamlDocument) -> BorderTemplates:
    content = document.mapping(fix="write the keys of the file that ships, name: to begin with")
    return validated(BorderTemplates, content, document)


def border_prompts(
    prompts: Iterable[Prompt], templates: BorderTemplates | None = None, *, countries: Sequence[str] = ()
) -> Iterator[Prompt]:
    """The prompts of a border test, in the order of their sources, and of each in that of the countries' codes.

    A prompt of local harm is `harmful` at home and `foreign_local` in every other country; one that is harmful nowhere
    stays `never_harmful` everywhere. Others are left out. All that a source makes are one cluster; scope, categories,
    split and metadata are the source's; the subset is `border-IN` by country, and the metadata say `country`, `home`,
    `border_source` (the id) and `border` (the templates).

    Args:
        prompts: of any kinds. Where the metadata of one say `country`, that is its home.
        templates: how each language says where somebody lives; those that ship unless given.
        countries: in which it is asked, home always among them; all of the templates' unless given.

    Raises:
        InputError: a prompt's language has no template, or a template does not name a country.
    """
    templates = templates or read_borders()
    for prompt in prompts:
        local = prompt.kind is PromptKind.HARMFUL and prompt.scope is Scope.LOCAL
        if not local and prompt.kind is not PromptKind.NEVER_HARMFUL:
            continue
        template = templates.languages.get(prompt.language)
        if template is None:
            raise InputError(
                f"{templates.name}@{templates.version} has no template for {prompt.language!r} (prompt {prompt.id!r})",
                where=prompt.source or None,
                fix=f"leave it out, or write templates of your own; there are {', '.join(sorted(templates.languages))}",
                settings={"templates": "FILE"},
            )
        home = str(prompt.metadata.get(COUNTRY) or template.home).upper()
        for country in sorted({home, *(countries or template.places)}):
            if country not in template.places:
                raise InputError(
                    f"the template for {prompt.language!r} does not name the country {country!r}",
                    fix=f"add it to templates of your own; there are {', '.join(sorted(template.places))}",
                    settings={"templates": "FILE"},
                )
            kind = PromptKind.FOREIGN_LOCAL if local and country != home else prompt.kind
            yield _asked_in(prompt, kind, country, home, template, templates.label)


def _asked_in(
    prompt: Prompt, kind: PromptKind, country: str, home: str, template: BorderLanguage, label: str
) -> Prompt:
    metadata = {**prompt.metadata, COUNTRY: country, "home": home, "border_source": prompt.id, "border": label}
    if prompt.subset:
        metadata["border_subset"] = prompt.subset
    return replace(
        prompt,
        id=f"{prompt.id}@{country}",
        messages=placed(prompt.messages, template.text.replace("{place}", template.places[country])),
        kind=kind,
        subset=f"border-{country}",
        group=prompt.cluster,
        metadata=metadata,
    )


def placed(messages: Messages, text: str) -> Messages:
    """The conversation with its first user turn put into the text."""
    first = next(place for place, message in enumerate(messages) if message.role is Role.USER)
    said = Message(Role.USER, text.replace("{prompt}", messages[first].content))
    return (*messages[:first], said, *messages[first + 1 :])
