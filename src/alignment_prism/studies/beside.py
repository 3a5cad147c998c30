"""Studies whose result is one file: they run in a folder beside it, which is gone when the file is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alignment_prism.calls.journal import CallJournal
from alignment_prism.store import check_files, output_lock
from alignment_prism.store.names import CALLS, PLAN, unfinished_beside
from alignment_prism.studies.money import budget_for, shared_answers
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.run import run_study
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps import KINDS
from alignment_prism.studies.study import Study


@contextmanager
def study_beside(
    spec: StudySpec,
    path: str | Path,
    *,
    progress: Reporter | None = None,
    known: Sequence[str | Path] = (),
    replace: bool = False,
    **money: Any,
) -> Iterator[Study]:
    """Run a study in the folder `PATH.unfinished`, and yield it; the block writes what is wanted of it to `path`.

    The folder stays until the block has ended well, so that the same call goes on where it was stopped; where nothing
    was finished that one could go on from, it does not stay.

    Args:
        spec: of the study.
        path: of the file.
        progress: where to report to.
        known: files of earlier scores, see `run_study`.
        replace: whether the file may be there already.
        money: budget, prices and cache, as of `run_study`.

    Raises:
        StoreError: another process makes the same file, or has just made it.
        PrismError: as `run_study`.
    """
    folder = Path(unfinished_beside(str(path)))
    with output_lock(path):
        check_files([path], replace=replace)
        try:
            study = run_study(spec, folder, progress=progress, known=known, **money)
            yield study
        except BaseException:
            if (folder / PLAN).is_file() and not _has_work(folder):
                shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


@contextmanager
def journal_beside(
    path: str | Path,
    *,
    replace: bool = False,
    models: Iterable[str] = (),
    budget: float | None = None,
    prices: str | Path | None = None,
    cache: str | Path | None = None,
) -> Iterator[CallJournal]:
    """A journal in the folder `PATH.unfinished`, for a block that calls models and writes `path`.

    The folder stays until the block has ended well.

    Args:
        path: of the file.
        replace: whether it may be there already.
        models: Inspect ids that the block calls, all of which a budget needs the prices of.
        budget: as of `run_study`, as are the others.
        prices: as well.
        cache: as well.

    Raises:
        InputError: there is a budget and no price of a model, or the cache is none.
        StoreError: another process makes the same file, or has just made it.
    """
    folder = Path(unfinished_beside(str(path)))
    limit, shared = budget_for(budget, prices, models), shared_answers(cache, folder)
    with output_lock(path):
        check_files([path], replace=replace)
        with CallJournal(folder / CALLS, cache=shared, budget=limit) as journal:
            yield journal
        journal.path.unlink(missing_ok=True)
        with suppress(OSError):  # none was made, or somebody else has files there
            folder.rmdir()


def _has_work(folder: Path) -> bool:
    """Whether a study's folder holds an answer of a model, or a step that was finished or begun."""
    return (folder / CALLS).exists() or any(any((folder / kind).glob("[!.]*")) for kind in KINDS)
