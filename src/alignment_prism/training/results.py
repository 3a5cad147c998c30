"""What a training gives back, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment_prism.training.groups import GroupSums, sums_from_rows


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage of a training.

    Attributes:
        name: `sft` or `dpo`.
        steps: optimiser steps taken.
        seconds: of training, without loading and saving; over all sessions of a resumed run.
        counts: by language, what became of the pairs (`training.examples.LanguageCount`).
        groups: by language x scope, exact sums and counts of every metric over the whole stage.
        notices: what a user should know of the data.
        kept: step whose weights the model has, where `training.patience` is set; None for the last one.
    """

    name: str
    steps: int
    seconds: float
    counts: tuple[dict[str, Any], ...] = ()
    groups: tuple[dict[str, Any], ...] = ()
    notices: tuple[str, ...] = ()
    kept: int | None = None

    @property
    def sums(self) -> GroupSums:
        """The groups as sums that can be pooled and averaged."""
        return sums_from_rows(self.groups)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished run.

    Attributes:
        method: name of the method.
        folder: the run: `model/`, `log.jsonl`, `config.yaml`, `manifest.json`.
        model: folder of the model, for `from_pretrained`.
        weights: digest of its weights.
        base_weights: digest of the weights it started from.
        pairs: digest of the pairs, in their order.
        seed: of the training.
        stages: one result a stage that was trained here.
        engine: that trained it: `transformers` or `trl`.
    """

    method: str
    folder: Path
    model: Path
    weights: str
    base_weights: str
    pairs: str
    seed: int
    stages: tuple[StageResult, ...] = field(default=())
    engine: str = ""

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know of the data, each once."""
        return tuple(dict.fromkeys(notice for stage in self.stages for notice in stage.notices))


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a training after a checkpoint was written.

    Attributes:
        folder: where the unfinished work lies.
        step: optimiser steps that are safe.
        total: steps of the stage.
    """

    def __init__(self, folder: Path, step: int, total: int) -> None:
        super().__init__(f"stopped after step {step} of {total}; run the same training again to go on")
        self.folder = folder
        self.step = step
        self.total = total
