"""The one reader of YAML: values that know their lines, so that an error names file, line, key path, value and fix.

Specs, settings of methods, gates, rubrics and languages are read here. Values are those of YAML 1.2's core schema:
`no` and `on` are texts (Norwegian is a language), `5e-7` is a number, a date is a text. Tags (`!!int`) are refused.
A document is bounded in bytes, depth and values, aliases counted as what they stand for, so that none can hang a
command.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from alignment_prism.domain.errors import InputError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_VALUES = 10_000
"""A hundred times what a study has; what exceeds a bound is refused within a second, before it is built."""

KeyPath = Sequence[str | int]
M = TypeVar("M", bound=BaseModel)


class YamlDocument:
    """A YAML document as plain values, and the line of each.

    Args:
        text: the document.
        name: of the file, for errors.

    Attributes:
        name: of the file.
        content: mappings, lists, texts, numbers, booleans; None for an empty document.

    Raises:
        InputError: it is not YAML, is larger or deeper than any spec, uses a tag, or names a key twice.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._overrides: set[tuple[str | int, ...]] = set()
        if len(text) > MAX_BYTES:
            what = f"the file has {len(text):,} characters, and more than {MAX_BYTES:,} are not read"
            raise InputError(what, where=name, fix="check that it is the right file")
        try:
            self._root = _composed(text)
            self.content = None if self._root is None else _Loader("").construct_document(self._root)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{name}, line {mark.line + 1}" if mark is not None else name
            problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
            fix = getattr(error, "fix", "check indentation and quotes")
            raise InputError(f"not valid YAML: {problem}", where=where, fix=fix) from error

    @classmethod
    def from_file(cls, path: str | Path) -> YamlDocument:
        """Read a file.

        Raises:
            InputError: it cannot be read, or as above.
        """
        try:
            with Path(path).open("rb") as file:
                text = file.read(MAX_BYTES + 4).decode("utf-8-sig")
        except OSError as error:
            what = f"cannot read the file: {error.strerror or error}"
            raise InputError(what, where=str(path), fix="check the path") from error
        except UnicodeDecodeError as error:
            raise InputError("the file is not UTF-8", where=str(path), fix="save it as UTF-8") from error
        return cls(text, str(path))

    def mapping(self, *, fix: str) -> dict[str, Any]:
        """The content, which must be a mapping of keys to values; `fix` says how such a file begins.

        Raises:
            InputError: it is not.
        """
        if not isinstance(self.content, dict):
            raise InputError("the file is not a mapping of keys to values", where=self.name, fix=fix)
        return self.content

    def override(self, path: Sequence[str], value: Any) -> None:
        """Put a value that does not come from the file under a key path; errors say so.

        Args:
            path: keys of nested mappings; those that are not there are made.
            value: to put there.
        """
        inner = self.content if isinstance(self.content, dict) else {}
        self.content = inner
        for part in path[:-1]:
            below = inner.get(part)
            inner[part] = dict(below) if isinstance(below, dict) else {}
            inner = inner[part]
        inner[path[-1]] = value
        self._overrides.add(tuple(path))

    def line(self, path: KeyPath) -> int:
        """Line, from 1, of a key path, or of its nearest ancestor that is there."""
        node, line = self._root, 1 if self._root is None else self._root.start_mark.line + 1
        for part in path:
            inner = _child(node, part)
            if inner is None:
                break
            node, line = inner
        return line

    def where(self, path: KeyPath = ()) -> str:
        """The place of a key path, for an error."""
        if any(tuple(path[: len(given)]) == given for given in self._overrides):
            return f"override {key_path(path)}"
        return f"{self.name}, line {self.line(path)}, {key_path(path) or 'top level'}"


