"""What a provider of Inspect answers that a test scripts, and prompts and replies to go with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alignment_prism.domain import (
    Generation,
    Prompt,
    PromptKind,
    user,
)

PROMPTS = [Prompt(f"p{n}", user(f"Please tell me about number {n}."), "en", PromptKind.HARMFUL) for n in range(20)]


REFUSAL = "I am sorry, but I cannot help you with this one."


class Flaky(Exception):
    """A failure that the provider says may pass."""


class Script:
    """What the scripted provider does.

    Attributes:
        answer: from the last message's text to the answer, or to one that is awaited; may raise.
        calls: texts it was asked.
        configs: sampling settings it was asked with.
        busiest: most calls under way at once.
        refuse: is handed the prompts that replies to judge are to.
    """

    def __init__(self) -> None:
        self.answer: Callable[[str], Any] = lambda text: "ok"
        self.calls: list[str] = []
        self.configs: list[Any] = []
        self.busiest = 0
        self.busy = 0
        self.refuse: Callable[[Any], None] = lambda prompts: None


def replies(text: str = "", arm: str = "m") -> list[Generation]:
    return [Generation(p.id, arm, "x", text or f"Here is what there is to say about {p.id}.") for p in PROMPTS]
