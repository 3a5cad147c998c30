"""On-policy training as steps of a study: rounds of prompts, replies, comparisons, pairs and trainings."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import Comparison, Generation, InputError, Pair, Prompt, PromptKind, Scope, Winner, user
from alignment_prism.io import read_records
from alignment_prism.models.names import ModelKind, ModelRef
from alignment_prism.models.weights import weights_digest
from alignment_prism.preferences.ranking import decide
from alignment_prism.studies import Sources, Study, StudySpec, build_plan, load_spec, run_study
from alignment_prism.studies.estimate import estimate
from alignment_prism.studies.prices import load_prices
from alignment_prism.studies.steps import Step
from alignment_prism.studies.steps.ask import drawn, prompts_of

PAIRS = [
    *(Pair(f"s{n}", user(f"ask {n}"), "no", "yes", "en", "safety", Scope.GLOBAL) for n in range(4)),
    *(Pair(f"g{n}", user(f"tell {n}"), "well", "so", "en", "general") for n in range(4)),
]
NANO = ModelRef(ModelKind.FOLDER, "nano", "base")
ASKED = [Prompt("q", user("ask"), "en", PromptKind.HARMFUL)]
SOURCES = Sources(ASKED, {"base": NANO}, {"base": "digest"}, {}, PAIRS[:4], PAIRS[4:])
ROUNDS: dict[str, Any] = {"rounds": 2, "judges": [{"model": "nano/oracle"}]}
ARM: dict[str, Any] = {"name": "online", "method": "dpo_ift", "share": 0.5, "on_policy": ROUNDS}


def _spec(*arms: dict[str, Any], **changes: Any) -> StudySpec:
    return load_spec("micro", arms=list(arms), **changes)


def _trainings(spec: StudySpec) -> list[Step]:
    return [step for step in build_plan(spec, SOURCES).steps if step.kind == "train"]


def test_every_round_trains_the_model_of_the_round_before_on_pairs_of_its_own_replies() -> None:
    plan = build_plan(_spec(ARM), SOURCES)
    made = {source.step.key for source in plan.sources}
    for step in plan.steps:
        assert {needed.key for needed in step.needs.values()} <= made, step.title
        made.add(step.key)
    first, second = (step for step in plan.steps if step.kind == "train")
    assert "start" not in first.needs and first.inputs == {"base": "digest"}
    assert second.needs["start"] is first
    for training, model in ((first, None), (second, first)):
        pairs = training.needs["mixture"]
        assert pairs.kind == "pairs" and pairs.needs["side:policy"].needs.get("model") is model
    (arm,) = (one for one in plan.arms if one.arm == "online")
    assert arm.model is second


def test_arms_of_more_rounds_share_those_that_they_have_in_common() -> None:
    once = {**ARM, "name": "once", "on_policy": {**ROUNDS, "rounds": 1}}
    assert len(_trainings(_spec(ARM))) == len(_trainings(_spec(ARM, once))) == 2
    hotter = {**ARM, "name": "hotter", "on_policy": {**ROUNDS, "temperature": 0.5}}
    assert len(_trainings(_spec(ARM, hotter))) == 4


def test_rounds_go_on_from_a_trained_arm_and_are_compared_with_its_base() -> None:
    warm = {"name": "offline", "method": "dpo_sft", "share": 0.5}
    plan = build_plan(_spec(warm, {**ARM, "base": "offline"}), SOURCES)
    arms = {arm.arm: arm for arm in plan.arms}
    *_, first, second = (step for step in plan.steps if step.kind == "train")
    assert first.needs["start"] is arms["offline"].model and second is arms["online"].model
    assert arms["online"].base is None  # the study's


@pytest.mark.parametrize(
    ("arm", "what"),
    [
        ({"method": "dpo_sft"}, "dpo_sft has several stages"),
        ({"shuffled": True}, "a coin has no part"),
        ({"base": "online"}, "trained from 'online', which is made of it"),
        ({"on_policy": {**ROUNDS, "samples": 2}}, "4 couples of 2 replies"),
        ({"on_policy": {"rounds": 2}}, "judges"),
        ({"method": "safe_dpo"}, r"does not say which of its replies are harmful(.|\n)*on_policy\.outcomes"),
    ],
)
def test_rounds_that_cannot_be_are_refused(arm: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        _spec({**ARM, **arm})


def test_safe_dpo_has_rounds_whose_replies_are_judged_alone(tmp_path: Path) -> None:
    """It was refused in the training, after all calls of the round."""
    alone = {**ROUNDS, "rounds": 1, "prompts": 16, "max_tokens": 32, "outcomes": {"model": "nano/oracle"}}
    arm = {**ARM, "method": "safe_dpo", "on_policy": alone}
    spec = _spec(arm, mixture={"total": 60}, kinds=["harmful"], prompt_limit=1, compare=None, examples=0)
    study = run_study(spec, tmp_path / "out")
    (folder,) = (study.out / "pairs").iterdir()
    pairs = read_records(folder / "pairs.parquet", Pair)
    assert {pair.chosen_harmful for pair in pairs} == {False} and "online" in {one.arm for one in study.findings()}


def test_rounds_keep_the_translations_of_their_prompts() -> None:
    """MLC learnt nothing on replies of its own where a column says what prompts are in other languages."""
    (asked,) = prompts_of([replace(PAIRS[0], metadata={"translations": {"hi": "x"}, "topic": "boat"})])
    assert asked.metadata == {"translations": {"hi": "x"}}
    one, other = (Generation(asked.id, "policy", "m", text, sample=n) for n, text in enumerate(("one", "two")))
    said = [Comparison(asked.id, "policy/0", "policy/1", first, "j", "r", Winner.WIN) for first in (True, False)]
    _, (pair,) = decide([asked], [one, other], said)
    assert pair.metadata["translations"] == {"hi": "x"} and "topic" not in pair.metadata


def test_a_grid_has_arms_with_rounds_and_without() -> None:
    rounds = [None, {**ROUNDS, "rounds": 1}, ROUNDS]
    spec = load_spec("micro", arms=[], grid={"methods": ["dpo_ift"], "shares": [0.5], "on_policy": rounds})
    assert [arm.name for arm in spec.arms] == ["dpo_ift_50", "dpo_ift_50_round1", "dpo_ift_50_round2"]


def test_every_prompt_is_asked_once_before_one_is_asked_again() -> None:
    prompts = prompts_of([*PAIRS, replace(PAIRS[0], id="again", chosen="never")])  # one conversation twice
    assert len(prompts) == 8
    rounds = [drawn(prompts, 3, number, 0) for number in (1, 2, 3)]
    asked = [prompt.id for one in rounds for prompt in one]
    assert len(set(asked[:8])) == 8 and asked[8] == asked[0]  # 9 of 8: the first comes again
    assert [one.kind for one in prompts] == [PromptKind.HARMFUL] * 4 + [PromptKind.GENERAL] * 4
    assert drawn(prompts, None, 2, 0) != drawn(prompts, None, 2, 1)


def test_what_rounds_take_is_reckoned_before() -> None:
    spec = _spec({**ARM, "on_policy": {**ROUNDS, "prompts": 3, "max_tokens": 10}}, mixture={"total": 8})
    parts = estimate(build_plan(spec, SOURCES), spec, SOURCES, load_prices(None), parameters=lambda model: 1000)
    found = {part.what: part for part in parts}
    # Two rounds of 3 prompts x 4 replies x 10 tokens; 3 prompts x 4 couples x 2 orders; 3 pairs of 2 x 10 tokens and a
    # prompt of 5 or 6 characters, which are a token.
    assert found["replies of rounds"].tokens_out == 2 * 3 * 4 * 10
    assert found["rank rounds by nano/oracle"].calls == 2 * 3 * 4 * 2
    assert found["train in rounds"].tokens_in == 2 * 3 * (1 + 20)
    compared = [replace(pair, metadata={"translations": {"hi": "x" * 60}}) for pair in PAIRS]
    sources = replace(SOURCES, safety=compared[:4], general=compared[4:])
    mlc = _spec({**ARM, "method": "mlc", "on_policy": {**ROUNDS, "prompts": 3, "max_tokens": 10}}, mixture={"total": 8})
    parts = estimate(build_plan(mlc, sources), mlc, sources, load_prices(None), parameters=lambda model: 1000)
    found = {part.what: part for part in parts}
    # MLC reads prompts and their translations once more, in its one epoch: 3 of 65 or 66 characters, 65 tokens together
    assert found["train in rounds"].tokens_in == 2 * (3 * (1 + 20) + 65)


def test_judges_of_rounds_are_of_the_world_and_the_folder_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    rubric = tmp_path / "own.yaml"
    shipped = resources.files("alignment_prism.scoring").joinpath("rubrics/pairwise@2.yaml")
    rubric.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    rounds = {"judges": [{"model": "nano/oracle", "rubric": rubric.name}], "outcomes": {"model": "nano/oracle"}}
    spec = {"name": "own", "base": "nano", "world": "world", "training": "micro", "mixture": {"total": 8},
            "grid": {"methods": ["dpo_ift"], "shares": [0.5], "on_policy": rounds}}  # fmt: skip
    (tmp_path / "spec.yaml").write_text(json.dumps(spec), encoding="utf-8")
    (arm,) = load_spec(tmp_path / "spec.yaml").trained
    assert arm.on_policy is not None and arm.on_policy.outcomes is not None
    (judge,) = arm.on_policy.judges
    assert judge.rubric == str(rubric)
    own = f"nano/oracle@{(tmp_path / 'world').resolve()}"
    assert judge.model == arm.on_policy.outcomes.model == own  # and not the oracle of the world that ships


def test_every_member_of_a_panel_is_reckoned_and_knows_the_languages_of_the_study(tmp_path: Path) -> None:
    languages = tmp_path / "languages.yaml"
    languages.write_text("- {code: sw, name: Swahili, iso639_3: swh, scripts: [Latn]}\n", encoding="utf-8")
    panel = {"panel": [{"model": "nano/oracle"}, {"model": "mockllm/model"}]}
    rounds = {**ROUNDS, "rounds": 1, "prompts": 3, "outcomes": panel}
    spec = _spec({**ARM, "on_policy": rounds}, languages=str(languages))
    plan = build_plan(spec, SOURCES)
    parts = estimate(plan, spec, SOURCES, load_prices(None), parameters=lambda model: 1000)
    calls = {part.what: part.calls for part in parts}
    # 3 prompts x 4 replies, each judged by both
    assert calls["judge rounds by nano/oracle"] == calls["judge rounds by mockllm/model"] == 3 * 4
    judging = [step for step in plan.steps if "judge" in step.options]
    assert {step.options["languages"] for step in judging} == {str(languages)} and len(judging) == 3


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two rounds on the nano model, with the oracle as judge."""
    out = tmp_path_factory.mktemp("rounds") / "out"
    rounds = {**ROUNDS, "prompts": 24, "max_tokens": 32}
    once = {**ARM, "name": "once", "on_policy": {**rounds, "rounds": 1}}
    spec = _spec({**ARM, "on_policy": rounds}, once, mixture={"total": 60}, kinds=["harmful"], compare=None, examples=0)
    run_study(spec, out)
    return Study.open(out)


