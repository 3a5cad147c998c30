"""Running a study: every command and every call that trains, replies, scores or analyses comes through here.

Every step leaves an artifact, so a study that was stopped, by Ctrl-C or by the machine, goes on where it stood when
it is run again with the same folder. Findings and report are made anew whenever anything that shapes them has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import (
    Comparison,
    Contrast,
    Finding,
    Generation,
    InputError,
    Prompt,
    Score,
    StoreError,
    Transfer,
)
from alignment_prism.io import write_json, write_records
from alignment_prism.store import folder_lock
from alignment_prism.store.names import (
    CALLS,
    COMPARISONS,
    CONTRASTS,
    FINDINGS,
    GENERATIONS,
    PLAN,
    PROMPTS,
    SCORES,
    STEPS,
    STUDY,
    TRANSFER,
)
from alignment_prism.store.remote import RemoteStore
from alignment_prism.studies.analysis import (
    analyse,
    analyse_contrasts,
    analyse_transfer,
    check_judge,
    corrected_by_passport,
)
from alignment_prism.studies.checks import check_folder_can_be_made, check_judges, check_place, check_study
from alignment_prism.studies.elsewhere import shared_steps
from alignment_prism.studies.executors.local import run_steps
from alignment_prism.studies.executors.ray import run_steps_on_ray
from alignment_prism.studies.housekeeping import remove_leftovers
from alignment_prism.studies.loading import load_spec
from alignment_prism.studies.made import is_made, made_from, write_made
from alignment_prism.studies.money import budget_for, models_called, shared_answers
from alignment_prism.studies.notes import study_notes
from alignment_prism.studies.plan import build_plan
from alignment_prism.studies.progress import Reporter, Silent
from alignment_prism.studies.report import write_study_report
from alignment_prism.studies.sources import Sources, fetch_models, load_sources
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.step_log import Logged
from alignment_prism.studies.steps import Context
from alignment_prism.studies.study import ArmRecords, Study


def run_study(
    spec: StudySpec | str | Path,
    out: str | Path | None = None,
    *,
    progress: Reporter | None = None,
    replace: bool = False,
    retry_unjudged: bool = False,
    known: Sequence[str | Path] = (),
    sources: Sources | None = None,
    jobs: int = 1,
    budget: float | None = None,
    prices: str | Path | None = None,
    cache: str | Path | None = None,
    cluster: str | None = None,
    gpus: int = 1,
    store: str | None = None,
) -> Study:
    """Run a study, or go on with one.

    Args:
        spec: a spec, its YAML file, or the name of a preset (`quickstart`, `micro`).
        out: the study's folder, `results/NAME` if None.
        progress: where to report to; None is nowhere.
        replace: replace findings of another study in the folder; its finished steps are kept. Those of this study, or
            of one with fewer arms or seeds, are replaced in any case.
        retry_unjudged: ask again for replies whose call failed and for verdicts that are missing, and for nothing else.
        known: files of earlier scores, which are taken over where they are of the same judge, rubric and reply.
        sources: what the study starts from, where it was read already.
        jobs: how many trainings and replies of small models are under way at once, see `executors.local.run_steps`.
            Several take processes of their own, which begin by importing the script that this is called from: it must
            do its work below `if __name__ == "__main__":`.
        budget: US dollars that all calls of the study may cost, those of earlier runs in the folder included; None
            sets no limit.
        prices: a YAML file with prices in place of those that ship.
        cache: a folder of answers that runs share: what it holds is not paid for again, and what is answered is put
            there too. None shares nothing.
        cluster: address of a cluster of Ray (`HOST:PORT`, `auto`; empty for one on this machine) that does trainings
            and replies, see `executors.ray.run_steps_on_ray`; None for none.
        gpus: of one machine, or one node of the cluster, that each training of a larger model is spread over by FSDP2.
        store: URL of a store of finished steps (`s3://bucket/path`) that machines share: what it has is fetched and not
            done again, what is done is sent there. None for none.

    Returns:
        The finished study.

    Raises:
        PrismError: anything that the user can mend; what was finished until then is kept. Of a step that failed only
            when those that do not need it are done (`executors.failures.StepsError` of several); there are then no new
            findings.
        BudgetError: the budget is spent; the same call with a larger one goes on.

    Example:
        >>> study = run_study("quickstart", "results/quickstart")
    """
    spec = spec if isinstance(spec, StudySpec) else load_spec(spec)
    out = Path(out) if out is not None else Path("results") / spec.name
    reporter = progress if progress is not None else Silent()
    check_folder_can_be_made(out)
    sources = sources if sources is not None else load_sources(spec)
    notes = study_notes(spec, sources)
    for note in notes:
        reporter.note(note)
    for what in sources.left_out:
        reporter.note(f"left out: {what}")
    check_study(spec, sources)
    check_judge(spec, sources.prompts)
    earlier = tuple(map(Path, known))
    for file in earlier:
        if not file.is_file():
            raise InputError("no such file of earlier scores", where=str(file), fix="check the path")
    elsewhere = None if store is None else RemoteStore(store)
    plan = build_plan(spec, fetch_models(sources))
    check_judges(spec, sources, plan, out)
    limit, shared = budget_for(budget, prices, models_called(plan.steps, out)), shared_answers(cache, out)
    index = {**plan.as_json(), "notes": notes}
    with _held(out), ExitStack() as stack:  # what is sent to a store is waited for when all else is done
        check_place(out, plan, spec, replace=replace)
        if not (out / FINDINGS).exists():
            write_index(out, spec, index)
        for source in plan.sources:
            source.write(out)
        finished, outdated, whole = stack.enter_context(shared_steps(elsewhere, plan.steps, out, reporter))
        with CallJournal(out / CALLS, cache=shared, budget=limit) as journal:
            context = Context(out, journal, earlier, gpus, finished, outdated, whole)
            logged = Logged(reporter, out / STEPS)
            if cluster is None:
                run_steps(plan.steps, context, logged, fill_gaps=retry_unjudged, jobs=jobs)
            else:
                run_steps_on_ray(
                    plan.steps, context, logged, fill_gaps=retry_unjudged, address=cluster, store=elsewhere
                )
            if journal.taken:
                reporter.note(f"{journal.taken} answers were in the cache {cache} and cost nothing")
        study, made = Study(out), made_from(spec, plan, index, out)
        remove_leftovers(plan.steps, out)
        if spec.passport is None and is_made(out, made):  # a passport has notes to tell
            return study
        write_index(out, spec, index)
        write_records(out / PROMPTS, sources.prompts, Prompt)
        arms = study.arms()
        _write_tables(study, arms)
        findings = analyse(study, arms)
        added, words = corrected_by_passport(spec, findings)
        findings += added
        for note in words:
            reporter.note(f"passport: {note}")
        write_records(out / FINDINGS, findings, Finding)
        contrasts = analyse_contrasts(study, arms) if spec.contrasts and findings else None
        if contrasts is not None:
            write_records(out / CONTRASTS, contrasts.rows, Contrast)
        else:  # those that an earlier run left would not be of this spec
            (out / CONTRASTS).unlink(missing_ok=True)
        if transfer := analyse_transfer(study, arms) if findings else []:
            write_records(out / TRANSFER, transfer, Transfer)
        else:
            (out / TRANSFER).unlink(missing_ok=True)
        if findings:
            write_study_report(study, findings, arms, contrasts, transfer)
        write_made(out, made)
    return study


def _held(out: Path) -> AbstractContextManager[None]:
    """The folder, made if need be, held for this process."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write there: {error.strerror}", where=str(out), fix="choose another folder"
        ) from error
    return folder_lock(out)


def write_index(out: Path, spec: StudySpec, index: dict[str, object]) -> None:
    """Write down what was asked for, and which steps the folder's findings rest on."""
    write_json(out / PLAN, index)  # the first file of all: by it a folder is known as a study's
    write_json(out / STUDY, spec.model_dump(mode="json"))


def _write_tables(study: Study, arms: Sequence[ArmRecords]) -> None:
    """Replies, scores and comparisons of all arms in one table each, where one alignment seed makes them one."""
    tables: tuple[tuple[str, type, list[Any]], ...] = (
        (GENERATIONS, Generation, [reply for arm in arms for reply in arm.generations]),
        (SCORES, Score, [*(score for arm in arms for score in arm.scores), *study.given_scores()]),
        (COMPARISONS, Comparison, [*(one for arm in arms for one in arm.comparisons), *study.given_comparisons()]),
    )
    for name, kind, records in tables:
        if records and len(study.seeds) <= 1:
            write_records(study.out / name, records, kind)
        else:  # one that an earlier run left would not be of these findings
            (study.out / name).unlink(missing_ok=True)
