"""How the records of the domain lie on disk: one column a field, the same in Parquet and JSONL.

Columns, their order and their defaults come from the dataclasses, their documentation from the `Attributes` of the
docstrings, so that there is one truth. Types go by the annotation:

| annotation | Arrow | JSON |
|---|---|---|
| `str`, any `StrEnum` | string | text |
| `int`, `bool`, `float` | int64, bool, float64 | number; a float that is not finite is `"nan"`, `"inf"`, `"-inf"` |
| `X | None` | the same, nullable | `null` |
| `tuple[str, ...]` | list of string | list |
| `Messages` | list of struct of role and content | list of objects |
| `Mapping` | string that holds JSON | object |
"""

from __future__ import annotations

import inspect
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from alignment_prism.domain import (
    Comparison,
    Contrast,
    Finding,
    Generation,
    InputError,
    Label,
    Message,
    Messages,
    Pair,
    Prompt,
    Score,
    Transfer,
    messages_from,
)
from alignment_prism.io.problems import FieldError

if TYPE_CHECKING:
    import pyarrow as pa

READ_BY: dict[type, tuple[str, str]] = {
    Prompt: ("prompts", "prism prompts stats"),
    Pair: ("preference pairs", "prism preferences xray"),
    Generation: ("replies", "prism judge"),
    Score: ("scores", "prism analyse"),
    Label: ("labels", "prism agreement"),
    Comparison: ("comparisons of replies", "prism analyse"),
    Finding: ("findings", "prism report"),
    Contrast: ("contrasts of two runs", "prism report, of the folder that they lie in"),
    Transfer: ("rows of transfer between languages", "prism report, of the folder that they lie in"),
}
"""What the records of a file are called, and a command that reads such a file."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a record.

    Attributes:
        name: of the field and of the column.
        arrow: makes the Arrow type.
        nullable: whether None is a value.
        required: whether a file must have it; otherwise the field's default stands in.
        doc: what it means.
        to_json: field value to plain JSON value.
        from_plain: value of JSON or Parquet to field value; raises TypeError or ValueError.
        parquet_json: whether Parquet holds it as a JSON text.
    """

    name: str
    arrow: Callable[[], pa.DataType]
    nullable: bool
    required: bool
    doc: str
    to_json: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]
    parquet_json: bool = False

    def to_parquet(self, value: Any) -> Any:
        """The value as Arrow takes it."""
        if self.parquet_json:
            return json.dumps(self.to_json(value), ensure_ascii=False, sort_keys=True)
        return value if isinstance(value, float) else self.to_json(value)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: tuples as lists, floats that are not finite, dates and bytes as texts."""
    if value is None or isinstance(value, (bool, int, str)):
        return str(value) if isinstance(value, StrEnum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    if not value.isascii():
        value.encode("utf-8")  # a lone surrogate cannot be written again
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise TypeError("not a whole number")
    return int(value)


def _number(value: Any) -> float:
    if value is None or (isinstance(value, str) and value in {"nan", "inf", "-inf"}):
        return float(value or "nan")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("not a number")
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise TypeError("not a list of texts")
    return tuple(_text(entry) for entry in value)


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        value = json.loads(value) if value else {}
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError("not an object")
    return dict(value)


def _conversation(value: Any) -> Messages:
    try:
        turns = messages_from(value)
        for turn in turns:
            _text(turn.content)
        return turns
    except InputError:
        raise ValueError('not a list of turns {"role": ..., "content": ...}') from None
    except TypeError:
        raise TypeError("neither a text nor a list of turns") from None


def _member(kind: type[StrEnum]) -> Callable[[Any], StrEnum]:
    def find(value: Any) -> StrEnum:
        try:
            return kind(value)
        except ValueError:
            raise ValueError("not one of " + ", ".join(kind)) from None

    return find


def _turns_type() -> pa.DataType:
    import pyarrow as pa

    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def _codec(annotation: Any) -> tuple[Callable[[], pa.DataType], Callable[[Any], Any], Callable[[Any], Any], bool]:
    """Arrow type, encoder, decoder and whether Parquet holds JSON, for one annotation without its None."""
    import pyarrow as pa

    if annotation is str:
        return pa.string, plain, _text, False
    if annotation is bool:
        return pa.bool_, plain, _truth, False
    if annotation is int:
        return pa.int64, plain, _integer, False
    if annotation is float:
        return pa.float64, plain, _number, False
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return pa.string, plain, _member(annotation), False
    if annotation == tuple[str, ...]:
        return lambda: pa.list_(pa.string()), plain, _texts, False
    if annotation == Messages or annotation == tuple[Message, ...]:
        return _turns_type, lambda turns: [each.as_dict() for each in turns], _conversation, False
    if typing.get_origin(annotation) in {Mapping, dict}:
        return pa.string, plain, _mapping, True
    raise TypeError(f"no column type for {annotation!r}")


def _documentation(record_type: type) -> dict[str, str]:
    """Field name to its words in the `Attributes` section of the docstring."""
    doc = inspect.getdoc(record_type) or ""
    section = doc.partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?= {4}\w)", "\n" + section):
        name, _, words = entry.strip().partition(":")
        found[name] = " ".join(words.split())
    return found


def _column(spec: Field[Any], annotation: Any, doc: str) -> Column:
    nullable = False
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        parts = [part for part in typing.get_args(annotation) if part is not types.NoneType]
        nullable = len(parts) < len(typing.get_args(annotation))
        (annotation,) = parts
    arrow, to_json, from_plain, parquet_json = _codec(annotation)
    required = spec.default is MISSING and spec.default_factory is MISSING
    if nullable:
        encode, decode = to_json, from_plain
        to_json = lambda value: None if value is None else encode(value)  # noqa: E731
        from_plain = lambda value: None if value is None else decode(value)  # noqa: E731
    return Column(spec.name, arrow, nullable, required, doc, to_json, from_plain, parquet_json)


def columns_of(record_type: type) -> tuple[Column, ...]:
    """The columns of a record type, in the order of its fields."""
    return _columns_of(record_type)


@cache
def _columns_of(record_type: Any) -> tuple[Column, ...]:
    annotations = typing.get_type_hints(record_type)
    docs = _documentation(record_type)
    return tuple(
        _column(spec, annotations[spec.name], docs.get(spec.name, "")) for spec in fields(record_type) if spec.init
    )


def schema_for(record_type: type) -> pa.Schema:
    """The Arrow schema of a record type; every field carries its documentation as metadata `doc`."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(column.name, column.arrow(), nullable=column.nullable, metadata={"doc": column.doc})
            for column in columns_of(record_type)
        ],
        metadata={"record": record_type.__name__},
    )


