"""Losses at values worked out by hand, what every objective promises, and methods that come from elsewhere."""

from __future__ import annotations

import json
import linecache
import math
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from prism_command import prism

import alignment_prism
from alignment_prism.domain import InputError, Pair, PairKind, StoreError, TrainingError, user
from alignment_prism.io import write_records
from alignment_prism.studies import build_plan, load_sources, load_spec
from alignment_prism.studies.steps import KINDS, Context, Step
from alignment_prism.training import METHODS, Method, MicroBatch, Objective, Recipe, State, load_config
from alignment_prism.training.callbacks import Log
from alignment_prism.training.layouts.batches import OrderSampler
from alignment_prism.training.methods import Methods
from alignment_prism.training.objectives import both, reward_metrics
from alignment_prism.training.objectives.safe_dpo import SAFE_DPO
from alignment_prism.training.references import check_first_batch
from alignment_prism.training.steps import GlobalBatchLoss, StepContext
from alignment_prism.training.train import train_method

STAGES = {stage.objective.name: stage for method in METHODS.values() for stage in method.stages}
PREFERENCES = sorted(name for name, stage in STAGES.items() if stage.objective.replies is both)


def _batch(
    logps: Any, reference: Any = None, lengths: Any = None, groups: Any = None, counts: Any = None, **state: Any
) -> MicroBatch:
    """Tensors of shape (branches, examples) in float64; replies of 10 tokens in one group unless said otherwise."""
    policy = torch.tensor(logps, dtype=torch.float64)
    examples = policy.shape[1]
    groups = torch.tensor(groups or [0] * examples)
    labels = state.pop("labels", [1] * examples)
    divergence = state.pop("divergence", 0.0)
    return MicroBatch(
        logps=policy,
        lengths=torch.full_like(policy, 10) if lengths is None else torch.tensor(lengths),
        reference=None if reference is None else torch.tensor(reference, dtype=torch.float64),
        groups=groups,
        labels=torch.tensor(labels, dtype=torch.float64),
        divergence=torch.tensor(divergence, dtype=torch.float64),
        counts=torch.tensor(counts or torch.bincount(groups).tolist(), dtype=torch.float64),
        state={name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()},
    )


def _loss(name: str, batch: MicroBatch, **settings: Any) -> list[float]:
    stage = STAGES[name]
    losses: list[float] = stage.objective.loss(batch, stage.recipe.model_copy(update=settings))[0].tolist()
    return losses


# Log-ratios: chosen -10 - (-12) = 2, rejected -9 - (-8) = -1, their difference 3.
PAIR = {"logps": [[-10.0], [-9.0]], "reference": [[-12.0], [-8.0]], "lengths": [[4], [2]]}


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("sft", {}, 10.0),  # -log pi of the first reply
        ("dpo", {"beta": 0.1}, 0.5543552),  # margin 0.3; -log(1 / (1 + e^-0.3)) = log(1 + 0.7408182)
        ("hinge", {"beta": 0.1}, 0.7),  # 1 - 0.3
        ("hinge", {"beta": 0.5}, 0.0),  # the margin 1.5 is beyond 1
        ("robust", {"beta": 0.1, "flipped": 0.0}, 0.5543552),  # DPO
        ("robust", {"beta": 0.1, "flipped": 0.25}, 0.4043552),  # (0.75 * 0.5543552 - 0.25 * 0.8543552) / 0.5
        ("ipo", {"tau": 0.125}, 9.0),  # means over tokens 2 / 4 and -1 / 2; (0.5 + 0.5 - 1 / 0.25)^2
        # rewards 0.2 and -0.1: 1 - 0.5498340 + 0.4750208; margin 0.3: 0.5498340 + 1 - 0.5744425
        ("apo_zero", {"beta": 0.1}, 0.9251868),
        ("apo_down", {"beta": 0.1}, 0.9753915),
        ("safe_dpo", {"beta": 0.1, "margin": 2.0}, 1.8677861),  # log(1 + e^(2 - 0.3)), log(1 + 5.4739474)
        ("safe_dpo", {"beta": 0.1, "margin": 0.0}, 0.5543552),  # DPO
        # means over tokens -10 / 4 and -9 / 2; 2 * (-2.5 + 4.5) - 0.5 = 3.5; log(1 + e^-3.5) = log(1.0301974)
        ("simpo", {"beta": 2.0, "gamma": 0.5}, 0.0297504),
    ],
)
def test_losses_at_values_worked_out_by_hand(name: str, settings: dict[str, Any], expected: float) -> None:
    assert _loss(name, _batch(**PAIR), **settings) == pytest.approx([expected], abs=1e-6)


