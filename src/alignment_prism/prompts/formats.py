"""What a format is: how its rows are recognised and made into prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from alignment_prism.domain import LANGUAGES, Languages, Prompt, Taxonomy
from alignment_prism.io import Intake, Row, TableOptions


class ReadOptions(TypedDict, total=False):
    """How prompts are read; what is not given has the default that is named here.

    Attributes:
        mapping: our field to the file's column, for files of no known format: `{"prompt": "text"}`. None.
        defaults: our field to a value for rows that have none: `{"language": "en", "kind": "general"}`. None.
        format_name: one of `FORMATS`; None recognises it.
        languages: the registry that spellings are looked up in; the shipped ones.
        taxonomy: categories are checked against it; None takes any (Aya's own for the Aya format).
        source: what `Prompt.source` says; None is `format@sha8` of the file, or `name@sha8` of the Hub's commit.
        intake: accounts for rows; None is strict: the first bad row raises.
        table: how a CSV or TSV file is written: by its suffix, with a header.
    """

    mapping: Mapping[str, str] | None
    defaults: Mapping[str, str] | None
    format_name: str | None
    languages: Languages
    taxonomy: Taxonomy | None
    source: str | None
    intake: Intake | None
    table: TableOptions | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a format may need to know besides the row.

    Attributes:
        path: the file, or the name of a Hub dataset.
        languages: the registry that spellings are looked up in.
        taxonomy: the categories a prompt may have; None takes any, or the format's own.
        source: what `Prompt.source` says.
        mapping: our field to the file's column.
        defaults: our field to the value of rows that have none.
    """

    path: str
    languages: Languages = LANGUAGES
    taxonomy: Taxonomy | None = None
    source: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The path as such."""
        return Path(self.path)


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write prompts.

    Attributes:
        name: what it is called.
        words: what it is, for the documentation.
        columns: columns that every row has; a file is of this format if its first row has them all.
        parse: makes a prompt of a row; its id is the source's own or empty. Raises `FieldError`.
        expand: splits a row that holds several prompts, one a column; each part is counted as a row.
        unread: the languages of a row whose prompts `expand` leaves out, because the registry lacks them.
        as_lines: the file is plain lines, whatever its suffix.
        header: False where a table has no header.
        belongs: recognises a file by its path; for formats whose rows say nothing.
    """

    name: str
    words: str
    columns: frozenset[str]
    parse: Callable[[Row, Reading], Prompt]
    expand: Callable[[Row, Reading], Iterator[Row]] | None = None
    unread: Callable[[Row, Reading], Iterator[str]] | None = None
    as_lines: bool = False
    header: bool = True
    belongs: Callable[[Path, Languages], bool] | None = None


def with_defaults(values: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    """The values of a row under our names, defaults standing in for what is absent or empty."""
    named = dict(values)
    for ours, theirs in reading.mapping.items():
        if theirs in values:
            named.pop(theirs, None)
            named[ours] = values[theirs]
    for name, value in reading.defaults.items():
        if named.get(name) is None or named[name] == "":
            named[name] = value
    return named
