"""The step that all trainers share: loss over the pairs of the global batch, and exact metrics by group.

`ExactSteps` goes in front of a `transformers.Trainer` (TRL's are such) and replaces its data order, its loss and its
logging. The loss of a step is a sum over its examples divided by their number on all processes and micro-batches,
however unevenly they fall.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from alignment_prism.domain import TrainingError
from alignment_prism.training.callbacks import Log, Watcher
from alignment_prism.training.examples import Example
from alignment_prism.training.groups import GroupSums
from alignment_prism.training.layouts.batches import OrderSampler
from alignment_prism.training.layouts.trees import model_inputs
from alignment_prism.training.losses import dpo_logits, dpo_sigmoid, sums_per_example
from alignment_prism.training.methods import Objective
from alignment_prism.training.references import check_first_batch


@dataclass(slots=True)
class Plan:
    """What `ExactSteps` needs to know of the stage.

    Attributes:
        name: of the stage, in the log.
        objective: its loss.
        examples: all of them, in the order of the data set.
        sampler: their order in each epoch.
        precision: `fp32`, `bf16` or `fp64`.
        log: of the run.
        beta: of DPO; 0 for SFT.
        watcher: shows the loss in its progress line.
        pending: metrics of the steps since the last line of the log, still on the device.
        since: when that line was written.
    """

    name: str
    objective: Objective
    examples: Sequence[Example]
    sampler: OrderSampler
    precision: str
    log: Log
    beta: float = 0.0
    watcher: Watcher | None = None
    pending: list[dict[str, torch.Tensor]] = field(default_factory=list)
    since: float = 0.0


class ExactSteps:
    """Mixin for a trainer; `plan` is set right after construction, before `train`."""

    plan: Plan
    loss_is_scaled_for_ga = True  # compute_loss normalises over the global batch: Trainer must not divide again

    def _get_train_sampler(self, train_dataset: Any = None) -> OrderSampler:
        return self.plan.sampler

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["index"]

    def create_scheduler(self: Any, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule of the arguments, without a warm-up of a single step, which would be a step at rate 0.

        transformers rounds warm-ups up: a run of one step would learn nothing.
        """
        if self.args.get_warmup_steps(num_training_steps) == 1:
            self.args.warmup_steps = 0
        return super().create_scheduler(num_training_steps, optimizer)  # type: ignore[misc]

    def _get_num_items_in_batch(self: Any, batch_samples: list[dict[str, torch.Tensor]], device: Any) -> Any:
        """Tokens (SFT) or pairs (DPO) of one optimiser step over all processes; blanks do not count.

        At least 1: a step whose replies have no token has no loss either, and nothing is divided by 0.
        """
        count = 0
        for batch in batch_samples:
            real = batch["index"] < len(self.plan.examples)
            if self.plan.objective is Objective.SFT:
                count += int(real[batch["owners"]].sum())
            else:
                count += int(real.sum())
        if self.accelerator.num_processes == 1:
            return max(1, count)
        count = int(self.accelerator.reduce(torch.tensor(count, device=device), reduction="sum").item())
        return max(1, count)

    def compute_loss(
        self: Any, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Loss of one micro-batch, its share of the global batch's mean."""
        plan: Plan = self.plan
        tokens = self.token_logps(model, inputs)
        real = (inputs["index"] < len(plan.examples)).to(tokens.dtype)
        if plan.objective is Objective.SFT:
            sequences = sums_per_example(-tokens, inputs["owners"], len(real))
            counts = sums_per_example(torch.ones_like(tokens), inputs["owners"], len(real))
            losses, metrics = sequences, {"loss": sequences, "tokens": counts}
        else:
            losses, metrics = self._preference_losses(inputs, tokens)
        if self.accelerator.device.type == "cpu":
            _check_finite(losses.detach(), self.state.global_step)
        plan.pending.append({"index": inputs["index"], **{name: value.detach() for name, value in metrics.items()}})
        # DDP and FSDP average gradients over processes; the count is over all of them.
        loss: torch.Tensor = (losses * real).sum() * self.accelerator.num_processes / num_items_in_batch
        return loss

    def token_logps(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Log-probability of every completion token of a batch."""
        logps: torch.Tensor = model(**model_inputs(inputs)).logps
        return logps

    def _preference_losses(
        self: Any, inputs: dict[str, Any], tokens: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        plan: Plan = self.plan
        pairs = len(inputs["index"])
        policy = sums_per_example(tokens, inputs["owners"], 2 * pairs)
        chosen, rejected = policy.view(2, pairs)
        reference = inputs["references"].to(policy.dtype).T
        logits = dpo_logits(chosen, rejected, reference[0], reference[1], plan.beta)
        losses = dpo_sigmoid(logits)
        if self.state.global_step == 0:
            real = inputs["index"] < len(plan.examples)
            lengths = torch.bincount(inputs["owners"], minlength=2 * pairs)
            both = real.repeat(2)
            check_first_batch(
                policy.detach()[both],
                reference.flatten()[both],
                losses.detach()[real],
                lengths[both],
                plan.precision,
            )
        rewards = plan.beta * (policy.view(2, pairs) - reference)
        metrics = {
            "loss": losses,
            "accuracy": (logits > 0).to(losses.dtype) + 0.5 * (logits == 0).to(losses.dtype),
            "margin": logits,
            "reward_chosen": rewards[0],
            "reward_rejected": rewards[1],
            "logp_chosen": chosen,
            "logp_rejected": rejected,
        }
        return losses, metrics

    def log(self: Any, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write one line with the exact sums of the steps since the last one."""
        line = {name: logs[name] for name in ("learning_rate", "grad_norm") if name in logs}
        self.write_pending(**line)
        self.state.log_history.append({**logs, "step": self.state.global_step})

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        self.write_pending()  # a run that is resumed from here must not lose these sums
        super()._save_checkpoint(model, trial)  # type: ignore[misc]

    def write_pending(self: Any, **fields: Any) -> None:
        """Move pending metrics into the log; nothing where there are none."""
        plan: Plan = self.plan
        sums = GroupSums()
        finite = True
        for metrics in plan.pending:
            columns = {name: value.double().tolist() for name, value in metrics.items()}
            finite = finite and all(map(math.isfinite, columns["loss"]))
            _add(sums, plan, columns)
        plan.pending.clear()
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
        if plan.watcher is not None and loss is not None:
            plan.watcher.last = f": loss {loss:.3f}"
        plan.log.write(
            "step",
            stage=plan.name,
            step=self.state.global_step,
            of=self.state.max_steps,
            epoch=round(float(self.state.epoch or 0), 4),
            seconds=round(now - plan.since, 3),
            loss=loss,
            **fields,
            groups=sums.rows(),
        )
        plan.since = now


def _add(sums: GroupSums, plan: Plan, columns: dict[str, list[float]]) -> None:
    """One micro-batch into the sums; blanks are left out."""
    kept = [number for number, index in enumerate(columns["index"]) if index < len(plan.examples)]
    groups = [plan.examples[int(columns["index"][number])].group for number in kept]
    # The supervised loss is a mean over tokens; everything else is over pairs.
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
        fix="lower the learning rate, or try --set training.precision=fp32; the log's last lines show where it began",
    )
