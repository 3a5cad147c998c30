"""Identifiers of prompts, and exact duplicates found in bounded memory.

An identifier is the source's own or a digest of language and conversation. Two rows that say the same are both
kept, under different identifiers and in one group, and the second is noted.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from alignment_prism.domain import Pair, Prompt, content_digest
from alignment_prism.io.problems import FieldError

Note = Callable[[FieldError], None]

SAME_PAIR = "the same pair again; kept"
"""Note on a pair that a set has twice."""

_FIRST_SLOTS = 1 << 10
_FULL = 0.6


class DigestSet:
    """A set of 64-bit digests in a flat array: about 13 to 27 bytes an entry, where Python's set takes over 90.

    Two different texts share a digest with probability n^2 / 2^65 for n texts (3e-7 for 3.5 million).
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FIRST_SLOTS))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, digest: int) -> bool:
        """Adds a digest; True where it was there already."""
        digest = digest or 1  # 0 marks an empty slot
        slots = self._slots
        mask = len(slots) - 1
        place = digest & mask
        while found := slots[place]:
            if found == digest:
                return True
            place = (place + 1) & mask
        slots[place] = digest
        self._count += 1
        if self._count > _FULL * len(slots):
            self._grow()
        return False

    def _grow(self) -> None:
        old = self._slots
        slots = array("Q", bytes(8 * 2 * len(old)))
        mask = len(slots) - 1
        for digest in old:
            if digest:
                place = digest & mask
                while slots[place]:
                    place = (place + 1) & mask
                slots[place] = digest
        self._slots = slots


class Identities:
    """Gives every record of a set its own identifier."""

    def __init__(self) -> None:
        self._texts = DigestSet()
        self._ids = DigestSet()
        self._copies: Counter[str] = Counter()

    def prompt(self, prompt: Prompt, note: Note) -> Prompt:
        """The prompt with an identifier that no other of the set has."""
        content = content_digest(prompt.language, [turn.as_dict() for turn in prompt.messages])
        identity = prompt.id or content
        if self._texts.add(int(content, 16)):
            note(FieldError("prompt", prompt.text, "the same prompt again; kept, in one group", "take one out"))
        # The first of two that say the same cannot know of the second, so the group must follow from the content.
        group = prompt.group or ("" if identity == content else content)
        own = self._own(identity, prompt.id, note)
        return replace(prompt, id=own, group=group or ("" if own == content else content))

    def pair(self, pair: Pair, note: Note) -> Pair:
        """The pair with an identifier that no other of the set has."""
        turns = [turn.as_dict() for turn in pair.messages]
        content = content_digest(pair.language, turns, pair.chosen, pair.rejected)
        identity = pair.id or content
        if self._texts.add(int(content, 16)):
            note(FieldError("chosen", pair.chosen, SAME_PAIR, "take one out"))
        return replace(pair, id=self._own(identity, pair.id, note))

    def _own(self, identity: str, given: str, note: Note) -> str:
        if not self._ids.add(int(content_digest(identity), 16)):
            return identity
        if given:
            note(FieldError("id", given, "an id that occurs before; a number was added", "give every row its own id"))
        while True:
            self._copies[identity] += 1
            numbered = f"{identity}-{self._copies[identity] + 1}"
            if not self._ids.add(int(content_digest(numbered), 16)):
                return numbered
