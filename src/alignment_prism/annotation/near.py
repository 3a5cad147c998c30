"""Is a prompt that is being written nearly one that was written already, in whatever script or language?

Prompts are compared as `prompts.overlap` does. The prompts of a project are indexed once, and those that are handed in
later in a small index beside it, so that a check takes milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, select

from alignment_prism.annotation.held import Work
from alignment_prism.annotation.history import FINAL
from alignment_prism.annotation.schema import assignments, items, revisions
from alignment_prism.domain import Prompt, PromptKind, user
from alignment_prism.prompts.overlap import PromptIndex

TAIL = 200
"""Prompts in the small index before all are indexed again."""


@dataclass
class _Known:
    """The prompts of a project so far."""

    last: int = 0
    prompts: list[Prompt] = field(default_factory=list)
    indexed: int = 0
    whole: PromptIndex | None = None
    tail: PromptIndex | None = None

    def add(self, new: list[Prompt]) -> None:
        self.prompts += new
        if len(self.prompts) - self.indexed > TAIL or self.whole is None:
            self.whole, self.indexed = PromptIndex(self.prompts), len(self.prompts)
            self.tail = None
        else:
            self.tail = PromptIndex(self.prompts[self.indexed :])


_KNOWN: WeakKeyDictionary[Engine, dict[int, _Known]] = WeakKeyDictionary()
_LOCK = threading.Lock()


def near_duplicate(connection: Connection, work: Work, content: Mapping[str, Any]) -> bool:
    """Whether another prompt of the project says nearly the same."""
    written = _prompt(work.item, content)
    with _LOCK:
        known = _KNOWN.setdefault(connection.engine, {}).setdefault(work.project.id, _Known())
        query = (
            select(revisions.c.id, revisions.c.content, items.c.id.label("item"))
            .join(assignments, assignments.c.id == revisions.c.assignment)
            .join(items, items.c.id == assignments.c.item)
            .where(items.c.project == work.project.id, revisions.c.kind == FINAL, revisions.c.id > known.last)
            .order_by(revisions.c.id)
        )
        if rows := connection.execute(query).all():
            known.last = rows[-1].id
            known.add([_prompt(row.item, row.content) for row in rows])
        indices = [index for index in (known.whole, known.tail) if index is not None]
    return any(match.other != written.id for index in indices for match in index.matches([written]))


def _prompt(item: int, content: Mapping[str, Any]) -> Prompt:
    translations = {
        "semantic_translation": str(content.get("communicative", "")),
        "literal_translation": str(content.get("literal", "")),
    }
    text = str(content.get("prompt", ""))
    return Prompt(
        f"item {item}", user(text), str(content.get("language") or "und"), PromptKind.GENERAL, metadata=translations
    )
