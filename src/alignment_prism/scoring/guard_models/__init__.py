"""Guard models: what each is asked, in the format that it was trained on, and how its answers are read.

A guard is one YAML file, here or of one's own; `guard_format.py` says which keys it has. The formats are those of the
public model cards and chat templates. None has been run against the weights: `verified_against_weights` of each says
so, and so do the commands.
"""

from alignment_prism.scoring.guard_models.guard_format import (
    GuardFormat,
    is_guard_format,
    load_guard_format,
    shipped_guard_formats,
)

__all__ = ["GuardFormat", "is_guard_format", "load_guard_format", "shipped_guard_formats"]
