"""Reference log-probabilities, computed before the first step with the numerics of the training pass.

The pass runs through the very model that is about to be trained (wrapped, autocast, with its attention) and over
the micro-batches of the first epoch. So at step 0 policy and reference agree to the last digit, which is checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from alignment_prism.domain import TrainingError
from alignment_prism.training.examples import Example
from alignment_prism.training.logps import sums_per_example
from alignment_prism.training.objectives import MicroBatch, Objective, blaming
from alignment_prism.training.recipe import Recipe
from alignment_prism.training.reference_store import ReferenceSpace, ReferenceStore, example_key

FIRST_LOSS_TOLERANCE = 1e-4
"""How far the loss may lie from `Objective.first_loss`, relative to 1 + its size: rounding of float32."""


ROUNDS_KEPT_TOGETHER = 16
"""Batches of every process after which references are gathered and written down: what a killed pass has to do again."""


@dataclass(slots=True)
class References:
    """Log-probability of each example's completions under the model before training, in nats.

    Attributes:
        values: of the replies of each example, NaN until known.
        store: where values are kept between runs; None keeps none.
        space: what they depend on besides the tokens.
    """

    values: list[list[float]]
    store: ReferenceStore | None
    space: ReferenceSpace

    def fill_from_store(self, examples: Sequence[Example]) -> int:
        """Take what the store has. Returns how many examples are still unknown."""
        if self.store is not None:
            flat = [example_key(e.prompt, completion) for e in examples for completion in e.completions]
            found = self.store.get_many(self.space, flat)
            width = len(examples[0].completions)
            for number in range(len(examples)):
                known = found[number * width : (number + 1) * width]
                if all(value is not None for value in known):
                    self.values[number] = [float(value) for value in known if value is not None]
        return len(self.missing())

    def missing(self) -> list[int]:
        """Indices of the examples whose values are not known."""
        return [index for index, known in enumerate(self.values) if any(math.isnan(value) for value in known)]

    def keep(self, examples: Sequence[Example], indices: Sequence[int]) -> None:
        """Write the values of `indices` into the store."""
        if self.store is not None and indices:
            self.store.put_many(
                self.space,
                {
                    example_key(examples[index].prompt, completion): value
                    for index in indices
                    for completion, value in zip(examples[index].completions, self.values[index], strict=True)
                },
            )


def no_references(examples: Sequence[Example], space: ReferenceSpace, store: ReferenceStore | None) -> References:
    """References of which nothing is known yet."""
    return References([[math.nan] * len(example.completions) for example in examples], store, space)


def compute_references(
    references: References,
    examples: Sequence[Example],
    *,
    forward: Callable[[dict[str, Any]], torch.Tensor],
    collate: Callable[[Sequence[int]], dict[str, Any]],
    order: Sequence[int],
    micro_batch: int,
    accelerator: Any,
    progress: Callable[[int, int], None],
    stop: Callable[[], bool],
) -> bool:
    """Fill in what is missing, all processes together, and write it down as it comes.

    Args:
        references: some values may be known already.
        examples: all of them.
        forward: token log-probabilities of a batch, by the wrapped model in the training's precision.
        collate: makes a batch of indices.
        order: of the first epoch, blanks included.
        micro_batch: examples of one batch.
        accelerator: knows rank, processes and device.
        progress: told batches done and in all.
        stop: asked after each round of batches; what is known by then is kept.

    Returns:
        Whether everything is known.
    """
    from accelerate.utils import gather_object, send_to_device

    unknown = set(references.missing())
    batches = [list(order[start : start + micro_batch]) for start in range(0, len(order), micro_batch)]
    # Every process takes part in every round, also with nothing to do: a sharded model computes together.
    processes = accelerator.num_processes
    rounds = [batches[start : start + processes] for start in range(0, len(batches), processes)]
    rounds = [one for one in rounds if any(index in unknown for batch in one for index in batch)]
    width = len(examples[0].completions)
    found: dict[int, list[float]] = {}

    def keep() -> None:
        if processes > 1:
            for index, value in gather_object(list(found.items())):
                found[index] = value
        fresh = sorted(index for index in found if index in unknown)
        for index in fresh:
            references.values[index] = found[index]
        if accelerator.is_main_process:
            references.keep(examples, fresh)
        found.clear()

    for number, one in enumerate(rounds, start=1):
        batch = send_to_device(collate(one[accelerator.process_index]), accelerator.device)
        with torch.no_grad():
            tokens = forward(batch)
        members = len(one[accelerator.process_index])
        sums = sums_per_example(tokens.double(), batch["owners"], members * width).view(width, members).T.tolist()
        found.update(zip(one[accelerator.process_index], sums, strict=True))
        progress(number, len(rounds))
        stopped = stop() and number < len(rounds)
        if stopped or number == len(rounds) or number % ROUNDS_KEPT_TOGETHER == 0:
            keep()
        if stopped:
            return False
    return True


def check_first_batch(
    batch: MicroBatch, real: torch.Tensor, objective: Objective, recipe: Recipe, precision: str
) -> None:
    """Check, before anything was learnt, that policy and reference agree and that the loss is then what it should be.

    The two are checked apart, because rounding moves log-probabilities by much more than it moves a loss: the loss is
    computed where both agree to the last digit.

    Args:
        batch: the first micro-batch, with references.
        real: which of its examples are no blanks, shape (examples,).
        objective: of the stage.
        recipe: its settings.
        precision: of the pass; bfloat16 rounds each token's value, so its sums may differ by more.

    Raises:
        TrainingError: a reply deviates, and by how much; or the loss is not `Objective.first_loss`.
    """
    assert batch.reference is not None
    per_token, floor = (2e-2, 5e-2) if precision == "bf16" else (2e-5, 1e-4)
    deviation = (batch.logps - batch.reference)[:, real].abs().flatten()
    tokens = batch.lengths[:, real].flatten()
    limit = floor + per_token * tokens
    if not bool(torch.isfinite(deviation).all()):
        raise TrainingError(
            "log-probabilities before the first step are not finite",
            fix="the base's weights overflow in this precision: compute in float32",
            settings={"overrides": "training.precision=fp32"},
        )
    if bool((deviation > limit).any()):
        worst = int((deviation - limit).argmax())
        raise TrainingError(
            f"policy and reference differ before the first step: by {float(deviation[worst]):.3g} nats on a completion "
            f"of {int(tokens[worst])} tokens, where {float(limit[worst]):.3g} is the most that rounding explains",
            fix="the references belong to other weights or numerics: remove the reference store, or report this",
        )
    with blaming(objective, "first_loss"):
        expected = None if objective.first_loss is None else objective.first_loss(recipe)
    if expected is None or not bool(real.any()):
        return
    losses, metrics = objective.losses(
        replace(batch, logps=batch.reference, divergence=None if batch.divergence is None else batch.divergence * 0),
        recipe,
    )
    found = float(metrics.get("loss", losses)[real].mean())
    if not abs(found - expected) <= FIRST_LOSS_TOLERANCE * (1 + abs(expected)):
        raise TrainingError(
            f"where policy and reference agree, the loss of {objective.name} is {found:.6g} and not {expected:.6g}",
            fix="this is a defect of the objective: its loss or its first_loss is wrong",
        )
