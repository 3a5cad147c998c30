"""Pairs that are not trained on: which, what the model makes of them, and when it learns nothing more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from alignment_prism.domain import InputError, Pair, content_digest
from alignment_prism.training.groups import GroupSums, sums_from_rows
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.objectives import MicroBatch, Objective

EVENT = "held_out"
"""Of the lines of the log."""


def split_held_out(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on and pairs to hold out, each in their order.

    A digest of its `group` (its own id where it has none) decides on a pair: translations of one another stay together,
    and what is held out of one mixture is held out of every other.

    Raises:
        InputError: a share is to be held out, and comes to no pair or to all.
    """
    kept: list[Pair] = []
    out: list[Pair] = []
    for pair in pairs:
        drawn = int(content_digest("held out", pair.group or pair.id), 16) / 16**16
        (out if drawn < share else kept).append(pair)
    if share and not (kept and out):
        raise InputError(
            f"{share:g} of {len(pairs)} pairs held out comes to {len(out)}",
            where="key training.held_out",
            fix="give more pairs or another share, or set it to 0",
        )
    return kept, out


class HeldOut(TrainerCallback):  # type: ignore[misc]
    """Computes the loss of pairs that are held out, every so many steps and after the last one.

    Args:
        trainer: with its context.
        collator: of the examples that are held out, with references where the objective uses them.
        objective: without weights of groups.
        every: steps between two evaluations.
        patience: evaluations without a lower loss after which the training ends; 0 for never.
    """

    def __init__(self, trainer: Any, collator: PaddedBatch, objective: Objective, *, every: int, patience: int) -> None:
        self.trainer, self.collator, self.objective = trainer, collator, objective
        self.every, self.patience = every, patience

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        if step % self.every and step != state.max_steps:
            return
        context = self.trainer.context
        sums = self._sums(args.per_device_train_batch_size)
        context.log.write(EVENT, stage=context.name, step=step, loss=sums.mean("loss"), groups=sums.rows())
        if self.patience:
            # The log knows of evaluations before a resume; other processes count along.
            self._losses.append(sums.mean("loss"))
            best = min(range(len(self._losses)), key=lambda index: self._losses[index])
            if len(self._losses) - 1 - best >= self.patience:
                control.should_training_stop = True

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        name, done = self.trainer.context.name, state.global_step
        lines = self.trainer.context.log.read()
        self._losses = [
            float(line["loss"])
            for line in lines
            if line["event"] == EVENT and line["stage"] == name and line["step"] <= done
        ]

    def _sums(self, size: int) -> GroupSums:
        """Metrics of all examples by group; every process computes all of them, in step."""
        from accelerate.utils import send_to_device

        trainer, context, examples = self.trainer, self.trainer.context, self.collator.examples
        sums = GroupSums()
        model = trainer.model_wrapped
        training = trainer.model.training
        trainer.model.eval()
        try:
            for start in range(0, len(examples), size):
                indices = list(range(start, min(start + size, len(examples))))
                inputs = send_to_device(self.collator(indices), trainer.accelerator.device)
                with torch.no_grad():
                    batch: MicroBatch = trainer.micro_batch(inputs, trainer.token_logps(model, inputs), self.collator)
                    losses, metrics = self.objective.losses(batch, context.recipe)
                groups = [examples[index].group for index in indices]
                tokens = batch.lengths.sum(0).double().tolist() if self.objective.per_token else None
                sums.add(groups, "loss", losses.double().tolist(), tokens)
                for name, values in metrics.items():
                    if name != "loss":
                        sums.add(groups, name, values.double().tolist())
        finally:
            trainer.model.train(training)
        return sums


def read_curves(log: str | Path) -> list[dict[str, Any]]:
    """The losses of a training by step, for a chart: of what was trained on and of what was held out.

    Args:
        log: `log.jsonl` of a run.

    Returns:
        One row a step, language and scope: `stage`, `step`, `part` (`trained` or `held_out`), `language`, `scope`, and
        the mean of every metric, `loss` among them. A step that was logged together with those before it is their mean.
    """
    from alignment_prism.training.callbacks import Log

    rows: list[dict[str, Any]] = []
    for line in Log(Path(log)).read():
        if line["event"] not in ("step", EVENT):
            continue
        sums = sums_from_rows(line["groups"])
        for group in sums:
            means = {name: sums.mean(name, group) for name in sums.totals[group]}
            rows.append(
                {
                    "stage": line["stage"],
                    "step": line["step"],
                    "part": "trained" if line["event"] == "step" else EVENT,
                    "language": group[0],
                    "scope": group[1],
                    **{name: mean for name, mean in means.items() if math.isfinite(mean)},
                }
            )
    return rows
