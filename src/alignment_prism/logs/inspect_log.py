"""Logs of Inspect AI: what they are recognised by; how they are read is in `backends.inspect`, loaded when needed."""

from __future__ import annotations

from pathlib import Path

from alignment_prism.io import Intake
from alignment_prism.io.files import suffix_of
from alignment_prism.logs.columns import LogColumns
from alignment_prism.logs.documents import head
from alignment_prism.logs.entry import Harness, Opened


def _belongs(path: Path) -> bool:
    if path.is_dir():
        return next(path.glob("*.eval"), None) is not None
    if path.suffix == ".eval":
        return True
    start = head(path) if suffix_of(path) == ".json" else ""
    return start.startswith("{") and '"version"' in start and '"eval"' in start and '"run_id"' in start


def _open(path: Path, columns: LogColumns, intake: Intake) -> Opened:
    from alignment_prism.logs.backends.inspect import open_inspect

    return open_inspect(path, columns, intake)


INSPECT = Harness("inspect", "Inspect AI: an .eval or .json log, or a folder of .eval logs", _belongs, _open)
