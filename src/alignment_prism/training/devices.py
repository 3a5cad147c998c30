"""The machine under a training: its processes, and which failures are its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from alignment_prism.domain import InputError, TrainingError

Answer = TypeVar("Answer")


def processes() -> Any:
    """Accelerate's view of the processes that the launcher started.

    Asked for CPUs where there is no GPU: otherwise it sees one process only.
    """
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def is_sharded() -> bool:
    """Whether the launcher spreads a model over its processes, each of which then holds a part of it."""
    from accelerate.utils import parse_flag_from_env

    return bool(parse_flag_from_env("ACCELERATE_USE_FSDP")) or uses_deepspeed()


def uses_deepspeed() -> bool:
    """Whether the launcher trains with DeepSpeed."""
    from accelerate.utils import parse_flag_from_env

    return bool(parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"))


def check_launcher(precision: str) -> None:
    """Refuse a launcher that computes in another precision than the settings say.

    transformers lets `ACCELERATE_MIXED_PRECISION` win, which `accelerate launch` sets: log, card and the key of the
    stored references would name a precision that nothing was computed in.

    Raises:
        InputError: they differ; or DeepSpeed, which holds what is trained in float32, is to train in float64.
    """
    if precision == "fp64" and uses_deepspeed():
        raise InputError(
            "DeepSpeed trains no weights in float64",
            where="key training.precision",
            fix="set it to fp32, or train in one process",
        )
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if launched in ("no", precision):
        return
    raise InputError(
        f"the launcher computes in {launched}, and the settings say {precision}",
        where="key training.precision, and ACCELERATE_MIXED_PRECISION",
        fix=f"start with `accelerate launch --mixed_precision {'bf16' if precision == 'bf16' else 'no'} ...`"
        + (", or set training.precision to bf16" if launched == "bf16" else ""),
    )


def reduce_in_float32(accelerator: Any) -> None:
    """Have FSDP2 compute in bfloat16 where that is the training's precision, and do everything else in float32.

    accelerate's own policy for `mixed_precision: bf16` also sums gradients over processes in bfloat16 and casts what
    the model returns: a log-probability of -100 would be one of the steps of 0.5 that bfloat16 has there.
    """
    import torch

    if not accelerator.is_fsdp2 or accelerator.mixed_precision != "bf16":
        return
    from torch.distributed.fsdp import MixedPrecisionPolicy

    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    accelerator.state.fsdp_plugin.mixed_precision_policy = policy


def of_first(found: Answer) -> Answer:
    """What the first process has found; to be called by all of them at once."""
    if processes().num_processes == 1:
        return found
    from accelerate.utils import broadcast_object_list

    said = [found]
    broadcast_object_list(said, from_process=0)
    return said[0]


def is_fatal(error: Exception) -> bool:
    """Whether memory or the device has failed, so that no other way of computing would help."""
    import torch

    fatal = (MemoryError, torch.OutOfMemoryError, getattr(torch, "AcceleratorError", MemoryError))
    return isinstance(error, fatal) or "allocate memory" in str(error) or "CUDA error" in str(error)


def ask_first(model: Any, question: Callable[[], Answer]) -> Answer:
    """The answer of the first process to a question about a model that every process has loaded.

    Several processes hold a model in the memory of the host until it is sharded. To try it there in each of them would
    take hours of one thread for billions of parameters, so that only the first one tries it, on its GPU if the model
    fits, else with all processor cores. Of this, the part on GPUs has not been run yet.

    Raises:
        TrainingError: in the other processes, where the first one failed.
    """
    state = processes()
    if state.num_processes == 1:
        return question()
    from accelerate.utils import broadcast_object_list

    said: list[Any] = [None, None]
    fault: Exception | None = None
    if state.is_main_process:
        try:
            with _at_its_fastest(model, state.device):
                said[0] = question()
        except Exception as error:  # the others wait for an answer, whatever has happened
            fault = error
            said[1] = f"{type(error).__name__}: {error}"
    broadcast_object_list(said, from_process=0)
    if fault is not None:
        raise fault
    if said[1] is not None:
        raise TrainingError(f"the first process could not try the model: {said[1]}")
    answer: Answer = said[0]
    return answer


@contextmanager
def _at_its_fastest(model: Any, device: Any) -> Iterator[None]:
    """The model on its GPU as long as the block lasts, if it leaves room there; else every processor core."""
    import torch

    size = sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))
    if device.type == "cuda" and size < 0.7 * torch.cuda.mem_get_info(device)[0]:
        model.to(device)
        try:
            yield
        finally:
            model.to("cpu")
            torch.cuda.empty_cache()
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
