"""Where the fields of our records lie in somebody else's rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from alignment_prism.domain import LANGUAGES, InputError, Languages, Message, Prompt, PromptKind, Role
from alignment_prism.io import FieldError, Row, fields
from alignment_prism.io.jsonrows import parse_json
from alignment_prism.logs.verdicts import Meaning
from alignment_prism.prompts.plain import FIELDS

LOG_FIELDS = (*FIELDS, "reply", "arm", "sample")
"""Fields that a column can be mapped to; any other name becomes a key of the prompt's metadata."""

ARM = "{arm}"
"""Stands in names of columns for the arm, where each has columns of its own."""


@dataclass(frozen=True, slots=True)
class LogColumns:
    """How a log is read where it does not say so itself.

    Attributes:
        mapping: our field (`LOG_FIELDS`) -> a column, or a dotted path into nested JSON (`doc.question`, `raters.0`).
        defaults: our field -> the value of rows that have none; what a row says wins.
        arms: models that each have columns of their own: `{arm}` in names of columns stands for each.
        arm: name of the model, for rows that do not say theirs.
        verdict: which column or scorer of the log is the verdict; empty where it has one at most.
        scorer: who gave it, for our records; empty is the harness and the column.
        meaning: what the words and numbers of the verdict, and of the raters, stand for.
        raters: columns that hold one person's label each; a list in one column is one person an entry.
        translations: prompts that share an id over languages are translations of one source, and one cluster.
        languages: the registry that spellings are looked up in.
        joined: prompts are given, so that a row need not say kind and language.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    arms: tuple[str, ...] = ()
    arm: str = ""
    verdict: str = ""
    scorer: str = ""
    meaning: Meaning = field(default_factory=Meaning)
    raters: tuple[str, ...] = ()
    translations: bool = False
    languages: Languages = LANGUAGES
    joined: bool = False

    def __post_init__(self) -> None:
        for setting, names in (("mapping", self.mapping), ("defaults", self.defaults)):
            for name in names:
                near = difflib.get_close_matches(name, LOG_FIELDS, n=1, cutoff=0.82)
                if near and name not in LOG_FIELDS:
                    fix = f"write {near[0]!r}; or give it a name of its own, under which it goes into the metadata"
                    raise InputError(f"{name!r} is no field", fix=fix, settings={setting: f"{near[0]}=..."})
        paths = (*self.mapping.values(), self.verdict, *self.raters)
        if bool(self.arms) != any(ARM in path for path in paths):
            what = f"arms are named and no column has {ARM} in its name" if self.arms else f"a column has {ARM} in it"
            fix = f"name the arms, and write {ARM} in the columns that each has for itself: reply={ARM}_reply"
            raise InputError(what, fix=fix, settings={"arms": "NAME,NAME"})

    def path(self, ours: str, arm: str = "") -> str:
        """Where a field lies for an arm; empty where it is not mapped."""
        return self.mapping.get(ours, "").replace(ARM, arm)


class _Absent:
    pass


ABSENT = _Absent()
"""What `look` finds where there is nothing, not even an empty value."""


def look(values: object, path: str) -> Any:
    """The value at a column, or at a dotted path; `ABSENT` where there is none.

    A column of just this name goes first. Numbers in a path count the entries of lists, from 0; a text that holds JSON
    is taken for what it holds.

    Example:
        >>> look({"a": {"b": [1, 2]}, "a.c": 3}, "a.b.1"), look({"a": {"b": [1, 2]}, "a.c": 3}, "a.c")
        (2, 3)
    """
    if isinstance(values, str) and values.lstrip()[:1] in ("{", "["):
        try:
            values = parse_json(values)
        except FieldError:
            return ABSENT
    if isinstance(values, Mapping):
        if path in values:
            return values[path]
        parts = path.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            head = ".".join(parts[:cut])
            if head in values and (found := look(values[head], ".".join(parts[cut:]))) is not ABSENT:
                return found
        return ABSENT
    head, _, rest = path.partition(".")
    if isinstance(values, (list, tuple)) and head.isdecimal() and int(head) < len(values):
        return look(values[int(head)], rest) if rest else values[int(head)]
    return ABSENT


def as_word(value: object) -> str:
    """A value of a log as a word: whole numbers without a point, true and false as such, nothing for nothing."""
    if value is None or value is ABSENT or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def prompt_from(row: Row, own: Mapping[str, object], columns: LogColumns, source: str, arm: str = "") -> Prompt:
    """The prompt of a row of a log.

    Args:
        row: what mapped columns are looked up in.
        own: our field -> what this kind of log has for it. The user's map goes before it, and defaults behind it.
        columns: the user's map and defaults.
        source: what `Prompt.source` says.
        arm: whose columns are meant.

    Raises:
        FieldError: a field cannot be read; or the column that is to say kind or language is empty.
        InputError: neither the log nor anybody else says of what kind, or in what language, its prompts are.
    """
    values: dict[str, Any] = {name: value for name, value in own.items() if not fields.missing(value)}
    for ours in columns.mapping:
        if ours not in ("reply", "arm", "sample"):
            found = look(row.values, columns.path(ours, arm))
            values.pop(ours, None)
            if ours == "prompt":
                values.pop("messages", None)
            if found is not ABSENT:
                values[ours] = found
    for name, value in columns.defaults.items():
        if fields.missing(values.get(name)):
            values[name] = value
    name = "messages" if "messages" in values and "prompt" not in values else "prompt"
    text = values.get(name)
    messages = () if fields.missing(text) else fields.conversation(text, name, fields.optional_text(values, "system"))
    silent = columns.joined and fields.missing(values.get("language"))
    for asked, about, example in (
        ("kind", "of what kind its prompt is, whether it asks for harm", "harmful, benign_mention, general, ..."),
        ("language", "what language its prompt is in", "en, fr, ..."),
    ):
        if fields.missing(values.get(asked)) and not columns.joined:
            settings = {"mapping": f"{asked}=COLUMN", asked: example.split(",")[0], "prompts": "FILE"}
            fix = f"name the column, or the {asked} of the whole log ({example}); or give the prompts"
            if asked not in columns.mapping:  # a question for the whole log, not a fault of this row
                raise InputError(f"the log does not say {about}", where=row.where, fix=fix, settings=settings)
            raise FieldError(asked, None, f"the row does not say {about}", fix, settings)
    return Prompt(
        id=fields.optional_text({"id": _identifier(values.get("id"))}, "id"),
        messages=messages,
        language="" if silent else fields.language(values, columns.languages),
        kind=fields.member(values, "kind", PromptKind, PromptKind.HARMFUL),
        scope=fields.scope(values, "scope"),
        categories=fields.categories(values, "categories", None),
        subset=fields.optional_text(values, "subset"),
        split=fields.optional_text(values, "split"),
        group=fields.optional_text({"group": _identifier(values.get("group"))}, "group"),
        reference=fields.optional_text(values, "reference"),
        source=source,
        metadata={key: value for key, value in values.items() if key not in FIELDS},
    )


def _identifier(value: object) -> object:
    """An id as tables have it: a whole number that a column with gaps made a fraction is that number."""
    return as_word(value) if isinstance(value, (int, float)) else value


def conversation(turns: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Turns as `Prompt` rows have them; roles that no conversation of ours has are left out."""
    known = {str(role) for role in Role}
    return [Message(Role(role), text).as_dict() for role, text in turns if role in known]
