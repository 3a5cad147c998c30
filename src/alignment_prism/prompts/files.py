"""Prompts from files of any known format: recognised by their columns or name, or named by the caller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Unpack

from alignment_prism.domain import LANGUAGES, InputError, Languages, Prompt, Taxonomy
from alignment_prism.io import SUFFIXES, FieldError, Intake, Row, TableOptions, fields, read_rows, sha256_of
from alignment_prism.io.fields import text_notes
from alignment_prism.io.files import suffix_of
from alignment_prism.io.identity import Identities
from alignment_prism.prompts import public, safety_sets
from alignment_prism.prompts.formats import Format, Reading, ReadOptions
from alignment_prism.prompts.paired import PREFERENCES, RESPONSES
from alignment_prism.prompts.plain import AYA, KIND_FIX, KIND_SETTINGS, OWN, PLAIN, SAYS_KIND, likely_column

FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        OWN,
        AYA,
        public.XSTEST,
        public.XSTEST_UNTYPED,
        public.XSTEST_COMPLETIONS,
        public.MULTIJAIL,
        public.MT_BENCH,
        public.DOLLY,
        public.GLOBAL_MMLU,
        public.FLORES_PLUS,
        safety_sets.RTP_LX,
        safety_sets.POLYREFUSE,
        safety_sets.ALPACA_EVAL,
        safety_sets.POLYGUARD,
        safety_sets.OR_BENCH,
        safety_sets.REFUSEU,
        safety_sets.XL_JAILBREAK,
        safety_sets.XL_CULTURAL,
        public.HARMBENCH,
        public.XSAFETY,
        public.SENTENCES,
        PREFERENCES,
        RESPONSES,
        PLAIN,
    )
}
"""Every format, in the order in which a file is tried against them; `plain` is the last resort."""


_NO_HEADER = {".jsonl", ".ndjson", ".json"}
"""Suffixes of files whose rows may differ in their columns."""
_AHEAD = 1000
"""Rows that are read ahead to find out whether no row has a column or only some rows lack it."""


def recognise(path: str | Path, languages: Languages = LANGUAGES) -> Format | None:
    """The format that follows from a file's path alone, or None."""
    return next((each for each in FORMATS.values() if each.belongs and each.belongs(Path(path), languages)), None)


def format_named(name: str | None) -> Format | None:
    """The format of a name, None for no name.

    Raises:
        InputError: there is none of that name.
    """
    if name and name not in FORMATS:
        raise InputError(f"unknown format {name!r}", fix="use one of " + ", ".join(FORMATS))
    return FORMATS[name] if name else None


def format_of(columns: Iterable[str], *, mapped: bool = False) -> Format:
    """The format whose columns a row has; `plain` if there is none, or a column map was given."""
    have = set(columns)
    if mapped:
        return PLAIN
    if OWN.columns | PREFERENCES.columns <= have:  # a pair that this package wrote
        return PREFERENCES
    return next((each for each in FORMATS.values() if each.columns and each.columns <= have), PLAIN)


def iter_prompts(
    path: str | Path,
    *,
    mapping: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    format_name: str | None = None,
    languages: Languages = LANGUAGES,
    taxonomy: Taxonomy | None = None,
    source: str | None = None,
    intake: Intake | None = None,
    identities: Identities | None = None,
    table: TableOptions | None = None,
) -> Iterator[Prompt]:
    """Prompts of a file, one at a time; see `read_prompts` and `ReadOptions`.

    Args:
        identities: gives identifiers; shared by files whose ids must not meet.
    """
    intake = intake if intake is not None else Intake()
    known = format_named(format_name) or recognise(path, languages)
    if known is None and suffix_of(path) not in SUFFIXES and Path(path).is_file():
        fix = f"name it with one of {', '.join(SUFFIXES)}; or say that it is of sentences, one a line"
        sentences = {"format_name": "flores", "language": "CODE"}
        suffix = suffix_of(path)
        what = f"unknown format {suffix!r}" if suffix else "a file without a suffix"
        raise InputError(what, where=str(path), fix=fix, settings=sentences)
    options = table or TableOptions()
    if known is not None and not known.header:
        options = TableOptions(options.delimiter, False, options.quoting)
    rows = read_rows(path, intake=intake, table=options, as_lines=known is not None and known.as_lines)
    reading = Reading(str(path), languages, taxonomy, source or "", mapping or {}, defaults or {})
    yield from prompts_from(rows, reading, intake, identities or Identities(), known, suffix_of(path), source)


