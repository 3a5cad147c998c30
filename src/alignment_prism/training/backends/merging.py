"""Adding an adapter to the weights of its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alignment_prism.training.base_model import load_model


def merged_model(base: Path, adapter: Path, precision: str) -> Any:
    """The base in a folder with an adapter added to its weights, in the memory of this process.

    Args:
        base: folder of the model that the adapter was trained on.
        adapter: folder that PEFT wrote.
        precision: of the training: the base's weights are held as that held them.

    Raises:
        ModelError: transformers cannot load the base.
    """
    from peft import PeftModel

    model = load_model(base, precision, "eager", frozen=True)
    return PeftModel.from_pretrained(model, adapter, trust_remote_code=False).merge_and_unload()
