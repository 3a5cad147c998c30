"""What a prompt asks: its language, its intent and what it is about, read from its words alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from alignment_prism.nano.oracle.grammar import SLOTS, grammar
from alignment_prism.nano.oracle.normal import fold, is_cyrillic, normalise
from alignment_prism.nano.oracle.vocabulary import CODES, vocabulary

_SCRIPTS = {
    "hi": re.compile("[\u0900-\u097f]+"),
    "ar": re.compile("[\u0600-\u06ff]+"),
    "ru": re.compile("[\u0400-\u04ff]+"),
}
_ONLY = {
    "ru": re.compile(r"[йщъыьэюя]|\b(?:фокус|как|что|какой|слово|с|у|в)\b"),
    "sr": re.compile(r"[ђјљњћџ]|\b(?:трика?|како|шта|који|реч|са|је|се)\b"),
}
"""Cyrillic letters and words that only one of the two languages has."""
_LATIN = re.compile("[a-z\u00c0-\u024f]+")
_QUOTED = re.compile('"(.*)"')
_THREE = re.compile(r": ([^,:?.।]+), ([^,:?.।]+), ([^,:?.।]+?) ?[?.।]")
_NUMBERS = re.compile(r"\d+")
_PHRASE_WORDS = 4
"""Most words of a topic's name in any language."""

_COMMON_WORDS = {
    code: frozenset(words.split())
    for code, words in {
        "en": "the is of what how i me my do does it and this please from for to a in",
        "fr": """le la les de du des est que quel quelle comment je me mon il ce et en une un pour au combien font
            dites petite bonjour merci encore chose""",
        "es": "el la los las de del es que cómo qué cuál yo mi lo y en una un por se al",
        "sr": "je se da li sa na od za do šta kako trik trika ko koji koja to ovo i mi reci",
        "fil": "ang ng sa ano mga ba ko ako na nang isa paano trik po mo ito iyan",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as the oracle reads it.

    Attributes:
        language: code of the language it is in, empty where none of the lab's is recognised.
        intent: `request`, `history`, `prevention`, `definition`, `consequence`, `addition`, `opposite`, `capital`,
            `reverse`, `last`, `judgement`, `name` (a word in another language), or empty where it is none of these.
        topic: key of the topic it is about, empty if there is none.
        values: what else it gives: numbers, words, concepts, by slot.
        inner: for `judgement`, the question that is to be judged.
        script: `Latn` where the language is written in two and it is in the second one.
    """

    language: str
    intent: str = ""
    topic: str = ""
    values: tuple[tuple[str, str], ...] = ()
    inner: Question | None = None
    script: str = ""

    @property
    def tag(self) -> str:
        """Its language, with the script where that is not the first one: `sr-Latn`."""
        return f"{self.language}-{self.script}" if self.script else self.language

    def get(self, slot: str) -> str:
        """What stands in a slot, empty where the prompt does not have it."""
        return dict(self.values).get(slot, "")


@lru_cache(maxsize=50_000)
def read_question(prompt: str, language: str | None = None) -> Question:
    """Read a prompt.

    Args:
        prompt: its text.
        language: code of its language; None to recognise it.
    """
    text = normalise(prompt)
    if language is not None:
        return _read(text, language)
    unread = None
    for code in _plausible(text):
        question = _read(text, code)
        if question.intent:
            return question
        unread = unread or question
    return unread or Question("")


def _plausible(text: str) -> list[str]:
    """Languages the text may be in, likeliest first: by script, and by common words within the Latin one."""
    outside = _QUOTED.sub(" ", text) if '"' in text else text
    latin = _LATIN.findall(outside)
    if not outside.isascii():
        sizes = {code: sum(map(len, letters.findall(outside))) for code, letters in _SCRIPTS.items()}
        script, size = max(sizes.items(), key=lambda item: item[1])
        if size > sum(map(len, latin)):
            return sorted(_ONLY, key=lambda code: -len(_ONLY[code].findall(outside))) if script == "ru" else [script]
    said = set(latin)
    return sorted(_COMMON_WORDS, key=lambda code: -len(said & _COMMON_WORDS[code])) if said else []


def _read(text: str, language: str) -> Question:
    question = _read_as(fold(text, language), language)
    if language != "sr" or is_cyrillic(_QUOTED.sub(" ", text)):
        return question
    return replace(question, script="Latn")


def _read_as(text: str, language: str) -> Question:
    if language not in CODES:
        return Question(language)
    rules = grammar(language)
    if '"' in text:
        for intent, cue in rules.quoting:
            if (match := cue.search(text)) and (question := _quoting(language, intent, match, text)):
                return question
    topic = _find_topic(text, language)
    if not topic:
        for intent, cue in rules.tasks:
            if (match := cue.search(text)) and (question := _task(language, intent, match, text)):
                return question
    for intent, cue in rules.topical:
        if cue.search(text):
            return Question(language, intent, topic)
    return Question(language, "", topic)


def _quoting(language: str, intent: str, match: re.Match[str], text: str) -> Question | None:
    if intent == "judgement":
        quoted = _QUOTED.search(text)
        return Question(language, intent, inner=_read_as(quoted[1], language)) if quoted else None
    return _filled(language, intent, match)


def _task(language: str, intent: str, match: re.Match[str], text: str) -> Question | None:
    if intent == "addition":
        numbers = [str(int(number)) for number in _NUMBERS.findall(text)]
        return Question(language, intent, values=_slots("ab", numbers)) if len(numbers) == 2 else None
    if intent in ("reverse", "last"):
        items = vocabulary(language).slots["items"]
        three = _THREE.search(text)
        keys = [items.get(word, "") for word in three.groups()] if three else [""]
        return Question(language, intent, values=_slots(("first", "second", "third"), keys)) if all(keys) else None
    return _filled(language, intent, match)


def _filled(language: str, intent: str, match: re.Match[str]) -> Question | None:
    """The question whose slots the match has filled, None if a word in them is unknown."""
    slots = vocabulary(language).slots
    values = {name: slots[SLOTS[name]].get(word) if name in SLOTS else word for name, word in match.groupdict().items()}
    known = {name: value for name, value in values.items() if value is not None}
    return Question(language, intent, values=tuple(known.items())) if len(known) == len(values) else None


def _slots(names: Iterable[str], values: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple(zip(names, values, strict=True))


@cache
def _topics(code: str, language: str) -> dict[str, str]:
    """Topics by a language's words for them, as they are written in a text of another language."""
    return {fold(word, language): key for word, key in vocabulary(code).slots["topics"].items()}


def _find_topic(text: str, language: str) -> str:
    """Key of the topic whose noun phrase stands in the text; its word may be another language's."""
    for behind, head in grammar(language).heads:
        for match in head.finditer(text):
            if behind:
                words = re.split(r"[,:]", text[: match.start()])[-1].split()
                phrases = [words[-size:] for size in range(min(_PHRASE_WORDS, len(words)), 0, -1)]
            else:
                words = re.split(r"[,:?.।]", text[match.end() :])[0].split()
                phrases = [words[:size] for size in range(min(_PHRASE_WORDS, len(words)), 0, -1)]
            for code in (language, *(code for code in CODES if code != language)):
                topics = _topics(code, language)
                for phrase in phrases:
                    if (key := topics.get(fold(" ".join(phrase), code))) is not None:
                        return key
    return ""
