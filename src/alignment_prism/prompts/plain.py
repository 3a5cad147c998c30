"""Prompts as anybody writes them: a column `prompt` (or `messages`) and columns named like the fields of a prompt.

A column map (`{"prompt": "text", "language": "lang"}`) says which column is which; columns that no field takes go into
the metadata. The names of the Aya columns (`global_or_local`, `harm_category`) are known too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from alignment_prism.domain import AYA_TAXONOMY, InputError, Languages, PairKind, Prompt, PromptKind
from alignment_prism.io import FieldError, Row, fields, record_from
from alignment_prism.prompts.formats import Format, Reading, with_defaults

FIELDS = (
    "id",
    "prompt",
    "messages",
    "system",
    "language",
    "kind",
    "scope",
    "categories",
    "subset",
    "split",
    "group",
    "reference",
)
"""Fields that a column can be mapped to; any other name becomes a key of the metadata."""

ALIASES = {"scope": "global_or_local", "categories": "harm_category"}
"""Our field and the name it has in the Aya data."""

SAYS_KIND = ("kind", *ALIASES, *ALIASES.values())
"""Columns of which one says of which kind a prompt is."""
KIND_FIX = "say which kind the prompts are: harmful, benign_mention, never_harmful, foreign_local or general"
KIND_SETTINGS = {"mapping": "kind=COLUMN", "defaults": "kind=KIND", "kind": "KIND"}
"""The settings that say it."""

_OTHER_NAMES = {
    "prompt": ("text", "question", "instruction", "input", "inputs", "query", "goal", "request"),
    "language": ("lang", "locale", "language_code"),
}
"""What others call these fields; only ever proposed, never assumed."""


def likely_column(field: str, columns: Iterable[object]) -> str:
    """The column that probably holds a field, or `COLUMN` where no name says so."""
    by_name = {str(name).strip().casefold(): str(name) for name in columns}
    return next((by_name[name] for name in (field, *_OTHER_NAMES.get(field, ())) if name in by_name), "COLUMN")


def check_names(names: Iterable[str], setting: str) -> None:
    """Check the names of a column map or of defaults.

    A name that no field has goes into the metadata; one that is nearly a field's is a slip of the pen.

    Args:
        names: our side of the map.
        setting: the parameter that has them, `mapping` or `defaults`.

    Raises:
        InputError: there is such a name.
    """
    for name in names:
        near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.82)
        if near and name not in FIELDS:
            fix = f"write {near[0]!r}; or give it a name of its own, under which it goes into the metadata"
            raise InputError(f"{name!r} is no field", fix=fix, settings={setting: f"{near[0]}=..."})


def check_defaults(defaults: Mapping[str, str], languages: Languages) -> None:
    """Check values that are to stand in for those that rows do not have, whether any row needs them or not.

    Raises:
        InputError: a name is nearly that of a field, or there is no such kind, scope or language.
    """
    check_names(defaults, "defaults")
    kinds = [*PromptKind, *PairKind]
    if not fields.missing(kind := defaults.get("kind")) and str(kind).strip().casefold() not in kinds:
        fix = f"write one of {', '.join(dict.fromkeys(kinds))}"
        raise InputError(
            f"unknown kind {str(kind)[:40]!r}", fix=fix, settings={"defaults": "kind=KIND", "kind": "KIND"}
        )
    if not fields.missing(code := defaults.get("language")):
        languages.find(str(code))
    try:
        fields.scope(defaults, "scope")
    except FieldError as error:
        raise InputError(f"{error.what} {str(error.value)[:40]!r}", fix=error.fix) from error


def check_kind(values: Mapping[str, Any]) -> None:
    """Check that a row says of which kind it is; a reach or a category of harm says that it is harmful.

    Args:
        values: of the row, under our names, defaults included.

    Raises:
        FieldError: it does not.
    """
    if all(fields.missing(values.get(name)) for name in SAYS_KIND):
        raise FieldError("kind", None, "does not say its kind", KIND_FIX, KIND_SETTINGS)


def parse(row: Row, reading: Reading) -> Prompt:
    """A prompt from a row with our column names, or mapped ones."""
    values = with_defaults(row.values, reading)
    for ours, other in ALIASES.items():
        if ours not in values and other in values:
            values[ours] = values.pop(other)
    where = "prompt" if not fields.missing(values.get("prompt")) or "messages" not in values else "messages"
    if where not in values:
        fix = f"say which column holds it; the columns are {fields.column_names(row.values)}"
        mapping = f"prompt={likely_column('prompt', row.values)}"
        raise FieldError(where, None, "no column 'prompt'", fix, {"mapping": mapping})
    check_kind(values)
    system = fields.optional_text(values, "system")
    return Prompt(
        id=fields.optional_text(values, "id"),
        messages=fields.conversation(values[where], where, system),
        language=fields.language(values, reading.languages),
        kind=fields.member(values, "kind", PromptKind, PromptKind.HARMFUL),
        scope=fields.scope(values, "scope"),
        categories=fields.categories(values, "categories", reading.taxonomy),
        subset=fields.optional_text(values, "subset"),
        split=fields.optional_text(values, "split"),
        group=fields.optional_text(values, "group"),
        reference=fields.optional_text(values, "reference"),
        source=reading.source,
        metadata=fields.rest(values, FIELDS),
    )


def parse_aya(row: Row, reading: Reading) -> Prompt:
    """A prompt of the Aya Red-teaming set: always harmful, its categories among the nine."""
    values = with_defaults(row.values, reading)
    return Prompt(
        id=fields.optional_text(values, "id"),
        messages=fields.conversation(fields.text(values, "prompt"), "prompt"),
        language=fields.language(values, reading.languages),
        kind=PromptKind.HARMFUL,
        scope=fields.scope(values, "global_or_local"),
        categories=fields.categories(values, "harm_category", reading.taxonomy or AYA_TAXONOMY),
        split=fields.optional_text(values, "split"),
        group=fields.optional_text(values, "group"),
        source=reading.source,
        metadata=fields.rest(
            values, ("id", "prompt", "language", "global_or_local", "harm_category", "split", "group")
        ),
    )


def parse_own(row: Row, reading: Reading) -> Prompt:
    """A prompt as this package writes it; its language must be one that is known."""
    values = with_defaults(row.values, reading)
    check_kind(values)
    values.setdefault("kind", PromptKind.HARMFUL)
    prompt = record_from(Prompt, values)
    fields.conversation([turn.as_dict() for turn in prompt.messages], "messages")
    code = fields.language({"language": prompt.language}, reading.languages)
    if code != prompt.language:
        raise FieldError("language", prompt.language, "not a code", f"write {code!r}")
    return prompt


PLAIN = Format("plain", "a column `prompt` or `messages`, others by name or by a map", frozenset({"prompt"}), parse)
OWN = Format("prism", "prompts written by this package", frozenset({"id", "messages", "language", "kind"}), parse_own)
AYA = Format(
    "aya",
    "Aya Red-teaming: global_or_local, harm_category as a list in a string",
    frozenset({"prompt", "language", "harm_category", "global_or_local"}),
    parse_aya,
)
