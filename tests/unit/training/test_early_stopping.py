"""Early stopping: the model is that of the best evaluation, by the mean or by the worst group, killed or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from alignment_prism.domain import InputError, Pair, StoreError
from alignment_prism.training import TrainingResult, load_config, stage
from alignment_prism.training.backends.merging import merged_model
from alignment_prism.training.groups import sums_from_rows
from alignment_prism.training.settings import ENGINES
from alignment_prism.training.train import train_method

SETTINGS: dict[str, Any] = {
    "training.precision": "fp32",
    "training.held_out": 0.3,
    "training.eval_every": 1,
    "training.patience": 2,
    "training.batch_size": 4,
    "dpo_ift.learning_rate": 0.1,  # too high: loss falls, and rises after the fourth step
    "dpo_ift.epochs": 4,
    "dpo_ift.warmup": 0,
}
LORA: dict[str, Any] = {"training.adapter": {"rank": 4, "alpha": 8}, "dpo_ift.learning_rate": 0.3}
ALL_STEPS = {"training.save_every": 1}


@pytest.fixture
def pairs(pairs: list[Pair]) -> list[Pair]:
    return pairs[:24]


class Killed(BaseException):
    """As by a signal that nothing can answer."""


def _train(base: Path, pairs: list[Pair], out: Path, changes: dict[str, Any], **options: Any) -> TrainingResult:
    config = load_config("micro", {**SETTINGS, **changes})
    return train_method("dpo_ift", base=base, pairs=pairs, out=out, config=config, **options)


def _lines(run: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["event"] == event]


def _weights_at(base: Path, pairs: list[Pair], out: Path, step: int, changes: dict[str, Any]) -> Path:
    """The checkpoint that the same training writes at a step."""

    def kill(done: int, total: int, message: str) -> None:
        if done == step + 1 and "reference" not in message:
            raise Killed

    with pytest.raises(Killed):
        _train(base, pairs, out, {**changes, **ALL_STEPS}, progress=kill)
    return out.with_name(f"{out.name}.unfinished") / "dpo" / f"checkpoint-{step}"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_model_is_that_of_the_best_evaluation_and_log_result_and_card_say_which(
    engine: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    result = _train(tiny_model, pairs, tmp_path / "run", {}, engine=engine)
    losses = [line["loss"] for line in _lines(result.folder, "held_out")]
    best = losses.index(min(losses)) + 1
    (found,) = result.stages
    assert (found.kept, found.steps) == (best, best + 2)
    assert [line["kept"] for line in _lines(result.folder, "end")] == [best]
    card = (result.model / "README.md").read_text(encoding="utf-8")
    assert f"## Stage dpo: {found.steps} steps, weights of step {best}\n" in card
    checkpoint = _weights_at(tiny_model, pairs, tmp_path / "other", best, {})
    saved, expected = (load_file(folder / "model.safetensors") for folder in (result.model, checkpoint))
    assert saved.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in saved.items())


@pytest.mark.parametrize("merge", [True, False])
def test_the_adapter_is_that_of_the_best_evaluation(
    merge: bool, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    changes = {**LORA, "training.adapter": {**LORA["training.adapter"], "merge": merge}}
    result = _train(tiny_model, pairs, tmp_path / "run", changes)
    best, steps = result.stages[0].kept, result.stages[0].steps
    assert best == steps - 2
    checkpoint = _weights_at(tiny_model, pairs, tmp_path / "other", best, changes)
    if merge:
        saved, expected = load_file(result.model / "model.safetensors"), {}
        expected = merged_model(tiny_model, checkpoint, "fp32").state_dict()
        assert max(float((tensor - expected[name]).abs().max()) for name, tensor in saved.items()) < 1e-7
    else:
        saved, expected = (load_file(folder / "adapter_model.safetensors") for folder in (result.model, checkpoint))
        assert saved.keys() == expected.keys() and all(torch.equal(saved[name], expected[name]) for name in saved)


def test_the_worst_group_is_watched_in_place_of_the_mean(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    changes = {"training.patience": 50, "dpo_ift.epochs": 2}  # longer than it lasts: the best is kept there too
    runs = {
        watch: _train(tiny_model, pairs, tmp_path / watch, {**changes, "training.watch": watch}, seed=1)
        for watch in ("mean", "worst")
    }
    lines = _lines(runs["worst"].folder, "held_out")
    assert [line["groups"] for line in lines] == [line["groups"] for line in _lines(runs["mean"].folder, "held_out")]
    worst = []
    for line in lines:
        sums = sums_from_rows(line["groups"])
        means = {group: sums.mean("loss", group) for group in sums}
        worst.append(max(means.values()))
        assert line["worst"] == {
            "language": max(means, key=lambda group: means[group])[0],
            "scope": max(means, key=lambda group: means[group])[1],
            "loss": worst[-1],
        }
    kept = {watch: run.stages[0].kept for watch, run in runs.items()}
    means = [line["loss"] for line in lines]
    assert kept == {"mean": means.index(min(means)) + 1, "worst": worst.index(min(worst)) + 1}
    missing: set[tuple[str, str]] = set()
    for line in _lines(runs["worst"].folder, "step"):
        missing |= {(row["language"], row["scope"]) for row in line["groups"]}
    missing -= {(row["language"], row["scope"]) for row in lines[0]["groups"]}
    (notice,) = (one for one in runs["worst"].notices if "is held out of" in one)
    assert missing and all(" / ".join(group) in notice for group in missing)
    assert not [one for one in runs["mean"].notices if "is held out of" in one]
    assert kept["mean"] != kept["worst"] and runs["mean"].weights != runs["worst"].weights


@pytest.mark.parametrize(("every", "at"), [(0, 6), (2, 5), (2, 6), (3, 4), (3, 6)])
def test_a_run_that_is_killed_keeps_the_same_weights(
    every: int, at: int, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    """The best step is the fourth, the last one the sixth."""

    def kill(done: int, total: int, message: str) -> None:
        if "reference" not in message and done == at:
            raise Killed

    changes, out = {"training.save_every": every}, tmp_path / "killed"
    whole = _train(tiny_model, pairs, tmp_path / "whole", changes)
    with pytest.raises(Killed):
        _train(tiny_model, pairs, out, changes, progress=kill)
    kept = list(out.with_name("killed.unfinished").glob("dpo/best-*"))
    assert 1 <= len(kept) <= 2, kept  # of a model of billions each is large
    again = _train(tiny_model, pairs, out, changes)
    assert (again.weights, again.stages[0].kept) == (whole.weights, whole.stages[0].kept)
    assert [line["step"] for line in _lines(out, "held_out")] == list(range(1, whole.stages[0].steps + 1))


def test_best_weights_that_are_gone_are_an_error_where_they_are_needed(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    checkpoint = _weights_at(tiny_model, pairs, tmp_path / "run", 5, {})
    (checkpoint.parent / "best-4.safetensors").unlink()
    with pytest.raises(StoreError, match="the weights of the best step so far are gone") as gone:
        _train(tiny_model, pairs, tmp_path / "run", ALL_STEPS)
    assert "best-4.safetensors" in str(gone.value) and gone.value.settings == {"resume": "False"}
    assert _train(tiny_model, pairs, tmp_path / "run", ALL_STEPS, resume=False).stages[0].kept == 4


def test_one_that_is_killed_while_it_saves_takes_no_step_more(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had a checkpoint of its last step, and went on from there until the next evaluation."""
    changes = {"training.save_every": 1}

    def killed(*_: Any) -> None:
        raise Killed

    whole = _train(tiny_model, pairs, tmp_path / "whole", changes)
    monkeypatch.setattr(stage, "_save", killed)
    with pytest.raises(Killed):
        _train(tiny_model, pairs, tmp_path / "run", changes)
    monkeypatch.undo()
    again = _train(tiny_model, pairs, tmp_path / "run", changes)
    assert (again.weights, again.stages[0].steps) == (whole.weights, whole.stages[0].steps)


def test_what_is_watched_is_in_the_key_where_it_changes_the_result() -> None:
    plain = load_config("micro").training.result_settings()
    assert "watch" not in plain  # runs without early stopping are those they were
    keys = [
        load_config("micro", {"training.held_out": 0.1, "training.patience": 2, **more}).training.result_settings()
        for more in ({}, {"training.watch": "worst"})
    ]
    assert [key["watch"] for key in keys] == ["mean", "worst"]
    with pytest.raises(InputError, match="no stage ends early") as refused:
        load_config("micro", {"training.watch": "worst", "training.held_out": 0.1})
    assert "training.watch" in str(refused.value)
