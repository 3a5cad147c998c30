"""Specs: presets, paths, settings laid over settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from alignment_prism.domain import Sampling
from alignment_prism.studies import load_spec
from alignment_prism.training.settings import load_config

SPEC = """\
name: mine
base: org/model
training:
  preset: nano
  sft: {epochs: 3}
pairs: {safety: s.jsonl, general: [g.jsonl, nano]}
arms:
  - {name: one, method: SFT-Preferred, share: 0.15, scopes: [local]}
  - {name: two, method: DPO(IFT), share: 1, config: {sft: {learning_rate: 0.5}, training: {batch_size: 4}}}
prompts:
  - {file: sub/p.jsonl, defaults: {language: en}}
judge: {model: openai/x, rubric: standalone@1}
"""


def test_the_presets_are_the_studies_they_say_they_are() -> None:
    quickstart = load_spec("quickstart")
    assert [(arm.method, arm.share) for arm in quickstart.arms] == [
        ("sft", 0.15),
        ("sft_random", 0.15),
        ("dpo_ift", 0.15),
        ("dpo_sft", 0.15),
        ("dpo_sft", 0.0),
    ]
    assert quickstart.uses_nano and quickstart.uses_nano_prompts
    assert load_spec("micro").prompt_limit == 1
    assert load_spec("micro", seeds=(7,)).seeds == (7,)


def test_every_knob_of_a_preset_is_commented() -> None:
    folder = Path(__file__).parents[3] / "src/alignment_prism/studies/presets"
    lines = (folder / "quickstart.yaml").read_text(encoding="utf-8").splitlines()
    block = ""
    for line in lines:
        if line.rstrip() and not line.startswith((" ", "#")):
            block = line.split(":")[0]
        key = line.strip().split(":")[0]
        if (
            ":" in line
            and not line.strip().startswith(("#", "- {"))
            and block not in ("name", "pairs", "judge", "compare")
        ):
            assert "#" in line or line.rstrip().endswith(":") or key in ("temperature", "top_p"), line


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("s.jsonl", "g.jsonl", "sub/p.jsonl"):
        (tmp_path / name).write_text("{}\n")
    (tmp_path / "study.yaml").write_text(SPEC)
    spec = load_spec(tmp_path / "study.yaml")
    assert spec.pairs.safety == (str(tmp_path / "s.jsonl"),)
    assert spec.pairs.general == (str(tmp_path / "g.jsonl"), "nano")
    assert not isinstance(spec.prompts, str) and spec.prompts[0].file == str(tmp_path / "sub/p.jsonl")
    assert spec.base == "org/model"
    assert spec.uses_nano and not spec.uses_nano_prompts
    assert [arm.method for arm in spec.arms] == ["sft", "dpo_ift"]
    nano = load_config("nano")
    one, two = (spec.method_config(arm) for arm in spec.arms)
    sft = nano.recipes["sft"].model_copy(update={"epochs": 3})
    assert (one.recipes["sft"], one.training.batch_size) == (sft, 32)
    assert (two.recipes["sft"], two.training.batch_size) == (sft.model_copy(update={"learning_rate": 0.5}), 4)
    assert one.recipes["dpo_sft"] == two.recipes["dpo_sft"]


def test_specs_are_frozen_and_become_samplings() -> None:
    spec = load_spec("micro")
    with pytest.raises(ValidationError):
        spec.name = "other"  # type: ignore[misc]
    assert spec.generation.sampling() == Sampling(0.0, 1.0, 32, 1, 0)


@pytest.mark.parametrize(
    ("judge", "bound"),
    [
        ("nano/oracle", "nano/oracle@{world}"),
        ("nano/judge#3", "nano/judge@{world}#3"),
        ("nano/oracle@17", "nano/oracle@17"),
        ("openai/gpt-x", "openai/gpt-x"),
    ],
)
def test_judges_of_the_lab_judge_the_study_s_own_world(tmp_path: Path, judge: str, bound: str) -> None:
    judges = {"judge": {"model": judge, "rubric": "standalone@1"}, "compare": {"model": judge, "rubric": "pairwise@1"}}
    spec = load_spec("micro", world=str(tmp_path), **judges)
    assert spec.compare is not None
    assert spec.judge.model == spec.compare.model == bound.format(world=tmp_path)
    assert load_spec("micro", **judges).judge.model == judge  # the shipped world needs no name
