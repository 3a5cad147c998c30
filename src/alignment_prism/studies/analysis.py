"""From the records of a study to its findings, and a few examples to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from alignment_prism.domain import (
    ALL,
    MACRO,
    Contrast,
    Finding,
    Generation,
    Prompt,
    Run,
    Score,
    Signature,
    Transfer,
)
from alignment_prism.studies.plan import NO_SEED
from alignment_prism.studies.spec import StudySpec
from alignment_prism.studies.steps.score import scorer_of
from alignment_prism.training.methods import find_method

if TYPE_CHECKING:
    from alignment_prism.contrasts import Contrasts, JudgeError
    from alignment_prism.nano.thresholds import ThresholdResult
    from alignment_prism.studies.study import ArmRecords, Study


def analyse(study: Study, arms: Sequence[ArmRecords]) -> list[Finding]:
    """All findings of a study: replies and comparisons of every arm, seed by seed; several seeds also together.

    An arm that the study did not train stands in every seed's analysis, and in the findings once. Arms that are trained
    from another base than the study's are analysed together with it and apart from the rest.

    Args:
        study: whose steps are done.
        arms: its records (`Study.arms`), base first.
    """
    if not any(arm.generations for arm in arms):
        return []
    prompts = study.prompts()
    return [row for base, own in _by_base(study, arms) for row in _analysed(study, prompts, own, base)]


def _by_base(study: Study, arms: Sequence[ArmRecords]) -> Iterator[tuple[str | None, list[ArmRecords]]]:
    """The study's base, if there is one, with all arms that exist and those that are compared with it; then each other
    base with its arms."""
    yield study.base, [arm for arm in arms if arm.base is None]
    for base in dict.fromkeys(arm.base for arm in arms if arm.base is not None):
        yield base, [arm for arm in arms if arm.base == base or (arm.arm == base and not arm.is_trained)]


def _analysed(
    study: Study, prompts: Sequence[Prompt], arms: Sequence[ArmRecords], base: str | None
) -> Iterator[Finding]:
    """Findings of the arms that are compared with one base; its own only where it is the study's."""
    from alignment_prism.evaluation import reply_findings, seed_findings, win_rate_findings

    seeds = study.seeds or (NO_SEED,)
    existing = [arm for arm in arms if not arm.is_trained]
    for seed in seeds:
        group = [*existing, *(arm for arm in arms if arm.is_trained and arm.seed == seed)]
        generations = [reply for arm in group for reply in arm.generations]
        scores = [*(score for arm in group for score in arm.scores), *study.given_scores()]
        first = seed == seeds[0] and base == study.base
        names = {arm.arm for arm in group if arm.is_trained or first}
        compared = [one for arm in group if arm.arm in names for one in arm.comparisons]
        if first:
            compared += study.given_comparisons()
        of_arms = {arm.arm: arm.seed for arm in group if arm.arm != base}
        if scores:
            rows = reply_findings(prompts, generations, scores, study=study.name, seed=of_arms, base_arm=base or "base")
            yield from (row for row in rows if row.arm in names)
        if compared:
            yield from win_rate_findings(compared, prompts, generations, study=study.name, seed=of_arms)
    if len(seeds) > 1 and base is not None:
        of_seeds = {
            seed: [one for arm in arms if arm.is_trained and arm.seed == seed for one in arm.comparisons]
            for seed in seeds
        }
        runs = _runs(study, arms, base)
        yield from seed_findings(prompts, runs, study=study.name, base_arm=base, comparisons=of_seeds)


def analyse_transfer(study: Study, arms: Sequence[ArmRecords]) -> list[Transfer]:
    """What the arms do in languages and scopes that they were not trained on, and how far they refuse too much.

    Args:
        study: whose steps are done.
        arms: its records, as for `analyse`.
    """
    from alignment_prism.evaluation import TrainedOn, transfer_rows

    trained = {
        arm.name: TrainedOn(find_method(arm.method).title, arm.share, arm.languages, arm.scopes)
        for arm in study.spec.trained
    }
    rows: list[Transfer] = []
    for base, own in _by_base(study, arms):
        runs = _runs(study, own, base)
        if base is not None and all(scores for _, scores in runs.values()):
            rows += transfer_rows(study.prompts(), runs, trained, study=study.name, base_arm=base)
    return rows


def _runs(
    study: Study, arms: Sequence[ArmRecords], base: str | None
) -> dict[int, tuple[list[Generation], list[Score]]]:
    """Replies and scores by seed: base and the arms that the study trained; with one seed all others too."""
    seeds = study.seeds or (NO_SEED,)
    runs: dict[int, tuple[list[Generation], list[Score]]] = {}
    for seed in seeds:
        of_seed = [arm for arm in arms if arm.arm == base or (arm.seed == seed if arm.is_trained else len(seeds) == 1)]
        runs[seed] = (
            [reply for arm in of_seed for reply in arm.generations],
            [score for arm in of_seed for score in arm.scores] + (study.given_scores() if len(seeds) == 1 else []),
        )
    return runs


