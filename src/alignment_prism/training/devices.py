"""The machine under a training: its processes, and which failures are its own."""

from __future__ import annotations

from typing import Any


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
