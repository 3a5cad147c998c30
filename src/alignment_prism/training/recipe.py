"""How a stage learns: the settings that every objective has, to which each adds its own."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused; the text under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Recipe(Settings):
    """How one stage learns."""

    learning_rate: float = Field(gt=0)
    """Highest learning rate, after the warm-up."""
    epochs: float = Field(gt=0)
    """Passes over the pairs; may be a fraction."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Of the learning rate after the warm-up; linear and cosine end at 0."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the rate rises from 0, rounded up to whole steps; a warm-up of a single step, which
    would be one at rate 0, is skipped."""
