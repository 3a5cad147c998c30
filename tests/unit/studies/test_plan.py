"""Plans: every step once, in an order that works, named by what it is made from."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import Pair, Prompt, PromptKind, Scope, user
from alignment_prism.io import write_records
from alignment_prism.models.names import ModelKind, ModelRef
from alignment_prism.models.shipped import shipped_base
from alignment_prism.store import write_artifact
from alignment_prism.studies import Sources, StudySpec, build_plan, load_sources, load_spec
from alignment_prism.studies.checks import check_study
from alignment_prism.studies.sources import limited
from alignment_prism.studies.steps import KINDS, Context, Step
from alignment_prism.training import METHODS, Method

PAIRS = [Pair(f"p{n}", user(f"ask {n}"), "yes", "no", "en", "safety", Scope.GLOBAL) for n in range(4)]
PROMPTS = [
    Prompt(f"q{language}{kind}{n}", user(f"ask {n}"), language, kind, Scope.LOCAL)
    for language in ("en", "ar")
    for kind in (PromptKind.HARMFUL, PromptKind.GENERAL)
    for n in range(5)
]
BASE = {"base": ModelRef(ModelKind.FOLDER, "nano", "base")}
SOURCES = Sources(PROMPTS, BASE, {"base": "digest"}, {}, PAIRS[:2], PAIRS[2:])


def steps(spec: StudySpec, sources: Sources = SOURCES) -> dict[str, str]:
    return {step.title: step.key for step in build_plan(spec, sources).steps}


def quickstart(**changes: Any) -> StudySpec:
    return load_spec("quickstart", **changes)


def test_the_quickstart_trains_six_models_and_needs_nothing_before_it_is_made() -> None:
    plan = build_plan(quickstart(), SOURCES)
    # sft, sft_random, dpo_ift, dpo_sft; for the control an sft of its own and a dpo_sft
    counts = {"mix": 2, "train": 6, "reply": 6, "score": 6, "compare": 5}
    assert Counter(step.kind for step in plan.steps) == counts
    made = {source.step.key for source in plan.sources}
    for step in plan.steps:
        assert {needed.key for needed in step.needs.values()} <= made, step.title
        made.add(step.key)
    folders = {step.folder(Path("out")) for step in plan.steps}
    assert len(folders) == len(plan.steps)


def test_the_sft_stage_is_shared() -> None:
    plan = build_plan(quickstart(), SOURCES)
    trained = {step.name: step for step in plan.steps if step.kind == "train"}
    assert trained["dpo_sft-share0.15-seed0"].needs["first"].key == trained["sft-share0.15-seed0"].key
    assert trained["dpo_sft-share0-seed0"].needs["first"].key == trained["sft-share0-seed0"].key
    evaluated = {arm.model.name for arm in plan.arms if arm.model is not None}
    assert evaluated == set(trained) - {"sft-share0-seed0"}


def test_an_arm_with_its_own_sft_settings_does_not_share() -> None:
    arms = [arm.model_dump(exclude_none=True) for arm in quickstart().arms[:4]]
    arms[3]["config"] = {"sft": {"epochs": 2}}
    changed = quickstart(arms=arms)
    trained = [step for step in build_plan(changed, SOURCES).steps if step.kind == "train"]
    assert [step.settings["recipe"]["epochs"] for step in trained if step.settings["method"] == "sft"] == [1, 2]
    # the log of a study, and so its status, knows steps by their titles
    own = ", with sft.epochs 2"
    assert [step.title.partition(", seed 0")[2] for step in trained] == ["", "", "", own, own]
    assert len({step.title for step in trained}) == len(trained)


def test_the_title_of_a_training_does_not_depend_on_the_order_of_arms() -> None:
    """Two arms need one training, and differ in what is done with it: its title is of the settings that shape it."""
    many = {"schedule": "constant", "warmup": 0.25, "learning_rate": 0.001}  # too long for a title
    given = [
        {"name": "b", "method": "sft", "share": 0.15, "config": {"sft": {"epochs": 2}}},
        {"name": "a", "method": "dpo_sft", "share": 0.15, "config": {"sft": {"epochs": 2}, "dpo_sft": {"beta": 0.3}}},
        {"name": "c", "method": "sft", "share": 0.15, "config": {"training": {"micro_batch_size": 1}}},
        {"name": "d", "method": "sft", "share": 0.15, "config": {"sft": many}},
    ]

    def titles(arms: list[dict[str, Any]]) -> dict[str, str]:
        found = build_plan(quickstart(arms=arms), SOURCES).steps
        return {step.key: step.title.partition(", seed 0")[2] for step in found if step.kind == "train"}

    forward = titles(given)
    assert titles(given[::-1]) == forward
    none, long, *short = sorted(forward.values())
    assert [none, *short] == ["", ", with sft.epochs 2", ", with sft.epochs 2, dpo_sft.beta 0.3"]
    assert re.fullmatch(", with 3 own settings [0-9a-f]{8}", long)


def test_only_what_depends_on_a_change_is_done_again() -> None:
    before = steps(quickstart())

    def changed(after: dict[str, str]) -> set[str]:
        return {title.split(" ")[0] for title, key in after.items() if before.get(title) != key}

    assert changed(steps(quickstart(judge={"model": "openai/x", "rubric": "standalone@1"}))) == {"judge"}
    assert changed(steps(quickstart(generation={"max_tokens": 9}))) == {"replies", "judge", "compare"}
    assert changed(steps(quickstart(), replace(SOURCES, prompts=PROMPTS[:3]))) == {"replies", "judge", "compare"}
    everything = {"mixture", "train", "replies", "judge", "compare"}
    assert changed(steps(quickstart(), replace(SOURCES, safety=PAIRS[:1]))) == everything
    assert changed(steps(quickstart(), replace(SOURCES, digests={"base": "other"}))) == everything - {"mixture"}
    assert changed(steps(quickstart(generation={"max_tokens": 64, "batch_tokens": 5}))) == set()
    assert changed(steps(quickstart(name="other", examples=0))) == set()
    assert changed(steps(quickstart(training={"preset": "nano", "dpo_ift": {"beta": 0.7}}))) == {
        "train",
        "replies",
        "judge",
        "compare",
    }
    ift = steps(quickstart(training={"preset": "nano", "dpo_ift": {"beta": 0.7}}))
    trained = [title for title in ift if title.startswith("train") and before[title] != ift[title]]
    assert [title.split(" on ")[0] for title in trained] == ["train DPO(IFT)"]


def test_seeds_share_base_but_not_mixtures() -> None:
    plan = build_plan(quickstart(seeds=(0, 1)), SOURCES)
    assert Counter(step.kind for step in plan.steps) == {
        "mix": 4,
        "train": 12,
        "reply": 11,
        "score": 11,
        "compare": 10,
    }
    assert sorted({(arm.arm, arm.seed) for arm in plan.arms})[:3] == [("base", -1), ("dpo_ift", 0), ("dpo_ift", 1)]


def test_scopes_are_ablations_of_their_own() -> None:
    arms = [{"name": name, "method": "sft", "share": 1, "scopes": [name]} for name in ("global", "local")]
    plan = build_plan(quickstart(arms=arms), SOURCES)
    mixtures = [step for step in plan.steps if step.kind == "mix"]
    assert [step.settings["scopes"] for step in mixtures] == [["global"], ["local"]]
    assert [step.name for step in plan.steps if step.kind == "train"] == [
        "sft-share1-global-seed0",
        "sft-share1-local-seed0",
    ]


def test_a_choice_of_languages_is_a_mixture_of_its_own_and_changes_no_other_key() -> None:
    arms = [
        {"name": "all", "method": "sft", "share": 1},
        {"name": "en", "method": "sft", "share": 1, "languages": ["en"]},
    ]
    both, one = (build_plan(quickstart(arms=arms[:number]), SOURCES) for number in (2, 1))
    mixtures = {step.name: step for step in both.steps if step.kind == "mix"}
    assert {name: step.settings.get("languages") for name, step in mixtures.items()} == {
        "share1-seed0": None,
        "share1-en-seed0": ["en"],
    }
    assert mixtures["share1-en-seed0"].title == "mixture with 100 % safety pairs (en only), seed 0"
    assert {step.key for step in one.steps} < {step.key for step in both.steps}


def test_a_step_is_done_when_its_artifact_has_its_key_and_no_byte_of_it_has_changed(tmp_path: Path) -> None:
    step = build_plan(quickstart(), SOURCES).steps[0]
    assert not step.is_done(tmp_path)
    with write_artifact(
        step.folder(tmp_path), kind=step.kind, spec=step.settings, inputs=step.all_inputs, seed=step.seed
    ) as folder:
        (folder / "pairs").write_text("abc")
    assert step.is_done(tmp_path)
    (step.folder(tmp_path) / "notes.txt").write_text("mine")  # is in nobody's way
    assert step.is_done(tmp_path)
    (step.folder(tmp_path) / "pairs").write_text("abd")  # of the same size
    assert not step.is_done(tmp_path)
    (step.folder(tmp_path) / "manifest.json").write_text('{"format": 1, "files": []}')
    assert not step.is_done(tmp_path)


def test_limits_take_the_same_few_of_every_stratum() -> None:
    few = limited(PROMPTS, 2)
    assert Counter((prompt.language, prompt.kind) for prompt in few) == Counter(
        {(language, kind): 2 for language in ("en", "ar") for kind in (PromptKind.HARMFUL, PromptKind.GENERAL)}
    )
    assert limited(PROMPTS[::-1], 2) == few[::-1]
    assert limited(PROMPTS, None) == PROMPTS


def test_limits_grow_without_losing_a_prompt() -> None:
    few, more = ({prompt.id for prompt in limited(PROMPTS, limit)} for limit in (1, 3))
    assert few < more and (len(few), len(more)) == (4, 12)


def test_what_does_not_change_a_model_makes_no_training_of_its_own() -> None:
    def keys(**training: Any) -> list[str]:
        plan = build_plan(quickstart(training={"preset": "nano", "training": training}), SOURCES)
        return [step.key for step in plan.steps]

    assert keys() == keys(log_every=1, save_every=50, micro_batch_size=4)
    assert keys() != keys(batch_size=4)


def test_another_engine_makes_trainings_of_its_own_and_nothing_else() -> None:
    before = {step.key: step for step in build_plan(quickstart(engine="trl"), SOURCES).steps}
    after = {step.key: step for step in build_plan(quickstart(engine="transformers"), SOURCES).steps}
    assert {before[key].kind for key in before.keys() & after.keys()} >= {"mix"}
    assert not [key for key in before.keys() & after.keys() if before[key].kind == "train"]
    assert {step.settings["engine"] for step in after.values() if step.kind == "train"} == {"transformers"}


def test_a_study_trains_by_the_engine_that_its_spec_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alignment_prism.training import train as training

    asked: list[str] = []
    monkeypatch.setattr(training, "train_method", lambda method, *, engine, **_: asked.append(engine))
    write_records(tmp_path / "pairs.parquet", PAIRS)
    for engine in ("trl", "transformers"):
        step = next(s for s in build_plan(quickstart(engine=engine), SOURCES).steps if s.kind == "train")
        KINDS["train"].do(step, {"mixture": tmp_path}, tmp_path / "out", context(tmp_path), silent)
    assert asked == ["trl", "transformers"]


def test_every_stage_of_a_method_of_ones_own_is_trained_as_the_spec_says(
    tmp_path: Path, own_methods: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No method ends with its first stage, so that the stages are one step, or three stages are."""
    from alignment_prism.training import train as training

    simpo, ipo, sft = (METHODS[name].stages[0] for name in ("simpo", "ipo", "sft"))
    own = {
        "two": (replace(simpo, name="first", section="first"), replace(ipo, section="last")),
        "three": (sft, METHODS["dpo_sft"].stages[-1], replace(ipo, section="last")),
    }
    METHODS.register(*(Method(name, name.title(), "one's own", stages) for name, stages in own.items()))
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(training, "train_method", lambda method, **given: asked.append(given))
    write_records(tmp_path / "pairs.parquet", PAIRS)
    for name, stages in own.items():
        steps: list[Step] = []
        for epochs in (1, 2):
            arm = {"name": "a", "method": name, "share": 0.15, "config": {stages[0].section: {"epochs": epochs}}}
            (step,) = (one for one in build_plan(quickstart(arms=[arm]), SOURCES).steps if one.kind == "train")
            KINDS["train"].do(step, {"mixture": tmp_path}, tmp_path / "out", context(tmp_path), silent)
            assert asked[-1]["config"].recipe(stages[0]).epochs == epochs and asked[-1]["sft_checkpoint"] is None
            steps.append(step)
        assert steps[0].key != steps[1].key


