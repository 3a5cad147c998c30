"""One step, done in whatever process this is."""

from __future__ import annotations

import os
import shutil

from alignment_prism.domain.progress import Progress
from alignment_prism.models.folders import cached_snapshot
from alignment_prism.models.threads import is_small
from alignment_prism.store import is_intact, write_artifact
from alignment_prism.studies.steps import KINDS, Context, Step
from alignment_prism.studies.steps.kind import EARLIER
from alignment_prism.studies.steps.train import TRAIN


def fits_one_core(step: Step) -> bool:
    """Whether a step computes on this machine, with a model that has one thread."""
    name = KINDS[step.kind].computes_with(step)
    folder = None if name is None else name if os.path.isdir(name) else cached_snapshot(name)
    return folder is not None and is_small(folder)


def is_spread(step: Step) -> bool:
    """Whether a step may be spread over several GPUs."""
    return step.kind == TRAIN.name and not fits_one_core(step)


def do_step(step: Step, context: Context, progress: Progress, *, earlier: bool) -> None:
    """Do one step and leave its artifact.

    Args:
        step: to do; there is room for its artifact.
        context: of the study.
        progress: told how far it is.
        earlier: whether the artifact of the same step is there and only its gaps are filled.
    """
    kind = KINDS[step.kind]
    folder = step.folder(context.out)
    inputs = {role: needed.folder(context.out) for role, needed in step.needs.items()}
    if kind.makes_folder:
        kind.do(step, inputs, folder, context, progress)
        return
    aside = step.earlier(context.out)
    if earlier:
        inputs[EARLIER] = folder
    elif kind.takes_over and is_intact(aside, step.key):
        inputs[EARLIER] = aside
    with write_artifact(
        folder, kind=step.kind, spec=step.settings, inputs=step.all_inputs, seed=step.seed, replace=True
    ) as temporary:
        kind.do(step, inputs, temporary, context, progress)
    shutil.rmtree(aside, ignore_errors=True)