def test_orpo_at_a_value_worked_out_by_hand() -> None:
    # Chosen: mean log-probability log 0.5, odds 1; rejected: log 0.2, odds 0.25. Ratio 4: -log sigmoid(log 4) is
    # -log(4 / 5) = 0.2231436. Beside it -log 0.5 = 0.6931472; 0.6931472 + 0.5 * 0.2231436 = 0.8047190.
    batch = _batch([[4 * math.log(0.5)], [2 * math.log(0.2)]], lengths=[[4], [2]])
    assert _loss("orpo", batch, weight=0.5) == pytest.approx([0.8047190], abs=1e-6)


def test_kto_at_values_worked_out_by_hand() -> None:
    # Log-ratios 2 and 2, divergence 0.5: gains 0.15 in reward.
    # Good: 1.5 * (1 - 1 / (1 + e^-0.15)); bad: 1 - 1 / (1 + e^0.15).
    ratios = _batch([[-10.0, -6.0]], [[-12.0, -8.0]], labels=[1, 0], divergence=0.5)
    assert _loss("kto", ratios, beta=0.1, desirable=1.5) == pytest.approx([1.5 * 0.4625702, 0.5374298], abs=1e-6)
    metrics = STAGES["kto"].objective.loss(ratios, STAGES["kto"].recipe)[1]
    assert metrics["accuracy"].tolist() == [1.0, 0.0]  # the bad reply gained more than any
    none = _batch([[-10.0, -6.0]], [[-12.0, -8.0]], labels=[1, 0], divergence=2.0)
    assert STAGES["kto"].objective.loss(none, STAGES["kto"].recipe)[1]["accuracy"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("chosen", "rejected", "first", "label"),
    [(False, True, "c", 1.0), (True, False, "r", 1.0), (False, False, "c", 0.0), (None, None, "c", 0.0)],
)
def test_safe_dpo_puts_the_harmless_reply_first(
    chosen: bool | None, rejected: bool | None, first: str, label: float
) -> None:
    pair = Pair("p", user("q"), "c", "r", chosen_harmful=chosen, rejected_harmful=rejected)
    (replies,) = SAFE_DPO.replies(pair, 0)
    assert replies.texts[0] == first and replies.label == label and set(replies.texts) == {"c", "r"}


def test_safe_dpo_leaves_out_two_harmful_replies_and_refuses_safety_pairs_that_do_not_say() -> None:
    pair = Pair("p", user("q"), "c", "r", kind=PairKind.SAFETY, chosen_harmful=True, rejected_harmful=True)
    assert SAFE_DPO.replies(pair, 0) == ()
    with pytest.raises(InputError, match=r"does not say which of its replies are harmful(.|\n)*pair p"):
        SAFE_DPO.replies(replace(pair, rejected_harmful=None), 0)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_replies_without_a_token_have_a_finite_loss_and_gradient(name: str) -> None:
    stage = STAGES[name]
    nothing: Any = [[0.0]] * stage.objective.branches
    batch = _batch(nothing, reference=nothing, lengths=[[0]] * stage.objective.branches, weights=[1.0])
    batch.logps.requires_grad_()
    loss = stage.objective.loss(batch, stage.recipe)[0].sum()
    (gradient,) = torch.autograd.grad(loss, batch.logps)
    assert bool(torch.isfinite(loss)) and bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if stage.objective.first_loss is not None])
def test_the_first_loss_is_what_the_objective_says(name: str) -> None:
    stage = STAGES[name]
    branches = stage.objective.branches
    logps = [[-3.0, -40.0], [-7.0, -8.0]][:branches]
    batch = _batch(logps, reference=logps, lengths=[[2, 20], [3, 1]][:branches], groups=[0, 1], weights=[0.5, 0.5])
    assert stage.objective.first_loss is not None and stage.objective.uses_reference
    expected = stage.objective.first_loss(stage.recipe)
    losses, metrics = stage.objective.loss(batch, stage.recipe)
    assert metrics.get("loss", losses).tolist() == pytest.approx([expected] * 2, rel=1e-12)
    assert metrics["accuracy"].tolist() == [0.5, 0.5]  # neither reply is preferred yet
    if name in ("dpo", "robust"):
        assert expected == math.log(2)


