"""A node that does not see the study's folder: what a step needs comes from a store, and what it leaves goes there.

The node has a folder of its own by the same name. It keeps what it fetched and made, for the steps that need it next.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alignment_prism.store import file_digest
from alignment_prism.store.locks import turn_to_write
from alignment_prism.store.names import MANIFEST
from alignment_prism.store.remote import DamagedError, RemoteStore
from alignment_prism.studies.executors.spread import do_over_gpus
from alignment_prism.studies.steps import Context, Step


def needed_by(step: Step, out: Path, *, earlier: bool) -> dict[str, str]:
    """Key -> digest of the manifest, of what the study's folder has and a step starts from: a key stays the same where
    gaps were filled since.

    Raises:
        StoreError: one cannot be read.
    """
    return {one.key: _manifest_digest(one, out) for one in _needed(step, earlier=earlier)}


def do_apart(
    step: Step, context: Context, store: RemoteStore, manifests: Mapping[str, str], *, earlier: bool
) -> tuple[Any, ...]:
    """Do a step on this node, as `work.do_step`, with a store in place of the disk that others share.

    Args:
        step: to do.
        context: of this node.
        store: that it shares with the study.
        manifests: of what the study has, see `needed_by`: neither this node nor the store may have it as it was before.
        earlier: as `do_step` has it.

    Returns:
        `("sent",)`; or `("lacks", steps)`, of which the store has not that artifact, and nothing is done.

    Raises:
        PrismError: of the step, or of the store.
    """
    needed = _needed(step, earlier=earlier)
    if lacking := [one for one in needed if not _is_here(one, manifests[one.key], context.out, store)]:
        return "lacks", lacking
    if earlier or not step.is_done(context.out) or _is_outdated(step, context.out):
        if not earlier:
            step.clear(context.out)
        do_over_gpus(step, context, lambda done, total, words="", /: None, earlier=earlier)
    store.send(step.key, step.folder(context.out))
    return ("sent",)


def _needed(step: Step, *, earlier: bool) -> list[Step]:
    return [*step.needs.values(), *([step] if earlier else ())]


def _is_here(step: Step, manifest: str, out: Path, store: RemoteStore) -> bool:
    """Whether the artifact with this manifest is on this node, or could be fetched; by one process of it at a time."""
    folder = step.folder(out)
    with turn_to_write(f"{folder}.lock"):
        if step.is_done(out) and _manifest_digest(step, out) == manifest:
            return True
        step.clear(out)
        try:
            store.fetch(step.key, folder, step.artifact_kind)
        except DamagedError:  # or not there
            return False
        return _manifest_digest(step, out) == manifest


def _is_outdated(step: Step, out: Path) -> bool:
    """Whether something that a finished step was made from came here after it."""
    made, *others = (one.folder(out) / MANIFEST for one in (step, *step.needs.values()))
    return any(made.stat().st_mtime_ns < other.stat().st_mtime_ns for other in others)


def _manifest_digest(step: Step, out: Path) -> str:
    return file_digest(step.folder(out) / MANIFEST)
