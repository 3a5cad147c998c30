"""Frozen weights in four bits beside adapters: QLoRA (Dettmers et al. 2023, arXiv 2305.14314), by bitsandbytes.

**It has not been run**: bitsandbytes computes on GPUs, and none was there. What is tested is that it is refused where
it cannot be, and what transformers is asked for.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from alignment_prism.domain import InputError, TrainingError


def check_quantised(bits: int | None) -> None:
    """Find out before any work whether weights can be held in so many bits.

    Raises:
        TrainingError: bitsandbytes is not installed.
        InputError: there is no CUDA GPU, or the launcher spreads the weights over processes.
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
    import torch

    from alignment_prism.training.devices import is_sharded

    if not torch.cuda.is_available() or is_sharded():
        raise InputError(
            "weights in four bits need a CUDA GPU that holds all of them",
            where=where,
            fix="leave the key out: adapters on weights in bfloat16 train on CPUs and in shards too",
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
