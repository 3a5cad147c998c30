"""Prompts with the replies of every arm, to look at: folded away, or left out of the file altogether."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from alignment_prism.domain import LANGUAGES, content_digest

BUDGET = 3_500_000
"""Bytes that the texts of a page may take, so that it stays below six million."""

LENGTHS = (4_000, 2_000, 1_000, 500, 250, 100, 40)
"""Characters of a text that are shown: as many as the budget allows."""

LONGEST_NAME = 60
"""Characters of an id or a category where texts are left out; what is longer may be the text itself."""

_UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
"""What turns the direction of writing, or cannot be seen or stand on a page; line feeds and tabs may."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one arm replied, and what that was judged to be.

    Attributes:
        arm: its name.
        text: the reply; None where it is left out.
        outcome: that is counted.
        disputed: whether scorers see it differently.
        length: of the reply in characters.
    """

    arm: str
    text: str | None
    outcome: str
    disputed: bool = False
    length: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt with replies to look at.

    Attributes:
        id: of the prompt.
        language: code.
        kind: of the prompt.
        prompt: the conversation; None where it is left out.
        replies: of the arms, base first.
        scope: of the harm; empty where there is none.
        subset: of the prompts.
        categories: of the harm.
    """

    id: str
    language: str
    kind: str
    prompt: str | None
    replies: tuple[Reply, ...]
    scope: str = ""
    subset: str = ""
    categories: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What it is, in words that harm nobody."""
        parts = (self.kind.replace("_", " "), self.subset, self.scope, self.language)
        return ", ".join(part for part in parts if part)

    @property
    def differs(self) -> bool:
        """Whether arms differ in the outcome."""
        return len({reply.outcome for reply in self.replies}) > 1

    @property
    def disputed(self) -> bool:
        """Whether scorers differ on any reply."""
        return any(reply.disputed for reply in self.replies)

    @property
    def direction(self) -> str:
        """Which way its texts run."""
        return direction(self.language)


def redacted(samples: Sequence[Sample]) -> list[Sample]:
    """The same without any prompt or reply; outcomes and lengths stay, and of names those that are no texts."""
    return [
        replace(
            one,
            id=_name(one.id),
            subset=_name(one.subset),
            categories=tuple(map(_name, one.categories)),
            prompt=None,
            replies=tuple(replace(reply, text=None) for reply in one.replies),
        )
        for one in samples
    ]


def _name(text: str) -> str:
    """A name; its digest where it is as long as a text, or has more than one line."""
    return text if len(text) <= LONGEST_NAME and text.isprintable() else f"sha256:{content_digest(text)[:16]}"


def shown(samples: Sequence[Sample], budget: int = BUDGET) -> list[Sample]:
    """Texts as a page shows them: whatever they hold, they are text, and together they fit into a budget of bytes."""
    made = list(samples)
    for length in LENGTHS:
        made = [_as_shown(one, length) for one in samples]
        if bytes_of(made) <= budget:
            break
    return made


def _as_shown(sample: Sample, length: int) -> Sample:
    replies = tuple(
        reply if reply.text is None else replace(reply, text=visible(reply.text, length)) for reply in sample.replies
    )
    return replace(sample, prompt=None if sample.prompt is None else visible(sample.prompt, length), replies=replies)


def visible(text: str, length: int) -> str:
    r"""A text whose marks that turn the direction of writing, and other unseen characters, are written out.

    Args:
        text: whatever somebody wrote.
        length: characters to keep.

    Example:
        >>> visible("abc\u202edef\x1b[2J", 100)
        'abc⟨U+202E⟩def⟨U+001B⟩[2J'
    """
    rest = f" … [{len(text) - length:,} characters more in the file of replies]" if len(text) > length + 60 else ""
    return _UNSEEN.sub(_named, text[:length] if rest else text) + rest


def direction(language: str) -> str:
    """`rtl` for a language written from right to left, `auto` for one we do not know, else `ltr`."""
    if language not in LANGUAGES:
        return "auto"
    return "rtl" if LANGUAGES.find(language).rtl else "ltr"


def _named(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found.group()):04X}⟩"


def bytes_of(samples: Sequence[Sample]) -> int:
    """Bytes that texts take on a page, with what stands around each."""
    texts = [text or "" for one in samples for text in (one.prompt, *(reply.text for reply in one.replies))]
    return sum(len(text.encode("utf-8", "replace")) + 120 for text in texts)
