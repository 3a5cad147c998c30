"""A log of any harness as records: which kind it is, and the one way to read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from alignment_prism.domain import InputError, Prompt
from alignment_prism.domain.runs import Run
from alignment_prism.io import Intake
from alignment_prism.logs.assemble import assemble
from alignment_prism.logs.columns import LogColumns
from alignment_prism.logs.entry import Entry, Harness, Opened
from alignment_prism.logs.garak import GARAK
from alignment_prism.logs.inspect_log import INSPECT
from alignment_prism.logs.lm_eval import LM_EVAL
from alignment_prism.logs.own import Log, is_import, read_import
from alignment_prism.logs.promptfoo import PROMPTFOO
from alignment_prism.logs.pyrit import PYRIT
from alignment_prism.logs.table import TABLE
from alignment_prism.store.names import FINDINGS
from alignment_prism.studies.runs import ARM, open_run, split_arm, study_folder

HARNESSES: dict[str, Harness] = {each.name: each for each in (INSPECT, LM_EVAL, GARAK, PROMPTFOO, PYRIT, TABLE)}
"""Every kind of log of others, in the order in which a file is tried against them."""


def read_run(
    path: str | Path,
    *,
    columns: LogColumns | None = None,
    arm: str | None = None,
    prompts: Sequence[Prompt] = (),
    harness: str | None = None,
    intake: Intake | None = None,
) -> Run:
    """One model's results, whoever made them.

    Args:
        path: a study's folder, a folder that a log was brought into (`prism import`), or a log of any of `HARNESSES`;
            behind `#` the arm.
        columns: how the log is read where it does not say so itself.
        arm: which model, where the log holds several.
        prompts: that were asked, where the log does not say all of them; see `read_log`.
        harness: what kind of log it is; recognised unless given.
        intake: accounts for rows; None is strict: the first bad row raises.

    Raises:
        InputError: as `read_log`; or there are several arms and none is named.

    Example:
        >>> from alignment_prism.logs import read_run
        >>> run = read_run("logs/2026-11-21_safety.eval")  # doctest: +SKIP
    """
    place, named = _place(path)
    wanted = arm or named or None
    if _is_study(place):
        return open_run(f"{place}{ARM}{wanted}" if wanted else place)
    return read_log([place], columns=columns, prompts=prompts, harness=harness, intake=intake).run(wanted)


def _place(path: str | Path) -> tuple[str, str]:
    """A path, and the arm behind it; a file whose own name has the sign in it is that file."""
    return (str(path), "") if Path(path).exists() else split_arm(str(path))


def _is_study(place: str) -> bool:
    return study_folder(place) is not None and (Path(place).is_dir() or Path(place).name == FINDINGS)


def read_log(
    paths: Iterable[str | Path],
    *,
    columns: LogColumns | None = None,
    prompts: Sequence[Prompt] = (),
    harness: str | None = None,
    intake: Intake | None = None,
) -> Log:
    """A log as prompts, replies, scores and labels; several files of one kind are one log.

    Args:
        paths: files or folders.
        columns: how the log is read where it does not say so itself.
        prompts: that were asked: entries are joined with them by id or text, and need not say language and kind.
        harness: one of `HARNESSES`; recognised unless given.
        intake: accounts for rows; None is strict.

    Raises:
        InputError: it is no log that is known, or cannot be read; (strict) a row is bad; a prompt's kind or language
            is said by nobody.
    """
    files = [Path(path) for path in paths]
    where = ", ".join(map(str, files))
    for path in files:
        if is_import(path):
            if len(files) > 1:
                fix = "name one, or logs of other harnesses"
                raise InputError("an imported log is a log by itself", where=str(path), fix=fix)
            return read_import(path)
    columns = replace(columns or LogColumns(), joined=bool(prompts))
    intake = intake if intake is not None else Intake()
    kinds = {path: _kind(path, harness) for path in files}
    if len({kind.name for kind in kinds.values()}) > 1:
        told = ", ".join(f"{path.name}: {kind.name}" for path, kind in kinds.items())[:300]
        raise InputError(f"logs of several kinds: {told}", fix="import each kind by itself")
    opened = [kind.open(path, columns, intake) for path, kind in kinds.items()]
    name = next(iter(kinds.values())).name
    records = assemble(_entries(opened), columns, intake, harness=name, prompts=prompts)
    intake.check()
    facts: dict[str, str] = {}
    for each in opened:
        for fact, value in each.facts.items():
            facts[fact] = value if facts.get(fact, value) == value else f"{facts[fact]}; {value}"
    return Log(
        name, where, records.prompts, records.generations, records.scores, records.human, records.labels,
        facts, records.notes, intake.counts(),
    )  # fmt: skip


def _entries(opened: Sequence[Opened]) -> Iterator[Entry]:
    return chain.from_iterable(each.entries for each in opened)


def _kind(path: Path, harness: str | None) -> Harness:
    """What kind of log a path is.

    Raises:
        InputError: it is not there, of none, or not of the kind that is named.
    """
    if harness is not None and harness not in HARNESSES:
        raise InputError(f"unknown kind of log {harness!r}", fix="use one of " + ", ".join(HARNESSES))
    if not path.exists():
        raise InputError("no such file", where=str(path), fix="check the path")
    if harness is not None:
        return HARNESSES[harness]
    found = next((kind for kind in HARNESSES.values() if kind.belongs(path)), None)
    if found is None:
        if path.is_dir() and not any(path.iterdir()):
            fix = "give the folder that a study, an evaluation or a harness wrote to, or a file in it"
            raise InputError("the folder is empty", where=str(path), fix=fix)
        known = "; ".join(kind.words for kind in HARNESSES.values())
        what = "the folder holds neither a study nor a log that is known" if path.is_dir() else "no log that is known"
        raise InputError(what, where=str(path), fix=f"give a study's folder, or {known}")
    return found
