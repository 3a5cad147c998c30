"""A store that machines share where they share no disk: finished artifacts on S3, what speaks like it, or any other
place that `fsspec` knows.

    URL/artifacts/KEY     the manifest of the artifact with that key; where it is, the artifact is whole
    URL/files/SHA256      the files that manifests name, each once

Object stores have neither renames nor locks, and this needs none. A file is named by its digest and never changes; the
manifest is put last, in one request. Who dies before that leaves files that nobody reads, and whoever makes the same
artifact next finds them there. Why, and what stays on disks: docs/design/storage.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import IO, Any

from alignment_prism.domain.errors import InputError, PrismError, StoreError
from alignment_prism.domain.progress import Progress
from alignment_prism.store.artifacts import FORMAT as MANIFEST_FORMAT
from alignment_prism.store.artifacts import Manifest, file_digest, placed, read_manifest
from alignment_prism.store.names import MANIFEST
from alignment_prism.store.outputs import shared_fault

FORMAT = b"alignment-prism store, format 1\n"
"""What the file `URL/prism` says, by which a store is known."""

BLOCK = 32 * 2**20
"""Bytes that are sent in one request: after each of them a sender can be stopped."""


class RemoteStore:
    """Artifacts by key at a URL.

    Credentials are those that the environment has (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and their like for S3).

    Args:
        url: `s3://bucket/path`, `gs://...`, `file:///...`: whatever `fsspec` has a package for.

    Raises:
        InputError: nothing that is installed knows such a URL.
        StoreError: it cannot be reached or read, or is of another format; or there is no such bucket.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        if "://" not in url:
            fix = "write it with its scheme: s3://bucket/path, or file:///folder"
            raise InputError("no URL of a store", where=url, fix=fix, settings={"store": "URL"})
        try:
            # others write there too: what was listed a while ago may be more by now
            self._fs, self._root = url_to_fs(self.url, use_listings_cache=False, skip_instance_cache=True)
        except (ImportError, ValueError) as error:
            what = f"no store of this kind can be opened: {error}"
            raise InputError(what, where=url, fix="install the fsspec package for it, or choose s3://") from error
        with self._reached():
            mark = self._path("prism")
            self._is_marked = bool(self._fs.exists(mark))
            found = self._fs.cat_file(mark) if self._is_marked else FORMAT
        if found != FORMAT:
            fix = "use the version that wrote it, or another address"
            raise StoreError("the store has a format that this version does not read", where=url, fix=fix)
        if not self._is_marked:
            self.keys()  # or there is no such bucket

    def make(self) -> None:
        """Make the store where it is not there yet; by this one knows, before any work, that it can be written.

        Raises:
            StoreError: it cannot.
        """
        with self._reached():
            if self._is_folder:
                self._fs.makedirs(self._path("artifacts"), exist_ok=True)
                self._fs.makedirs(self._path("files"), exist_ok=True)
            if not self._is_marked:
                self._put(self._path("prism"), FORMAT)

    def keys(self) -> set[str]:
        """Of the artifacts that are there.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._reached():
            try:
                names = (PurePosixPath(path).name for path in self._fs.ls(self._path("artifacts"), detail=False))
                return {name for name in names if not name.endswith(".part")}
            except FileNotFoundError as error:
                if error.__cause__ is not None:  # a server's word for a bucket that is not there
                    raise
                return set()  # an empty folder is none on object storage

    def fetch(
        self, key: str, folder: Path, kind: str, progress: Progress = lambda done, total, words="", /: None
    ) -> None:
        """Put an artifact into a folder, whole and with the digests that its manifest says, or leave that as it was.

        What is damaged in the store is removed there, so that it can be sent anew.

        Args:
            key: of the artifact.
            folder: where it is to be; empty, or not there.
            kind: that the manifest must name.
            progress: told how many bytes of how many are here.

        Raises:
            StoreError: the store cannot be read; or the artifact is not there, or damaged.
        """
        with placed(folder, kind=kind) as temporary:
            place = self._path("artifacts", key)
            with self._reached(missing=place):
                text = self._fs.cat_file(place)
            _check_format(text, place)
            (temporary / MANIFEST).write_bytes(text)
            try:
                manifest = read_manifest(temporary)
                _check(manifest, kind)
            except StoreError as error:
                self._damaged(place, error.what, error)
            here, total = 0, sum(entry["bytes"] for entry in manifest.files.values())
            for name, entry in manifest.files.items():
                progress(here, total, name)
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                for _ in range(2):  # once more, where it was the way that did it
                    with self._reached(missing=place):
                        self._fs.get_file(self._path("files", entry["sha256"]), str(temporary / name))
                    if is_it := file_digest(temporary / name) == entry["sha256"]:
                        break
                if not is_it:
                    self._remove(self._path("files", entry["sha256"]))
                    self._damaged(place, f"{name} is not the file that was sent")
                here += entry["bytes"]
            progress(total, total)

    def send(self, key: str, folder: Path, progress: Progress = lambda done, total, words="", /: None) -> None:
        """Put a finished artifact into the store, in place of one that has its key.

        Args:
            key: to find it by.
            folder: of the artifact.
            progress: told how many bytes of how many are there, block by block. What it raises ends the sending and
                leaves no part of a file.

        Raises:
            StoreError: it is not whole, or the store cannot be written.
        """
        manifest = read_manifest(folder)
        there, total = 0, sum(entry["bytes"] for entry in manifest.files.values())
        for name, entry in manifest.files.items():
            path = self._path("files", entry["sha256"])
            with self._reached():
                known = self._fs.exists(path) and self._fs.info(path)["size"] == entry["bytes"]
            if not known:
                self._send_file(folder / name, path, entry["sha256"], partial(_further, progress, there, total, name))
            there += entry["bytes"]
            progress(there, total, name)
        with self._reached():
            self._put(self._path("artifacts", key), (folder / MANIFEST).read_bytes())

    def withdraw(self, key: str) -> None:
        """Have no artifact under a key, where there is one; its files stay.

        Raises:
            StoreError: the store cannot be used.
        """
        self._remove(self._path("artifacts", key))

    def _send_file(self, file: Path, path: str, digest: str, sent: Callable[[int], None]) -> None:
        """Send one, block by block; it is there when its last block is, and has proved to be what its name says."""
        found = hashlib.sha256()
        with self._reached(), self._whole(path) as there, file.open("rb") as source:
            while block := source.read(BLOCK):
                found.update(block)
                there.write(block)
                sent(source.tell())
            if found.hexdigest() != digest:
                what, fix = f"a file of the artifact has been altered: {file.name}", "make the artifact again"
                raise StoreError(what, where=str(file.parent), fix=fix)

    @property
    def _is_folder(self) -> bool:
        """Whether folders must be made before files are in them."""
        protocol = self._fs.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def _path(self, *parts: str) -> str:
        return "/".join([self._root, *parts])

    def _put(self, path: str, content: bytes) -> None:
        """At once or not at all."""
        with self._whole(path) as file:
            file.write(content)

    @contextmanager
    def _whole(self, path: str) -> Iterator[IO[bytes]]:
        """A file that is there when the context ends: by its last request, and in a folder by a rename. What is raised
        in between leaves none."""
        if self._is_folder:
            part = Path(f"{path}.{token_hex(8)}.part")  # of this sending alone: a file may be sent by two at once
            try:
                with part.open("wb") as file:
                    yield file
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            return
        file = self._fs.open(path, "wb", block_size=BLOCK)
        try:
            yield file
            file.close()
        except BaseException:
            with suppress(Exception):  # what was raised is what is told
                file.closed = True  # one that is merely forgotten would be completed
                file.discard()
            raise

    def _remove(self, path: str) -> None:
        with self._reached():
            if self._fs.exists(path):
                self._fs.rm_file(path)

    def _damaged(self, manifest: str, what: str, error: Exception | None = None) -> Any:
        """Remove a manifest that promises what is not there, and say so."""
        self._remove(manifest)
        raise DamagedError(
            f"an artifact of the store is damaged: {what}", where=manifest, fix="make it again"
        ) from error

    @contextmanager
    def _reached(self, missing: str = "") -> Iterator[None]:
        """Whatever the library of a provider raises, as one error; a file that `missing` promises is its damage."""
        try:
            yield
        except PrismError:
            raise
        except Exception as error:  # each provider's library has classes of its own
            if isinstance(error, FileNotFoundError) and missing:
                self._damaged(missing, "a file that it names is gone", error)
            if (fault := shared_fault(error)) is not None:  # of this machine's disk
                raise fault from error
            reason = getattr(error, "strerror", None) or str(error)  # without Python's [Errno ...]
            said = " ".join(reason.split()) or type(error).__name__
            raise StoreError(
                f"the store cannot be used: {said[:300]}",
                where=self.url,
                fix="check address, bucket and credentials, then run the same again: what is finished is kept here",
            ) from error


def _further(progress: Progress, before: int, total: int, words: str, more: int) -> None:
    progress(before + more, total, words)


class DamagedError(StoreError):
    """An artifact of a store is not what was sent."""


def _check_format(text: bytes, where: str) -> None:
    """Refuse the manifest of another version, which is no damage.

    Raises:
        StoreError: it is one.
    """
    try:
        version = json.loads(text)["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    if version != MANIFEST_FORMAT:
        fix = "use the version that wrote it, or another store"
        raise StoreError(f"an artifact has format {str(version)[:40]!r}, this version reads {MANIFEST_FORMAT}",
                         where=where, fix=fix)  # fmt: skip


def _check(manifest: Manifest, kind: str) -> None:
    """Refuse what would be written outside of its folder, or is something else.

    Raises:
        StoreError: it would.
    """
    if manifest.kind != kind:
        raise StoreError(f"it is a {manifest.kind[:40]!r} where a {kind!r} was sent")
    for name in manifest.files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or name in ("", MANIFEST):
            raise StoreError("it names a file outside of its folder")
