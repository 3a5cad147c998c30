"""Training settings of a spec: a preset, or keys laid over one."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from alignment_prism.io.yaml import overlay
from alignment_prism.training.methods import METHODS
from alignment_prism.training.settings import DEFAULT_PRESET, MethodConfig, load_config, presets


def training_of(training: str | dict[str, Any]) -> dict[str, Any]:
    """The settings, those of the preset included.

    Args:
        training: name of a preset; or keys of `MethodConfig`, with the name of their preset under `preset`.

    Raises:
        InputError: there is no such preset.
    """
    own = {"preset": training} if isinstance(training, str) else dict(training)
    name = own.pop("preset", DEFAULT_PRESET)
    below = _preset(name, _declared()) if name in presets() else load_config(name)
    return overlay(below.model_dump(), own)


def _declared() -> tuple[Hashable, ...]:
    """The sections that there are, and what they say where the settings say nothing."""
    return MethodConfig.written_as(), *(one.model_dump_json() for one in METHODS.sections().values())


@lru_cache
def _preset(name: str, declared: tuple[Hashable, ...]) -> MethodConfig:
    """A preset as long as the same is declared: methods come, change and go in a process, as in a notebook."""
    return load_config(name)
