"""Steps for executors that are done in moments: mixtures of small pools of pairs, drawn by a share each."""

from __future__ import annotations

import errno
from dataclasses import fields
from pathlib import Path

from alignment_prism.domain import Pair, user
from alignment_prism.store.names import PLAN
from alignment_prism.studies.arms import TrainedArm
from alignment_prism.studies.spec import MixtureSpec
from alignment_prism.studies.steps import Step
from alignment_prism.studies.steps.mix import GENERAL, SAFETY, mix_step
from alignment_prism.studies.steps.source import source

POOLS = {
    kind: [Pair(f"{kind}{n}", user(f"ask {kind} {n}"), f"yes {n}", f"no {n}", "en", kind) for n in range(60)]
    for kind in ("safety", "general")
}


class Stuck(Step):
    """A step whose altered artifact cannot be removed, as where a server of files keeps names of open ones."""

    def clear(self, out: Path) -> str:
        raise OSError(errno.ENOTEMPTY, "Directory not empty")


def stuck(step: Step) -> Stuck:
    """The step as such a one."""
    return Stuck(**{field.name: getattr(step, field.name) for field in fields(step) if field.init})


def mixtures(out: Path, *shares: float, total: int = 20) -> list[Step]:
    """Steps that mix the pools, which are written to the folder; it is a study's."""
    pairs = source("pairs", {SAFETY: (Pair, POOLS["safety"]), GENERAL: (Pair, POOLS["general"])})
    pairs.write(out)
    (out / PLAN).write_text("{}")
    arms = [TrainedArm(name=f"arm{share}", method="sft", share=share) for share in shares]
    return [mix_step(arm, MixtureSpec(total=total), pairs.step, 0) for arm in arms]
