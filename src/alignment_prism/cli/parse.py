"""Values of options that are more than a text."""

from __future__ import annotations

from collections.abc import Iterable

from alignment_prism.domain import LANGUAGES, InputError, Languages

EXAMPLES = {"--set": "kind=general,split=eval", "--part": "seed=100 or eval=rest"}
"""What is right for an option, where it is no column map."""


def parse_mapping(texts: Iterable[str], option: str = "--map") -> dict[str, str]:
    """`prompt=text,language=lang`, possibly in several options, as a mapping.

    Raises:
        InputError: a part is not NAME=VALUE, or a name occurs twice.
    """
    mapping: dict[str, str] = {}
    for part in (part for text in texts for part in text.split(",") if part.strip()):
        name, equals, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not (equals and name and value):
            raise InputError(
                f"{option} {part!r} is not NAME=VALUE",
                fix=f"write {option} {EXAMPLES.get(option, 'prompt=text,language=lang')}",
            )
        if name in mapping:
            raise InputError(f"{option} names {name!r} twice", fix="name each once")
        mapping[name] = value
    return mapping


def registry(language_file: str | None) -> Languages:
    """The shipped languages and those of a user's file."""
    if not language_file:
        return LANGUAGES
    from alignment_prism.io.languages import read_languages

    return read_languages(language_file)
