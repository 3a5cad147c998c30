"""A user's own languages: read from a YAML file, added to those that ship.

The file is a list of mappings with the fields of `Language`; `code`, `name`, `iso639_3` and `scripts` are required:

    - {code: sw, name: Swahili, iso639_3: swh, scripts: [Latn], flores: swh_Latn}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from alignment_prism.domain import LANGUAGES, InputError, Language, Languages
from alignment_prism.io.yaml import YamlDocument, validated

Text = Annotated[str, Field(min_length=1)]


class _Entry(BaseModel):
    """The fields of `Language`, as a file has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Text
    name: Text
    iso639_3: Text
    scripts: Annotated[tuple[Text, ...], Field(min_length=1)]
    flores: Text | None = None
    rtl: bool = False
    aliases: tuple[Text, ...] = ()
    identified_as: tuple[Text, ...] = ()


def read_languages(path: str | Path, languages: Languages = LANGUAGES) -> Languages:
    """A registry with the languages of a user's YAML file added.

    Args:
        path: the file.
        languages: the registry that they are added to; one with the code of a known language replaces it.

    Raises:
        InputError: the file is missing, is not such a list, misses or misspells a field, has a value of another type,
            or gives a language a spelling of another one's.
    """
    document = YamlDocument.from_file(path)
    rows = document.content
    if not isinstance(rows, list) or not rows:
        fix = "write a list of mappings such as: - {code: sw, name: Swahili, iso639_3: swh, scripts: [Latn]}"
        raise InputError("the language file is not a list of mappings", where=str(path), fix=fix)
    entries = [validated(_Entry, row, document, prefix=(number,)) for number, row in enumerate(rows)]
    try:
        return languages.with_languages(Language(**entry.model_dump()) for entry in entries)
    except InputError as error:
        raise InputError(error.what, where=str(path), fix=error.fix) from error
