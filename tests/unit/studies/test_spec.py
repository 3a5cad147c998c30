"""Specs: presets, paths, settings laid over settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from alignment_prism.domain import InputError, Pair, PairKind, Prompt, PromptKind, Sampling, Scope, user
from alignment_prism.io import write_records
from alignment_prism.studies import ModelArm, RepliesArm, TrainedArm, dry_run, load_spec
from alignment_prism.studies.method_settings import training_of
from alignment_prism.training import METHODS
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
    assert [(arm.method, arm.share) for arm in quickstart.trained] == [
        ("sft", 0.15),
        ("sft_random", 0.15),
        ("dpo_ift", 0.15),
        ("dpo_sft", 0.15),
        ("dpo_sft", 0.0),
    ]
    assert quickstart.uses_nano and quickstart.uses_nano_prompts
    assert load_spec("micro").prompt_limit == 1
    assert load_spec("micro", seeds=(7,)).seeds == (7,)


LARGE = ("aya-23-8b", "tiny-aya", "qwen2.5-1.5b")


@pytest.mark.parametrize("name", LARGE)
def test_presets_for_large_models_start_from_files_of_ones_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no such file: 'evaluation.jsonl'"):
        load_spec(name)
    for file in ("safety.jsonl", "general.jsonl", "evaluation.jsonl"):
        Path(file).write_text("{}\n")
    spec = load_spec(name)
    assert (spec.name, spec.uses_nano, min(arm.share for arm in spec.trained)) == (name, False, 0.0)
    assert isinstance(spec.base, ModelArm) and ("base", "dpo_sft_15") in {(one.a, one.b) for one in spec.contrasts}
    config = spec.method_config(next(arm for arm in spec.trained if arm.method == "dpo_sft"))
    adapter = config.training.adapter  # rates are ten times as high where an adapter learns
    assert (adapter is not None, config.recipes["dpo_sft"].learning_rate) == ((False, 5e-7), (True, 5e-6))[
        name != LARGE[0]
    ]


@pytest.mark.parametrize(("name", "arms", "trainings"), [("aya-23-8b", 15, 18), ("tiny-aya", 4, 4), (LARGE[2], 4, 4)])
def test_presets_for_large_models_plan(
    name: str, arms: int, trainings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four methods at three shares, and DPO(SFT) with one scope, the other, and English; SFT comes before each of these.
    monkeypatch.chdir(tmp_path)
    scopes = (Scope.GLOBAL, Scope.LOCAL)
    safety = [Pair(f"s{n}", user(f"Harm {n}?"), "no", "yes", "en", PairKind.SAFETY, scopes[n % 2]) for n in range(20)]
    general = [Pair(f"g{n}", user(f"Ask {n}?"), "yes", "no", "en", PairKind.GENERAL) for n in range(20)]
    prompts = [
        Prompt("h", user("Bad?"), "en", PromptKind.HARMFUL, scope=Scope.LOCAL),
        Prompt("k", user("Sum?"), "en", PromptKind.GENERAL),
    ]
    for file, records in (("safety", safety), ("general", general), ("evaluation", prompts)):
        write_records(f"{file}.jsonl", records)
    here = {"base": "nano", "mixture": {"total": 20}, "prompts": [{"file": "evaluation.jsonl"}]}
    found = dry_run(load_spec(name, **here), "out")
    models = [arm for arm in found.plan.arms if arm.model is not None]
    assert len(models) == arms * 3 and len({arm.seed for arm in models}) == 3
    assert sum(step.kind == "train" for step in found.plan.steps) == trainings * 3
    assert found.dollars > 0 and all(one.dollars is not None for one in found.costs)


def test_the_presets_that_ask_the_papers_questions_test_them() -> None:
    asked = {(one.a, one.b) for one in load_spec("nano-paper").contrasts}
    assert asked >= {
        ("base", "dpo_sft_15"),  # harm in every language
        ("sft_random_15", "sft_15"),  # preferences
        ("dpo_sft_0", "dpo_sft_15"),  # safety pairs
        ("sft_15", "dpo_sft_15"),  # methods
        ("dpo_sft_15_global", "dpo_sft_15_local"),  # scopes
        ("dpo_sft_15_en", "dpo_sft_15"),  # languages
    }


def test_the_command_knows_every_preset() -> None:
    from alignment_prism.cli import study
    from alignment_prism.studies import loading

    folder = Path(loading.__file__).parent / "presets"
    assert study.PRESETS == loading.PRESETS and set(loading.PRESETS) == {file.stem for file in folder.glob("*.yaml")}


@pytest.mark.parametrize("name", ["quickstart", "nano-paper", "nano-transfer", "nano-methods", *LARGE])
def test_every_knob_of_a_preset_is_commented(name: str) -> None:
    folder = Path(__file__).parents[3] / "src/alignment_prism/studies/presets"
    lines = (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    block = ""
    for line in lines:
        if line.rstrip() and not line.startswith((" ", "#")):
            block = line.split(":")[0]
        key = line.strip().split(":")[0]
        if (
            ":" in line
            and not line.strip().startswith(("#", "- {"))
            and block not in ("name", "pairs", "judge", "compare")
            and not (block == "grid" and key in ("- methods", "shares"))  # explained where they are first
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
    assert spec.base == ModelArm(name="base", model="org/model")
    assert spec.uses_nano and not spec.uses_nano_prompts
    assert [arm.method for arm in spec.trained] == ["sft", "dpo_ift"]
    nano = load_config("nano")
    one, two = (spec.method_config(arm) for arm in spec.trained)
    sft = nano.recipes["sft"].model_copy(update={"epochs": 3})
    assert (one.recipes["sft"], one.training.batch_size) == (sft, 16)
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
    assert spec.judge is not None and spec.compare is not None
    assert spec.judge.model == spec.compare.model == bound.format(world=tmp_path)
    shipped = load_spec("micro", **judges).judge
    assert shipped is not None and shipped.model == judge  # the shipped world needs no name


EXISTING = """\
name: mine
base: {replies: base.csv, arm: aya, map: {reply: text}}
arms:
  - {name: gpt, model: openai/gpt-4o, base_url: "http://localhost/v1"}
  - {name: folder, model: ./model, seed: 3}
  - {name: stored, replies: mine.jsonl}
