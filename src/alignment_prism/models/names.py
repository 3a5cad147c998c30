"""What a user may name as a model or a judge, and what is found out about the name before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alignment_prism.domain import Prompt

HUB = "hub:"
"""Prefix that makes a name a Hub id even if it begins like an Inspect provider's."""
NANO = "nano"
"""Name of the model that ships, wherever a model is asked for; a folder of that name is ./nano."""


def found_model(model: str) -> str:
    """The model as the engines take it: a folder for the name of the one that ships, else what it is."""
    if model != NANO:
        return model
    from alignment_prism.nano import load_base

    return str(load_base())


def check_judge(judge: str, judge_url: str, prompts: Sequence[Prompt]) -> None:
    """Find out before any work what is wrong with a judge's id or address; nothing is called.

    Raises:
        InputError: a nano judge does not know the prompts.
        ModelError: the address is missing or none.
    """
    from alignment_prism.calls.endpoint import Endpoint
    from alignment_prism.scoring.judge import check_judge

    check_judge(judge, prompts)
    Endpoint(judge, judge_url).check_address()


def is_remote(model: str) -> bool:
    """Whether a model's name is an Inspect id: no folder, and it begins with the name of a provider."""
    if model.startswith((HUB, ".", "/", "~")) or Path(model).exists():
        return False
    from alignment_prism.calls.endpoint import is_provider

    return is_provider(model)
