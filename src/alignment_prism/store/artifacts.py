"""Artifacts: folders that are either complete, with a manifest that says how they came about, or not there.

An artifact is written into a temporary sibling folder, flushed to disk and renamed, so a killed process leaves
nothing that looks finished. Its `manifest.json` holds what it was made from and the SHA-256 of every file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from alignment_prism.domain.errors import StoreError
from alignment_prism.io.writers import is_under_way, writing_to
from alignment_prism.store.names import MANIFEST
from alignment_prism.store.outputs import REFUSALS, WRITE_FIX, check_writable

FORMAT = 1
OLD = "-old"
"""Ends the name of a folder that is being replaced."""
PACKAGE = "alignment-prism"
VERSIONED = (PACKAGE, "torch", "transformers", "inspect-ai")
"""Distributions whose versions are written into every manifest."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact is and how it came about.

    Attributes:
        kind: what it is (`mixture`, `model`, `generations`).
        key: digest of kind, spec, inputs and seed: equal keys mean the same work.
        spec: the settings it was made with, plain JSON values.
        inputs: name -> digest of what it was made from.
        seed: of its random numbers, None where there are none.
        files: path within the folder -> {"sha256": hexadecimal digest, "bytes": size}.
        versions: distribution -> version at the time of writing.
        format: of this file.
    """

    kind: str
    key: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, str]
    seed: int | None
    files: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT


def artifact_key(kind: str, spec: Mapping[str, Any], inputs: Mapping[str, str], seed: int | None) -> str:
    """SHA-256 over what an artifact is made from, 64 hexadecimal digits."""
    text = json.dumps([kind, spec, inputs, seed], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"cannot read the file: {error.strerror}", where=str(path)) from error


@contextmanager
def write_artifact(
    folder: str | Path,
    *,
    kind: str = "artifact",
    spec: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    seed: int | None = None,
    replace: bool = False,
) -> Iterator[Path]:
    """Yield a temporary folder to write into; on leaving, it becomes `folder`, complete with its manifest.

    An exception inside the block, Ctrl-C included, removes the temporary folder and leaves `folder` untouched.

    Args:
        folder: where the artifact is to be.
        kind: what it is.
        spec: the settings it is made with, plain JSON values.
        inputs: name -> digest of what it is made from.
        seed: of its random numbers.
        replace: whether an artifact of the same kind that is already there is replaced; otherwise it is an error.

    Raises:
        StoreError: as `check_folder`; or the folder cannot be written.

    Example:
        >>> with write_artifact(out, kind="mixture", spec={"share": 0.15}, seed=0) as temporary:
        ...     (temporary / "pairs.jsonl").write_text(lines)
    """
    with placed(folder, kind=kind, replace=replace) as temporary:
        yield temporary
        with _as_store_errors(Path(folder)):
            _write_manifest(temporary, kind, dict(spec or {}), dict(inputs or {}), seed)


@contextmanager
def placed(folder: str | Path, *, kind: str, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder to put a whole artifact into, its manifest too; on leaving, it becomes `folder`.

    Arguments, errors and what an exception inside the block leaves are those of `write_artifact`.
    """
    folder = Path(folder)
    if folder.is_symlink():  # what it leads to is replaced, and not the link
        folder = folder.resolve()
    check_folder(folder, kind=kind, replace=replace)
    temporary = folder.with_name(_temporary_name(folder, os.getpid()))
    with _as_store_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        temporary.mkdir()
    with writing_to(temporary, _replaced(temporary)):
        try:
            yield temporary
            with _as_store_errors(folder):
                for path in [*temporary.rglob("*"), temporary]:
                    _flush(path)
                check_folder(folder, kind=kind, replace=replace)  # somebody may have put something there meanwhile
                _move_into_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _as_store_errors(folder: Path) -> Iterator[None]:
    """What the system refuses, as an error of the store that names the folder."""
    try:
        yield
    except OSError as error:
        fix = REFUSALS.get(error.errno or 0, WRITE_FIX)
        raise StoreError(f"cannot write: {error.strerror or error}", where=str(folder), fix=fix) from error


