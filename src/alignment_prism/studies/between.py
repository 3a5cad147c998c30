"""Contrasts between studies that stand on one page: arms of one name, on the prompts that both studies asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from alignment_prism.contrasts import Contrasts, Declared, contrast, contrast_over_seeds
from alignment_prism.domain import Contrast, InputError, Run
from alignment_prism.reports.report import arm_of_study
from alignment_prism.studies.runs import run_of
from alignment_prism.studies.study import Study


def contrasts_between(studies: Mapping[str, Study]) -> tuple[Contrasts, list[str]]:
    """Each further study against the first, arm by arm.

    Arms of one name are compared, and where no name is in both, the only aligned arm of each. Joint intervals and
    Holm's p-values are over the contrasts of two studies.

    Args:
        studies: by the name that each has on the page.

    Returns:
        The contrasts, and why there is none of a study.
    """
    runs = {name: _runs(study) for name, study in studies.items()}
    (first, _), *others = studies.items()
    rows: list[Contrast] = []
    notes: list[str] = []
    absent: list[str] = []
    for other, _ in others:
        both = f"{other} against {first}"
        pairs = [(arm, arm) for arm in runs[first] if arm in runs[other]]
        aligned = [[arm for arm in runs[name] if arm != studies[name].base] for name in (first, other)]
        if not pairs and all(len(arms) == 1 for arms in aligned):
            pairs = [(aligned[0][0], aligned[1][0])]
        same = [a for a, b in pairs if _replies(runs[first][a]) == _replies(runs[other][b])]
        pairs = [(a, b) for a, b in pairs if a not in same]
        notes += [f"{both}: {', '.join(same)} replied the same in both"] * bool(same)
        if not pairs:
            why = "no arm of one name is in both" if not same else "no other arm is in both"
            absent.append(f"{both}: no contrast, because {why}. prism compare A#ARM B#ARM takes any two.")
            continue
        sides = {arm_of_study(a, first): runs[first][a] for a, _ in pairs}
        sides |= {arm_of_study(b, other): runs[other][b] for _, b in pairs}
        wanted = [Declared(f"{b}, {both}", arm_of_study(a, first), arm_of_study(b, other)) for a, b in pairs]
        try:
            found = _compare(sides, wanted, both)
        except InputError as error:
            absent.append(f"{both}: no contrast, because {error.what}.")
            continue
        rows += found.rows
        notes += found.notes
    return Contrasts(tuple(rows), tuple(dict.fromkeys(notes))), absent


def _compare(sides: Mapping[str, list[Run]], wanted: list[Declared], study: str) -> Contrasts:
    if any(len(seeds) > 1 for seeds in sides.values()):
        return contrast_over_seeds(sides, wanted, study=study)
    return contrast([replace(one, name=name) for name, (one,) in sides.items()], wanted, study=study)


def _runs(study: Study) -> dict[str, list[Run]]:
    """Arm -> its runs, one a seed."""
    found: dict[str, list[Run]] = {}
    for arm in study.arms():
        if arm.generations:
            found.setdefault(arm.arm, []).append(run_of(study, arm))
    return found


def _replies(runs: list[Run]) -> set[tuple[str, str]]:
    return {(reply.prompt_id, reply.reply_digest) for run in runs for reply in run.generations}
