"""Which failures of a trial say something about what was tried, and which about the machine."""

from __future__ import annotations

import torch


def is_fatal(error: Exception) -> bool:
    """Whether memory or the device has failed, which no other way of computing mends."""
    fatal = (MemoryError, torch.OutOfMemoryError, getattr(torch, "AcceleratorError", MemoryError))
    return isinstance(error, fatal) or "allocate memory" in str(error) or "CUDA error" in str(error)
