"""Ctrl-C at the very end of a training: in its last step, and while its model is saved."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import Pair
from alignment_prism.training import TrainingInterrupted, load_config, stage
from alignment_prism.training.train import train_method

STEPS = 6


@pytest.mark.parametrize(
    ("moment", "number"), [("in the last step", signal.SIGINT), ("while the model is saved", signal.SIGTERM)]
)
def test_it_stops_and_the_same_training_ends_as_if_nothing_had_been(
    moment: str,
    number: signal.Signals,
    tiny_model: Path,
    pairs: list[Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = load_config("micro", {"training.batch_size": 4, "sft.epochs": 1})
    options: dict[str, Any] = {"base": tiny_model, "pairs": pairs[: STEPS * 4], "config": config}
    whole = train_method("sft", out=tmp_path / "whole", **options)
    assert whole.stages[0].steps == STEPS

    def progress(step: int, total: int, message: str) -> None:
        if moment == "in the last step" and step == total:
            signal.raise_signal(number)

    def save(*arguments: Any, **named: Any) -> None:
        if moment == "while the model is saved":
            signal.raise_signal(number)
        real(*arguments, **named)

    real = stage.save_model
    monkeypatch.setattr(stage, "save_model", save)
    with pytest.raises(KeyboardInterrupt) as stopped:  # which ends a study too, and the command with exit code 130
        train_method("sft", out=tmp_path / "run", progress=progress, **options)
    assert isinstance(stopped.value, TrainingInterrupted) and f"after step {STEPS} of {STEPS}" in str(stopped.value)
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    steps: list[int] = []
    again = train_method("sft", out=tmp_path / "run", progress=lambda step, *_: steps.append(step), **options)
    assert again.weights == whole.weights and steps == []  # what was trained is not trained again
    assert not (tmp_path / "run.unfinished").exists()
