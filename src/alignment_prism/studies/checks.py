"""What can be known to be wrong with a study before any of its work: mixtures, judges, the folder it goes to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, PromptKind, StoreError
from alignment_prism.store import check_inputs, check_within
from alignment_prism.store.names import (
    COMPARISONS,
    CONTRASTS,
    FINDINGS,
    GENERATIONS,
    PLAN,
    PROMPTS,
    REPORT,
    SCORES,
    STUDY,
    TRANSFER,
)
from alignment_prism.studies.arms import ModelArm, RepliesArm
from alignment_prism.studies.on_policy import needs_outcomes
from alignment_prism.studies.places import check_foreign
from alignment_prism.studies.plan import Plan
from alignment_prism.studies.sources import Sources
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps.ask import prompts_of
from alignment_prism.studies.steps.compare import COMPARE
from alignment_prism.studies.steps.rank import RANK
from alignment_prism.studies.steps.score import SCORE, scorer_of
from alignment_prism.training.methods import find_method

OUTPUTS = (PROMPTS, GENERATIONS, SCORES, COMPARISONS, FINDINGS, CONTRASTS, TRANSFER, REPORT, STUDY, PLAN)
"""What a study writes beside its steps."""


def check_study(spec: StudySpec, sources: Sources) -> None:
    """Check that the pools can fill every mixture, that there is something to compare, that rules fit the prompts, and
    that judges and models behind an API have an address.

    Raises:
        InputError: a mixture cannot be filled, a method cannot learn from a pair, pools overlap, a model to train runs
            elsewhere, replies are to be compared and no prompt is a general one, or a rule does not exist or does not
            fit the prompts.
        ModelError: an address is missing or none.
    """
    from alignment_prism.calls.endpoint import Endpoint
    from alignment_prism.mixtures import check_mixture
    from alignment_prism.scoring.judge_calls import is_local
    from alignment_prism.scoring.rules import find_rule

    checked: list[dict[str, Any]] = []
    for arm in spec.trained if sources.build is None else ():  # what a build gives nobody knows before
        choice: dict[str, Any] = {"share": arm.share, "scopes": arm.scopes, "languages": arm.languages}
        if choice in checked:
            continue
        checked.append(choice)
        try:
            check_mixture(sources.safety, sources.general, **choice, **spec.mixture.model_dump())
        except InputError as error:
            error.where = f"the mixture of arm {arm.name!r}" + (f"; {error.where}" if error.where else "")
            raise
    _check_learnable(spec, sources)
    for existing in spec.existing:
        if isinstance(existing, ModelArm) and sources.models[existing.name].is_api:
            Endpoint(existing.model, existing.base_url).check_address()
    if spec.compare is not None and not any(prompt.kind is PromptKind.GENERAL for prompt in sources.prompts):
        raise InputError(
            "win-rates are over prompts of the kind 'general', and none of the prompts is one",
            where="compare",
            fix="leave the comparison out, or add general prompts; say which they are with kind: general",
        )
    for name in spec.scorers:
        try:
            find_rule(name).check(sources.prompts)
        except InputError as error:
            error.where = error.where or "scorers"
            raise
    for judge in spec.judges:
        if judge.batch and is_local(judge.model):
            fix = "leave it out, or name a judge behind an API"
            raise InputError("a model on this machine is called in no batch API", where=judge.model, fix=fix)
        Endpoint(judge.model, judge.base_url, batch=judge.batch).check_address()
    if sources.build is not None:
        from alignment_prism.studies.synthesis.checks import check_build

        check_build(sources.build[0])
        for arm in spec.trained if sources.build[0].rank.outcomes is None else ():
            if arm.share and arm.on_policy is None and (fault := needs_outcomes(arm.method)) is not None:
                fix = "say who judges them in the build: rank.outcomes"
                raise InputError(fault, where=f"arm {arm.name!r}", fix=fix)


def _check_learnable(spec: StudySpec, sources: Sources) -> None:
    """Check that what an arm's mixture is drawn from has what its method learns from: trainings come late.

    Raises:
        InputError: a pair has one reply only, or does not say which of its replies do harm; or no prompt is there in
            another language.
    """
    from alignment_prism.training.examples import check_replies, has_translations
    from alignment_prism.training.objectives import blaming

    checked = []
    for arm in spec.trained if sources.build is None else ():
        safety = [
            pair
            for pair in sources.safety
            if pair.scope in (arm.scopes or (pair.scope,)) and pair.language in (arm.languages or (pair.language,))
        ]
        pool = [*(safety if arm.share > 0 else ()), *(sources.general if arm.share < 1 else ())]
        for stage in find_method(arm.method).stages if arm.on_policy is None else ():
            objective = stage.objective
            what = (
                objective.replies,
                objective.translated_at is None,
                (arm.share > 0, arm.share < 1),
                arm.scopes,
                arm.languages,
            )
            if what in checked:
                continue
            checked.append(what)
            try:
                with blaming(objective, "replies"):
                    replies = [objective.replies(pair, 0) for pair in pool]
                check_replies(pool, replies)
                if objective.translated_at is not None and not has_translations(pool):
                    raise InputError(
                        f"none of {len(pool)} pairs has its prompt in another language, which {arm.method} compares",
                        fix="give pairs a column translations, {code: text of the last user turn}, or pairs in other "
                        "languages with the same group",
                    )
            except InputError as error:
                error.where = f"the pairs of arm {arm.name!r}" + (f"; {error.where}" if error.where else "")
                raise


def check_judges(spec: StudySpec, sources: Sources, plan: Plan, out: Path) -> None:
    """Check that the judges can judge replies to the study's prompts, if any is still to be asked.

    It is a check of its own, since it loads the providers of models: seconds that a study with nothing left to ask
    would spend for nothing.

    Raises:
        InputError: there is no such judge, or it does not know the prompts.
    """
    from alignment_prism.scoring.judge import Judge

    if any(step.kind in (SCORE.name, COMPARE.name) and not step.is_done(out) for step in plan.steps):
        if spec.judge is not None:
            scorer_of(spec.judge).check(sources.prompts)
        if spec.compare is not None:
            Judge(spec.compare.model, base_url=spec.compare.base_url).check(sources.prompts)
    if any(step.kind == RANK.name and not step.is_done(out) for step in plan.steps):
        asked = prompts_of([*sources.safety, *sources.general])
        for judge in dict.fromkeys(one for arm in spec.trained if arm.on_policy for one in arm.on_policy.judges):
            Judge(judge.model, base_url=judge.base_url).check(asked)


def check_place(out: Path, plan: Plan, spec: StudySpec, *, replace: bool) -> None:
    """Check that nothing is lost by writing a study into a folder.

    The folder is new, empty, or that of a study. Findings that are there must be those of this study, or of fewer of
    its steps, unless they are to be replaced.

    Raises:
        InputError: a file that the study writes is one that it reads.
        StoreError: the folder holds something else, or findings of steps that are not in the plan.
    """
    check_inputs([out / name for name in OUTPUTS], input_files(spec))
    try:
        before = json.loads((out / PLAN).read_text(encoding="utf-8"))
        keys = set(before["steps"])
    except FileNotFoundError:
        return check_foreign(out)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        if replace or not (out / FINDINGS).exists():
            return
        what = f"{PLAN} cannot be read ({error}), so whose findings are there is not known"
    else:
        if replace or not (out / FINDINGS).exists() or keys <= plan.keys:
            return
        what = "the folder holds findings of another study, or of other seeds or settings, which would be replaced"
        if changed := ", ".join(_differences(_spec_before(out), spec.model_dump(mode="json"))):
            what += f" ({changed})"
    raise StoreError(
        what,
        where=str(out),
        fix="choose another folder, or replace them: finished steps are kept, and findings and report made anew",
        settings={"out": "FOLDER", "replace": "True"},
    )


def input_files(spec: StudySpec) -> list[str]:
    """Every file and folder that a study reads; names that are no path may be among them."""
    files = [*spec.scores, *spec.comparisons, spec.languages or "", spec.passport.file if spec.passport else ""]
    if spec.trained:
        files += [*spec.pairs.safety, *spec.pairs.general, spec.pairs.build or ""]
    if not isinstance(spec.prompts, str):
        files += [entry.file for entry in spec.prompts]
    for arm in spec.existing:
        files += arm.replies if isinstance(arm, RepliesArm) else (arm.model,)
    policies = [] if spec.judge is None else [one.policies for one in spec.judge.everyone]
    return [*files, *(judge.rubric for judge in spec.judges), *policies]


def check_folder_can_be_made(out: Path) -> None:
    """Check that a study's folder can be made, and is not the one that prism runs in or one above it.

    Raises:
        StoreError: it cannot, or it is; or it is an address, as of object storage.
    """
    if (place := re.match(r"([a-z][a-z0-9+.-]+):/", str(out))) is not None:  # a path has made one slash of two
        what = f"a study's folder is a path, and {place[1]} is no file system"
        fix = "name a folder, and copy it there when it is finished: docs/design/storage.md"
        raise StoreError(what, where=str(out), fix=fix)
    check_within(out)
    if out.exists() and Path.cwd().is_relative_to(out.resolve()):
        fix = "name a folder of its own, such as results/mine"
        raise StoreError("the output is the folder that prism runs in, or one above it", where=str(out), fix=fix)


def _spec_before(out: Path) -> Mapping[str, Any]:
    try:
        content = json.loads((out / STUDY).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """Key paths of the values that differ, `judge.model: a -> b`; of long values and lists the path alone."""
    if not before:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            one, other = ("none" if side.get(key) is None else side[key] for side in (before, now))
            if one != other:
                yield from _differences(one, other, f"{path}.{key}".strip("."))
    elif isinstance(before, (str, int, float, bool)) and isinstance(now, (str, int, float, bool)):
        yield f"{path}: {str(before)[:60]} -> {str(now)[:60]}"
    else:
        yield path
