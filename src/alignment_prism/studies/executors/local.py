"""Steps on this machine: in this process, and several at once in a pool of others; what is done is not done again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence

from alignment_prism.studies.executors.failures import Failures, dependents, ends_all
from alignment_prism.studies.executors.spread import check_gpus, do_over_gpus
from alignment_prism.studies.executors.work import fits_one_core
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.steps import KINDS, Context, Step


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_steps(
    steps: Sequence[Step], context: Context, reporter: Reporter, *, fill_gaps: bool = False, jobs: int = 1
) -> None:
    """Do the steps that are not done.

    A step is done when its artifact has its key and every file of it is as it was written; one that was altered or cut
    off is made again. A step that fails leaves nothing but what it can go on from: answers in the journal, the
    checkpoints of a training. What does not need it is done all the same, see `executors.failures`.

    Args:
        steps: each after those that it needs.
        context: what they share.
        reporter: told of each step.
        fill_gaps: whether steps that are done but lack answers (`StepKind.has_gaps`) are done again for these.
        jobs: how many trainings and replies of small models (`models.threads.is_small`) are under way at once, each in
            a process with one thread. Above 1, what computes with a larger model has a GPU of the machine to itself
            where there are several and no training is spread over them (`context.gpus`); else it is done in this
            process, one after the other, and has the machine's threads. Whatever calls a model behind an API is done
            in this process.

    Raises:
        ModelError: a model behind an API that will be needed cannot be opened, or there are fewer GPUs than a training
            is to be spread over; found out before any step.
        PrismError: of a step that failed, or `StepsError` of several.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was under way can be gone on with.
    """
    waiting, gaps = unfinished(steps, context, fill_gaps=fill_gaps)
    todo = [step for step in steps if step.key in waiting | gaps]
    if context.gpus > 1:
        check_gpus(todo, context.gpus, lambda: len(visible_gpus()), reporter)
    small = {step.key for step in todo if fits_one_core(step)} if jobs > 1 else set()
    large = {step.key for step in todo if _takes_any_gpu(step)} - small if jobs > 1 and context.gpus == 1 else set()
    gpus = _free_gpus(todo)[: len(large)] if len(large) > 1 else ()
    aside = small | large if len(gpus) > 1 else small
    if len(aside) > 1:
        from alignment_prism.studies.executors.at_once import run_at_once
        from alignment_prism.studies.executors.pool import Pool

        skip_done(steps, waiting | gaps, reporter)
        pool = Pool(min(jobs, len(small)), context, gpus, frozenset(large))
        run_at_once(steps, waiting, gaps, aside, context, reporter, pool)
        return
    failures = Failures(steps, waiting | gaps)
    with failures.told(reporter):
        for number, step in enumerate(steps, start=1):
            if step.key not in waiting | gaps:
                reporter.skip(number, len(steps), step.title)
                continue
            if step.key in failures.out_of_reach:
                continue
            try:
                with reporter.step(number, len(steps), step.title) as progress:
                    if step.key in waiting and (note := step.clear(context.out)):
                        reporter.note(note)
                    do_over_gpus(step, context, progress, earlier=step.key in gaps)
                context.finished(step)
            except Exception as error:
                if ends_all(error, context.out):
                    raise
                failures.add(step, error)


def visible_gpus() -> tuple[str, ...]:
    """Of this machine, as `CUDA_VISIBLE_DEVICES` names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return tuple(named[:count]) or tuple(map(str, range(count)))


def _free_gpus(todo: Sequence[Step]) -> tuple[str, ...]:
    """Those that processes may have: the first one is this process's where a judge on this machine is loaded in it."""
    judges = (endpoint for step in todo for endpoint in KINDS[step.kind].endpoints(step))
    return visible_gpus()[1 if any(not judge.is_quick_to_open for judge in judges) else 0 :]


def _takes_any_gpu(step: Step) -> bool:
    """Whether a step computes with a model on this machine, and its spec names no device for it."""
    return KINDS[step.kind].computes_with(step) is not None and step.options.get("device", "auto") in ("auto", "cuda")


def unfinished(steps: Sequence[Step], context: Context, *, fill_gaps: bool) -> tuple[set[str], set[str]]:
    """Keys of the steps that are to be done, and of those whose gaps are to be filled, as `run_steps` says; models
    behind an API that they need are opened once.

    Raises:
        ModelError: one cannot be opened.
    """
    waiting = {step.key for step in steps if step.key not in context.whole and not step.is_done(context.out)}
    done = [step for step in steps if step.key not in waiting] if fill_gaps else []
    gaps = {step.key for step in done if KINDS[step.kind].has_gaps(step.folder(context.out))}
    later = dependents(steps, gaps)  # they were made from what had the gaps
    waiting, gaps = waiting | later, gaps - later
    _open_endpoints(step for step in steps if step.key in waiting | gaps)
    for step in done:
        if step.key in later:
            context.outdated(step)  # or who is stopped now would have it fetched again
            if KINDS[step.kind].takes_over and not step.folder(context.out).is_symlink():
                step.set_aside(context.out)  # verdicts of replies that stay hold, and are not to be lost in between
            else:
                shutil.rmtree(step.folder(context.out), ignore_errors=True)
    return waiting, gaps


def skip_done(steps: Sequence[Step], todo: set[str], reporter: Reporter) -> None:
    """Say of which steps nothing is to be done."""
    for number, step in enumerate(steps, start=1):
        if step.key not in todo:
            reporter.skip(number, len(steps), step.title)


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