def test_pairs_are_the_models_own_replies_as_the_judge_ranks_them(study: Study) -> None:
    for number in (1, 2):
        (asked,) = (one for one in (study.out / "ask").glob(f"round{number}-*"))
        prompts = {one.id: one for one in read_records(asked / "prompts.parquet", Prompt)}
        assert len(prompts) == 24
        found = [folder for folder in (study.out / "pairs").iterdir() if _answers(folder, prompts)]
        assert len(found) == 1
        pairs = read_records(found[0] / "pairs.parquet", Pair)
        said = {
            (one.prompt_id, one.reply)
            for folder in (study.out / "reply").glob("policy*")
            for one in read_records(folder / "generations.parquet", Generation)
        }
        by_turns = {one.messages: one.id for one in prompts.values()}
        for pair in pairs:
            assert {(by_turns[pair.messages], reply) for reply in (pair.chosen, pair.rejected)} <= said
    winners = [
        one
        for folder in (study.out / "rank").iterdir()
        for one in read_records(folder / "comparisons.parquet", Comparison)
    ]
    assert {one.judge for one in winners} == {"nano/oracle"}


def _answers(folder: Path, prompts: dict[str, Prompt]) -> bool:
    decisions = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    pairs = read_records(folder / "pairs.parquet", Pair)
    return bool(decisions) and {pair.messages for pair in pairs} <= {one.messages for one in prompts.values()}


