"""Preference pairs from files, of any format that `io/pair_rows.py` knows, and as this package writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from alignment_prism.domain import LANGUAGES, InputError, Languages, Pair, PairKind, Taxonomy
from alignment_prism.io import FieldError, Intake, TableOptions, fields, read_rows, record_from, sha256_of
from alignment_prism.io.identity import Identities
from alignment_prism.io.pair_rows import pair_from
from alignment_prism.preferences.labelled import LabelledReplies, label_column

SAYS_SAFETY = "a safety pair by its own words; taken as a general one"
"""What is noticed of a row whose `kind` another overrules: pools that were exchanged."""

PREFERENCES = ("better", "safer")
"""Which of its two labels a PKU-SafeRLHF row is read by."""


def iter_pairs(
    path: str | Path,
    *,
    kind: str | None = None,
    language: str | None = None,
    mapping: Mapping[str, str] | None = None,
    languages: Languages = LANGUAGES,
    taxonomy: Taxonomy | None = None,
    prefer: str = "better",
    source: str | None = None,
    intake: Intake | None = None,
    identities: Identities | None = None,
    table: TableOptions | None = None,
) -> Iterator[Pair]:
    """Pairs of a file, one at a time; see `read_pairs`."""
    try:
        side = PairKind(kind) if kind is not None else None
    except ValueError as error:
        raise InputError(f"unknown kind of pair {kind!r}", fix=f"use one of {', '.join(PairKind)}") from error
    if prefer not in PREFERENCES:
        raise InputError(f"unknown preference {prefer!r}", fix="use 'better' or 'safer'")
    code = languages.find(language).code if language and language != "und" else language
    intake = intake if intake is not None else Intake()
    identities = identities or Identities()
    digest = ""
    labelled = LabelledReplies(languages)

    def whole(pair: Pair) -> Pair:
        return replace(
            pair,
            kind=side or pair.kind,
            language=(code or by_folder) if (code or by_folder) and pair.language == "und" else pair.language,
            source=pair.source or source or digest,
        )

    by_folder = ""
    for row in read_rows(path, intake=intake, table=table):
        digest = digest or f"{Path(path).name.split('.')[0]}@{sha256_of(path)[:8]}"
        values = dict(row.values)
        for ours, theirs in (mapping or {}).items():
            if theirs in values:
                values[ours] = values.pop(theirs)
        if "question" in values or label_column(values):
            by_folder = _folder_language(path, languages)
        try:
            if column := label_column(values):
                labelled.add(row, values, column, intake)
                intake.accept()
                continue
            pair = _own(values, languages) or pair_from(values, languages=languages, taxonomy=taxonomy, prefer=prefer)
        except FieldError as error:
            intake.reject(row, error)
            continue
        intake.accept()
        if side is PairKind.GENERAL and pair.kind is PairKind.SAFETY:
            intake.note(row, FieldError("kind", pair.kind, SAYS_SAFETY, "check which file is which"))
        yield identities.pair(whole(pair), lambda note, row=row: intake.note(row, note))  # type: ignore[misc]
    for pair in labelled.pairs(intake):
        yield identities.pair(whole(pair), lambda note: None)
    if intake.rows == 0:
        raise InputError("no rows", where=str(path), fix="check that the file is the right one and not empty")
    intake.check()


def _folder_language(path: str | Path, languages: Languages) -> str:
    """The language of the folder of a file where published sets have one a language (`lang_de`, `hi`), else empty."""
    name = Path(path).resolve().parent.name.removeprefix("lang_")
    return languages.find(name).code if 2 <= len(name) <= 3 and name in languages else ""


def _own(values: Mapping[str, Any], languages: Languages) -> Pair | None:
    """The pair of a row that this package wrote, or None where it is another's."""
    if not {"id", "messages", "chosen", "rejected", "language"} <= values.keys() or not isinstance(
        values["chosen"], str
    ):
        return None
    pair = record_from(Pair, values)
    if pair.language != "und":
        fields.language({"language": pair.language}, languages)
    return pair


def read_pairs(
    path: str | Path,
    *,
    kind: str | None = None,
    language: str | None = None,
    mapping: Mapping[str, str] | None = None,
    languages: Languages = LANGUAGES,
    taxonomy: Taxonomy | None = None,
    prefer: str = "better",
    source: str | None = None,
    intake: Intake | None = None,
    table: TableOptions | None = None,
) -> list[Pair]:
    """All pairs of a file in any of the formats of `io/pair_rows.py` and `preferences/labelled.py`.

    Args:
        path: JSONL, JSON, CSV, TSV or Parquet, with or without .gz.
        kind: `safety` or `general`, overriding what rows say; None leaves it to them, `general` being the default.
        language: of rows that do not say theirs; None leaves them `und`.
        mapping: our column to the file's: `{"chosen": "good"}`.
        languages: the registry that spellings are looked up in.
        taxonomy: categories are checked against it; None takes any.
        prefer: for PKU-SafeRLHF, whether the `better` (more helpful) or the `safer` response is chosen.
        source: what `Pair.source` says where the row does not; None is `name@sha8` of the file.
        intake: accounts for rows; None is strict: the first bad row raises. Rows in = pairs + rejects, but of sets of
            labelled replies (`preferences.labelled`), of which two rows make a pair.
        table: how a CSV or TSV file is written.

    Raises:
        InputError: the file is missing, empty, of no known kind, or (strict) has a bad row.
    """
    return list(
        iter_pairs(
            path,
            kind=kind,
            language=language,
            mapping=mapping,
            languages=languages,
            taxonomy=taxonomy,
            prefer=prefer,
            source=source,
            intake=intake,
            table=table,
        )
    )