def check_folder(folder: str | Path, *, kind: str, replace: bool = False) -> None:
    """Check that an artifact may be written to a folder, before any work.

    A folder that is not there, or is empty, may be used. One that holds an artifact may be replaced if that is of the
    same kind and nothing else lies in the folder: no file is ever removed that was not written as part of it.

    Args:
        folder: where the artifact is to be.
        kind: of the artifact that is to be written.
        replace: whether one that is there may be replaced.

    Raises:
        StoreError: the folder may not be used, or cannot be written.
    """
    folder = Path(folder)
    if Path.cwd().is_relative_to(folder.resolve()):
        fix = "name a folder of its own, such as results/mine"
        raise StoreError("the output is the folder that prism runs in, or one above it", where=str(folder), fix=fix)
    check_writable(folder)
    _restore(folder)
    if not os.path.lexists(folder):
        return
    elsewhere = "choose another folder, or move what is there away"
    if not folder.is_dir():
        raise StoreError("a file is where the output folder is to be", where=str(folder), fix=elsewhere)
    if not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise StoreError("the folder holds something else than a result of prism", where=str(folder), fix=elsewhere)
    manifest = read_manifest(folder)
    if manifest.kind != kind:
        what = f"the folder holds something else: {str(manifest.kind)[:40]!r} where {kind!r} is to be written"
        raise StoreError(what, where=str(folder), fix=elsewhere)
    if not replace:
        fix = "choose another folder, or replace the result"
        raise StoreError("the result exists already", where=str(folder), fix=fix, settings={"replace": "True"})
    extra = sorted(set(_files(folder)) - set(manifest.files))
    if extra:
        raise StoreError(
            f"the folder holds {len(extra)} file{'s' if len(extra) > 1 else ''} that prism did not write there, "
            f"which would be lost: {', '.join(extra[:3])}",
            where=str(folder),
            fix="move it away, or choose another folder",
        )


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of an artifact.

    Raises:
        StoreError: there is none, or it is not readable as one.
    """
    path = Path(folder) / MANIFEST
    _restore(Path(folder))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise StoreError(
                f"the manifest has format {str(content.get('format'))[:40]!r}, this version reads {FORMAT}",
                where=str(path),
                fix="read it with the version that wrote it, or make the artifact again",
            )
        manifest = Manifest(**content)
        if not all(_is_entry(value) for value in dict(manifest.files).values()):
            raise TypeError("files is no object of digests and sizes")
        return manifest
    except FileNotFoundError as error:
        fix = "make it again: the work that writes it was never finished"
        raise StoreError("not a finished artifact: it has no manifest", where=str(folder), fix=fix) from error
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"the manifest is not readable: {str(error)[:200]}", where=str(path), fix="make it again"
        ) from error


def _is_entry(value: Any) -> bool:
    """Whether a value of a manifest's `files` says a digest and a size."""
    return isinstance(value, Mapping) and isinstance(value.get("sha256"), str) and type(value.get("bytes")) is int


def is_complete(folder: str | Path, key: str | None = None) -> bool:
    """Whether `folder` is a finished artifact whose files are all there in their full size.

    Args:
        folder: the artifact.
        key: if given, the artifact must also have this key.

    Sizes are compared, not digests, so that this is quick; `is_intact` and `verify` compare digests.
    """
    try:
        manifest = read_manifest(folder)
    except StoreError:
        return False
    if key is not None and manifest.key != key:
        return False
    try:
        return all((Path(folder) / name).stat().st_size == entry["bytes"] for name, entry in manifest.files.items())
    except (OSError, ValueError):  # it is not there, or no file has such a name
        return False


def is_intact(folder: str | Path, key: str | None = None) -> bool:
    """Whether `folder` is a finished artifact and every file of it has the digest that it was written with.

    Args:
        folder: the artifact.
        key: if given, the artifact must also have this key.
    """
    try:
        manifest = read_manifest(folder)
        if key is not None and manifest.key != key:
            return False
        return all(file_digest(Path(folder) / name) == entry["sha256"] for name, entry in manifest.files.items())
    except (StoreError, ValueError):  # no manifest, a file that is not there, a name that no file has
        return False


