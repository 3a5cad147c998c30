"""Whether a training may write where it is to, found out before anything slow is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alignment_prism.domain import StoreError
from alignment_prism.store import check_folder, check_inputs, is_complete, read_manifest
from alignment_prism.store.locks import LOCK

ELSEWHERE = "choose another folder, or move what is there away"


def check_run_folder(out: str | Path, *, resume: bool, inputs: Sequence[str | None] = ()) -> None:
    """Refuse a run folder that cannot be used.

    Whether a finished training is the one that is wanted is looked at later, when the base is known.

    Args:
        out: the run folder.
        resume: whether an unfinished run is gone on with, and not thrown away.
        inputs: files and folders that the training reads.

    Raises:
        InputError: the folder is one of the inputs.
        StoreError: it cannot be written, or it or the folder of the unfinished run holds something else.
    """
    folder = Path(out)
    check_inputs([folder], inputs)
    if not (is_complete(folder) and read_manifest(folder).kind == "training"):
        try:
            check_folder(folder, kind="training")
        except StoreError as error:
            if "replace" in error.settings:  # a manifest without its files: the training is not resumed
                what = "a file of the finished training is missing"
                raise StoreError(what, where=str(out), fix=ELSEWHERE) from error
            raise
    work = folder.with_name(f"{folder.name}.unfinished") if folder.name else folder
    begun = work.is_dir() and any(path.name != LOCK for path in work.iterdir())
    if not resume and begun and not (work / "key").is_file():
        raise StoreError("this is no unfinished training to throw away", where=str(work), fix=ELSEWHERE)
