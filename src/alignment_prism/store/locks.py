"""One process at a time in a folder that several steps are written to."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alignment_prism.domain.errors import StoreError

try:
    import fcntl
except ImportError:  # no such locks on this system: nothing is guarded
    fcntl = None  # type: ignore[assignment]

LOCK = ".prism.lock"
_ELSEWHERE = "choose another place, one that may be written to"
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
"""A folder may be from somebody else: a lock that is a link would have us write to whatever it leads to."""


@contextmanager
def folder_lock(folder: str | Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a folder for this process while the block runs; the folder must be there.

    The system lets go of the lock when its process ends, however it ends, so a stale one is in nobody's way. Where the
    file system knows no locks, nothing is guarded.

    Args:
        folder: to hold.
        shared: with other processes that hold it so, and against those that do not.

    Raises:
        StoreError: another process holds it, or the lock cannot be written.
    """
    with _held(Path(folder) / LOCK, str(folder), shared=shared):
        yield


@contextmanager
def output_lock(output: str | Path) -> Iterator[None]:
    """Hold the name of a file that is to be written, and of what is kept beside it until then, for this process.

    Args:
        output: to hold; its folder is made if need be.

    Raises:
        StoreError: another process holds it, or the lock cannot be written.
    """
    path = Path(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write: {error.strerror}", where=str(output), fix=_ELSEWHERE) from error
    with _held(path.with_name(f".{path.name}{LOCK}"), str(output)):
        yield


@contextmanager
def turn_to_write(path: str | Path) -> Iterator[None]:
    """Wait until no other process writes to a file that several add to, and keep them waiting while the block runs.

    Where the file system knows no locks, nobody waits.

    Args:
        path: of the lock, a file beside that which is written; it stays.

    Raises:
        StoreError: its folder may not be written to.
    """
    if fcntl is None:
        yield
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"cannot write: {error.strerror}", where=str(path), fix=_ELSEWHERE) from error
    try:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@contextmanager
def _held(path: Path, name: str, *, shared: bool = False) -> Iterator[None]:
    file = _take(path, name, shared=shared)
    try:
        yield
    finally:
        if file is not None:
            if not shared:  # others may hold it still, and who comes next must meet them
                with suppress(OSError):  # it is not there any more, or the folder may no longer be written to
                    path.unlink()
            os.close(file)


def _take(path: Path, name: str, *, shared: bool = False) -> int | None:
    if fcntl is None:
        return None
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o644)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(
                    "the lock is a link, and what it leads to would be lost", where=str(path), fix="remove it"
                ) from error
            raise StoreError(f"cannot write: {error.strerror}", where=name, fix=_ELSEWHERE) from error
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 80, 0).decode("utf-8", "replace").strip()
            os.close(file)
            raise StoreError(
                f"another prism is at work here{f' ({holder})' if holder else ''}",
                where=name,
                fix="wait until it is done, or choose another folder",
            ) from None
        except OSError:
            os.close(file)
            return None
        if _still_there(path, file):
            with suppress(OSError):  # on a full disk it is held all the same, and by whom is not written
                os.ftruncate(file, 0)
                os.pwrite(file, f"process {os.getpid()}\n".encode(), 0)
            return file
        os.close(file)  # who held it has just ended and taken the file away: a new one is made


def _still_there(path: Path, file: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(file)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