def check_judge(spec: StudySpec, prompts: Sequence[Prompt]) -> None:
    """Refuse, before any call, a judge whose passport does not show what the spec asks for.

    Raises:
        InputError: as `labels.require_able`.
    """
    if spec.passport is None or spec.judge is None:
        return
    from alignment_prism.labels import Passport, require_able

    require_able(
        Passport.read(spec.passport.file), {prompt.language for prompt in prompts}, judge=scorer_of(spec.judge).id,
        origin=spec.passport.origin, min_sensitivity=spec.passport.min_sensitivity,
    )  # fmt: skip


def corrected_by_passport(spec: StudySpec, findings: Sequence[Finding]) -> tuple[list[Finding], list[str]]:
    """Rows without the judge's errors where the spec has its passport, and notes; see `labels.passport_findings`.

    Raises:
        InputError: the passport is of another judge, or does not show the sensitivity that the spec asks for.
    """
    if spec.passport is None:
        return [], []
    from alignment_prism.labels import Passport, passport_findings, require_able

    passport = Passport.read(spec.passport.file)
    facts = [dict(Signature.parts(row.signature)) for row in findings if row.metric in ("harm_rate", "refusal_rate")]
    languages = {row.language for row in findings if row.metric in ("harm_rate", "refusal_rate")} - {ALL, MACRO}
    if facts:
        require_able(
            passport, languages, judge=facts[0].get("judge", ""), rubric=facts[0].get("rubric", ""),
            origin=spec.passport.origin, min_sensitivity=spec.passport.min_sensitivity,
        )  # fmt: skip
    return passport_findings(findings, passport, spec.passport.origin)


def analyse_contrasts(study: Study, arms: Sequence[ArmRecords]) -> Contrasts:
    """The contrasts that a study declares, seed by seed and over seeds; arms that it did not train are compared once.

    Args:
        study: whose steps are done.
        arms: its records, as for `analyse`.
    """
    from alignment_prism.contrasts import MUST_AGREE, Contrasts, Declared, contrast, contrast_over_seeds
    from alignment_prism.studies.runs import run_of

    declared = [Declared(one.name, one.a, one.b) for one in study.spec.contrasts]
    error, said = _judge_error(study)
    trained = {arm.arm for arm in arms if arm.is_trained}
    seeds = study.seeds or (NO_SEED,)
    rows: list[Contrast] = []
    notes = dict.fromkeys(said)
    for seed in seeds:
        wanted = [one for one in declared if {one.a, one.b} & trained or seed == seeds[0]]
        named = {name for one in wanted for name in (one.a, one.b)}
        of_seed = [arm for arm in arms if arm.arm in named and (not arm.is_trained or arm.seed == seed)]
        if wanted:
            runs = [run_of(study, arm) for arm in of_seed]
            of_rows = seed if len(seeds) > 1 else NO_SEED
            found = contrast(runs, wanted, may_differ=MUST_AGREE, judge_error=error, study=study.name, seed=of_rows)
            rows += found.rows
            notes.update(dict.fromkeys(found.notes))
    seeded = [one for one in declared if {one.a, one.b} & trained]
    if len(seeds) > 1 and seeded:
        of_arms: dict[str, list[Run]] = {}
        for arm in arms:
            if arm.arm in {name for one in seeded for name in (one.a, one.b)}:
                of_arms.setdefault(arm.arm, []).append(run_of(study, arm))
        found = contrast_over_seeds(of_arms, seeded, may_differ=MUST_AGREE, judge_error=error, study=study.name)
        rows += found.rows
        notes.update(dict.fromkeys(found.notes))
    return Contrasts(tuple(rows), tuple(notes))


def _judge_error(study: Study) -> tuple[JudgeError | None, list[str]]:
    """What the study's passport says of its judge, if it has one, and what weakens that."""
    given = study.spec.passport
    if given is None:
        return None, []
    from alignment_prism.labels import Passport, judge_error

    error, notes = judge_error(Passport.read(given.file), study.prompts(), given.origin)
    return error, [f"passport: {note}" for note in notes]


def nano_thresholds(spec: StudySpec, findings: Sequence[Finding]) -> list[ThresholdResult]:
    """How the arms that are aligned for safety meet the thresholds of the nano lab; empty for prompts of one's own.

    Control methods (SFT-Random) and arms without safety pairs are controls, which have no thresholds to meet.
    """
    from alignment_prism.nano.thresholds import check_thresholds

    if not spec.uses_nano_prompts or spec.kinds:  # thresholds are of the whole evaluation set
        return []
    held = [arm for arm in spec.trained if arm.share > 0 and not find_method(arm.method).control]
    by_arm: dict[str, list[Finding]] = {}
    for row in findings:
        by_arm.setdefault(row.arm, []).append(row)
    return [
        threshold
        for arm in held
        for seed in spec.seeds
        for threshold in check_thresholds(
            [row for name in {spec.base_of(arm).name, arm.name} for row in by_arm.get(name, [])],
            arm.name,
            seed=seed,
            base_arm=spec.base_of(arm).name,
            spill_over_is_finding=len(find_method(arm.method).stages) > 1,
        )
    ]
