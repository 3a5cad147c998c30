"""Methods that a notebook registers: they train, what cannot be is refused, what fails is named with its line."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from method_stages import STAGES, batch_of, trainings
from prism_command import prism

from alignment_prism.domain import InputError, Pair, StoreError, TrainingError
from alignment_prism.io import write_records
from alignment_prism.studies.steps import KINDS, Context
from alignment_prism.training import (
    METHODS,
    Method,
    MicroBatch,
    Objective,
    Recipe,
    State,
    TrainingInterrupted,
    load_config,
)
from alignment_prism.training.callbacks import Log
from alignment_prism.training.layouts.batches import OrderSampler
from alignment_prism.training.objectives import both, each, reward_metrics, tossed
from alignment_prism.training.references import check_first_batch
from alignment_prism.training.steps import GlobalBatchLoss, StepContext
from alignment_prism.training.train import train_method


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


@pytest.mark.parametrize("loss", [_mine_loss, STAGES["sft"].objective.loss])
def test_an_objective_that_is_declared_in_another_way_is_trained_anew(loss: Any, own_methods: None) -> None:
    """A cell that says `each` for `both`, or asks for references, with the loss of another cell, or one of ours."""
    first = replace(MINE.stages[0].objective, loss=loss)
    ways: list[dict[str, Any]] = [
        *({}, {"replies": each}, {"replies": tossed}, {"uses_reference": True}, {"per_token": True}),
        {"uses_reference": True, "uses_divergence": True},
        {"state": State(_no_state, _no_state)},
    ]

    def key(way: dict[str, Any]) -> str:
        METHODS.register(replace(MINE, stages=(replace(MINE.stages[0], objective=replace(first, **way)),)))
        return trainings([{"name": "mine", "method": "mine", "share": 0.5}])["mine"].key

    assert len({key(way) for way in ways}) == 7 and key({}) == key({})


def _no_state(*_: Any) -> dict[str, Any]:
    return {}


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

    batch = batch_of([[-1.0, -2.0], [-3.0, -4.0]])
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
    batch, real = batch_of([[-1.0], [-2.0]], reference=[[-1.0], [-2.0]]), torch.tensor([True])
    with pytest.raises(TrainingError, match="first_loss of mine failed: KeyError"):
        check_first_batch(batch, real, replace(objective, first_loss=_broken), recipe, "fp32")


def test_a_state_of_views_and_twins_is_saved_and_what_is_no_tensor_is_refused_in_the_first_step(
    own_methods: None, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """A checkpoint's file takes neither, which a training found out when it was stopped: all its steps were lost."""

    def loss(batch: MicroBatch, recipe: Recipe) -> Any:
        ratios = batch.log_ratios - batch.state["mean"][batch.groups].to(batch.logps.dtype)
        return -torch.nn.functional.logsigmoid(ratios[0] - 0.5 * ratios[1]), reward_metrics(batch, ratios)

    def mean(state: Any, recipe: Recipe, sums: Any, counts: Any) -> dict[str, torch.Tensor]:
        value = state["mean"][:1] * 0.9 + 0.1 * sums["margin"].sum() / counts.sum()
        return {"mean": value.expand(len(counts)), "twin": (twin := state["steps"] + 1), "steps": twin}

    def train(following: Any, out: str, stop: int = 0) -> Any:
        state = State(lambda recipe, groups: {"mean": torch.zeros(groups), "steps": torch.zeros(())}, following)
        objective = Objective("own", Recipe, both, loss, uses_reference=True, state=state)
        METHODS.register(Method.single(objective, "Own", "with a state", Recipe(learning_rate=1e-3, epochs=2)))

        def progress(step: int, total: int, message: str) -> None:
            if step == stop and "reference" not in message:
                signal.raise_signal(signal.SIGINT)

        config = load_config("micro", {"training.precision": "fp64"})
        options: dict[str, Any] = {"pairs": pairs[:24], "config": config, "progress": progress}
        return train_method("own", base=tiny_model, out=tmp_path / out, **options)

    with pytest.raises(TrainingInterrupted):
        train(mean, "stopped", stop=4)
    assert train(mean, "stopped").weights == train(mean, "whole").weights
    for returned, said in (
        ({"mean": torch.zeros(9), "steps": 1.0}, "float as 'steps'"),
        ({"steps": torch.zeros(())}, "no 'mean', which was there"),
        (None, "NoneType"),
    ):
        with pytest.raises(TrainingError, match=f"the state of own returns {said}"):
            train(lambda *_, found=returned: found, f"other-{said}")


def test_a_method_that_only_another_process_has_registered_is_named(registered: None, tmp_path: Path) -> None:
    planned = trainings([{"name": "mine", "method": "mine", "share": 0.5}])["mine"]
    del METHODS._methods["mine"]  # type: ignore[union-attr] # as in a worker of a study that a notebook runs
    with pytest.raises(TrainingError, match="(?s)does not know the method 'mine'.*one job, one GPU and no cluster"):
        KINDS["train"].do(planned, {}, tmp_path, Context(tmp_path, None), lambda done, total, words="", /: None)
