"""Backups: everything of an annotation folder in one file, made while people work, restored into either engine.

A backup is a ZIP archive: a JSONL file a table, and a manifest with the number of rows and the SHA-256 of each. It is
read from one snapshot of the database, so that it is whole whatever is written meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, text

from alignment_prism.annotation.database import Database, create_database, only_ours, own_files
from alignment_prism.annotation.schema import SCHEMA_VERSION, metadata
from alignment_prism.domain import StoreError
from alignment_prism.domain.errors import reason
from alignment_prism.io import replacing
from alignment_prism.store.outputs import check_inputs

MANIFEST = "manifest.json"
ROWS = 500
"""Rows that are written at once."""


def write_backup(database: Database, path: str | Path) -> dict[str, int]:
    """Write a backup, atomically; readers and writers go on meanwhile.

    Returns:
        Rows by table.

    Raises:
        InputError: it would take the place of the database.
        StoreError: it cannot be written.
    """
    manifest: dict[str, Any] = {"schema": SCHEMA_VERSION, "tables": {}}
    level = {} if database.is_sqlite else {"isolation_level": "REPEATABLE READ"}
    check_inputs([path], own_files(database.folder))
    with (
        only_ours(),
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
        database.engine.connect().execution_options(**level) as connection,
    ):
        for table in metadata.sorted_tables:
            digest, count = hashlib.sha256(), 0
            with archive.open(f"{table.name}.jsonl", "w") as file:
                key = list(table.primary_key.columns)
                for row in connection.execute(select(table).order_by(*key)).yield_per(ROWS):
                    line = json.dumps(dict(row._mapping), ensure_ascii=False).encode() + b"\n"
                    digest.update(line)
                    file.write(line)
                    count += 1
            manifest["tables"][table.name] = {"rows": count, "sha256": digest.hexdigest()}
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return {name: int(one["rows"]) for name, one in manifest["tables"].items()}


def restore_backup(path: str | Path, folder: str | Path, url: str = "") -> Database:
    """Make an annotation folder from a backup, on SQLite or PostgreSQL, whichever it was made on.

    Args:
        path: of the backup.
        folder: to make; nothing that is there is replaced.
        url: of an empty PostgreSQL database; empty for SQLite.

    Raises:
        StoreError: the backup is damaged or of another version, or the folder holds annotations.
    """
    tables = _checked(path)
    database = create_database(folder, url)
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        for table in metadata.sorted_tables:
            rows = tables[table.name]
            for start in range(0, len(rows), ROWS):
                connection.execute(insert(table), rows[start : start + ROWS])
            if not database.is_sqlite and "id" in table.c and rows:  # its own numbers go on after ours
                last = connection.scalar(select(func.max(table.c.id)))
                wanted = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)")
                connection.execute(wanted, {"name": table.name, "last": last})
    return database


def _checked(path: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by table, if every file of the archive is what the manifest says."""
    fix = "use another backup"
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(MANIFEST))
            if manifest["schema"] != SCHEMA_VERSION:
                what = f"a backup of schema {manifest['schema']}, not {SCHEMA_VERSION}"
                raise StoreError(what, where=str(path), fix="use the version of Alignment Prism that made it")
            for name in metadata.tables:
                content = archive.read(f"{name}.jsonl")
                if hashlib.sha256(content).hexdigest() != manifest["tables"][name]["sha256"]:
                    raise StoreError(f"the backup is damaged: {name}", where=str(path), fix=fix)
                found[name] = [json.loads(line) for line in content.splitlines()]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise StoreError(f"cannot read the backup: {reason(error)}", where=str(path), fix=fix) from error
    return found
