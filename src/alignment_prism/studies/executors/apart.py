"""A node that does not see the study's folder: what a step needs comes from a store, and what it leaves goes there.

The node has a folder of its own by the same name. It keeps what it fetched and made, for the steps that need it next.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alignment_prism.store.locks import turn_to_write
from alignment_prism.store.remote import DamagedError, RemoteStore
from alignment_prism.studies.executors.spread import do_over_gpus
from alignment_prism.studies.steps import Context, Step


def do_apart(step: Step, context: Context, store: RemoteStore, *, earlier: bool) -> tuple[Any, ...]:
    """Do a step on this node, as `work.do_step`, with a store in place of the disk that others share.

    Returns:
        `("sent",)`; or `("lacks", steps)`, of which the store has no artifact, and nothing is done.

    Raises:
        PrismError: of the step, or of the store.
    """
    needed = [*step.needs.values(), *([step] if earlier else ())]
    if lacking := [one for one in needed if not _is_here(one, context.out, store)]:
        return "lacks", lacking
    if earlier or not step.is_done(context.out):
        if not earlier:
            step.clear(context.out)
        do_over_gpus(step, context, lambda done, total, words="", /: None, earlier=earlier)
    store.send(step.key, step.folder(context.out))
    return ("sent",)


def _is_here(step: Step, out: Path, store: RemoteStore) -> bool:
    """Whether a step's artifact is on this node, or could be fetched; by one process of it at a time."""
    folder = step.folder(out)
    with turn_to_write(f"{folder}.lock"):
        if not step.is_done(out):
            step.clear(out)
            try:
                store.fetch(step.key, folder, step.artifact_kind)
            except DamagedError:  # or not there
                return False
    return True
