"""YAML whose values know their lines, so that an error in a spec can name file, line, key path, value and fix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from yaml import MappingNode, Node, SafeLoader, ScalarNode, SequenceNode, YAMLError

from alignment_prism.domain.errors import InputError


class Located:
    """A YAML document as plain values, and the line of each.

    Args:
        text: the document.
        name: of the file, for errors.

    Attributes:
        values: the document's mapping.

    Raises:
        InputError: it is not YAML, not a mapping, or names a key twice.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        loader = SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                self._refuse_duplicates(node)
            values = loader.construct_document(node) if node is not None else None
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{name}, line {mark.line + 1}" if mark is not None else name
            problem = getattr(error, "problem", None) or str(error)
            raise InputError(f"not valid YAML: {problem}", where=where, fix="check indentation and quotes") from error
        finally:
            loader.dispose()
        if not isinstance(values, dict) or node is None:
            raise InputError(
                "the file is not a mapping of keys to values", where=name, fix="begin with: name: my-study"
            )
        self._root: Node = node
        self.values: dict[str, Any] = values

    @classmethod
    def from_file(cls, path: str | Path) -> Located:
        """Read a file.

        Raises:
            InputError: it cannot be read, or as above.
        """
        try:
            return cls(Path(path).read_text(encoding="utf-8-sig"), str(path))
        except OSError as error:
            raise InputError(
                f"cannot read the file: {error.strerror}", where=str(path), fix="check the path"
            ) from error
        except UnicodeDecodeError as error:
            raise InputError("the file is not UTF-8", where=str(path), fix="save it as UTF-8") from error

    def line(self, path: Sequence[str | int]) -> int:
        """Line, from 1, of the value under a key path, or of its nearest ancestor that is there."""
        node = self._root
        for part in path:
            inner = _child(node, part)
            if inner is None:
                break
            node = inner
        return int(node.start_mark.line) + 1

    def where(self, path: Sequence[str | int]) -> str:
        """The place of a key path, for an error."""
        return f"{self.name}, line {self.line(path)}, {key_path(path) or 'top level'}"

    def _refuse_duplicates(self, node: Node) -> None:
        if isinstance(node, MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    raise InputError(
                        f"the key {key.value!r} is there twice",
                        where=f"{self.name}, line {key.start_mark.line + 1}",
                        fix="keep one of the two",
                    )
                seen.add(key.value)
                self._refuse_duplicates(value)
        elif isinstance(node, SequenceNode):
            for value in node.value:
                self._refuse_duplicates(value)


def _child(node: Node, part: str | int) -> Node | None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value == str(part):
                inner: Node = value
                return inner
    elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        element: Node = node.value[part]
        return element
    return None


def key_path(path: Sequence[str | int]) -> str:
    """`arms[1].config.beta` for `("arms", 1, "config", "beta")`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def as_input_error(error: ValidationError, source: Located, prefix: Sequence[str | int] = ()) -> InputError:
    """The first fault that pydantic found below `prefix`, in our style; how many more there are is said."""
    faults = error.errors(include_url=False)
    fault = faults[0]
    path = [*prefix, *(part for part in fault["loc"] if isinstance(part, int) or not _is_variant(part))]
    cause = fault.get("ctx", {}).get("error")
    path += getattr(cause, "place", ())  # a fault of several keys together: the one to look at
    message = fault["msg"].removeprefix("Value error, ")
    fix = "correct the value"
    if fault["type"] == "extra_forbidden":
        what, fix = f"unknown key {key_path(path)!r}", "check its spelling, or leave it out"
    elif fault["type"] == "missing":
        what, fix = f"the key {key_path(path)!r} is missing", "add it"
    elif hasattr(cause, "place"):
        what = message
    else:
        value = fault.get("input")
        shown = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
        what = f"{key_path(path) or 'the study'}: {message} (it is {shown})"
    if isinstance(cause, InputError):
        what, fix = f"{key_path(path) or 'the study'}: {cause.what}", cause.fix or fix
    if len(faults) > 1:
        fix += f"; {len(faults) - 1} more fault{'s' if len(faults) > 2 else ''} after this one"
    return InputError(what, where=source.where(path), fix=fix)


def _is_variant(part: str) -> bool:
    """Whether a part of pydantic's path names a variant of a union, which is no key of the file."""
    return "[" in part or part in {"str", "tuple", "dict"}
