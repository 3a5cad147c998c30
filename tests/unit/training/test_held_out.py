"""Pairs that are held out: never trained on, evaluated as a model of transformers does, and a reason to stop."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment_prism.domain import InputError, Pair
from alignment_prism.training import (
    METHODS,
    Method,
    MicroBatch,
    Objective,
    Recipe,
    TrainingInterrupted,
    load_config,
    stage,
)
from alignment_prism.training.base_model import find_base, load_model
from alignment_prism.training.examples import make_examples
from alignment_prism.training.held_out import read_curves, split_held_out
from alignment_prism.training.objectives import both
from alignment_prism.training.train import train_method

SETTINGS: dict[str, Any] = {"training.precision": "fp64", "training.held_out": 0.3, "training.eval_every": 1}


def _train(method: str, base: Path, pairs: list[Pair], out: Path, **changes: Any) -> Any:
    config = load_config("micro", {**SETTINGS, **changes})
    return train_method(method, base=base, pairs=pairs, out=out, config=config)


def _lines(run: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["event"] == event]


def test_the_split_keeps_groups_together_and_depends_on_no_other_pair(pairs: list[Pair]) -> None:
    many = [replace(pair, id=f"{pair.id}-{n}") for n in range(8) for pair in pairs]
    many = [replace(pair, group=f"g{n // 3}") for n, pair in enumerate(many)]
    kept, out = split_held_out(many, 0.25)
    assert {pair.group for pair in kept}.isdisjoint(pair.group for pair in out)
    assert 0.1 < len(out) / len(many) < 0.4 and sorted((*kept, *out), key=many.index) == many
    assert [pair.id for pair in split_held_out(many[:60], 0.25)[1]] == [pair.id for pair in out if pair in many[:60]]
    assert split_held_out(many, 0.0) == (many, [])
    with pytest.raises(InputError, match="of 1 pairs held out comes to"):
        split_held_out(many[:1], 0.25)


def test_patience_with_nothing_held_out_is_refused_where_settings_are_read() -> None:
    with pytest.raises(InputError, match="nothing is held out") as refused:
        load_config("micro", {"training.patience": 2})
    assert "training.patience" in str(refused.value)
    assert load_config("micro", {"training.patience": 2, "training.held_out": 0.1}).training.patience == 2


def test_what_is_held_out_is_not_trained_on_and_its_loss_is_that_of_the_model(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    kept, out = split_held_out(pairs, 0.3)
    result = _train("dpo_ift", tiny_model, pairs, tmp_path / "run")
    alone = _train("dpo_ift", tiny_model, kept, tmp_path / "alone", **{"training.held_out": 0})
    assert result.weights == alone.weights  # to the last bit
    last = _lines(result.folder, "held_out")[-1]
    assert [line["step"] for line in _lines(result.folder, "held_out")] == list(range(1, result.stages[0].steps + 1))
    base = find_base(tiny_model)
    examples = make_examples(out, [both(pair, 0) for pair in out], base.tokenizer, max_length=256).examples
    policy, reference = (load_model(folder, "fp64", "eager") for folder in (result.model, tiny_model))
    losses: dict[tuple[str, str], list[float]] = {}
    for example in examples:
        ratios = []
        for reply in example.completions:
            ids = torch.tensor([[*example.prompt, *reply]])
            sums = []
            for model in (policy, reference):
                with torch.no_grad():
                    logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
                sums.append(float(logps.gather(1, ids[0, 1:, None])[-len(reply) :].sum()))
            ratios.append(sums[0] - sums[1])
        losses.setdefault(example.group, []).append(math.log1p(math.exp(-0.3 * (ratios[0] - ratios[1]))))
    found = {
        (row["language"], row["scope"]): row["metrics"]["loss"][0] / row["metrics"]["loss"][1] for row in last["groups"]
    }
    expected = {group: sum(values) / len(values) for group, values in losses.items()}
    assert found == pytest.approx(expected, rel=1e-4)  # the weights are saved in float32


@pytest.mark.parametrize("method", ["sft", "kto"])
def test_other_methods_are_evaluated_too_and_curves_have_both_parts(
    method: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    result = _train(method, tiny_model, pairs, tmp_path / "run", **{f"{method}.learning_rate": 3e-3})
    rows = read_curves(result.folder / "log.jsonl")
    assert {row["part"] for row in rows} == {"trained", "held_out"}
    steps = [row["step"] for row in rows if row["part"] == "held_out"]
    assert max(steps) == result.stages[0].steps
    for row in rows:
        assert row["stage"] == result.stages[0].name and math.isfinite(row["loss"])
    (line,) = _lines(result.folder, "held_out")[-1:]
    total = [sum(row["metrics"]["loss"][at] for row in line["groups"]) for at in (0, 1)]
    assert line["loss"] == pytest.approx(total[0] / total[1])


def test_a_stage_that_gets_no_better_ends_early(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    changes = {"dpo_ift.learning_rate": 0.5, "dpo_ift.epochs": 4, "dpo_ift.warmup": 0, "training.patience": 2}
    result = _train("dpo_ift", tiny_model, pairs, tmp_path / "run", **changes)
    losses = [line["loss"] for line in _lines(result.folder, "held_out")]
    best = losses.index(min(losses))
    assert result.stages[0].steps == len(losses) == best + 3 < _lines(result.folder, "step")[0]["of"]


def test_ctrl_c_in_the_step_that_ends_a_stage_early_changes_nothing(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """It went on training when it was resumed, because an evaluation alone decides whether a stage ends."""
    settings = {**SETTINGS, "dpo_ift.learning_rate": 0.5, "dpo_ift.epochs": 4, "dpo_ift.warmup": 0}
    config = load_config("micro", {**settings, "training.patience": 2})
    whole = train_method("dpo_ift", base=tiny_model, pairs=pairs, out=tmp_path / "whole", config=config)
    last = whole.stages[0].steps

    def progress(step: int, total: int, message: str) -> None:
        if step == last and "reference" not in message:
            signal.raise_signal(signal.SIGINT)

    options: dict[str, Any] = {"base": tiny_model, "pairs": pairs, "out": tmp_path / "run", "config": config}
    with pytest.raises(TrainingInterrupted):
        train_method("dpo_ift", progress=progress, **options)
    again = train_method("dpo_ift", **options)
    assert (again.stages[0].steps, again.weights) == (last, whole.weights)


def test_a_loss_by_group_knows_the_groups_of_pairs_that_are_held_out(
    own_methods: None, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """All of them were of the first group there."""

    def loss(batch: MicroBatch, recipe: Recipe) -> Any:
        return batch.logps[0] * 0 + batch.groups, {}

    objective = Objective("numbers", Recipe, both, loss)
    METHODS.register(Method.single(objective, "Numbers", "of groups", Recipe(learning_rate=1e-4, epochs=1)))
    result = _train("numbers", tiny_model, pairs, tmp_path / "run")
    numbers: dict[str, dict[Any, float]] = {"step": {}, "held_out": {}}
    for event, found in numbers.items():
        for line in _lines(result.folder, event):
            for row in line["groups"]:
                total, count = row["metrics"]["loss"]
                found[row["language"], row["scope"]] = total / count
    assert len(set(numbers["step"].values())) == 9  # three languages, three scopes
    assert numbers["held_out"].items() <= numbers["step"].items() and len(numbers["held_out"]) > 3


def test_pairs_that_are_held_out_are_checked_before_the_model_is_loaded_and_named_as_such(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors said `any of 7 pairs` of a file of thirty, after the model had been tried."""
    flagged = [replace(pair, chosen_harmful=False, rejected_harmful=True) for pair in pairs]
    _, out = split_held_out(flagged, 0.3)
    monkeypatch.setattr(stage, "prepare", None)  # nothing of the model is needed to find out
    silent = [replace(pair, chosen_harmful=None) if pair == out[-1] else pair for pair in flagged]
    with pytest.raises(InputError, match=rf"of {len(out)} pairs that are held out: a safety pair does not say") as one:
        _train("safe_dpo", tiny_model, silent, tmp_path / "run")
    assert f"pair {out[-1].id}" in str(one.value.where)
    both_harmful = [replace(pair, chosen_harmful=True) if pair in out else pair for pair in flagged]
    with pytest.raises(InputError, match=rf"of {len(out)} pairs that are held out: the method learns nothing") as every:
        _train("safe_dpo", tiny_model, both_harmful, tmp_path / "run")
    assert every.value.where == "key training.held_out" and "another share" in str(every.value.fix)
    monkeypatch.undo()
    some = [replace(pair, chosen_harmful=True) if pair == out[0] else pair for pair in flagged]
    run = _train("safe_dpo", tiny_model, some, tmp_path / "run")
    assert any("held out: 1 of" in notice and "learns nothing" in notice for notice in run.notices)
    (start,) = _lines(run.folder, "start")
    assert start["held_out"] == len(out) - 1


