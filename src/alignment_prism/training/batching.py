"""How the pairs of a step are spread over devices, and over time."""

from __future__ import annotations

from dataclasses import dataclass

from alignment_prism.domain import InputError
from alignment_prism.training.devices import processes
from alignment_prism.training.settings import TrainingConfig


@dataclass(frozen=True, slots=True)
class Batching:
    """How a step's pairs are spread: pairs at a time on a device, and how often before the weights move."""

    micro_batch: int
    accumulation: int
    processes: int


def spread_batch(settings: TrainingConfig, longest: int) -> Batching:
    """How a batch is spread.

    Args:
        settings: of the training.
        longest: positions of the longest pair.

    Raises:
        InputError: the batch cannot be split so.
    """
    batch_size, micro_batch, count = settings.batch_size, settings.micro_batch_size, processes().num_processes
    if settings.micro_tokens is not None:
        if micro_batch is not None:
            raise InputError(
                "micro-batches are bounded by pairs and by tokens",
                where="key training.micro_tokens",
                fix="give micro_batch_size or micro_tokens, and not both",
            )
        fitting = [one for one in range(1, batch_size + 1) if batch_size % (one * count) == 0]
        micro_batch = max((one for one in fitting if one * longest <= settings.micro_tokens), default=1)
    wanted = micro_batch if micro_batch is not None else max(1, batch_size // count)
    wanted = min(wanted, batch_size)
    if batch_size % (wanted * count):
        raise InputError(
            f"a batch of {batch_size} pairs cannot be split into micro-batches of {wanted} on {count} process(es)",
            where="key training.micro_batch_size",
            fix=f"make batch_size a multiple of {wanted * count}",
        )
    return Batching(wanted, batch_size // (wanted * count), count)
