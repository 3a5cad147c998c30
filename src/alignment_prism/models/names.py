"""What a user may name as a model."""

from __future__ import annotations

from pathlib import Path

from alignment_prism.models.shipped import NANO, shipped_base

HUB = "hub:"
"""Prefix that makes a name a Hub id even if it begins like an Inspect provider's."""


def found_model(model: str) -> str:
    """The model as the engines take it: a folder for the name of the one that ships, else what it is."""
    if model != NANO:
        return model
    return str(shipped_base())


def is_remote(model: str) -> bool:
    """Whether a model's name is an Inspect id: no folder, and it begins with the name of a provider."""
    if model.startswith((HUB, ".", "/", "~")) or Path(model).exists():
        return False
    from alignment_prism.calls.endpoint import is_provider

    return is_provider(model)
