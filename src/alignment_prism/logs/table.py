"""Any table of replies, verdicts or labels: CSV, TSV, JSONL, JSON, Parquet; a row a reply, or a column a model.

Prompts of sets whose rows say kind and language by their shape (XSTest, Aya) are read as `prompts` reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, Prompt, StopReason
from alignment_prism.io import SUFFIXES, FieldError, Intake, Row, fields, read_rows, sha256_of
from alignment_prism.io.files import suffix_of
from alignment_prism.io.jsonrows import parse_json
from alignment_prism.logs.columns import ABSENT, ARM, LogColumns, as_word, look, prompt_from
from alignment_prism.logs.entry import Entry, Harness, Opened, Said
from alignment_prism.prompts.files import format_of
from alignment_prism.prompts.formats import Format, Reading
from alignment_prism.prompts.plain import AYA
from alignment_prism.prompts.public import XSTEST, XSTEST_COMPLETIONS

REPLY_COLUMNS = ("reply", "response", "completion", "output", "answer")
"""Columns that are taken for the reply, the first that is there."""

SHAPES = (AYA, XSTEST, XSTEST_COMPLETIONS)
"""Formats of prompts whose rows say language and kind."""

PROMPT_FIELDS = frozenset({"prompt", "messages", "id", "language", "kind"})
"""Fields that make a format of one's own when they are mapped."""

_PLAIN = (
    "id",
    "prompt",
    "messages",
    "system",
    "language",
    "kind",
    "scope",
    "categories",
    "subset",
    "group",
    "reference",
)


def open_table(path: Path, columns: LogColumns, intake: Intake) -> Opened:
    """The entries of a table."""
    return Opened(_Table(path, columns, intake).entries())


@dataclass
class _Table:
    path: Path
    columns: LogColumns
    intake: Intake

    def __post_init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.shape: Format | None = None
        # Named by what the prompts are and not by the file: two logs of the same prompts have the same set of prompts.
        self.source = f"log@{sha256_of(self.path)[:8]}" if self.path.is_file() else ""

    def entries(self) -> Iterator[Entry]:
        first: Row | None = None
        for row in read_rows(self.path, intake=self.intake):
            if first is None:
                first = row
                form = format_of(row.values, mapped=bool(PROMPT_FIELDS & self.columns.mapping.keys()))
                self.shape = form if form in SHAPES else None
                if self.shape is not None:
                    self.source = f"{self.shape.name}{self.source.removeprefix('log')}"
            arms = self.columns.arms or ("",)
            self.intake.read(len(arms) - 1)
            for arm in arms:
                try:
                    entry = self.entry(replace(row, part=arm), arm)
                except FieldError as error:
                    self.intake.reject(replace(row, part=arm), error)
                    continue
                yield entry
        if first is None:
            if self.intake.rows == 0:
                fix = "check that the file is the right one and not empty"
                raise InputError("no rows", where=str(self.path), fix=fix)
            return
        self.require_columns(first)

    def require_columns(self, first: Row) -> None:
        """Refuse a column that was named and that no row has.

        Raises:
            InputError: there is one.
        """
        columns = self.columns
        named = dict.fromkeys(columns.mapping.values(), "mapping")
        named |= {columns.verdict: "verdict"} if columns.verdict else {}
        named |= dict.fromkeys(columns.raters, "raters")
        for name, setting in named.items():
            for arm in columns.arms if ARM in name else ("",):
                path = name.replace(ARM, arm)
                if not self.found[path]:
                    shown = ", ".join(str(each)[:40] for each in first.values)[:300]
                    fix = f"the columns are: {shown}; parts of nested ones are reached by dots"
                    what = f"no row has the column {path!r}"
                    raise InputError(what, where=str(self.path), fix=fix, settings={setting: "COLUMN"})

    def value(self, row: Row, path: str) -> Any:
        found = look(row.values, path)
        self.found[path] += found is not ABSENT
        return found

    def entry(self, row: Row, arm: str) -> Entry:
        columns = self.columns
        for ours in columns.mapping:
            self.value(row, columns.path(ours, arm))
        said: dict[str, Said] = {}
        if columns.verdict:
            name = columns.verdict.replace(ARM, arm)
            word = as_word(self.value(row, name))
            said[columns.verdict] = Said(word, raw=word)
        reply = self.reply(row, arm)
        return Entry(
            row,
            self.prompt(row, arm),
            arm or as_word(self.own(row, "arm", ("arm", "model"))) or columns.arm or "model",
            reply,
            self.sample(row, arm),
            said,
            dict(self.ratings(row, arm)),
            stop=StopReason.STORED if reply is not None else StopReason.ERROR,
            error="" if reply is not None else "the log does not hold the reply",
        )

    def own(self, row: Row, ours: str, names: tuple[str, ...], arm: str = "") -> object:
        path = self.columns.path(ours, arm)
        if path:
            return look(row.values, path)
        return next((row.values[name] for name in names if not fields.missing(row.values.get(name))), None)

    def reply(self, row: Row, arm: str) -> str | None:
        path = self.columns.path("reply", arm)
        if path:
            found = look(row.values, path)
        else:
            column = next((name for name in REPLY_COLUMNS if name in row.values), None)
            found = None if column is None else row.values[column]
            if column is None:
                return None
        if found is ABSENT:
            raise FieldError("reply", None, "the row has no reply", "give every row one, or name another column")
        return "" if found is None else fields.written(found, "reply")

    def sample(self, row: Row, arm: str) -> int | None:
        given = as_word(self.own(row, "sample", ("sample",), arm))
        if not given:
            return None
        if not given.isdecimal():
            fix = "number the replies to a prompt from 0, or leave the column out"
            raise FieldError("sample", given, "the sample is no whole number", fix)
        return int(given)

    def prompt(self, row: Row, arm: str) -> Prompt:
        if self.shape is not None:
            reading = Reading(
                str(self.path), self.columns.languages, None, self.source, self.columns.mapping, self.columns.defaults
            )
            return replace(self.shape.parse(row, reading), metadata={})
        own = {name: row.values[name] for name in _PLAIN if name in row.values}
        if "prompt_id" in row.values:
            own["id"] = row.values["prompt_id"]
        return prompt_from(row, own, self.columns, self.source, arm)

    def ratings(self, row: Row, arm: str) -> Iterator[tuple[str, str]]:
        for name in self.columns.raters:
            found = self.value(row, name.replace(ARM, arm))
            person = _person(name, self.columns.raters)
            if isinstance(found, str) and found.lstrip().startswith("["):
                found = parse_json(found)
            if isinstance(found, (list, tuple)):
                yield from ((f"{person}.{number}", as_word(one)) for number, one in enumerate(found, start=1))
            else:
                yield person, as_word(found)


def _person(name: str, raters: tuple[str, ...]) -> str:
    """What a rater is called: the last part of a dotted path, where that tells raters apart; never the arm."""
    name = name.replace(f"{ARM}_", "").replace(f"_{ARM}", "").replace(ARM, "")
    last = [rater.rpartition(".")[2] for rater in raters]
    return name.rpartition(".")[2] if len(set(last)) == len(last) else name


TABLE = Harness(
    "table",
    "any CSV, TSV, JSONL, JSON or Parquet with a row a reply, or a column a model",
    lambda path: path.is_file() and suffix_of(path) in SUFFIXES,
    open_table,
)
