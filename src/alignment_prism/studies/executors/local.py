"""Steps one after the other, in this process; what is done is not done again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alignment_prism.domain.progress import Progress
from alignment_prism.store import write_artifact
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.steps import KINDS, Context, Step
from alignment_prism.studies.steps.kind import EARLIER


def run_steps(steps: Sequence[Step], context: Context, reporter: Reporter, *, fill_gaps: bool = False) -> None:
    """Do the steps that are not done, in their order.

    A step is done when its artifact has its key and every file of it is as it was written; one that was altered or cut
    off is made again. A step that fails leaves nothing but what it can go on from: answers in the journal, the
    checkpoints of a training.

    Args:
        steps: each after those that it needs.
        context: what they share.
        reporter: told of each step.
        fill_gaps: whether steps that are done but lack answers (`StepKind.has_gaps`) are done again for these.

    Raises:
        ModelError: a model behind an API that will be needed cannot be opened; found out before any step.
    """
    waiting = {step.key for step in steps if not step.is_done(context.out)}
    if fill_gaps:
        gaps = {s.key for s in steps if s.key not in waiting and KINDS[s.kind].has_gaps(s.folder(context.out))}
    else:
        gaps = set()
    _open_endpoints(step for step in steps if step.key in waiting | gaps)
    for number, step in enumerate(steps, start=1):
        if step.key not in waiting | gaps:
            reporter.skip(number, len(steps), step.title)
            continue
        if step.key in waiting and (note := step.clear(context.out)):
            reporter.note(note)
        with reporter.step(number, len(steps), step.title) as progress:
            _do(step, context, progress, earlier=step.key in gaps)


def _do(step: Step, context: Context, progress: Progress, *, earlier: bool) -> None:
    """Do one step and leave its artifact."""
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


def _open_endpoints(steps: Iterable[Step]) -> None:
    """Open each model behind an API once, as far as that is quick.

    Raises:
        ModelError: one cannot be opened.
    """
    found = {endpoint for step in steps for endpoint in KINDS[step.kind].endpoints(step)}
    remote = sorted((one for one in found if one.is_quick_to_open), key=lambda one: one.address)
    if not remote:
        return
    from alignment_prism.calls.interrupts import run_async

    async def open_all() -> None:
        for endpoint in remote:
            async with endpoint.open():
                pass

    run_async(open_all())
