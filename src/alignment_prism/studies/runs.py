"""Runs from where they lie: the folder of a study, or a file in one."""

from __future__ import annotations

from pathlib import Path

from alignment_prism.domain import Finding, InputError, Run, StopReason, StoreError
from alignment_prism.io import read_records
from alignment_prism.store.names import FINDINGS, PLAN
from alignment_prism.studies.plan import NO_SEED
from alignment_prism.studies.study import ArmRecords, Study

ARM = "#"
"""Between a path and the arm that is meant: `results/mine#dpo_sft`, with a seed `results/mine#dpo_sft:1`."""


def split_arm(path: str) -> tuple[str, str]:
    """A path, and the arm that is named after it; empty where none is.

    Example:
        >>> split_arm("results/mine#dpo_sft:1"), split_arm("results/mine")
        (('results/mine', 'dpo_sft:1'), ('results/mine', ''))
    """
    place, _, arm = path.partition(ARM)
    return place, arm


def study_folder(path: str) -> Path | None:
    """The folder of the study that a path is, or is a file of; None where it is neither."""
    place = Path(split_arm(path)[0])
    folder = place if place.is_dir() else place.parent
    return folder if (folder / PLAN).is_file() else None


def open_run(path: str) -> Run:
    """One run, for contrasts and gates.

    Args:
        path: the folder of a study or an evaluation, or a file in it; behind `#` the arm and, after a colon, the seed
            where there are several (`results/mine#dpo_sft:1`).

    Raises:
        StoreError: there is no study.
        InputError: it is unclear which arm is meant, or it has no such arm.
    """
    study = _study(path)
    return run_of(study, _meant(study.arms(), study.base, split_arm(path)[1], path), name=path)


def open_seeds(path: str) -> list[Run]:
    """The runs of one arm, one a seed: that of `open_run` alone where the arm has no seeds or the path names one.

    Args:
        path: as of `open_run`.

    Raises:
        StoreError: there is no study.
        InputError: it is unclear which arm is meant, or it has no such arm.
    """
    study = _study(path)
    return [run_of(study, arm, name=path) for arm in _all_seeds(study, split_arm(path)[1], path)]


def _study(path: str) -> Study:
    folder = study_folder(path)
    if folder is None:
        what = "no run is there"
        raise StoreError(what, where=path, fix="name the folder of a study or an evaluation, FOLDER#ARM for one arm")
    return Study.open(folder)


def _all_seeds(study: Study, wanted: str, path: str) -> list[ArmRecords]:
    """The records of the arm that is meant, of every seed unless one is named."""
    arms = [arm for arm in study.arms() if arm.generations]
    named = {arm.arm for arm in arms if arm.arm != study.base} or {arm.arm for arm in arms}
    name = wanted or (named.pop() if len(named) == 1 else "")
    return [arm for arm in arms if arm.arm == name] or [_meant(arms, study.base, wanted, path)]


def run_of(study: Study, arm: ArmRecords, *, name: str = "") -> Run:
    """The run of one arm of a study.

    Args:
        study: that holds it.
        arm: of `study.arms()`.
        name: of the run; that of the arm unless given.
    """
    scores = [score for score in (*arm.scores, *study.given_scores()) if score.arm == arm.arm or not score.arm]
    digests = {reply.reply_digest for reply in arm.generations}
    given = [
        score for score in study.given_scores() if score.arm not in ("", arm.arm) and score.reply_digest in digests
    ]
    spec = study.spec.generation
    facts = {}
    if all(reply.stop_reason is not StopReason.STORED for reply in arm.generations):
        facts = {"top_p": f"{spec.top_p:g}", "max_tokens": str(spec.max_tokens)}
    compared = [one for one in study.given_comparisons() if one.arm == arm.arm]
    return Run(
        name or arm.arm, tuple(study.prompts()), tuple(arm.generations), (*scores, *given), facts, str(study.out),
        (*arm.comparisons, *compared),
    )  # fmt: skip


def _meant(arms: list[ArmRecords], base: str | None, wanted: str, path: str) -> ArmRecords:
    several = {arm.arm for arm in arms if sum(other.arm == arm.arm for other in arms) > 1}
    names = {f"{arm.arm}:{arm.seed}" if arm.arm in several else arm.arm: arm for arm in arms if arm.generations}
    if wanted in names:
        return names[wanted]
    found = [arm for name, arm in names.items() if arm.arm != base] or list(names.values())
    if not wanted and len(found) == 1:
        return found[0]
    what = f"there is no arm {wanted!r}" if wanted else f"there are {len(found)} arms"
    raise InputError(what, where=path, fix="say which: " + ", ".join(f"FOLDER#{name}" for name in names))


Release = tuple[list[Finding], str | None, list[Run]]
"""Findings of a release, the arm that is meant (None where they have one), and its runs, one a seed, where they are
there."""


def open_release(path: str) -> Release:
    """One side of a gate: findings, and the runs that they are of where their study is beside them.

    Args:
        path: a file of findings, or as in `open_run`; `#` names the arm.

    Raises:
        InputError: there are no findings, or no such arm.
    """
    place, wanted = split_arm(path)
    folder = study_folder(path)
    if folder is None:
        return read_records(place, Finding), wanted or None, []
    findings = read_records(folder / FINDINGS if Path(place).is_dir() else place, Finding)
    study = Study.open(folder)
    arms = _all_seeds(study, wanted, path)
    seeds = {arm.seed for arm in arms} | {NO_SEED}
    return [row for row in findings if row.seed in seeds], arms[0].arm, [run_of(study, arm, name=path) for arm in arms]
