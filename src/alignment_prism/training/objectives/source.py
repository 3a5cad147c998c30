"""What functions of other packages and of notebooks are written in, so that a changed one is known for another."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from alignment_prism.domain import content_digest

PACKAGE = Path(__file__).parents[2]

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""In what Python says of an object: another one in every process."""


def code_of(*functions: Callable[..., Any]) -> str:
    """Digest of the files, or the cells of a notebook, that functions are written in, and of what is bound to them:
    defaults, the arguments of a `functools.partial`, the variables of a closure, the attributes of a callable object.
    Sixteen hexadecimal digits.

    What those files import, and what other cells say, is not in it. Of functions of this package it has the names: the
    version stands for what they do. Files are read now, so that a function which is declared stays what it was when its
    file is edited.
    """
    files: dict[str, str] = {}
    bound: list[str] = []
    for code in _codes(functions, bound, set()):
        name = code.co_filename
        if _is_ours(code):
            bound.append(Path(name).relative_to(PACKAGE).as_posix())
        else:
            linecache.checkcache(name)
            files[name] = "".join(linecache.getlines(name)) or files.get(name, "") + _without_source(code)
        bound.append(code.co_qualname)  # of several losses in one file
    return content_digest(*files.values(), *bound)


def _codes(values: Iterable[Any], bound: list[str], seen: set[int]) -> Iterator[CodeType]:
    """The code of functions and of those that are bound to them; what else is bound is added to `bound`."""
    for one in values:
        if isinstance(one, ModuleType):
            bound.append(one.__name__)  # its `repr` has the folder that it lies in on this machine
            continue
        speaks = any("__repr__" in vars(kind) for kind in type(one).__mro__[:-1])  # of more than where it lies
        told = isinstance(one, type) or (speaks and not callable(one))
        if told and (parts := _parts(one)) is not None:
            if id(one) not in seen:  # a list that holds itself
                bound.append(f"{type(one).__qualname__} of {len(parts)}")
                seen.add(id(one))
                yield from (_unordered if isinstance(one, set | frozenset) else _codes)(parts, bound, seen)
                seen.discard(id(one))
            continue
        if told and (held := _values(one)) is not None:
            bound.append(f"{type(one).__qualname__} {getattr(one, 'dtype', '')}")
            yield from _codes(held, bound, seen)
            continue
        if told:
            bound.append(_ADDRESS.sub("", repr(one)))
            continue
        if id(one) in seen:  # a function that calls itself is in its own closure
            continue
        seen.add(id(one))
        if isinstance(one, FunctionType):
            yield one.__code__
            defaults = () if _is_ours(one.__code__) else (*(one.__defaults__ or ()), *_named(one.__kwdefaults__ or {}))
            inner = (*defaults, *_contents(one), *_named(vars(one)))  # `functools.wraps` leaves the wrapped one there
        elif isinstance(one, MethodType):
            inner = (one.__func__, one.__self__)
        elif isinstance(one, partial):
            inner = (one.func, *one.args, *_named(one.keywords))
        else:
            own = [getattr(value, "__func__", value) for kind in type(one).__mro__ for value in vars(kind).values()]
            written = [value for value in own if isinstance(value, FunctionType)]
            inner = (*written, *_named(vars(one))) if hasattr(one, "__dict__") else (*written, repr(one))
        yield from _codes(inner, bound, seen)


def _unordered(values: Iterable[Any], bound: list[str], seen: set[int]) -> Iterator[CodeType]:
    """As `_codes`, of members of a set, which stand in another order in every process: each is read by itself, and they
    are put in the order of what is read."""
    read: list[tuple[list[str], list[CodeType]]] = []
    for one in values:
        said: list[str] = []
        read.append((said, list(_codes([one], said, set(seen)))))
    for said, codes in sorted(read, key=lambda one: (one[0], [_order(code) for code in one[1]])):
        bound += said
        yield from codes


def _order(code: CodeType) -> tuple[str, str, str]:
    return code.co_qualname, _without_source(code), code.co_filename


def _parts(value: Any) -> tuple[Any, ...] | None:
    """What a collection, or an object of a data class, holds; None of anything else."""
    if isinstance(value, set | frozenset | list | tuple):
        return tuple(value)
    if isinstance(value, dict):
        return _named(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _named({field.name: getattr(value, field.name, None) for field in fields(value)})
    return None


def _values(value: Any) -> tuple[Any, ...] | None:
    """What a tensor, an array or a data frame holds, whose `repr` rounds and leaves out; None of anything else, and of
    tensors that cannot be read so (sparse ones)."""
    kind = type(value)
    if callable(getattr(kind, "to_numpy", None)):  # rows and columns have names
        return *getattr(value, "axes", ()), value.to_numpy()
    if not callable(getattr(kind, "tolist", None)):
        return None
    try:
        found = value.tolist()
    except (RuntimeError, TypeError):
        return None
    return (found,) if "object" in str(getattr(value, "dtype", "")) else (repr(found),)


def _named(values: dict[Any, Any]) -> tuple[Any, ...]:
    return *values, *values.values()


def _contents(function: FunctionType) -> Iterator[Any]:
    """What the variables of a closure hold; one that has no value yet is passed over."""
    for cell in function.__closure__ or ():
        with suppress(ValueError):
            yield cell.cell_contents


def _is_ours(code: CodeType) -> bool:
    return Path(code.co_filename).is_relative_to(PACKAGE)


def _without_source(code: CodeType) -> str:
    """Of a function that was typed into an interpreter which keeps no source."""
    inner = [_without_source(one) for one in code.co_consts if isinstance(one, CodeType)]
    said: list[str] = []
    list(_codes((one for one in code.co_consts if not isinstance(one, CodeType)), said, set()))  # sets among them
    return f"{code.co_code.hex()} {code.co_names} {said} {inner}"