def verify(folder: str | Path) -> Manifest:
    """Check every file of an artifact against the digest it was written with.

    Returns:
        Its manifest.

    Raises:
        StoreError: a file is missing, altered, or not part of the artifact.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    fix = "make the artifact again, or restore the file"
    for name, entry in manifest.files.items():
        if not os.path.isfile(folder / name):  # False for a name that no file has
            raise StoreError(f"a file of the artifact is missing: {name}", where=str(folder), fix=fix)
        if file_digest(folder / name) != entry["sha256"]:
            raise StoreError(f"a file of the artifact has been altered: {name}", where=str(folder), fix=fix)
    extra = sorted(set(_files(folder)) - set(manifest.files))
    if extra:
        raise StoreError(f"a file does not belong to the artifact: {extra[0]}", where=str(folder), fix="remove it")
    return manifest


def _write_manifest(temporary: Path, kind: str, spec: dict[str, Any], inputs: dict[str, str], seed: int | None) -> None:
    """Write down what the files are and how they came about."""
    files = {
        name: {"sha256": file_digest(temporary / name), "bytes": (temporary / name).stat().st_size}
        for name in _files(temporary)
    }
    manifest = Manifest(kind, artifact_key(kind, spec, inputs, seed), spec, inputs, seed, files, _versions())
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n"
    (temporary / MANIFEST).write_text(text, encoding="utf-8")


def _move_into_place(temporary: Path, folder: Path) -> None:
    """Rename; a folder that is replaced is renamed first and removed last, see `_restore`."""
    replaced = _replaced(temporary)
    if folder.exists():  # empty, or an artifact of the same kind: `check_folder` has seen to it
        folder.rename(replaced)
    temporary.rename(folder)
    _flush(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _replaced(temporary: Path) -> Path:
    """Where what is replaced stands until it is removed."""
    return temporary.with_name(temporary.name + OLD)


def _restore(folder: Path) -> None:
    """Put an artifact back whose process ended between the two renames of a replacement.

    The new one is whole at that moment, so it takes the place; else the one that was there before does.
    """
    if os.path.lexists(folder):
        return
    for path in _temporaries(folder):
        if path.name.endswith(OLD) and not _is_under_way(path, folder):
            new = path.with_name(path.name.removesuffix(OLD))
            try:
                (new if (new / MANIFEST).is_file() else path).rename(folder)
                _flush(folder.parent)
            except OSError:  # another process was quicker, or the folder may be read only
                return


def _files(folder: Path) -> list[str]:
    """Files below `folder`, as POSIX paths within it, sorted; the manifest is not one of them."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != MANIFEST)


def package_version() -> str:
    """The version of this package, as it is installed."""
    return metadata.version(PACKAGE)


@cache
def _versions() -> Mapping[str, str]:
    """Versions of the distributions that shape results, without importing any of them."""
    versions = {}
    for name in VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _temporary_name(folder: Path, process: int) -> str:
    return f".{folder.name}.tmp-{socket.gethostname()}-{process}"


def _temporaries(folder: Path) -> list[Path]:
    """Temporary folders of this artifact that a process of this machine made."""
    prefix = re.escape(_temporary_name(folder, 0).removesuffix("0"))
    name = re.compile(rf"{prefix}\d+({OLD})?")
    try:
        return sorted(path for path in folder.parent.iterdir() if name.fullmatch(path.name))
    except OSError:
        return []


def _is_under_way(path: Path, folder: Path) -> bool:
    """Whether the process that made a temporary folder still runs."""
    process = path.name.removesuffix(OLD).removeprefix(_temporary_name(folder, 0).removesuffix("0"))
    return is_under_way(path, int(process))


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary folders of this artifact whose process on this machine is gone."""
    for path in _temporaries(folder):
        if not _is_under_way(path, folder):
            shutil.rmtree(path, ignore_errors=True)


def _flush(path: Path) -> None:
    """Flush one file or folder entry to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
