"""A study split over processes that share its folder or a store: for clusters whose scheduler starts processes.

A shard does trainings and replies of models on this machine, and what they need: where pairs are built or ranked by
models behind an API, its calls are journalled as a study's are. Who runs the study after all shards does the rest:
judges, comparisons, and the findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import InputError
from alignment_prism.store import folder_lock, output_lock
from alignment_prism.store.locks import turn_to_write
from alignment_prism.store.names import CALLS, FINDINGS, STEPS
from alignment_prism.store.remote import RemoteStore
from alignment_prism.studies.checks import check_folder_can_be_made, check_place, check_study
from alignment_prism.studies.elsewhere import shared_steps
from alignment_prism.studies.executors.local import run_steps
from alignment_prism.studies.loading import load_spec
from alignment_prism.studies.money import budget_for, models_called, shared_answers
from alignment_prism.studies.plan import build_plan
from alignment_prism.studies.progress import Reporter, Silent
from alignment_prism.studies.run import write_index
from alignment_prism.studies.sources import fetch_models, load_sources
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.step_log import Logged
from alignment_prism.studies.steps import KINDS, Context, Step

SETUP = ".prism.setup.lock"
"""Lock of a study's folder while a shard writes what all of them start from."""


def run_shard(
    spec: StudySpec | str | Path,
    out: str | Path | None,
    number: int,
    of: int,
    *,
    progress: Reporter | None = None,
    jobs: int = 1,
    gpus: int = 1,
    budget: float | None = None,
    prices: str | Path | None = None,
    cache: str | Path | None = None,
    store: str | None = None,
) -> list[Step]:
    """Do one part of a study's trainings and replies, or go on with it; `run_study` does the rest afterwards.

    Args:
        spec: as of `run_study`.
        out: the study's folder, which all shards share, or one of the shard's own where they share a `store`;
            `results/NAME` if None.
        number: of the shard, from 1.
        of: how many shards there are.
        progress: where to report to; None is nowhere.
        jobs: as of `run_study`, as are the others; a budget counts what the shard's own calls and those before it cost.

    Returns:
        The steps of the shard, which are done.

    Raises:
        PrismError: as `run_study`; another process does the same shard, or runs the study.
    """
    spec = spec if isinstance(spec, StudySpec) else load_spec(spec)
    out = Path(out) if out is not None else Path("results") / spec.name
    reporter = progress if progress is not None else Silent()
    check_folder_can_be_made(out)
    sources = load_sources(spec)
    check_study(spec, sources)
    elsewhere = None if store is None else RemoteStore(store)
    plan = build_plan(spec, fetch_models(sources))
    steps = shard_of(plan.steps, number, of)
    called = models_called(steps, out)
    limit, shared = budget_for(budget, prices, called), shared_answers(cache, out)
    with output_lock(out / f"shard-{number}-of-{of}"), folder_lock(out, shared=True):
        with turn_to_write(out / SETUP):
            check_place(out, plan, spec, replace=False)
            if not (out / FINDINGS).exists():
                write_index(out, spec, {**plan.as_json(), "notes": ()})
            for source in plan.sources:
                source.write(out)
        with (
            CallJournal(out / CALLS, cache=shared, budget=limit) as journal,
            shared_steps(elsewhere, steps, out, reporter) as (finished, _, whole),
        ):
            context = Context(out, journal if called else None, gpus=gpus, finished=finished, whole=whole)
            run_steps(steps, context, Logged(reporter, out / STEPS), jobs=jobs)
    return steps


def shard_of(steps: Sequence[Step], number: int, of: int) -> list[Step]:
    """The steps of one shard, in their order: every training and reply of a model on this machine is in one of them.

    Steps that have a mixture, a training or a merged model in common are in the same shard, so that nothing is made
    twice. The largest groups go first, each to the shard with least work; equal ones in their order in the plan, so
    that every process comes to the same split.

    Args:
        steps: of a plan.
        number: of the shard, from 1.
        of: how many there are.

    Raises:
        InputError: there is no such shard.
    """
    if not 1 <= number <= of:
        fix = "count shards from 1"
        raise InputError(f"no shard {number} of {of}", fix=fix, settings={"shard": "I/N"})
    own = {step.key: step for step in steps}
    wanted = {step.key for step in steps if KINDS[step.kind].computes_with(step) is not None}
    group: dict[str, str] = {}  # key of a step -> that of the first one of its group

    def first(key: str) -> str:
        while group.setdefault(key, key) != key:
            key = group[key]
        return key

    for step in reversed(steps):  # what a step needs is before it, and wanted by the time it is looked at
        if step.key in wanted:
            for needed in step.needs.values():
                if needed.key in own:  # and no source, which is written beforehand
                    wanted.add(needed.key)
                    group[first(needed.key)] = first(step.key)
    members: dict[str, list[Step]] = {}
    for step in steps:
        if step.key in wanted:
            members.setdefault(first(step.key), []).append(step)
    loads = [0] * of
    mine: set[str] = set()
    for part in sorted(members.values(), key=_work, reverse=True):
        least = loads.index(min(loads))
        loads[least] += _work(part)
        if least == number - 1:
            mine |= {step.key for step in part}
    return [step for step in steps if step.key in mine]


def _work(steps: Sequence[Step]) -> int:
    """How much there is to do, roughly: a training is worth some replies."""
    return sum({"train": 5, "reply": 2}.get(step.kind, 1) for step in steps)
