"""Models: what a model's name stands for, its folder, weights and chat template."""

import logging

_KERNELS = logging.getLogger("bitsandbytes.backends.cpu.ops")


def _is_wanted(record: logging.LogRecord) -> bool:
    """Whether a remark of bitsandbytes is to be told: that it lacks a kernel for CPUs, only to who asked for logs.

    PEFT loads it wherever it is installed, whether weights are held in four bits or not, and it says so each time on
    CPUs that compute bfloat16. The kernel is for inference alone.
    """
    return _KERNELS.hasHandlers() or "kernels-community" not in record.getMessage()


_KERNELS.addFilter(_is_wanted)
