"""Frozen weights in four bits beside adapters: QLoRA (Dettmers et al. 2023, arXiv 2305.14314), by bitsandbytes.

Its kernels for CPUs are what it was run with: **on a GPU it has not been run yet**.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from alignment_prism.domain import InputError, TrainingError


def check_quantised(bits: int | None) -> None:
    """Find out before any work whether weights can be held in so many bits.

    Raises:
        TrainingError: bitsandbytes is not installed.
        InputError: the launcher spreads the weights over processes.
    """
    if bits is None:
        return
    where = "key training.adapter.bits"
    if find_spec("bitsandbytes") is None:
        raise TrainingError(
            "weights in four bits need the package bitsandbytes, which is not installed",
            where=where,
            fix="pip install 'alignment-prism[qlora]', or leave the key out: adapters on weights in bfloat16",
        )
    from alignment_prism.training.devices import is_sharded

    if is_sharded():
        raise InputError(
            "weights in four bits cannot be spread over processes",
            where=where,
            fix="leave the key out: adapters on weights in bfloat16 train in shards too",
        )


def quantisation(bits: int | None) -> Any:
    """What transformers is asked for: NF4, constants quantised too, products in bfloat16; None for None."""
    if bits is None:
        return None
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def keep_trainable(model: Any) -> None:
    """Keep weights in four bits as they are where nothing is trained for a moment, as for references.

    On CPUs that compute bfloat16 bitsandbytes packs a layer for speed at its first forward pass in evaluation, and
    leaves it so: gradients through it are then wrong, and layers are refused whose widths are no multiples of 32.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