def prompts_from(
    rows: Iterator[Row],
    reading: Reading,
    intake: Intake,
    identities: Identities,
    known: Format | None = None,
    suffix: str = "",
    source: str | None = None,
) -> Iterator[Prompt]:
    """Prompts from rows: the part that files and Hub datasets share.

    Raises:
        InputError: there is no row; a table lacks the columns that every row needs; or (strict) a row is bad.
    """
    first = next(rows, None)
    if first is None:
        if intake.rows == 0:
            raise InputError("no rows", where=reading.path, fix="check that the file is the right one and not empty")
        intake.check()
        return
    form = known or format_of(first.values, mapped=bool(reading.mapping))
    ahead = [first]
    try:
        if suffix in _NO_HEADER:
            ahead += _check_rows(ahead[0], rows, reading, form)
        else:
            _check_columns(first, reading, form, suffix)
    except InputError:
        intake.read(-1)  # the file is refused, so its first row is neither good nor bad
        raise
    if source is None:
        digest = sha256_of(reading.path)[:8] if Path(reading.path).is_file() else ""
        name = form.name if form.name not in {"plain", "prism"} else reading.file.name.split(".")[0]
        reading = replace(reading, source=f"{name}@{digest}")
    for row in _parts(chain(ahead, rows), form, reading, intake):
        try:
            prompt = form.parse(row, reading)
        except FieldError as error:
            intake.reject(row, error)
            continue
        for turn in prompt.messages:
            for note in text_notes(turn.content, "prompt"):
                intake.note(row, note)
        intake.accept()
        yield identities.prompt(prompt, lambda note, row=row: intake.note(row, note))  # type: ignore[misc]
    intake.check()


def _parts(rows: Iterable[Row], form: Format, reading: Reading, intake: Intake) -> Iterator[Row]:
    if form.expand is None:
        yield from rows
        return
    for row in rows:
        parts = list(form.expand(row, reading))
        for code in form.unread(row, reading) if form.unread is not None else ():
            intake.skip_language(row, code)
        if not parts:
            what, fix = "no prompt in any known language", "add yours"
            intake.reject(row, FieldError("", None, what, fix, {"languages": "FILE"}))
            continue
        intake.read(len(parts) - 1)
        yield from parts


def _check_rows(first: Row, rows: Iterator[Row], reading: Reading, form: Format) -> list[Row]:
    """Rows without a header: a column that none of them has is one fault, reported once with the number of rows.

    Returns:
        Rows after the first that were read to find out; at most `_AHEAD`.

    Raises:
        InputError: none of the rows read has a column that every row needs.
    """
    if form is not PLAIN or _lacking(first, reading) is None:
        return []
    ahead: list[Row] = []
    for row in rows:
        ahead.append(row)
        if _lacking(row, reading) is None:
            return ahead
        if len(ahead) + 1 == _AHEAD:
            break
    needed = _lacking(first, reading)
    if not ahead or any(_lacking(row, reading) != needed for row in ahead):
        return ahead  # a single row, or rows that differ: each is reported by itself
    count = f"none of the first {_AHEAD} rows" if len(ahead) + 1 == _AHEAD else f"none of {len(ahead) + 1} rows"
    columns = fields.column_names(first.values)
    if needed in reading.mapping.values():
        raise InputError(
            f"no column {needed!r}, which the column map names, in {count.replace('none', 'any', 1)}",
            where=reading.path, fix=f"the columns are: {columns}",
        )  # fmt: skip
    raise _nowhere(str(needed), first, reading, f" in {count.replace('none', 'any', 1)}")


def _lacking(row: Row, reading: Reading) -> str | None:
    """The first column that every row needs and this one has not."""
    absent = next((name for name in reading.mapping.values() if name not in row.values), None)
    if absent is not None:
        return absent
    have = {*row.values, *reading.mapping, *reading.defaults}
    needs = (("prompt", "messages"), ("language",), SAYS_KIND)
    return next((names[0] for names in needs if have.isdisjoint(names)), None)


def _nowhere(needed: str, first: Row, reading: Reading, among: str = "") -> InputError:
    """That no row has what every row needs, and the settings that say it or say where it is found."""
    columns = f"the columns are: {fields.column_names(first.values)}"
    if needed == "kind":
        what = f"no column says of which kind the prompts are{among}"
        return InputError(what, where=reading.path, fix=f"{KIND_FIX}; {columns}", settings=KIND_SETTINGS)
    settings = {"mapping": f"{needed}={likely_column(needed, first.values)}"}
    if needed == "language":
        settings["language"] = "CODE"
    if not all(map(fields.is_name, first.values)):
        columns += ", which looks like a row: say so if the table has no header"
        settings["header"] = "False"
    fix = f"name yours; {columns}"
    return InputError(f"no column {needed!r}{among}", where=reading.path, fix=fix, settings=settings)


def _check_columns(first: Row, reading: Reading, form: Format, suffix: str) -> None:
    """A table whose header lacks what every row needs is one fault, not as many as it has rows."""
    if suffix not in {".csv", ".tsv", ".parquet", ".xlsx", ""}:
        return
    absent = next((name for name in reading.mapping.values() if name not in first.values), None)
    if absent is not None:
        fix = f"the columns are: {fields.column_names(first.values)}"
        raise InputError(f"no column {absent!r}, which the column map names", where=reading.path, fix=fix)
    if form is PLAIN and (needed := _lacking(first, reading)) is not None:
        raise _nowhere(needed, first, reading)


def read_prompts(path: str | Path, **options: Unpack[ReadOptions]) -> list[Prompt]:
    """All prompts of a file: JSONL, JSON, CSV, TSV, Parquet, with or without .gz, or plain sentences.

    Args:
        path: the file.
        options: see `ReadOptions`.

    Raises:
        InputError: the file is missing, empty or of no known kind, lacks a column, or (strict) has a bad row; the
            error names file, row, field, value and remedy.
    """
    return list(iter_prompts(path, **options))