@pytest.mark.parametrize("name", PREFERENCES)
def test_every_preference_loss_raises_the_chosen_reply_over_the_other(name: str) -> None:
    stage = STAGES[name]
    reference = None if not stage.objective.uses_reference else [[-11.0, -20.0], [-9.5, -30.0]]
    batch = _batch([[-11.2, -20.5], [-9.7, -29.0]], reference, groups=[0, 1], weights=[0.3, 0.7])
    batch.logps.requires_grad_()
    losses, metrics = stage.objective.loss(batch, stage.recipe)
    (gradient,) = torch.autograd.grad(losses.sum(), batch.logps)
    assert bool((gradient[1] > 0).all()) and bool((gradient[0] < gradient[1]).all())
    if name != "apo_down":  # which takes chosen replies down as well
        assert bool((gradient[0] < 0).all())
    assert all(value.shape == (2,) for value in (losses, *metrics.values()))
    assert {"accuracy", "margin"} <= metrics.keys()


def _mine_loss(batch: MicroBatch, recipe: Recipe) -> Any:
    chosen, rejected = batch.logps
    return rejected - chosen, reward_metrics(batch, batch.logps)


MINE = Method.single(
    Objective("mine", Recipe, both, _mine_loss), "Mine", "of a notebook", Recipe(learning_rate=1e-3, epochs=1)
)


@pytest.fixture
def registered(own_methods: None) -> None:
    METHODS.register(MINE)


def test_another_method_trains_and_changes_the_key_of_none_that_was_there(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options: dict[str, Any] = {"base": tiny_model, "pairs": pairs[:8]}
    before = train_method("sft", out=tmp_path / "sft", config=load_config("micro"), **options)
    request.getfixturevalue("registered")
    config = load_config("micro", {"mine.learning_rate": 5e-3})
    assert train_method("sft", out=tmp_path / "sft", config=config, **options) == before  # the run that is there
    result = train_method("mine", out=tmp_path / "mine", config=config, **options)
    assert result.weights != result.base_weights
    assert [stage.name for stage in result.stages] == ["mine"]
    assert load_config(tmp_path / "mine" / "config.yaml").recipes["mine"].learning_rate == 5e-3
    with pytest.raises(StoreError, match="other settings"):
        train_method("mine", out=tmp_path / "mine", config=load_config("micro"), **options)


def test_a_name_or_a_section_that_is_taken_is_refused(registered: None) -> None:
    METHODS.register(replace(MINE, summary="of a cell that ran again"))
    assert METHODS["mine"].summary == "of a cell that ran again"
    with pytest.raises(InputError, match="two methods 'sft'"):
        METHODS.register(replace(MINE, name="sft"))
    stage = METHODS["dpo_ift"].stages[0]
    other = Method.single(stage.objective, "T", "s", stage.recipe.model_copy(update={"beta": 9.0}))
    (own,) = other.stages
    taken = Method("other", "T", "s", (type(own)("x", own.objective, own.recipe, section="dpo_ift"),))
    with pytest.raises(InputError, match="section 'dpo_ift' of the settings, for method 'other', is taken"):
        METHODS.register(taken)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "dpo-ift"}, "two methods 'dpo-ift'"),  # --method takes it for dpo_ift
        ({"title": "DPO(SFT)"}, r"two methods 'DPO\(SFT\)'"),
        ({"name": "a/b"}, "cannot be called 'a/b'"),
        ({"name": "my.loss"}, "cannot be called 'my.loss'"),  # --set my.loss.margin would be another key
        ({"stages": (replace(MINE.stages[0], objective=STAGES["dpo"].objective),)}, "'other' is a Recipe, and its obj"),
    ],
)
def test_names_and_recipes_that_cannot_be_are_refused(change: dict[str, Any], said: str, registered: None) -> None:
    with pytest.raises(InputError, match=said):
        METHODS.register(replace(MINE, **{"name": "other", "title": "Other", **change}))
    assert not {"other", "a/b", "my.loss"} & set(METHODS)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda good: good, "does not return two things"),
        (lambda good: (good.mean(), {}), r"losses of shape \(\) for 2 examples"),
        (lambda good: (good.detach(), {}), "has no gradient"),
        (lambda good: (good, {"margin": good[:1]}), r"the metric 'margin' of shape \(1,\) for 2 examples"),
        (lambda good: (good, {"margin": 1.0}), "returns float as the metric 'margin'"),
    ],
)
def test_what_a_loss_returns_is_looked_at(returned: Any, said: str) -> None:
    def loss(batch: MicroBatch, recipe: Recipe) -> Any:
        return returned(batch.logps[1] - batch.logps[0])

    batch = _batch([[-1.0, -2.0], [-3.0, -4.0]])
    batch.logps.requires_grad_()
    with pytest.raises(TrainingError, match=f"the loss of mine (returns )?{said}") as caught:
        replace(MINE.stages[0].objective, loss=loss).losses(batch, MINE.stages[0].recipe)
    assert f"{Path(__file__).name}, line {loss.__code__.co_firstlineno}" in str(caught.value.where)


