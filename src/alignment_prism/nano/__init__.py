"""The embedded lab: a small world in which everything is real but small, and the truth is known.

Nothing measured in it is evidence about real models.
"""

from __future__ import annotations

from pathlib import Path

from alignment_prism.nano.world import World, WorldSpec

__all__ = ["World", "WorldSpec", "world"]


def world(seed: int | None = None, base: Path | None = None) -> World:
    """A nano world: that of a base (the shipped one by default), or the default world of another seed."""
    if seed is not None:
        return World(WorldSpec(seed=seed))
    from alignment_prism.nano.base.build import measured_refusal, read_world

    return World(read_world(base), measured_refusal(base))
