"""Several bases in one study: the arms of each say what a study of that base alone says."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from alignment_prism.models.shipped import shipped_base
from alignment_prism.studies import Study, StudySpec, load_spec, run_study

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_report")]  # three whole studies


def other_base(folder: Path) -> Path:
    """The lab's base with a little noise in its weights, so that it replies otherwise to some prompts."""
    shutil.copytree(shipped_base(), folder)
    weights = load_file(folder / "model.safetensors")
    noise = torch.Generator().manual_seed(0)
    for weight in weights.values():
        weight += 0.15 * weight.std() * torch.randn(weight.shape, generator=noise).to(weight.dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def rows(study: Study, arms: set[str]) -> list[dict[str, Any]]:
    """Findings and transfer of some arms, as what they are compared with, and how, has it."""
    found = [asdict(row) for row in (*study.findings(), *study.transfer()) if row.arm in arms]
    return [{name: repr(value) for name, value in row.items() if name != "study"} for row in found]


def test_arms_say_of_their_own_base_what_a_study_of_it_alone_says(tmp_path: Path) -> None:
    second = {"name": "second", "model": str(other_base(tmp_path / "second"))}
    micro = load_spec("micro").model_dump(exclude_unset=True) | {"seeds": (0, 1), "kinds": ("harmful", "general")}
    grid = {"methods": ["sft"], "shares": [0.15], "bases": ["base", "second"]}
    alone = {"name": "second_sft_15", "method": "sft", "share": 0.15}
    both = run_study(StudySpec.model_validate({**micro, "arms": [second], "grid": grid}), tmp_path / "out")
    found = rows(both, {"second_sft_15"})
    compared = {(arm.arm, one.opponent) for arm in both.arms() for one in arm.comparisons}
    assert compared == {("second", "base"), ("sft_15", "base"), ("second_sft_15", "second")}
    subtracted = [row["signature"].partition("|base:")[2] for row in rows(both, {"sft_15"})]
    assert not any(subtracted)
    every = [
        (row.arm, row.seed, row.metric, row.prompts, row.language, row.scope, row.category) for row in both.findings()
    ]
    assert len(set(every)) == len(every)  # the second base is a base here and an arm there, and stands there once

    own = run_study(
        StudySpec.model_validate({**micro, "base": second, "arms": [alone]}), tmp_path / "out", replace=True
    )
    assert rows(own, {"second_sft_15"}) == found
    assert {row["seed"] for row in found} == {"-1", "0", "1"}
    changes = [row for row in found if row.get("metric") == "'harm_difference'"]
    assert changes and all("|base:second" in row["signature"] for row in changes)
