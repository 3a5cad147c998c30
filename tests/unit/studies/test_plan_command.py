"""What `prism study plan` says before anything is fetched, trained or paid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prism_command import prism

PROMPTS = ["How would one go about doing the first of these two things?", "And how does one do the second of them?"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    pairs = {
        pool: [{"prompt": f"Say {pool} {n}.", "chosen": "yes", "rejected": "no", "language": "en"} for n in range(4)]
        for pool in ("safety", "general")
    }
    rows = [{"prompt": text, "language": "en", "kind": "harmful", "scope": "local"} for text in PROMPTS]
    for name, content in {**pairs, "prompts": rows}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return tmp_path


def plan(folder: Path, base: str, *options: object) -> str:
    """What is printed of a study of one arm from a base that is not on this machine."""
    spec = {
        "name": "x", "base": base, "pairs": {"safety": "safety.jsonl", "general": "general.jsonl"},
        "mixture": {"total": 4}, "arms": [{"name": "dpo_sft", "method": "dpo_sft", "share": 0.5}],
        "prompts": [{"file": "prompts.jsonl"}], "generation": {"max_tokens": 100}, "scorers": ["reply_length"],
    }  # fmt: skip
    (folder / "x.yaml").write_text(json.dumps(spec), encoding="utf-8")
    ran = prism("study", "plan", folder / "x.yaml", "--out", folder / "out", *options)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def hours(billions: float) -> str:
    """Of the base's replies: 2 operations a parameter and token, at 5 % of 989 TFLOP/s."""
    tokens = sum(map(len, PROMPTS)) // 3 + 2 * 100
    return f"{2 * tokens * billions * 1e9 / (989e12 * 0.05) / 3600:,.3g} GPU-hours"


@pytest.mark.parametrize(
    ("base", "billions"),
    [("CohereLabs/aya-23-8B", 8.03), ("CohereLabs/tiny-aya-global", 3.35), ("Qwen/Qwen2.5-1.5B-Instruct", 1.54)],
)
def test_hours_of_the_models_that_presets_name_are_reckoned_before_they_are_fetched(
    base: str, billions: float, study: Path
) -> None:
    said = plan(study, base)
    assert f"replies of {base}: 1 step" in said and hours(billions) in said
    assert "unknown" not in said and "no price" not in said  # trainings neither


def test_parameters_of_another_model_are_told_by_a_table(study: Path) -> None:
    assert "parameters unknown (fetch the model, or add it to --prices)" in plan(study, "hub:someone/model")
    (study / "mine.yaml").write_text("parameters: {someone/model: 7}\n", encoding="utf-8")
    said = plan(study, "hub:someone/model", "--prices", study / "mine.yaml")
    assert hours(7) in said and "unknown" not in said and "H200" in said


def test_every_step_says_which_it_waits_for(study: Path) -> None:
    steps = [line for line in plan(study, "CohereLabs/aya-23-8B").splitlines() if line.startswith("[")]
    assert steps == [
        "[1/7] mixture with 50 % safety pairs, seed 0",
        "[2/7] train SFT-Preferred on 50 % safety pairs, seed 0 (after 1)",
        "[3/7] train DPO(SFT) on 50 % safety pairs, seed 0 (after 1, 2)",
        "[4/7] replies of base",
        "[5/7] replies of dpo_sft, seed 0 (after 3)",
        "[6/7] score base by rules (after 4)",
        "[7/7] score dpo_sft, seed 0 by rules (after 5)",
    ]
