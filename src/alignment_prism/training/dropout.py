"""Switching noise off, whatever an architecture calls it.

In DPO policy and reference must be the same function before the first step. Architectures keep probabilities of
dropout in modules (`torch.nn.Dropout`), in attributes of their layers (`attention_dropout`), and in their config, which
some read at every call. All of them have `drop` in their names. Routers of experts draw noise in training where an
attribute with `jitter` in its name is not 0.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import torch


def disable_dropout(model: Any) -> Callable[[], None]:
    """Set every probability of dropout to 0: of modules, of their attributes and of the configs they read.

    Routers with noise compute as they do in evaluation, for good. Their jitter is left as it is: PhiMoE's also decides
    which experts are weighed against one another, with and without noise.

    Returns:
        A function that gives the configs back what they had, so that a saved model is what it was in that respect.
    """
    changed: list[tuple[Any, str, float]] = []
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name in _probabilities(module):
            vars(module)[name] = 0.0
        if any("jitter" in name and value for name, value in vars(module).items()):
            module.eval()
            module.train = types.MethodType(_stay, module)
    for config in _configs(model):
        for name in _probabilities(config):
            changed.append((config, name, vars(config)[name]))
            vars(config)[name] = 0.0  # past the checks of types, which know some of them as whole numbers

    def restore() -> None:
        for config, name, value in changed:
            vars(config)[name] = value

    return restore


def _stay(module: Any, mode: bool = True) -> Any:
    """In place of `Module.train`: the module and what is in it stay in evaluation mode."""
    return module


def _probabilities(holder: Any) -> list[str]:
    """Attributes that are a probability of dropout above 0."""
    return [name for name, value in vars(holder).items() if "drop" in name and isinstance(value, float) and value > 0]


def _configs(model: Any) -> Iterator[Any]:
    """Every config that a module holds, and those within it (MPT has one for attention), each once."""
    from transformers import PretrainedConfig

    waiting = [module.config for module in model.modules() if isinstance(vars(module).get("config"), PretrainedConfig)]
    seen: set[int] = set()
    while waiting:
        config = waiting.pop()
        if id(config) not in seen:
            seen.add(id(config))
            yield config
            waiting.extend(value for value in vars(config).values() if isinstance(value, PretrainedConfig))