def test_a_loss_that_fails_is_named_with_its_line_and_is_no_defect_of_ours(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(batch: MicroBatch, recipe: Recipe) -> Any:
        return torch.cat(batch.logps.unbind())[:, 0], {}

    stage = MINE.stages[0]
    objective = replace(stage.objective, uses_reference=True)
    broken = replace(MINE, stages=(replace(stage, objective=replace(objective, loss=loss)),))
    monkeypatch.setattr(METHODS, "_methods", {**METHODS, "mine": broken})
    write_records(tmp_path / "pairs.jsonl", pairs[:2])
    options = ["--base", tiny_model, "--pairs", tmp_path / "pairs.jsonl", "--config", "micro"]
    done = prism("align", "--method", "mine", *options, "--out", tmp_path / "run")
    assert done.returncode == 4 and "loss of mine failed: IndexError: too many indices" in done.stderr
    assert f"{Path(__file__).name}, line {loss.__code__.co_firstlineno + 1}" in done.stderr
    assert "defect of the objective" in done.stderr and "Alignment Prism" not in done.stderr
    # Put right, with another rate too: references are there, no step is lost, and nothing is in the way.
    monkeypatch.setitem(METHODS._methods, "mine", replace(MINE, stages=(replace(stage, objective=objective),)))  # type: ignore[arg-type]
    done = prism("align", "--method", "mine", *options, "--set", "mine.learning_rate=5e-3", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr


def _broken(*_: Any) -> Any:
    raise KeyError("no such group")


def test_other_parts_of_an_objective_that_fail_are_named_too(tmp_path: Path) -> None:
    objective, recipe = replace(MINE.stages[0].objective, uses_reference=True), MINE.stages[0].recipe

    def step(state: State) -> StepContext:
        order = OrderSampler([], batch_size=1, micro_batch=1, horizon=0, seed=0, processes=1)
        own = replace(objective, state=state)
        return StepContext("mine", own, recipe, [], order, "fp32", Log(tmp_path / "log.jsonl"))

    with pytest.raises(TrainingError, match="state of mine failed: KeyError: 'no such group'") as failed:
        step(State(_broken, _broken))
    assert f"{Path(__file__).name}, line {_broken.__code__.co_firstlineno + 1}" in str(failed.value.where)
    trainer = GlobalBatchLoss()
    trainer.context = step(State(lambda recipe, groups: {}, _broken))
    trainer.accelerator = SimpleNamespace(num_processes=1)  # type: ignore[attr-defined]
    with pytest.raises(TrainingError, match="state of mine failed: KeyError"):
        trainer.end_step()
    batch, real = _batch([[-1.0], [-2.0]], reference=[[-1.0], [-2.0]]), torch.tensor([True])
    with pytest.raises(TrainingError, match="first_loss of mine failed: KeyError"):
        check_first_batch(batch, real, replace(objective, first_loss=_broken), recipe, "fp32")


def test_a_method_that_only_another_process_has_registered_is_named(registered: None, tmp_path: Path) -> None:
    planned = _trainings([{"name": "mine", "method": "mine", "share": 0.5}])["mine"]
    del METHODS._methods["mine"]  # type: ignore[union-attr] # as in a worker of a study that a notebook runs
    with pytest.raises(TrainingError, match="does not know the method 'mine'"):
        KINDS["train"].do(planned, {}, tmp_path, Context(tmp_path, None), lambda done, total, words="", /: None)


def _install(folder: Path, name: str, content: str, value: str) -> None:
    """A package as pip leaves it, with an entry point for objectives."""
    (folder / f"{name}.py").write_text(content, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[alignment_prism.objectives]\nt = {value}\n", encoding="utf-8")


def _documented() -> tuple[str, str]:
    """The example of the documentation: its module and its pyproject.toml, word by word."""
    page = (Path(__file__).parents[3] / "docs" / "align.md").read_text(encoding="utf-8")
    own = page.partition("## A method of your own")[2]
    return own.partition("```python\n")[2].partition("```")[0], own.partition("```toml\n")[2].partition("```")[0]


@pytest.fixture
def slic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Methods:
    """The example of the documentation as pip leaves it."""
    module, toml = _documented()
    project = tomllib.loads(toml)["project"]
    ((group, points),) = project["entry-points"].items()
    package = tmp_path / "site"
    info = package / "my_losses-1.0.dist-info"
    for folder in (package / "my_losses", info):
        folder.mkdir(parents=True)
    (package / "my_losses" / "slic.py").write_text(module, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-losses\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setattr(METHODS, "_methods", None)  # as in a process that begins
    return METHODS


def test_the_documented_objective_of_another_package_trains_by_its_entry_point(
    slic: Methods, tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(tmp_path / "pairs.jsonl", pairs[:8])
    options = ["--base", tiny_model, "--pairs", tmp_path / "pairs.jsonl", "--config", "micro"]
    done = prism("align", "--method", "slic", *options, "--set", "slic.margin=2", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["method"] == "slic" and result["weights"] != result["base_weights"]
    assert load_config(tmp_path / "run" / "config.yaml").recipes["slic"].model_dump()["margin"] == 2.0
    assert "slic" in prism("align", "--methods").stdout and list(slic)[:2] == ["sft", "sft_random"]
    # A loss that is changed is another: in a study it is trained anew, and the run that is there is not taken for it.
    arms = [{"name": name, "method": name, "share": 0.5} for name in ("slic", "dpo_ift")]
    before = _keys(arms)
    file = tmp_path / "site" / "my_losses" / "slic.py"
    file.write_text(
        file.read_text(encoding="utf-8").replace("recipe.margin -", "2 * recipe.margin -"), encoding="utf-8"
    )
    assert _keys(arms) == before  # the loss of this process is the one that it has imported
    planned = _trainings(arms)["slic"]
    monkeypatch.setattr(METHODS, "_methods", None)  # as in a process that begins now
    monkeypatch.delitem(sys.modules, "my_losses.slic")
    with pytest.raises(TrainingError, match="not the one that the study was planned with"):  # as in a worker
        KINDS["train"].do(
            planned, {}, tmp_path / "step", Context(tmp_path, None), lambda done, total, words="", /: None
        )
    after = _keys(arms)
    assert after["slic"] != before["slic"] and after["dpo_ift"] == before["dpo_ift"]
    again = prism("align", "--method", "slic", *options, "--set", "slic.margin=2", "--out", tmp_path / "run")
    assert again.returncode == 5 and "other settings, loss" in again.stderr


def _trainings(arms: list[dict[str, Any]]) -> dict[str, Step]:
    """Method -> its training in a study of these arms."""
    spec = load_spec("quickstart", arms=arms)
    steps = build_plan(spec, load_sources(spec)).steps
    return {str(step.settings["method"]): step for step in steps if step.kind == "train"}


def _keys(arms: list[dict[str, Any]]) -> dict[str, str]:
    return {method: step.key for method, step in _trainings(arms).items()}


def _cell(name: str, text: str) -> dict[str, Any]:
    """What a cell of a notebook leaves: its text is where Python looks for lines, under a name that no file has."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    found: dict[str, Any] = {}
    exec(compile(text, name, "exec"), found)
    return found


CELL = """
from functools import partial

def scale():
    return 2.0

def loss(batch, recipe, by=1.0):
    return by * scale() * (batch.logps[1] - batch.logps[0]), {}

def replies(pair, seed):
    return ()

class Scaled:
    def __init__(self, by):
        self.by = by

    def __call__(self, batch, recipe):
        return loss(batch, recipe, self.by)

class Inherited(Scaled):
    pass

class Held:
    def __init__(self, by):
        self.by = by

    def loss(self, batch, recipe):
        return loss(batch, recipe, self.by)

def closed(by):
    return lambda batch, recipe: loss(batch, recipe, by)
"""


def test_what_a_loss_is_written_in_is_known_whatever_kind_of_function_it_is() -> None:
    def codes(text: str, by: float) -> list[str]:
        cell = _cell(f"<cell {text}>", text)
        written = [
            *(cell["loss"], partial(cell["loss"], by=by), cell["Scaled"](by), cell["closed"](by)),
            *(cell["Inherited"](by), cell["Held"](by).loss),
        ]
        own = Objective("own", Recipe, cell["replies"], STAGES["dpo"].objective.loss)
        return [*(Objective("own", Recipe, both, loss).code for loss in written), own.code]

    first = codes(CELL, 2.0)
    assert all(first) and len(set(first[:6])) == 5  # one that inherits all is the same
    assert codes(CELL, 2.0) == first  # the cell runs again: other objects, which stand elsewhere in memory
    helper = codes(CELL.replace("return 2.0", "return 3.0"), 2.0)
    assert not set(helper) & set(first)
    bound = codes(CELL, 3.0)
    assert [one == other for one, other in zip(bound, first, strict=True)] == [True, *[False] * 5, True]
    assert {stage.objective.code for stage in STAGES.values()} == {""}  # those of this package are known by its version


def test_a_loss_that_holds_a_set_has_one_code_in_every_process(tmp_path: Path) -> None:
    text = """
from alignment_prism.training.objectives.source import code_of
def loss(batch, recipe, left_out=frozenset({"en", "ru", "de", "fr", "sr"})):
    return 1
print(code_of(loss))
"""
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    said = {
        subprocess.check_output([sys.executable, tmp_path / "own.py"], env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


def test_a_loss_that_was_typed_where_nothing_keeps_its_lines_is_known_by_what_it_does() -> None:
    def code(text: str) -> str:
        found: dict[str, Any] = {}
        exec(compile(text, "<stdin>", "exec"), found)
        return Objective("own", Recipe, both, found["loss"]).code

    one, other = (f"def loss(batch, recipe):\n    return {by} * batch.logps[0], {{}}\n" for by in (2.0, 3.0))
    assert code(one) == code("\n" + one) and code(one) != code(other)


@pytest.mark.slow
def test_the_documented_package_is_installed_by_pip_and_trains(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """In an environment of its own, which sees this package and the libraries of the one that runs the tests."""
    module, toml = _documented()
    source, environment = tmp_path / "source", tmp_path / "environment"
    (source / "my_losses").mkdir(parents=True)
    (source / "my_losses" / "slic.py").write_text(module, encoding="utf-8")
    (source / "pyproject.toml").write_text(toml, encoding="utf-8")
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/python*/site-packages")
    seen = [Path(alignment_prism.__file__).parents[1], sysconfig.get_path("purelib")]
    (site / "shared.pth").write_text("".join(f"{path}\n" for path in seen), encoding="utf-8")
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", *offline, str(source)]
    subprocess.run(pip, check=True, timeout=300)
    write_records(tmp_path / "pairs.jsonl", pairs[:8])
    command = [python, "-m", "alignment_prism.cli.main", "align", "--method", "SLiC", "--base", tiny_model]
    command += ["--pairs", "pairs.jsonl", "--config", "micro", "--set", "slic.margin=2", "--out", "run"]
    subprocess.run(list(map(str, command)), cwd=tmp_path, check=True, timeout=300)
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["method"] == "slic" and result["weights"] != result["base_weights"]


@pytest.mark.parametrize(
    ("content", "value", "what"),
    [
        ("import nothing_of_this_name", "broken_loss", "nothing_of_this_name"),
        ("METHODS = ('dpo',)", "broken_loss", "neither a module with METHODS nor a Method"),
        ("LOSS = 1", "broken_loss:LOSS", "neither a module with METHODS nor a Method"),
        ("METHODS = ()", "broken_loss", "neither a module with METHODS nor a Method"),
    ],
)
def test_a_package_whose_methods_cannot_be_loaded_is_named(
    content: str, value: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, "broken_loss", content, value)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_loss", raising=False)
    with pytest.raises(InputError, match=rf"{what}(.|\n)*entry point t = {value} of broken_loss 1.0"):
        len(Methods())


def test_the_documentation_has_a_row_for_every_method() -> None:
    page = (Path(__file__).parents[3] / "docs" / "align.md").read_text(encoding="utf-8")
    for method in METHODS.values():
        own = [
            f"`{stage.section}.{name}` {getattr(stage.recipe, name)}"
            for stage in method.stages
            for name in type(stage.recipe).model_fields
            if name not in Recipe.model_fields
        ]
        assert f"| `{method.name}` | {method.title} | {method.summary} | {', '.join(own)} |" in page, method.name


def test_every_setting_of_a_method_is_described() -> None:
    for method in METHODS.values():
        for stage in method.stages:
            for name, field in type(stage.recipe).model_fields.items():
                assert field.description, f"{type(stage.recipe).__name__}.{name}"
