"""The step that all trainers share: loss over the examples of the global batch, and exact metrics by group.

`GlobalBatchLoss` goes in front of a `transformers.Trainer` (TRL's are such) and replaces its data order, its loss and
its logging. The loss of a step is a sum over its examples divided by their number on all processes and micro-batches,
however unevenly they fall.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerControl

from alignment_prism.domain import TrainingError
from alignment_prism.training.callbacks import Log, Watcher
from alignment_prism.training.examples import Example
from alignment_prism.training.groups import Group, GroupSums
from alignment_prism.training.layouts.batches import OrderSampler, PaddedBatch
from alignment_prism.training.layouts.trees import model_inputs
from alignment_prism.training.logps import sums_per_example
from alignment_prism.training.objectives import MicroBatch, Objective, blaming
from alignment_prism.training.recipe import Recipe
from alignment_prism.training.references import check_first_batch
from alignment_prism.training.translations import Prompts, last_states

OBJECTIVE_STATE = "objective.safetensors"
"""File of a checkpoint that holds the tensors of the objective's state."""


@dataclass(slots=True)
class StepContext:
    """What `GlobalBatchLoss` needs to know of the stage, and what it carries from step to step.

    Attributes:
        name: of the stage, in the log.
        objective: what is minimised.
        recipe: its settings.
        examples: all of them, in the order of the data set.
        sampler: their order in each epoch.
        precision: `fp32`, `bf16` or `fp64`.
        log: of the run.
        watcher: shows the loss in its progress line.
        pending: metrics of the steps since the last line of the log, still on the device.
        since: when that line was written.
        groups: (language, scope) of each group's number.
        numbers: group of each example and of a blank, shape (examples + 1,).
        labels: label of each example and of a blank, shape (examples + 1,).
        state: tensors of the objective's state.
        counts: examples, or tokens, of each group in the global batch of this step, shape (groups,).
        others: batches of prompts with the replies to other prompts, where the objective uses the divergence.
        divergence: of policy and reference over the global batch of this step, shape (); None without `others`.
        sums: of each metric by group over this step so far; kept for objectives with a state alone.
        prompts: of each example, in all its languages, where the objective compares them.
    """

    name: str
    objective: Objective
    recipe: Recipe
    examples: Sequence[Example]
    sampler: OrderSampler
    precision: str
    log: Log
    watcher: Watcher | None = None
    pending: list[dict[str, torch.Tensor]] = field(default_factory=list)
    since: float = 0.0
    groups: list[Group] = field(init=False)
    numbers: torch.Tensor = field(init=False)
    labels: torch.Tensor = field(init=False)
    state: dict[str, torch.Tensor] = field(init=False, default_factory=dict)
    counts: torch.Tensor = field(init=False)
    others: PaddedBatch | None = None
    divergence: torch.Tensor | None = field(init=False, default=None)
    sums: dict[str, torch.Tensor] = field(init=False, default_factory=dict)
    prompts: Sequence[Prompts] = ()

    def __post_init__(self) -> None:
        self.groups = sorted({example.group for example in self.examples})
        number = {group: index for index, group in enumerate(self.groups)}
        self.numbers = torch.tensor([*(number[example.group] for example in self.examples), 0])
        self.labels = torch.tensor([*(example.label for example in self.examples), 0.0])
        self.counts = torch.zeros(len(self.groups))
        self.state = self.objective.first_state(self.recipe, len(self.groups))

    def to(self, device: torch.device | str) -> None:
        """Move all tensors to the device that trains."""
        if self.numbers.device == torch.device(device):
            return
        self.numbers, self.labels, self.counts = (
            tensor.to(device) for tensor in (self.numbers, self.labels, self.counts)
        )
        self.state = {name: tensor.to(device) for name, tensor in self.state.items()}