def silent(done: int, total: int, words: str = "", /) -> None:
    pass


def context(out: Path) -> Context:
    return Context(out, CallJournal(out / "calls.jsonl"))


def existing(**changes: Any) -> StudySpec:
    return quickstart(arms=[{"name": "there", "model": "openai/gpt-x"}], compare=None, **changes)


def test_where_and_how_a_model_is_called_is_not_in_the_key_and_what_is_called_is() -> None:
    models = {**BASE, "there": ModelRef(ModelKind.API, "openai/gpt-x", "openai/gpt-x")}
    sources = replace(SOURCES, models=models, digests={"base": "digest", "there": "api:openai/gpt-x"})
    before = steps(existing(), sources)
    assert list(before) == ["replies of base", "replies of there", "judge base", "judge there"]
    calls = {"max_connections": 3, "retries": 1, "timeout": 9}
    assert steps(existing(generation={"max_tokens": 64, **calls, "device": "cpu"}), sources) == before
    assert steps(existing(judge={"model": "nano/oracle", **calls}), sources) == before
    moved = replace(sources, models={**models, "base": ModelRef(ModelKind.FOLDER, "elsewhere", "elsewhere")})
    assert steps(existing(), moved) == before
    other = replace(sources, digests={**sources.digests, "there": "api:openai/gpt-y"})
    assert {title for title, key in steps(existing(), other).items() if before[title] != key} == {
        "replies of there",
        "judge there",
    }