languages: more.yaml
prompts: [{file: aya}, {file: owner/set}, {file: p.jsonl}]
scores: scores.parquet
"""


@pytest.fixture
def existing(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    for name in ("base.csv", "mine.jsonl", "more.yaml", "p.jsonl", "scores.parquet"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "study.yaml").write_text(EXISTING)
    return tmp_path / "study.yaml"


def test_arms_may_be_models_that_exist_and_replies_that_are_there(existing: Path) -> None:
    spec, folder = load_spec(existing), existing.parent
    base = RepliesArm(name="base", replies=(str(folder / "base.csv"),), arm="aya", map={"reply": "text"})
    assert spec.base == base
    assert spec.arms == (
        ModelArm(name="gpt", model="openai/gpt-4o", base_url="http://localhost/v1"),
        ModelArm(name="folder", model=str(folder / "model"), seed=3),
        RepliesArm(name="stored", replies=(str(folder / "mine.jsonl"),)),
    )
    assert not isinstance(spec.prompts, str)
    assert [entry.file for entry in spec.prompts] == ["aya", "owner/set", str(folder / "p.jsonl")]
    assert (spec.languages, spec.scores) == (str(folder / "more.yaml"), (str(folder / "scores.parquet"),))
    assert spec.trained == () and not spec.uses_nano and spec.judge is None


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("model: ./model", "model: ./modle", 5, "no such model folder: './modle'"),
        ("model: ./model", "model: gpt-4o", 5, "no such model folder: 'gpt-4o'"),
        ("replies: mine.jsonl", "replies: nine.jsonl", 6, "no such file: 'nine.jsonl'"),
        (
            "replies: mine.jsonl",
            "replies: mine.jsonl, model: x/y",
            6,
            "exactly one of the keys method, merge, model and",
        ),
        ("replies: mine.jsonl", "seed: 4", 6, "exactly one of the keys method, merge, model and replies"),
        ("replies: mine.jsonl", "replies: mine.jsonl, map: 3", 6, "arms[2].map"),
        ("replies: mine.jsonl", "method: sft, share: 1", 2, "the base is no model to train"),
        ("name: stored", "name: base", 6, "an arm is called 'base'"),
        ("name: stored", 'name: "a\\e[2Jb"', 6, "printable characters"),
        ("name: stored", "name: gpt", 6, "two arms are called 'gpt'"),
        ("base: {replies: base.csv", "base: {method: sft", 2, "exactly one of the keys model and replies"),
        ("languages: more.yaml", "languages: less.yaml", 7, "no such file: 'less.yaml'"),
        ("scores: scores", "scores: stores", 9, "no such file: 'stores.parquet'"),
        ("{file: p.jsonl}", "{file: q.jsonl}", 8, "no such file: 'q.jsonl'"),
    ],
)
def test_a_fault_of_an_arm_is_named_with_its_line(existing: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in EXISTING
    existing.write_text(EXISTING.replace(old, new))
    with pytest.raises(InputError) as error:
        load_spec(existing)
    assert words in error.value.what and error.value.fix
    assert f"line {line}," in (error.value.where or "")


def test_comparisons_and_trainings_need_a_base() -> None:
    with pytest.raises(InputError, match="compared with those of a base"):
        load_spec("micro", base=None, arms=[{"name": "a", "model": "x/y"}])
    with pytest.raises(InputError, match="no model to train"):
        load_spec("micro", base=None, compare=None)
    with pytest.raises(InputError, match="neither a base nor an arm"):
        load_spec("micro", base=None, compare=None, arms=[])
    assert all(isinstance(arm, TrainedArm) for arm in load_spec("micro").arms)


GRID = """\
name: mine
training: nano
arms: [{name: sft_15, method: sft, share: 0.2}]
grid:
  - {methods: [SFT-Preferred, dpo_sft], shares: [0, 0.125], scopes: [all, local], languages: [all, [fr, en]]}
