"""Bounds on memory that the training keeps, and that the doctor reckons with. Nothing heavy is imported for them."""

from __future__ import annotations

LOGITS_AT_ONCE = {"cpu": 1 << 26, "cuda": 1 << 28}
"""Type of device -> the largest number of logits that exist at the same time; beyond it they come in chunks.

In float32, 256 MiB on a CPU. 1 GiB on a GPU, where more rows at a time make better use of it: that is reckoned, and has
not been measured on one yet."""


def logits_at_once(device: str) -> int:
    """The bound for a type of device (`cpu`, `cuda`, ...)."""
    return LOGITS_AT_ONCE.get(device, LOGITS_AT_ONCE["cpu"])