def key_path(path: KeyPath) -> str:
    """`arms[1].config.beta` for `("arms", 1, "config", "beta")`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings laid over settings, mapping by mapping: `above` need only name what differs."""
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = overlay(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


class KeyFault(ValueError):
    """For validators of a model: a fault of several keys together, with the path of the one to look at."""

    def __init__(self, what: str, *place: str | int) -> None:
        super().__init__(what)
        self.place = place


def validated(model: type[M], values: Any, source: YamlDocument, prefix: KeyPath = ()) -> M:
    """Values as a typed model.

    Args:
        model: what they are to be. One that is written otherwise than it is held says so by a class method
            `written_as`, which gives a model with the fields of the document.
        values: usually the document's content, or what stands in it under `prefix`.
        source: the document, for the places of faults.
        prefix: key path under which the values stand.

    Raises:
        InputError: a value is not what the model takes: the first fault, and how many more there are.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _as_input_error(error, model, values, source, tuple(prefix)) from error


def _as_input_error(
    error: ValidationError, model: type[BaseModel], values: Any, source: YamlDocument, prefix: tuple[str | int, ...]
) -> InputError:
    faults = [(_keys_of(fault["loc"], values, fault["type"]), fault) for fault in error.errors(include_url=False)]
    first = faults[0][0]
    # A union reports each of its members: the fault that lies deepest is of the member that was meant.
    path, fault = max((each for each in faults if each[0][: len(first)] == first), key=lambda each: len(each[0]))
    # A list none of whose entries is right is told to be too short, too.
    others = {keys for keys, _ in faults if keys[: len(first)] != first and keys != path[: len(keys)]}
    if fault["type"] == "missing" and (misspelt := _misspelt(path, faults)) is not None:
        path, fault = misspelt
        others.discard(path)
    cause = fault.get("ctx", {}).get("error")
    place = (*prefix, *path, *getattr(cause, "place", ()))
    name = key_path(place) or "top level"
    message, fix = fault["msg"].removeprefix("Value error, "), _REMEDIES.get(fault["type"], "correct the value")
    value = fault.get("input")
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        what = f"unknown key {name!r}"
        fix = f"did you mean {close[0]!r}?" if close else f"known keys here: {', '.join(known)}"
        if len(path) > 1 and not prefix and path[-1] in model.model_fields:
            fix = f"{path[-1]!r} is of the whole: write it at the top level, beside {path[0]!r}"
    elif fault["type"] == "missing":
        what = f"the key {name!r} is missing"
    elif fault["type"] == "too_short" and not value:
        fewest = fault["ctx"]["min_length"]
        what, fix = f"{name}: an empty list", f"write at least {fewest} entr{'y' if fewest == 1 else 'ies'}"
    elif isinstance(cause, InputError):
        what, fix = f"{name}: {cause.what}", cause.fix or fix
    elif isinstance(cause, KeyFault):
        what = message
    else:
        here = [other for keys, other in faults if keys == path]
        shown = f" (it is {_shortened(value)})" if isinstance(value, (str, int, float, bool, type(None))) else ""
        what = f"{name}: {_expected(here) or message}{shown}"
        fix = _remedy(fault, here, _models_at(model, path)) or fix
    if others:
        fix += f"; {len(others)} more fault{'s' if len(others) > 1 else ''} after this one"
    return InputError(what, where=source.where(place), fix=fix)


_At = tuple[tuple[str | int, ...], Any]
"""Key path, and pydantic's fault there."""


def _misspelt(missing: KeyPath, faults: Sequence[_At]) -> _At | None:
    """The unknown key that was meant for a missing one; None where there is none like it."""
    beside = {
        str(keys[-1]): (keys, fault)
        for keys, fault in faults
        if fault["type"] == "extra_forbidden" and keys[:-1] == tuple(missing[:-1])
    }
    close = difflib.get_close_matches(str(missing[-1]), beside, n=1)
    return beside[close[0]] if close else None


_LIST, _MAPPING = "a list", "a mapping of keys"
_KINDS = {"tuple_type": _LIST, "list_type": _LIST, "model_type": _MAPPING, "dict_type": _MAPPING}
"""Pydantic's types of faults -> what the file should have there, in the words of YAML."""


def _expected(faults: Sequence[Any]) -> str:
    """What should stand where it has a list or a mapping; empty where Pydantic's words will do."""
    kinds = [_KINDS.get(fault["type"]) for fault in faults]
    if not any(kinds):
        return ""
    said = [kind or fault["msg"].removeprefix("Input should be ") for kind, fault in zip(kinds, faults, strict=True)]
    return "Input should be " + " or ".join(dict.fromkeys(said))


def _remedy(fault: Any, here: Sequence[Any], models: Sequence[type[BaseModel]]) -> str:
    """How to write what was meant; empty where nobody knows."""
    value, kinds = fault.get("input"), {_KINDS.get(each["type"]) for each in here}
    first = next(iter(models[0].model_fields)) if models else ""
    alone = isinstance(value, (str, int, float, bool))
    if _LIST in kinds and alone:
        return f"write a list: [{{{first}: {value}}}]" if first else f"write a list: [{_shortened(value)}]"
    if _LIST in kinds:
        return "write a list: a dash before each entry"
    if _MAPPING in kinds and alone and first:
        return f"write {{{first}: {value}}}"
    if _MAPPING in kinds:
        return "write keys and values" + (f"; its keys: {', '.join(models[0].model_fields)}" if models else "")
    per_cent = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    if per_cent or (fault.get("ctx", {}).get("le") == 1 and isinstance(value, (int, float)) and 1 < value <= 100):
        number = float(per_cent[1] if per_cent else value)
        return f"write {number / 100:g} for {number:g} %"
    return ""


_REMEDIES = {"missing": "add it", "string_type": "write a text, in quotes where it looks like a number"}


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _keys_of(loc: Sequence[str | int], values: Any, kind: str) -> tuple[str | int, ...]:
    """Pydantic's path without its names of union members and validators, which are no keys of the file."""
    keys: list[str | int] = []
    for at, part in enumerate(loc):
        inside = isinstance(part, int) and part < len(values) if isinstance(values, Sequence) else False
        if inside or (isinstance(values, Mapping) and part in values):
            keys.append(part)
            values = values[part]
        elif kind == "missing" and at == len(loc) - 1:
            keys.append(part)
    return tuple(keys)


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Keys that the mapping at a path may have."""
    return list(dict.fromkeys(name for each in _models_at(model, path) for name in each.model_fields))


def _models_at(model: type[BaseModel], path: KeyPath) -> list[type[BaseModel]]:
    """What the mapping at a path may be."""
    models = [getattr(model, "written_as", lambda: model)()]
    for part in path:
        if isinstance(part, str):
            fields = [each.model_fields[part] for each in models if part in each.model_fields]
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, int] | None:
    """The node under a key or an index, and its line: that of the key, where there is one."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    return None


@lru_cache(maxsize=16)
def _composed(text: str) -> yaml.Node | None:
    """The nodes of a document; a study reads the same presets for every arm, and reading is most of the time."""
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Fault(yaml.MarkedYAMLError):
    """A fault that PyYAML would not find, with its remedy."""

    def __init__(self, problem: str, mark: Any, fix: str) -> None:
        super().__init__(problem=problem, problem_mark=mark)
        self.fix = fix


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema, and with bounds."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if getattr(event, "tag", None) is not None:
            raise _Fault(f"a tag ({event.tag.rpartition(':')[2]})", mark, "write the value without a tag")
        if self._depth == MAX_DEPTH:
            raise _Fault(f"more than {MAX_DEPTH} values within values", mark, "write it flatter")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        assert node is not None
        if isinstance(event, yaml.AliasEvent):
            if node not in self._sizes:
                raise _Fault(f"the alias *{event.anchor} stands within what it means", mark, "write the value out")
        else:
            self._sizes[node] = self._size(node)
        if max(len(self._sizes), self._sizes[node]) > MAX_VALUES:
            fix = "check that it is the right file; each alias counts as what it stands for"
            raise _Fault(f"more than {MAX_VALUES:,} values", mark, fix)
        return node

    def _size(self, node: yaml.Node) -> int:
        """How many values a node holds, aliases counted as what they stand for."""
        if isinstance(node, yaml.SequenceNode):
            return 1 + sum(self._sizes[inner] for inner in node.value)
        if isinstance(node, yaml.MappingNode):
            return 1 + sum(self._sizes[inner] for _, inner in node.value)
        return 1

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            mark = key.start_mark
            if not isinstance(key, yaml.ScalarNode):
                raise _Fault("a key that is a list or a mapping", mark, "write a text for a key")
            if key.value in seen:
                raise _Fault(f"the key {key.value!r} is there twice", mark, "keep one of the two")
            seen.add(key.value)
        return node

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        try:
            return int(self.construct_scalar(node))
        except ValueError as error:  # Python reads no numbers of more than some thousands of digits
            fix = "check the value, or put it in quotes"
            raise _Fault(f"a number of {len(node.value):,} digits", node.start_mark, fix) from error


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