"""


def test_a_grid_is_every_combination_by_a_name_that_says_which(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(GRID)
    spec = load_spec(tmp_path / "study.yaml")
    # A share of 0 has nothing to choose: 2 methods; 12.5 %: 2 scopes x 2 languages x 2 methods.
    assert [arm.name for arm in spec.arms] == [
        "sft_15", "sft_0", "dpo_sft_0", "sft_12.5", "dpo_sft_12.5", "sft_12.5_fr-en", "dpo_sft_12.5_fr-en",
        "sft_12.5_local", "dpo_sft_12.5_local", "sft_12.5_local_fr-en", "dpo_sft_12.5_local_fr-en",
    ]  # fmt: skip
    last = spec.arms[-1]
    assert isinstance(last, TrainedArm)
    assert (last.method, last.share, last.scopes, last.languages) == ("dpo_sft", 0.125, ("local",), ("fr", "en"))
    assert type(spec).model_validate(spec.model_dump(mode="json")) == spec  # what a study's folder keeps
    assert type(spec).model_validate(spec.model_dump(exclude_unset=True)).arms == spec.arms


BASES = """\
name: mine
base: nano
arms:
  - {name: small, model: org/small}
  - {name: by_hand, method: sft, share: 1, base: small}
grid: {bases: [base, small], methods: [sft, dpo_sft], shares: [0.15]}
"""


def test_a_grid_of_bases_trains_from_each_and_names_those_of_the_second_after_it(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(BASES)
    spec = load_spec(tmp_path / "study.yaml")
    assert {arm.name: spec.base_of(arm).name for arm in spec.trained} == {
        "by_hand": "small",
        "sft_15": "base", "dpo_sft_15": "base", "small_sft_15": "small", "small_dpo_sft_15": "small",
    }  # fmt: skip
    assert [base.name for base in spec.bases] == ["base", "small"]
    assert type(spec).model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[base, small]", "[base, large]"), "the grid trains from 'large', .* there are base, small"),
        (("base: small}", "base: sft_16}"), "arm 'by_hand' trains from 'sft_16'"),
        (("base: nano", "base: {replies: replies.jsonl}"), "the grid trains from 'base'"),
        (("[base, small]", "[small, small]"), "'small' is there twice"),
    ],
)
def test_what_is_no_model_is_no_base(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(BASES.replace(*change))
    with pytest.raises(InputError, match=words) as refused:
        load_spec(tmp_path / "study.yaml")
    assert "study.yaml, line" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("0.125", "0.15"), "the grid makes an arm 'sft_15', and there is one of that name"),
        (("[0, 0.125]", "[0.1, 0.1]"), "0.1 is there twice"),
        (("[all, local]", "[everywhere]"), "everywhere"),
        (("dpo_sft]", "ppo]"), "ppo"),
        (("[0, 0.125]", "[]"), "at least 1"),
        (("scopes:", "scope:"), "scope"),
    ],
)
def test_a_grid_that_cannot_be_meant_is_refused(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(GRID.replace(*change))
    with pytest.raises(InputError, match=words) as refused:
        load_spec(tmp_path / "study.yaml")
    assert "study.yaml" in str(refused.value) and "grid" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("grid: {methods: [sft], share: [0.15]}", "unknown key 'grid.share'", "did you mean 'shares'?"),
        ("grid: {method: [sft], shares: [0.15]}", "unknown key 'grid.method'", "did you mean 'methods'?"),
        (
            "grid: {methods: [sft], shares: [0.15], seeds: [0, 1]}",
            "unknown key 'grid.seeds'",
            "'seeds' is of the whole: write it at the top level, beside 'grid'",
        ),
        (
            "arms: [{name: a, method: sft, share: 0.15, seeds: [1]}]",
            "unknown key 'arms[0].seeds'",
            "'seeds' is of the whole: write it at the top level, beside 'arms'",
        ),
        ("arms: [{name: a, method: sft, shares: 0.15}]", "unknown key 'arms[0].shares'", "did you mean 'share'?"),
        ("grid: []", "grid: an empty list", "write at least 1 entry"),
        ("grid: {methods: sft, shares: [0.15]}", "grid.methods: Input should be a list", "write a list: ['sft']"),
        ("grid: {methods: [sft], shares: [15]}", "less than or equal to 1 (it is 15)", "write 0.15 for 15 %"),
        ("arms: [{name: a, method: sft, share: 7.5 %}]", "(it is '7.5 %')", "write 0.075 for 7.5 %"),
        ("arms: {name: a, method: sft, share: 0.15}", "arms: Input should be a list", "a dash before each entry"),
        ("judge: nano/oracle", "judge: Input should be a mapping of keys", "write {model: nano/oracle}"),
        ("judge: {model: gpt-4o}", "no provider in 'gpt-4o'", "openai/gpt-4o"),
        ("prompts: mine.jsonl", "prompts: Input should be 'nano' or a list", "write a list: [{file: mine.jsonl}]"),
        ("mixture: 2000", "mixture: Input should be a mapping of keys", "write {total: 2000}"),
        ("pairs: [safety.jsonl]", "pairs: Input should be a mapping of keys", "its keys: safety, general, build"),
        ("generation: {samples: 4}", "4 samples of one greedy reply would be the same: set a temperature", ""),
    ],
)
def test_what_is_often_written_wrong_is_answered_in_the_words_of_the_file(
    text: str, what: str, fix: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\n{text}\n")
    with pytest.raises(InputError) as wrong:
        load_spec(file)
    assert what in wrong.value.what and fix in (wrong.value.fix or "")
    assert "line 2" in (wrong.value.where or "")


def test_a_name_that_is_neither_a_preset_nor_a_file_is_answered_with_the_presets() -> None:
    with pytest.raises(InputError, match="neither a preset nor a file 'nano-papr'") as error:
        load_spec("nano-papr")
    assert "nano-paper" in error.value.fix
    with pytest.raises(InputError, match="cannot read the file"):
        load_spec("nano-papr.yaml")


def test_a_method_that_is_gone_leaves_nothing_in_the_settings_of_a_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    ipo = METHODS["ipo"]
    own = replace(ipo, name="mine", title="Mine", stages=(replace(ipo.stages[0], name="mine", section="mine"),))
    with monkeypatch.context() as while_it_is_there:
        while_it_is_there.setattr(METHODS, "_methods", {**METHODS, "mine": own})
        assert "mine" in training_of("nano")
    assert "mine" not in training_of("nano")


def test_a_method_that_is_declared_again_is_trained_as_it_is_declared_then(own_methods: None) -> None:
    """As by a cell of a notebook that runs again with another rate: the class of its settings is the same."""
    ipo, rates = METHODS["ipo"], []
    for rate in (1e-3, 2e-3):
        recipe = ipo.stages[0].recipe.model_copy(update={"learning_rate": rate})
        stage = replace(ipo.stages[0], name="mine", section="mine", recipe=recipe)
        METHODS.register(replace(ipo, name="mine", title="Mine", stages=(stage,)))
        spec = load_spec("quickstart", arms=[{"name": "mine", "method": "mine", "share": 0.5}])
        rates.append(spec.method_config(spec.trained[0]).recipe(stage).learning_rate)
    assert rates == [1e-3, 2e-3]
