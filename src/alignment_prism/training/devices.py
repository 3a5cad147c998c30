"""The machine under a training: its processes, and which failures are its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from alignment_prism.domain import TrainingError

Answer = TypeVar("Answer")


def processes() -> Any:
    """Accelerate's view of the processes that the launcher started.

    Asked for CPUs where there is no GPU: otherwise it sees one process only.
    """
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


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