def test_a_round_starts_from_the_model_of_the_one_before_and_is_an_arm_of_its_own(study: Study) -> None:
    models = study.models()
    last, first = (models[name, 0] for name in ("online", "once"))
    result = json.loads((last.parent / "result.json").read_text(encoding="utf-8"))
    assert result["base_weights"] == weights_digest(first) != weights_digest(last)
    assert {"online", "once"} <= {one.arm for one in study.findings() if one.metric == "harm_rate"}
    page = study.report.read_text(encoding="utf-8")
    assert "2 x 4 replies of its own, ranked by nano/oracle" in page
    assert "Losses while training" in page and "worst group at the end" in page


@pytest.mark.usefixtures("no_report")
def test_a_round_whose_artifact_is_gone_is_made_again_and_no_other(study: Study) -> None:
    import shutil

    folders = [folder for kind in ("train", "rank", "pairs") for folder in (study.out / kind).iterdir()]
    before = {folder: folder.stat().st_mtime_ns for folder in folders}
    (last,) = (folder for folder in before if folder.name.startswith("round2"))
    shutil.rmtree(last)
    run_study(study.spec, study.out)
    after = {folder: folder.stat().st_mtime_ns for folder in before}
    assert [folder for folder in before if before[folder] != after[folder]] == [last]