def record_from(record_type: type[R], values: Mapping[str, Any]) -> R:
    """A record from the columns of one row of our own files.

    Columns that the record does not have go into its `metadata` where it has such a field, and are refused otherwise.

    Raises:
        FieldError: it is a record of another kind; or a column is missing, superfluous, or has a value that does not
            fit.
    """
    try:
        return _record_from(record_type, values)
    except FieldError:
        _check_kind(record_type, values)
        raise


@cache
def _names(record_type: type) -> frozenset[str]:
    return frozenset(column.name for column in columns_of(record_type))


def _check_kind(record_type: type, values: Mapping[str, Any]) -> None:
    """Check that the columns are not just those of another record, nor mostly others: a file was mistaken for another.

    Raises:
        FieldError: they are.
    """
    there = set(values)
    wanted = READ_BY[record_type][0] if record_type in READ_BY else f"a {record_type.__name__.lower()}"
    for kind, (words, command) in READ_BY.items():
        if kind is not record_type and there == _names(kind):
            fix = f"give another file; {command} reads this one"
            raise FieldError("", None, f"these are {words}, not {wanted}", fix)
    needed = [column.name for column in columns_of(record_type) if column.required]
    lacking = [name for name in needed if name not in values]
    if 2 * len(lacking) > len(needed) > 1:
        fix = "give a file that this package has written; tables of others' replies, verdicts and labels: prism import"
        raise FieldError("", None, f"these are not {wanted}: no column {', '.join(map(repr, lacking))}", fix)


def _record_from(record_type: type[R], values: Mapping[str, Any]) -> R:
    columns = columns_of(record_type)
    known: dict[str, Any] = {}
    for column in columns:
        if column.name not in values:
            if column.required:
                what = f"a {record_type.__name__.lower()} needs the column {column.name!r}"
                raise FieldError(column.name, None, what, f"add it: {column.doc}")
            continue
        try:
            known[column.name] = column.from_plain(values[column.name])
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise FieldError(column.name, values[column.name], str(error)[:120], f"write {column.doc}") from None
    extra = {name: plain(value) for name, value in values.items() if name not in known}
    if extra:
        _check_kind(record_type, values)
        if not any(column.name == "metadata" for column in columns):
            name = next(iter(extra))
            what = f"a {record_type.__name__.lower()} has no column {name[:40]!r}"
            raise FieldError("", None, what, "take it out; the columns are " + ", ".join(each.name for each in columns))
        known["metadata"] = {**extra, **known.get("metadata", {})}
    return record_type(**known)


def json_of(record: Any) -> dict[str, Any]:
    """A record as a JSON object, every column present."""
    return {column.name: column.to_json(getattr(record, column.name)) for column in columns_of(type(record))}