class GlobalBatchLoss:
    """Mixin for a trainer; `context` is set right after construction, before `train`."""

    context: StepContext
    loss_is_scaled_for_ga = True  # compute_loss normalises over the global batch: Trainer must not divide again

    def _get_train_sampler(self, train_dataset: Any = None) -> OrderSampler:
        return self.context.sampler

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["index"]

    def _prepare_inputs(self: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """A batch on the device, references as they were computed.

        Under DeepSpeed transformers takes every number of a batch to the model's precision: a reference of -100 would
        become one of the steps of 0.5 that bfloat16 has there.
        """
        prepared: dict[str, Any] = super()._prepare_inputs(  # type: ignore[misc]
            {name: value for name, value in inputs.items() if name != "references"}
        )
        if "references" in inputs:
            prepared["references"] = inputs["references"].to(self.args.device)
        return prepared

    def create_scheduler(self: Any, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of the arguments, without a warm-up of a single step, which would be a step at rate 0.

        transformers rounds warm-ups up: a run of one step would learn nothing.
        """
        if self.args.get_warmup_steps(num_training_steps) == 1:
            self.args.warmup_steps = 0
        return super().create_scheduler(num_training_steps, optimizer)  # type: ignore[misc]

    def _get_num_items_in_batch(self: Any, batch_samples: list[dict[str, torch.Tensor]], device: Any) -> Any:
        """Examples, or tokens, of one optimiser step over all processes; blanks do not count.

        Called with all micro-batches of the step before the first of them is computed, so this is also where the
        examples of each group are counted. At least 1: a step whose replies have no token has no loss either, and
        nothing is divided by 0.
        """
        context: StepContext = self.context
        context.to(device)
        found = torch.zeros(1 + len(context.groups), dtype=torch.int64, device=device)
        for batch in batch_samples:
            index, owners = batch["index"].to(device), batch["owners"].to(device)
            counted = index[owners % len(index)] if context.objective.per_token else index
            real = counted < len(context.examples)
            found[0] += real.sum()
            found[1:].index_add_(0, context.numbers[counted], real.long())
        if self.accelerator.num_processes > 1:
            found = self.accelerator.reduce(found, reduction="sum")
        context.counts = found[1:].float()
        context.sums = {}
        if context.others is not None:
            context.divergence = self._divergence(context.others, batch_samples, device)
        return max(1, int(found[0]))

    def _divergence(self: Any, others: PaddedBatch, batches: list[dict[str, torch.Tensor]], device: Any) -> Any:
        """Mean log-ratio of the replies to other prompts over the examples of a step, at least 0; shape ()."""
        from accelerate.utils import send_to_device

        total = torch.zeros(2, dtype=torch.float64, device=device)
        for batch in batches:
            inputs = send_to_device(others(batch["index"].tolist()), device)
            with torch.no_grad():
                tokens = self.token_logps(self.model_wrapped, inputs)
            ratios = (
                sums_per_example(tokens.double(), inputs["owners"], len(inputs["index"])) - inputs["references"][:, 0]
            )
            real = inputs["index"] < len(others.examples)
            total += torch.stack([(ratios * real).sum(), real.sum().double()])
        if self.accelerator.num_processes > 1:
            total = self.accelerator.reduce(total, reduction="sum")
        return (total[0] / total[1].clamp(min=1)).clamp(min=0)

    def compute_loss(
        self: Any, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Loss of one micro-batch, its share of the global batch's mean."""
        context: StepContext = self.context
        batch = self.micro_batch(inputs, self.token_logps(model, inputs))
        if context.prompts and context.objective.translated_at is not None:
            with blaming(context.objective, "translated_at"):
                depth = context.objective.translated_at(context.recipe)
            asked = [context.prompts[int(index) % len(context.prompts)] for index in inputs["index"]]
            batch = replace(batch, translated=last_states(model, asked, depth, self.processing_class.pad_token_id))
        real = inputs["index"] < len(context.examples)
        if batch.reference is not None and self.state.global_step == 0:
            detached = replace(batch, logps=batch.logps.detach())
            check_first_batch(detached, real, context.objective, context.recipe, context.precision)
        losses, metrics = context.objective.losses(batch, context.recipe)
        metrics = {"loss": losses, **metrics}
        if self.accelerator.device.type == "cpu":
            _check_finite(losses.detach(), self.state.global_step)
        pending = {"index": inputs["index"], **{name: value.detach() for name, value in metrics.items()}}
        if context.objective.per_token:
            pending["tokens"] = batch.lengths.sum(0)
        context.pending.append(pending)
        if context.objective.state is not None:
            for name, value in metrics.items():
                before = context.sums.get(name, torch.zeros_like(context.counts))
                context.sums[name] = before.index_add(0, batch.groups, (value.detach() * real).to(before.dtype))
        # DDP and FSDP average gradients over processes; the count is over all of them.
        loss: torch.Tensor = (losses * real).sum() * self.accelerator.num_processes / num_items_in_batch
        return loss

    def micro_batch(self, inputs: dict[str, Any], tokens: torch.Tensor, other: PaddedBatch | None = None) -> MicroBatch:
        """What the objective may look at.

        Args:
            inputs: a batch of the collator.
            tokens: log-probability of every completion token of it.
            other: the collator, where the examples are not those that are trained on. Their groups are those of the
                trained examples; one that these do not have is 0.
        """
        context = self.context
        index, owners = inputs["index"], inputs["owners"]
        context.to(index.device)
        branches = len(context.examples[0].completions)
        shape = (branches, len(index))
        if other is None:
            groups, labels = context.numbers[index], context.labels[index]
        else:
            asked = [other.examples[int(one)] for one in index]
            known = {group: number for number, group in enumerate(context.groups)}
            groups = torch.tensor([known.get(example.group, 0) for example in asked], device=index.device)
            labels = torch.tensor([example.label for example in asked], device=index.device)
        policy = sums_per_example(tokens, owners, branches * len(index)).view(shape)
        lengths = torch.zeros(branches * len(index), dtype=torch.int64, device=owners.device)
        lengths = lengths.index_add(0, owners, torch.ones_like(owners)).view(shape)
        reference = inputs.get("references")
        return MicroBatch(
            logps=policy,
            lengths=lengths,
            reference=None if reference is None else reference.to(policy.dtype).T,
            groups=groups,
            labels=labels,
            counts=context.counts,
            divergence=None if context.divergence is None else context.divergence.to(policy.dtype),
            state=context.state,
        )

    def end_step(self: Any) -> None:
        """Take the objective's state to the next step; called after the optimiser's."""
        context: StepContext = self.context
        if context.objective.state is None:
            return
        sums = context.sums
        if self.accelerator.num_processes > 1:
            sums = {name: self.accelerator.reduce(value, reduction="sum") for name, value in sums.items()}
        context.state = context.objective.next_state(context.state, context.recipe, sums, context.counts)

    def token_logps(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Log-probability of every completion token of a batch."""
        logps: torch.Tensor = model(**model_inputs(inputs)).logps
        return logps

    def log(self: Any, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write one line with the exact sums of the steps since the last one."""
        line = {name: logs[name] for name in ("learning_rate", "grad_norm") if name in logs}
        self.write_pending(**line)
        self.state.log_history.append({**logs, "step": self.state.global_step})

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        self.write_pending()  # a run that is resumed from here must not lose these sums
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        if self.context.state and self.accelerator.is_main_process:
            from safetensors.torch import save_file

            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            save_file(self.context.state, folder / OBJECTIVE_STATE)

    def write_pending(self: Any, **fields: Any) -> None:
        """Move pending metrics into the log; nothing where there are none."""
        context: StepContext = self.context
        sums = GroupSums()
        finite = True
        for metrics in context.pending:
            columns = {name: value.double().tolist() for name, value in metrics.items()}
            finite = finite and all(map(math.isfinite, columns["loss"]))
            _add(sums, context, columns)
        context.pending.clear()
        if self.accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            parts = gather_object([sums])
            sums = GroupSums()
            for part in parts:
                sums.merge(part)
        if not finite:
            raise _not_finite(self.state.global_step)
        if not sums.totals:
            return
        now = time.monotonic()
        mean = sums.mean("loss")
        loss = mean if math.isfinite(mean) else None  # nothing was counted: replies without tokens
        if context.watcher is not None and loss is not None:
            context.watcher.last = f": loss {loss:.3f}"
        context.log.write(
            "step",
            stage=context.name,
            step=self.state.global_step,
            of=self.state.max_steps,
            epoch=round(float(self.state.epoch or 0), 4),
            seconds=round(now - context.since, 3),
            loss=loss,
            worst=sums.worst_row("loss"),
            **fields,
            groups=sums.rows(),
        )
        context.since = now
        self.track(sums, **fields)

    def track(self: Any, sums: GroupSums, prefix: str = "", **fields: Any) -> None:
        """Tell trackers the means of all metrics, by group and of the worst one, where a training reports to any.

        Args:
            sums: of metrics.
            prefix: of the names; trackers keep those with `eval_` apart.
            **fields: further numbers.
        """
        if not self.args.report_to:
            return
        numbers = {name: sums.mean(name) for name in sums.pooled()}
        numbers |= {f"{'-'.join(group)}/{name}": sums.mean(name, group) for group in sums for name in sums.pooled()}
        group = sums.worst("loss")
        if group is not None:
            numbers["worst_loss"] = sums.mean("loss", group)
        told = {f"{prefix}{name}": one for name, one in {**numbers, **fields}.items() if math.isfinite(one)}
        # A control of its own: the trainer's would forget that a line of the log is due.
        self.callback_handler.on_log(self.args, self.state, TrainerControl(), told)


def _add(sums: GroupSums, context: StepContext, columns: dict[str, list[float]]) -> None:
    """One micro-batch into the sums; blanks are left out."""
    kept = [number for number, index in enumerate(columns["index"]) if index < len(context.examples)]
    groups = [context.examples[int(columns["index"][number])].group for number in kept]
    # The loss of an objective per token is a mean over tokens; everything else is over examples.
    tokens = [columns["tokens"][number] for number in kept] if "tokens" in columns else None
    for name, values in columns.items():
        if name not in ("index", "tokens"):
            sums.add(groups, name, [values[number] for number in kept], tokens if name == "loss" else None)


def _check_finite(losses: torch.Tensor, step: int) -> None:
    if not bool(torch.isfinite(losses).all()):
        raise _not_finite(step)


def _not_finite(step: int) -> TrainingError:
    return TrainingError(
        f"the loss is not finite at step {step + 1}",
        fix="lower the learning rate, or compute in float32; the log's last lines show where it began",
        settings={"overrides": "training.precision=fp32"},
    )