def test_what_a_method_of_ones_own_says_of_a_pair_that_is_held_out_is_said_without_a_remedy_it_does_not_have(
    own_methods: None, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """It said `fix: None; or hold out another share`."""
    _, out = split_held_out(pairs, 0.3)

    def replies(pair: Pair, seed: int) -> Any:
        if pair.id == out[0].id:
            raise InputError("this pair is none of mine")
        return both(pair, seed)

    objective = Objective("mine", Recipe, replies, lambda batch, recipe: (batch.logps[0], {}))
    METHODS.register(Method.single(objective, "Mine", "refuses a pair", Recipe(learning_rate=1e-4, epochs=1)))
    with pytest.raises(InputError, match="pairs that are held out: this pair is none of mine") as refused:
        _train("mine", tiny_model, pairs, tmp_path / "run")
    assert refused.value.fix == "hold out another share"


def test_a_tracker_gets_the_losses_of_what_is_held_out_too(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = _train("sft", tiny_model, pairs, tmp_path / "run", **{"training.report_to": ["tensorboard"]})
    (events,) = (run.folder / "runs").rglob("events.out.tfevents.*")
    tracked = EventAccumulator(str(events.parent))
    tracked.Reload()
    for event, part in (("held_out", "eval"), ("step", "train")):  # and the steps at which pairs are evaluated
        lines = _lines(run.folder, event)
        for name, expected in (
            ("loss", {line["step"]: line["loss"] for line in lines}),
            ("worst_loss", {line["step"]: line["worst"]["loss"] for line in lines}),
        ):
            found = {one.step: one.value for one in tracked.Scalars(f"{part}/{name}")}
            assert found == pytest.approx(expected, rel=1e-4)
    group = _lines(run.folder, "held_out")[0]["groups"][0]
    assert f"eval/{group['language']}-{group['scope']}/loss" in tracked.Tags()["scalars"]
