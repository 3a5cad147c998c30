"""Sealing: a copy of a study's folder without its texts, and the digest of every byte of it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alignment_prism.domain import Comparison, Generation, InputError, Prompt, Score, StoreError
from alignment_prism.io import read_records, write_json, write_records, write_text
from alignment_prism.store import check_within, package_version
from alignment_prism.store.names import (
    COMPARISONS,
    CONTRASTS,
    DECLARATIONS,
    FINDINGS,
    GENERATIONS,
    PLAN,
    PROMPTS,
    SCORES,
    STEPS,
    STUDY,
    TRANSFER,
)
from alignment_prism.studies.receipts.withhold import Withheld, all_of
from alignment_prism.studies.step_log import read_step_log
from alignment_prism.studies.study import Study

RECEIPT, COMMITMENTS, PASSPORT = "receipt.json", "texts.jsonl", "passport.json"
TABLES: tuple[tuple[str, type], ...] = (
    (GENERATIONS, Generation),
    (SCORES, Score),
    (COMPARISONS, Comparison),
)
"""Tables of steps, replies first: scores are of them."""
PLAIN = (FINDINGS, CONTRASTS, TRANSFER, STUDY, PLAN, DECLARATIONS)
"""Files without texts, which are copied as they are."""


def write_receipt(study: str | Path, out: str | Path) -> tuple[str, Path]:
    """Write the receipt of a finished study into a new folder, and its key beside it.

    The key opens the commitments to the texts; who has the receipt alone can neither read a text nor try guesses.

    Args:
        study: its folder.
        out: the folder to make.

    Returns:
        The root: SHA-256 over the digests of all files. And the file of the key.

    Raises:
        InputError: the study has no findings yet, or the passport that they are corrected by is missing.
        StoreError: the study cannot be read; the folder is there already, or cannot be written.
    """
    opened, out = Study.open(study), Path(out)
    opened.findings()
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        what = "a file is where the receipt is to be" if out.is_file() else "the folder is not empty"
        raise StoreError(what, where=str(out), fix="name a new folder")
    check_within(out)
    passport = Path(opened.spec.passport.file) if opened.spec.passport is not None else None
    if passport is not None and not passport.is_file():
        fix = "put it there again: numbers of the study follow from it"
        raise InputError("the passport of the study's judge is missing", where=str(passport), fix=fix)
    key_file = out.with_name(out.name + ".key")
    if key_file.exists():
        raise StoreError("there is a key already", where=str(key_file), fix="name another receipt, or move it away")
    key = secrets.token_bytes(32)
    withheld = Withheld(key)
    out.mkdir(parents=True, exist_ok=True)
    write_records(out / PROMPTS, all_of(withheld, opened.prompts()), Prompt)
    for name, kind in TABLES:
        for folder in _folders(opened, name):
            made = all_of(withheld, read_records(opened.out / folder / name, kind))
            write_records(out / folder / name, made, kind)
    for name in PLAIN:
        if (opened.out / name).exists():
            shutil.copyfile(opened.out / name, out / name)
    if (opened.out / STEPS).exists():
        write_text(out / STEPS, "".join(json.dumps(_bare(line)) + "\n" for line in read_step_log(opened.out / STEPS)))
    if passport is not None:
        shutil.copyfile(passport, out / PASSPORT)
    rows = (dict(zip(("prompt_id", "reply_digest", "sha256"), row, strict=True)) for row in withheld.commitments)
    write_text(out / COMMITMENTS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    content = {
        "receipt": 1,
        "study": opened.name,
        "sealed": datetime.now(UTC).isoformat(timespec="seconds"),
        "alignment_prism": package_version(),
        "files": digests(out),
    }
    root = root_of(content)
    write_json(out / RECEIPT, {**content, "root": root})
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
    return root, key_file


def _bare(line: dict[str, Any]) -> dict[str, Any]:
    """A line of a study's log with the kind of an error alone: its words may be a provider's, and quote a prompt."""
    return {**line, "error": str(line["error"]).partition(":")[0]} if "error" in line else line


def digests(folder: Path) -> dict[str, str]:
    """Path within the folder -> SHA-256, of every file but the receipt itself."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: hashlib.sha256(_bytes(path)).hexdigest() for name, path in names.items() if name != RECEIPT}


def _bytes(path: Path) -> bytes:
    """Of a file; of a link where it leads, since a receipt has none."""
    return (
        b"link to " + os.readlink(path).encode("utf-8", "surrogateescape") if path.is_symlink() else path.read_bytes()
    )


def root_of(content: dict[str, Any]) -> str:
    """SHA-256 of all that a receipt says but its root."""
    plain = {name: value for name, value in content.items() if name != "root"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def read_key(path: str | Path) -> bytes:
    """The key of a receipt.

    Raises:
        InputError: the file is none.
    """
    try:
        key = bytes.fromhex(Path(path).read_text(encoding="ascii").strip())
    except OSError as error:
        raise InputError(f"cannot read the key: {error.strerror}", where=str(path), fix="give RECEIPT.key") from error
    except ValueError as error:
        raise InputError("not the key of a receipt", where=str(path), fix="give RECEIPT.key") from error
    return key


def _folders(study: Study, name: str) -> list[str]:
    """Folders of steps, and of what was there before, that hold such a table."""
    return [folder for folder in study.steps if (study.out / folder / name).is_file()]
