"""Checks before any work: whether an output may be written where it is to go, and what would be lost by it.

One rule for every command: an output that is there already is refused unless it is to be replaced, an output is never
one of the inputs, and whether it can be written is found out before the work and not after it.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from alignment_prism.domain.errors import InputError, PrismError, SharedStoreError, StoreError

WRITE_FIX = "choose another place, one that may be written to"

AGAIN = f"let it be written to, then run the same again: what is finished is kept; or {WRITE_FIX}"

REFUSALS = {
    errno.ENOSPC: "make room there, then run the same again: what is finished is kept",
    errno.EDQUOT: "make room there, then run the same again: what is finished is kept",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), then run the same again: what is finished is kept",
    errno.EROFS: AGAIN,
    errno.EACCES: AGAIN,
    errno.EPERM: AGAIN,
    errno.ENOMEM: "let less be done at once, then run the same again: what is finished is kept",
    errno.EIO: "check the disk, or choose another place",
}
"""What a file system may refuse while work is under way, and what to do about it."""

_OF_ONE_PLACE = (errno.EACCES, errno.EPERM)
"""What may be refused of one file or folder, and granted of the next; the others are the whole machine's."""

_NO_MEMORY = "DefaultCPUAllocator: can't allocate memory"
"""How PyTorch says so."""

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How libraries in Rust (safetensors, tokenizers) write the number of a system's error."""


def storage_fault(error: BaseException) -> StoreError | None:
    """The error that an exception amounts to where the machine is at its end: a full disk, a place that may not be
    written to, no memory.

    Args:
        error: whatever came up; libraries wrap the system's errors in classes of their own.

    Returns:
        A `SharedStoreError` where whatever is done next would meet the same. None where the exception, and what it was
        raised from, is something else, or says already what to do.
    """
    return None if isinstance(error, PrismError) else _fault(error)


def shared_fault(error: BaseException) -> SharedStoreError | None:
    """The error, or what it amounts to, where whatever is done next would meet the same; None for any other.

    Another process that reads it loses nothing, as it would what the exception was raised from.
    """
    if isinstance(error, SharedStoreError):
        return error
    if isinstance(error, PrismError) and not isinstance(error, StoreError):
        return None
    fault = _fault(error)
    if not isinstance(fault, SharedStoreError):
        return None
    if isinstance(error, StoreError):
        return SharedStoreError(error.what, where=error.where, fix=error.fix, settings=error.settings)
    return fault


def _fault(error: BaseException) -> StoreError | None:
    seen: BaseException | None = error
    while seen is not None:
        written = _OS_ERROR.search(str(seen))
        number = seen.errno if isinstance(seen, OSError) else int(written.group(1)) if written else None
        if isinstance(seen, MemoryError) or _NO_MEMORY in str(seen):
            return SharedStoreError("memory ran out", fix=REFUSALS[errno.ENOMEM])
        if number in REFUSALS:
            where = getattr(seen, "filename", None)
            what = f"the file system refuses to go on: {os.strerror(number)}"
            kind = StoreError if number in _OF_ONE_PLACE else SharedStoreError
            return kind(what, where=str(where) if where else None, fix=REFUSALS[number])
        seen = seen.__cause__
    return None


def check_writable(path: str | Path) -> None:
    """Check that `path` can be made: its folder, or the nearest one above it that is there, takes a new file.

    Nothing is left behind, not even the folders that are still to be made.

    Raises:
        StoreError: it cannot be written.
    """
    path = Path(path)
    place = path.absolute().parent
    try:
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            raise StoreError(f"cannot write: {place} is a file, not a folder", where=str(path), fix=WRITE_FIX)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StoreError(f"cannot write: {error.strerror or error}", where=str(path), fix=WRITE_FIX) from error


def check_within(folder: str | Path) -> None:
    """Check that files can be made in a folder, which may be still to be made itself.

    Raises:
        StoreError: they cannot.
    """
    try:
        check_writable(Path(folder) / "x")
    except StoreError as error:
        error.where = str(folder)
        raise


def check_files(
    outputs: Iterable[str | Path | None], *, inputs: Iterable[str | Path | None] = (), replace: bool = False
) -> None:
    """Check the files that a command is to write, before it does anything.

    Args:
        outputs: the files; None and empty names are passed over.
        inputs: files and folders that the command reads; names that are no path on this machine may be among them.
        replace: whether files that are there are to be replaced.

    Raises:
        InputError: an output is one of the inputs (links followed), or two outputs are the same file.
        StoreError: an output is there already and is not to be replaced, is no plain file, or cannot be written.
    """
    wanted = [Path(output) for output in outputs if output]
    check_inputs(wanted, inputs)
    for number, path in enumerate(wanted):
        if any(_same(path, other) for other in wanted[:number]):
            raise InputError("two outputs have one name", where=str(path), fix="name each differently")
        if os.path.lexists(path):
            if path.exists() and not path.is_file():
                what = "a folder" if path.is_dir() else "no plain file"
                raise StoreError(f"the output is {what}", where=str(path), fix="name a file to write")
            if not replace:
                fix = "choose another name, or replace the file"
                raise StoreError("the file exists already", where=str(path), fix=fix, settings={"replace": "True"})
        check_writable(path)


def check_inputs(outputs: Iterable[str | Path], inputs: Iterable[str | Path | None]) -> None:
    """Check that no output is an input, nor a folder that holds one; links are followed.

    Raises:
        InputError: one is.
    """
    sources = [Path(source) for source in inputs if source]
    for output in map(Path, outputs):
        for source in sources:
            if _same(output, source) or (output.is_dir() and _inside(source, output)):
                what = "the output is also an input" if _same(output, source) else f"the output folder holds {source}"
                raise InputError(f"{what}, which would be lost", where=str(output), fix="write somewhere else")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()


def _inside(path: Path, folder: Path) -> bool:
    return path.exists() and path.resolve().is_relative_to(folder.resolve())
