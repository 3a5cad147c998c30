"""Pairs that are not trained on: which, what the model makes of them, and when it learns nothing more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from alignment_prism.domain import InputError, Pair, content_digest
from alignment_prism.training.best_weights import BestWeights
from alignment_prism.training.callbacks import last_checkpoint, step_of
from alignment_prism.training.devices import of_first
from alignment_prism.training.groups import GroupSums, sums_from_rows
from alignment_prism.training.layouts.batches import PaddedBatch
from alignment_prism.training.objectives import MicroBatch, Objective
from alignment_prism.training.settings import TrainingConfig

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

    With a patience it keeps the weights of the evaluation whose loss was lowest, and ends a training that finds none
    lower: the mean loss, or that of the group (language x scope) where it is highest.

    Args:
        trainer: with its context.
        collator: of the examples that are held out, with references where the objective uses them.
        objective: without weights of groups.
        settings: when to evaluate, what to watch, and when to end.
        folder: of the stage, for its best weights and checkpoints.
    """

    def __init__(
        self, trainer: Any, collator: PaddedBatch, objective: Objective, settings: TrainingConfig, folder: Path
    ) -> None:
        self.trainer, self.collator, self.objective = trainer, collator, objective
        self.settings, self.folder = settings, folder
        self.weights = BestWeights(folder, trainer) if settings.patience else None
        self._watched: dict[int, float] = {}

    @property
    def best(self) -> int | None:
        """The step after which what is watched was lowest, the first of several; None where nothing is watched."""
        return min(self._watched, key=lambda step: self._watched[step], default=None)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.weights is None:
            return
        context = self.trainer.context
        for line in context.log.read():  # which knows of evaluations before a resume
            if line["event"] == EVENT and line["stage"] == context.name and line["step"] <= state.global_step:
                self._watch(line["step"], sums_from_rows(line["groups"]))
        self._watched = of_first(self._watched)  # others may see no log, or one that is being cut
        if self.best is not None:
            self.weights.check(self.best)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        if step % self.settings.eval_every and step != state.max_steps:
            return
        context = self.trainer.context
        sums = self._sums(args.per_device_train_batch_size)
        if self.weights is not None:
            self._watch(step, sums)
            self._watched = of_first(self._watched)  # rounding may differ, and all have to do the same
            if self.best == step:
                self.weights.keep(step, known=self._known())
        rows, worst = sums.rows(), sums.worst_row("loss")
        context.log.write(EVENT, stage=context.name, step=step, loss=sums.mean("loss"), worst=worst, groups=rows)
        self.trainer.track(sums, "eval_")
        later = [one for one in self._watched if self.best is not None and one > self.best]
        if self.weights is not None and len(later) >= self.settings.patience:
            control.should_training_stop = True
            control.should_save = False  # a run that is killed before its end would go on from a checkpoint of now

    def put_back(self, state: dict[str, Any] | None) -> dict[str, Any] | None:
        """Give the model, or its state where it is spread over processes, the best weights where some were kept."""
        if self.weights is None or self.best is None:
            return state
        return self.weights.put_back(self.best, state)

    def _watch(self, step: int, sums: GroupSums) -> None:
        """Note the loss that is watched."""
        group = sums.worst("loss") if self.settings.watch == "worst" else None
        loss = sums.mean("loss", group)
        self._watched[step] = loss if math.isfinite(loss) else math.inf

    def _known(self) -> int | None:
        """The best step of those up to the last checkpoint."""
        checkpoint = last_checkpoint(self.folder)
        upto = 0 if checkpoint is None else step_of(checkpoint)
        known = {step: loss for step, loss in self._watched.items() if step <= upto}
        return min(known, key=lambda step: known[step], default=None)

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
