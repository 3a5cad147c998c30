"""Declarations: gates that were written down before there was anything to decide, each with the digest before it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from alignment_prism.domain import InputError, StoreError
from alignment_prism.domain.errors import reason
from alignment_prism.io import write_text
from alignment_prism.store.names import COMPARISONS, DECLARATIONS, SCORES, STEPS, earlier_beside
from alignment_prism.studies.step_log import read_step_log

RESULTS = tuple(f"{place}/{SCORES}" for place in ("score/*", "source/scores-*")) + tuple(
    f"{place}/{COMPARISONS}" for place in ("compare/*", "source/comparisons-*")
)
"""Files with what is said of the replies of a study's arms, within its folder; what people said of replies that its
pairs are built from is a source with comparisons too, and no result."""

TITLES = ("judge", "score", "compare")
"""How titles of the steps begin that ask them."""

_FIRST = "0" * 64


@dataclass(frozen=True, slots=True)
class Declaration:
    """One gate, as it was declared.

    Attributes:
        at: when, by the clock of that machine, in UTC.
        name: of the gate's file.
        gate: the file's text.
        sha256: of the file.
        results: steps and sources of which the folder held scores or comparisons then; none is before the results.
        before: digest of the declaration before this one.
    """

    at: str
    name: str
    gate: str
    sha256: str
    results: int
    before: str

    @property
    def digest(self) -> str:
        """Of the whole line: published anywhere, it shows that the gate was there at that time."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def declare(folder: str | Path, gate: str | Path) -> Declaration:
    """Write a gate down in a study's folder, before it is run or while it runs.

    Args:
        folder: of the study; made if it is not there yet.
        gate: its YAML file.

    Raises:
        InputError: the file is no gate, or is declared already.
        StoreError: it cannot be written.
    """
    from alignment_prism.gates import read_gate

    read_gate(gate)
    text = Path(gate).read_text(encoding="utf-8")
    known, out = read_declarations(folder), Path(folder)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    if any(one.sha256 == sha256 for one in known):
        raise InputError("the gate is declared already", where=str(gate), fix="nothing is to be done")
    aside = earlier_beside("")  # what a step has said before it is done again is its own
    results = len({str(path.parent).removesuffix(aside) for pattern in RESULTS for path in out.glob(pattern)})
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = Declaration(now, Path(gate).name, text, sha256, results, known[-1].digest if known else _FIRST)
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in (*known, made))
    write_text(out / DECLARATIONS, lines)
    return made


def read_declarations(folder: str | Path) -> list[Declaration]:
    """What was declared in a study's folder, in its order; nothing where nothing was.

    Raises:
        StoreError: the file cannot be read, or a line was changed, taken out or put in.
    """
    path = Path(folder) / DECLARATIONS
    if not path.exists():
        return []
    fix = "take the file from a copy of the folder"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [Declaration(**json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"cannot read what was declared: {reason(error)}", where=str(path), fix=fix) from error
    before = _FIRST
    for one in found:
        if one.before != before or one.sha256 != hashlib.sha256(one.gate.encode()).hexdigest():
            raise StoreError("a declaration was changed, taken out or put in", where=str(path), fix=fix)
        before = one.digest
    return found


def first_verdict(folder: str | Path) -> str | None:
    """When the first step that scores or compares replies began, by the log of the study; None where there is none."""
    lines = [line for line in read_step_log(Path(folder) / STEPS) if line["event"] == "begin"]
    times = (line.get("at") for line in lines if str(line.get("step")).startswith(TITLES))
    return min((at for at in times if isinstance(at, str)), default=None)
