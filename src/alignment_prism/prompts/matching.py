"""Which prompt a row of somebody else's file is about: by its id, by its own text, never by one against the other."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from alignment_prism.domain import Prompt, content_digest


def folded(text: str) -> str:
    """A text for comparison: NFC, runs of white space as one blank, none at the edges."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def text_digest(text: str) -> str:
    """Eight digits that name a text in a message, which never shows it."""
    return content_digest(folded(text))[:8]


class PromptIndex:
    """Prompts by id and by text.

    Args:
        prompts: ids must differ.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self.by_id = {prompt.id: prompt for prompt in prompts}
        self._by_text: dict[str, list[Prompt]] = {}
        for prompt in prompts:
            self._by_text.setdefault(folded(prompt.text), []).append(prompt)

    def with_text(self, text: str, language: str = "") -> list[Prompt]:
        """The prompts that say just this, in their order.

        Args:
            text: white space aside.
            language: only those in this language; empty for any.
        """
        same = self._by_text.get(folded(text), []) if text.strip() else []
        return [prompt for prompt in same if language in ("", prompt.language)]

    def contradiction(self, prompt_id: str, text: str) -> str:
        """Why a row's own text cannot be that of the prompt that it names by its id; empty where it can.

        It can where both are equal, and where the prompt stands within a longer text that is no other prompt's: a
        template or examples before it.

        Args:
            prompt_id: one of the prompts.
            text: that the row has as its prompt; empty where it has none.
        """
        own, given = folded(self.by_id[prompt_id].text), folded(text)
        others = self._by_text.get(given)
        if not given or own == given or (others is None and own and own in given):
            return ""
        other = f"prompt {others[0].id}" if others else "another one"
        digests = f"(digests of the texts: {text_digest(own)} and {text_digest(given)})"
        return f"the row names prompt {prompt_id} by its id and {other} by its text {digests}"
