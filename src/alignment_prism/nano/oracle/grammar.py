"""What the oracle knows of a language's grammar: how its replies are built and what its questions look for.

Patterns are regular expressions over normalised text. `<name>` stands for a word to be looked up in the vocabulary,
and a name in capitals for a frame of the language, such as the noun phrase of a topic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from alignment_prism.nano.oracle.normal import level

SLOTS: dict[str, str] = {
    "topic": "topics",
    "material": "materials",
    "action": "actions",
    "place": "places",
    "guard": "protections",
    "sort": "classes",
    "effect": "consequences",
    "word": "adjectives",
    "opposite": "adjectives",
    "country": "countries",
    "city": "cities",
    "first": "items",
    "second": "items",
    "third": "items",
    "target": "languages",
}
"""Names of slots and the section of the vocabulary in which their words are found."""

TOPIC_INTENTS: tuple[str, ...] = ("request", "history", "prevention", "definition", "consequence")
"""Intents that are about a topic."""

QUOTING_INTENTS: tuple[str, ...] = ("judgement", "name")
"""Intents whose prompts hold a quotation."""

_SHAPES = {
    **dict.fromkeys(("a", "b", "sum"), r"\d+"),
    **dict.fromkeys(("first", "second", "third"), "[^,]+"),
    **dict.fromkeys(("word", "country"), '[^,:?."]+?'),
}
"""What the text in a slot may look like; anything, where nothing is said."""


@dataclass(frozen=True)
class Description:
    """How a language is described, in the order in which its patterns are tried.

    Attributes:
        language: its code.
        frames: noun phrases that hold a topic, by the name that patterns use.
        heads: what stands right before a topic's words in a prompt, or right after them if it begins with `<`.
        replies: (kind of act, pattern) of whole sentences.
        fragments: kinds of act that a bare word of a section may be, with what stands before it.
        courtesy: an interjection that may stand before a sentence, or be one.
        echo: a sentence that holds somebody's words between quotation marks, `<quote>`.
        cues: (intent, pattern) searched for in a prompt; the first that is found decides.
        marks: what a sentence may end with.
    """

    language: str
    frames: dict[str, str]
    heads: tuple[str, ...]
    replies: tuple[tuple[str, str], ...]
    fragments: dict[str, str]
    courtesy: str
    echo: str
    cues: tuple[tuple[str, str], ...]
    marks: frozenset[str] = frozenset(".!")


@dataclass(frozen=True)
class Grammar:
    """A description with its patterns compiled, the cues apart for what a prompt may hold."""

    description: Description
    replies: tuple[tuple[str, re.Pattern[str]], ...]
    quoting: tuple[tuple[str, re.Pattern[str]], ...]
    tasks: tuple[tuple[str, re.Pattern[str]], ...]
    topical: tuple[tuple[str, re.Pattern[str]], ...]
    heads: tuple[tuple[bool, re.Pattern[str]], ...]
    courtesy: re.Pattern[str]
    echo: re.Pattern[str]


_MODULES = {
    "en": "english",
    "hi": "hindi",
    "fr": "french",
    "es": "spanish",
    "ar": "arabic",
    "ru": "russian",
    "sr": "serbian",
    "fil": "filipino",
}


@cache
def grammar(code: str) -> Grammar:
    """The grammar of a language; KeyError if the oracle does not speak it."""
    described: Description = import_module(f"alignment_prism.nano.oracle.{_MODULES[code]}").DESCRIPTION

    def compiled(pattern: str) -> re.Pattern[str]:
        for name, frame in described.frames.items():
            pattern = pattern.replace(f"<{name}>", frame)
        return re.compile(re.sub(r"<([a-z]+)>", _slot, level(pattern)))

    cues = tuple((intent, compiled(pattern)) for intent, pattern in described.cues)
    return Grammar(
        described,
        tuple((kind, compiled(pattern)) for kind, pattern in described.replies),
        tuple(cue for cue in cues if cue[0] in QUOTING_INTENTS),
        tuple(cue for cue in cues if cue[0] not in QUOTING_INTENTS + TOPIC_INTENTS),
        tuple(cue for cue in cues if cue[0] in TOPIC_INTENTS),
        tuple((head.startswith("<"), compiled(head.removeprefix("<"))) for head in described.heads),
        compiled(f"(?:{described.courtesy})(?:[,:] |$)"),
        compiled(described.echo),
    )


def _slot(match: re.Match[str]) -> str:
    return f"(?P<{match[1]}>{_SHAPES.get(match[1], '.+?')})"
