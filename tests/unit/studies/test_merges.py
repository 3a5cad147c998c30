"""Merged models as arms of a study: planned in order, refused where they cannot be, and run on the nano model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import InputError, Pair, Prompt, PromptKind, Scope, user
from alignment_prism.models.names import ModelKind, ModelRef
from alignment_prism.studies import Sources, Study, StudySpec, build_plan, load_spec, run_study

PAIRS = [Pair(f"p{n}", user(f"ask {n}"), "yes", "no", "en", "safety", Scope.GLOBAL) for n in range(4)]
PROMPTS = [Prompt("q", user("ask"), "en", PromptKind.HARMFUL)]
NANO = ModelRef(ModelKind.FOLDER, "nano", "base")
SOURCES = Sources(PROMPTS, {"base": NANO, "old": NANO}, {"base": "digest", "old": "other"}, {}, PAIRS[:2], PAIRS[2:])

ARMS: list[dict[str, Any]] = [
    {"name": "mixed_dpo", "method": "dpo_ift", "base": "mixed", "share": 0.5},
    {"name": "mixed", "merge": {"method": "slerp", "models": ["sft_0", "sft_100"]}},
    {"name": "sft_0", "method": "sft", "share": 0},
    {"name": "sft_100", "method": "sft", "share": 1},
    {"name": "old", "model": "nano"},
    {"name": "three", "merge": {"method": "ties", "models": ["mixed", "old", "sft_0"], "density": 0.5}},
]


def _spec(arms: list[dict[str, Any]], **changes: Any) -> StudySpec:
    return load_spec("micro", arms=arms, **changes)


def test_a_merge_follows_what_it_is_made_of_and_what_is_trained_from_it_follows_the_merge() -> None:
    plan = build_plan(_spec(ARMS, seeds=[0, 1]), SOURCES)
    made = {source.step.key for source in plan.sources}
    for step in plan.steps:
        assert {needed.key for needed in step.needs.values()} <= made, step.title
        made.add(step.key)
    assert [step.kind for step in plan.steps].count("merge") == 4  # two for each seed
    arms = {(arm.arm, arm.seed): arm for arm in plan.arms}
    for seed in (0, 1):
        merged, trained, three = (arms[name, seed].model for name in ("mixed", "mixed_dpo", "three"))
        assert merged is not None and trained is not None and three is not None
        assert [merged.needs[role] for role in ("part0", "part1")] == [
            arms["sft_0", seed].model,
            arms["sft_100", seed].model,
        ]
        assert (
            trained.needs["start"] is merged and arms["mixed_dpo", seed].base is None
        )  # compared with the study's base
        assert three.needs["part0"] is merged and three.inputs == {"base": "digest", "part1": "other"}


def test_another_weight_is_another_merge_and_no_other_training() -> None:
    def keys(spec: StudySpec) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for step in build_plan(spec, SOURCES).steps:
            found.setdefault(step.kind, set()).add(step.key)
        return found

    arms = [dict(arm) for arm in ARMS]
    arms[1] = {"name": "mixed", "merge": {"method": "slerp", "models": ["sft_0", "sft_100"], "t": 0.25}}
    before, after = keys(_spec(ARMS)), keys(_spec(arms))
    assert before["mix"] == after["mix"] and len(before["train"] & after["train"]) == 2  # the two that are merged
    assert not before["merge"] & after["merge"]


@pytest.mark.parametrize(
    ("merge", "what"),
    [
        ({"method": "slerp", "models": ["sft_0"]}, "slerp of 1 models"),
        ({"method": "ties", "models": ["sft_0", "nobody"]}, "no model among base and arms is called 'nobody'"),
        (
            {"method": "linear", "models": ["sft_0", "mixed_dpo"]},
            "merged of 'mixed_dpo', which is made of it",
        ),
        ({"method": "linear", "models": ["sft_0", "sft_100"], "weights": [1]}, r"weights \[1\.0\] for 2 models"),
        ({"method": "dare_ties", "models": ["sft_0", "sft_100"], "weights": [2, -1]}, "are above 0"),
        ({"method": "slerp", "models": ["sft_0", "sft_100"], "weights": [2, 1]}, "slerp has t, and no weights"),
        ({"method": "linear", "models": ["sft_0", "sft_100"], "weights": [1, float("inf")]}, "are to be finite"),
    ],
)
def test_merges_that_cannot_be_are_refused_with_their_place(merge: dict[str, Any], what: str) -> None:
    arms = [arm if arm["name"] != "mixed" else {"name": "mixed", "merge": merge} for arm in ARMS]
    with pytest.raises(InputError, match=what):
        _spec(arms)


@pytest.mark.slow
def test_a_study_merges_monolingual_models_and_goes_on_from_a_merge(tmp_path: Path) -> None:
    arms = [
        {"name": "en", "method": "sft", "share": 0.5, "languages": ["en"]},
        {"name": "ar", "method": "sft", "share": 0.5, "languages": ["ar"]},
        {"name": "both", "merge": {"method": "ties", "models": ["en", "ar"], "density": 0.5}},
        {"name": "both_dpo", "method": "dpo_ift", "base": "both", "share": 0.5},
    ]
    spec = _spec(arms, mixture={"total": 16}, kinds=["harmful"], compare=None, examples=0)
    run_study(spec, tmp_path / "out")
    study = Study.open(tmp_path / "out")
    there = {(one.arm, one.metric) for one in study.findings()}
    assert {("both", "harm_rate"), ("both_dpo", "harm_difference")} <= there
    merged, trained = (study.models()[name, 0] for name in ("both", "both_dpo"))
    result = json.loads((trained.parent / "result.json").read_text(encoding="utf-8"))
    from alignment_prism.models.weights import weights_digest

    assert result["base_weights"] == weights_digest(merged)
    assert not list((tmp_path / "out" / "merge").glob("*.unfinished"))
    assert "ties of en and ar" in study.report.read_text(encoding="utf-8")
