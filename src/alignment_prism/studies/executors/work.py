"""One step, done in whatever process this is."""

from __future__ import annotations

from alignment_prism.domain.progress import Progress
from alignment_prism.store import write_artifact
from alignment_prism.studies.steps import KINDS, Context, Step
from alignment_prism.studies.steps.kind import EARLIER


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
    if earlier:
        inputs[EARLIER] = folder
    with write_artifact(
        folder, kind=step.kind, spec=step.settings, inputs=step.all_inputs, seed=step.seed, replace=True
    ) as temporary:
        kind.do(step, inputs, temporary, context, progress)