def test_a_chat_template_that_changed_is_another_model(tmp_path: Path) -> None:
    shutil.copytree(shipped_base(), tmp_path / "model")
    spec = quickstart(base=str(tmp_path / "model"), arms=[], compare=None)
    before = {step.title: step.key for step in build_plan(spec, load_sources(spec)).steps}
    template = tmp_path / "model" / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    after = {step.title: step.key for step in build_plan(spec, load_sources(spec)).steps}
    assert before.keys() == after.keys() and not set(before.values()) & set(after.values())


def test_the_presets_of_grids_train_what_they_say() -> None:
    paper = load_spec("nano-paper")
    # 3 shares, 2 scopes and English, by 4 methods, over 5 seeds; the SFT stage of DPO(SFT) is SFT-Preferred's model
    counts = Counter(step.kind for step in build_plan(paper, SOURCES).steps)
    assert (len(paper.arms), counts["mix"], counts["train"], counts["reply"]) == (24, 6 * 5, 24 * 5, 24 * 5 + 1)
    transfer = load_spec("nano-transfer")
    assert {arm.languages for arm in transfer.trained} == {
        None,
        *((code,) for code in ("en hi fr es ar ru sr fil").split()),
    }
    assert {arm.scopes for arm in transfer.trained} == {None, ("global",), ("local",)}
    # 2 shares, 8 languages, 2 scopes, by 3 methods, over 3 seeds
    assert Counter(step.kind for step in build_plan(transfer, SOURCES).steps)["train"] == 12 * 3 * 3
    methods = load_spec("nano-methods")
    assert {arm.method for arm in methods.trained} == set(METHODS)
    # 14 methods, 2 of them at 0 and 100 % too, 7 arms by hand and two rounds; DPO(SFT)'s first stage is SFT's model
    own = load_sources(methods)
    counts = Counter(step.kind for step in build_plan(methods, own).steps)
    assert counts["train"] == (14 + 4 + 7 + 2) * 3 and counts["merge"] == 2 * 3
    sources = load_sources(paper)
    for spec, given in ((paper, sources), (transfer, sources), (methods, own)):
        check_study(spec, given)  # the lab's pools can fill every mixture
    named = [len(dict(pair.metadata).get("translations", ())) for pair in (*own.safety, *own.general)]
    assert sum(number >= 7 for number in named) > 0.9 * len(named)  # mlc asks for prompts in all languages
    assert not any("translations" in pair.metadata for pair in (*sources.safety, *sources.general))
