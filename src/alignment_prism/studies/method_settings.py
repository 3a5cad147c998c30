"""Training settings of a spec: a preset, or keys laid over one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from alignment_prism.io.yaml import overlay
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
    below = _preset(name, MethodConfig.written_as()) if name in presets() else load_config(name)
    return overlay(below.model_dump(), own)


@lru_cache
def _preset(name: str, sections: type[BaseModel]) -> MethodConfig:
    """A preset as long as the sections are the same: methods of other packages come and go in a process."""
    return load_config(name)
