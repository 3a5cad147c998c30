"""What can be known to be wrong with a study before any of its work: mixtures, judges, the folder it goes to."""

from __future__ import annotations

import json
from pathlib import Path

from alignment_prism.domain import InputError, StoreError
from alignment_prism.io import write_json
from alignment_prism.store import check_inputs
from alignment_prism.store.names import FINDINGS, PLAN, PROMPTS, REPORT, STUDY
from alignment_prism.studies.plan import Plan
from alignment_prism.studies.sources import Sources
from alignment_prism.studies.spec import StudySpec


def check_study(spec: StudySpec, sources: Sources) -> None:
    """Check that the pools can fill every mixture, and that judges have an address and know the prompts.

    Raises:
        InputError: a mixture cannot be filled, pools overlap, or a nano judge is to judge prompts of no nano world.
        ModelError: a judge's address is missing or none.
    """
    from alignment_prism.mixtures import check_mixture
    from alignment_prism.scoring.judge import check_judge

    checked = set()
    for arm in spec.arms:
        if (arm.share, arm.scopes) in checked:
            continue
        checked.add((arm.share, arm.scopes))
        try:
            check_mixture(
                sources.safety, sources.general, share=arm.share, scopes=arm.scopes, **spec.mixture.model_dump()
            )
        except InputError as error:
            error.where = f"the mixture of arm {arm.name!r}" + (f"; {error.where}" if error.where else "")
            raise
    for judge in (spec.judge, spec.compare):
        if judge is not None:
            check_judge(judge.model, sources.prompts, judge.base_url)


def check_place(out: Path, plan: Plan, spec: StudySpec, *, replace: bool) -> None:
    """Check that findings which are there already are not lost: those of this study, or of fewer of its steps, are not.

    Raises:
        InputError: a file that the study writes is one that it reads.
        StoreError: the folder holds findings of steps that are not in the plan, or files of another origin.
    """
    prompts = () if isinstance(spec.prompts, str) else tuple(entry.file for entry in spec.prompts)
    inputs = (*spec.pairs.safety, *spec.pairs.general, *prompts, spec.judge.rubric)
    check_inputs([out / name for name in (FINDINGS, PROMPTS, REPORT, STUDY, PLAN)], inputs)
    if replace:
        return
    there = [name for name in (FINDINGS, PROMPTS, REPORT, STUDY) if (out / name).exists()]
    if not there or (FINDINGS not in there and (out / PLAN).exists()):
        return
    try:
        before = set(json.loads((out / PLAN).read_text(encoding="utf-8"))["steps"])
    except FileNotFoundError:
        what = f"the folder holds {', '.join(there)} of another origin"
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{PLAN} cannot be read ({error}), so whose findings are there is not known"
    else:
        if before <= {step.key for step in plan.steps}:
            return
        what = "the folder holds findings of another study, or of other seeds or settings, which would be replaced"
    raise StoreError(
        what,
        where=str(out),
        fix="choose another --out; or --replace them: finished steps are kept, and findings and report made anew",
    )


def write_steps(out: Path, plan: Plan) -> None:
    """Write down which steps the folder's findings rest on."""
    write_json(out / PLAN, {"steps": {step.key: step.folder(Path()).as_posix() for step in plan.steps}})
