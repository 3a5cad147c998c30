"""Which layers of a model can have a low-rank adapter."""

from __future__ import annotations

import random
import re
from typing import Any

from alignment_prism.domain import InputError
from alignment_prism.training.settings import AdapterConfig


def check_targets(model: Any, config: AdapterConfig | None) -> None:
    """Refuse targets that would not be trained, or not as they are used.

    The output embedding is one: only completion tokens see it, through its weights alone, past an adapter. So is an
    input embedding that shares its weights with it: merged, the adapter would change both.

    Raises:
        InputError: the targets name such an embedding, or nothing in the model.
    """
    if config is None or isinstance(config.targets, str):
        return
    where = "key training.adapter.targets"
    output, words = model.get_output_embeddings(), model.get_input_embeddings()
    tied = output is not None and getattr(output, "weight", None) is words.weight
    named = dict(model.named_modules())
    for target in config.targets:
        matches = [module for name, module in named.items() if name == target or name.endswith(f".{target}")]
        if not matches:
            layers = {name.rpartition(".")[2] for name, module in named.items() if _is_linear(module, output)}
            raise InputError(
                f"no layer of the model is called {target!r}",
                where=where,
                fix=f"take all-linear, or some of {', '.join(sorted(layers))}",
            )
        if any(one is output or (tied and one is words) for one in matches):
            raise InputError(
                f"{target!r} is {'an embedding that the output shares' if tied else 'the output embedding'}, "
                "which cannot have an adapter",
                where=where,
                fix="leave it out of the targets, or train all weights (training.adapter: null)",
            )


def names_in_drawn_layers(model: Any, config: AdapterConfig, seed: int) -> list[str]:
    """The layers that get an adapter where only some of the model's layers do, drawn by the seed; whole names.

    Raises:
        InputError: more layers are wanted than there are, or none has such a target.
    """
    count = model.config.get_text_config().num_hidden_layers
    where = "key training.adapter.layers"
    if config.layers is None or config.layers > count:
        raise InputError(f"adapters in {config.layers} of {count} layers", where=where, fix=f"give 1 to {count}")
    drawn = set(random.Random(f"layers with adapters:{seed}").sample(range(count), config.layers))
    output = model.get_output_embeddings()
    found = []
    for name, module in model.named_modules():
        number = re.search(r"\.(?:layers|h|blocks)\.(\d+)\.", f".{name}.")
        wanted = isinstance(config.targets, str) or name.rpartition(".")[2] in config.targets
        if number and int(number[1]) in drawn and wanted and _is_linear(module, output):
            found.append(name)
    if not found:
        raise InputError("no layer that could have an adapter was found by its number", where=where, fix="leave it out")
    return found


def _is_linear(module: Any, output: Any) -> bool:
    from torch.nn import Linear

    return module is not output and (isinstance(module, Linear) or type(module).__name__ == "Conv1D")
