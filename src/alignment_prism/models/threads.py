"""How many threads of a CPU a model computes with, so that its results do not depend on what else runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SMALL = 32_000_000
"""Bytes of weights up to which a model computes with one thread: operations this short are not faster when they are
shared between threads, and much slower where one of the cores is busy with something else."""


def is_small(folder: str | Path) -> bool:
    """Whether the model in a folder computes with one thread; an adapter, whose base is elsewhere, does not."""
    if (Path(folder) / "adapter_config.json").exists():
        return False
    files = list(Path(folder).glob("*.safetensors"))
    return bool(files) and sum(file.stat().st_size for file in files) <= SMALL


@contextmanager
def steady_threads(folder: str | Path) -> Iterator[None]:
    """One thread for a small model as long as the block lasts, and torch's own number for others.

    Sums come out in another order, and so with other last digits, when another number of threads shares them. A small
    model gives the same bytes on any number of cores; a larger one where torch has the same number of threads
    (`OMP_NUM_THREADS`).
    """
    import torch

    before = torch.get_num_threads()
    if not is_small(folder) or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
