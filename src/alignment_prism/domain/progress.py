"""How work that takes long reports how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as work gets on, cheaply and often: units done, units in all, and a few words about them."""

    def __call__(self, done: int, total: int, words: str = "", /) -> None: ...
