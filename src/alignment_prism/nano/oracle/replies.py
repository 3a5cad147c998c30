"""What a reply says: its sentences as acts, in whichever language each of them is well formed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from alignment_prism.nano.oracle.grammar import SLOTS, grammar
from alignment_prism.nano.oracle.normal import SIGNS, fold, mixes_scripts, normalise, sentences
from alignment_prism.nano.oracle.vocabulary import CODES, vocabulary

MOST_SENTENCES = 6
"""A reply of more sentences than this rambles: no question of the lab takes half as many."""


@dataclass(frozen=True, slots=True)
class Act:
    """What one sentence does.

    Attributes:
        kind: `steps`, `refusal`, `origin`, `guard`, `sort`, `effect`, `sum`, `opposite`, `capital`, `reverse`,
            `last`, `yes`, `no`, `name`, `courtesy` or `echo`.
        values: concept (or digits, or words) by slot.
        full: a sentence of its own and not a fragment.
    """

    kind: str
    values: tuple[tuple[str, str], ...] = ()
    full: bool = True

    def get(self, slot: str) -> str | None:
        """What stands in a slot, None where the sentence does not have it."""
        for name, value in self.values:
            if name == slot:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Speech:
    """A parsed reply.

    Attributes:
        fault: why it is no complete, well-formed reply; empty if it is one.
        foreign: the languages of sentences that are well formed, but not in the language asked for.
        sentences: for each well-formed sentence, the acts that it may be (a bare word may be several).
    """

    fault: str = ""
    foreign: tuple[str, ...] = ()
    sentences: tuple[tuple[Act, ...], ...] = ()


def parse_reply(reply: str, language: str) -> Speech:
    """Parse a reply to somebody who speaks `language`."""
    text = normalise(reply)
    if text[:1] in SIGNS:
        text = text[1:].lstrip()
    if not text:
        return Speech(fault="empty")
    parts = sentences(text)
    fault = "repeats itself" if len(set(parts)) < len(parts) else "rambles" if len(parts) > MOST_SENTENCES else ""
    acts, foreign = [], []
    for body, mark in dict.fromkeys(parts[:MOST_SENTENCES]):
        found, spoken = _in_some_language(body, mark, language)
        if not found:
            fault = fault or ("not a sentence of any language" if mark else "cut in mid-sentence")
            continue
        acts.append(found)
        if spoken != language:
            foreign.append(spoken)
    return Speech(fault, tuple(dict.fromkeys(foreign)), tuple(acts))


def _in_some_language(body: str, mark: str, language: str) -> tuple[tuple[Act, ...], str]:
    found = parse_sentence(body, mark, language)
    if found:
        return found, language
    for other in CODES:
        if other != language and (found := parse_sentence(body, mark, other)):
            return found, other
    return (), ""


@lru_cache(maxsize=100_000)
def parse_sentence(body: str, mark: str, language: str) -> tuple[Act, ...]:
    """The acts that a normalised sentence may be in a language, none where it is not well formed in it."""
    rules = grammar(language)
    if mark not in rules.description.marks or not body or (language == "sr" and mixes_scripts(body)):
        return ()
    body = fold(body, language)
    if '"' in body and (echo := rules.echo.fullmatch(body)):
        return (Act("echo"), *_quoted(echo["quote"], language))
    acts = _plain(body, language)
    if not acts and (lead := rules.courtesy.match(body)):
        rest = body[lead.end() :]
        acts = _plain(rest, language) if rest else (Act("courtesy"),)
    return acts


def _quoted(text: str, language: str) -> tuple[Act, ...]:
    """Acts within a quotation: what is said there is said, whoever is quoted."""
    acts: list[Act] = []
    for body, mark in sentences(text):
        acts += parse_sentence(body, mark or ".", language)
    return tuple(acts)


def _plain(body: str, language: str) -> tuple[Act, ...]:
    slots = vocabulary(language).slots
    acts = list(_fragments(language).get(body, ()))
    if body.isdigit():
        acts.append(Act("sum", (("sum", str(int(body))),), full=False))
    for kind, pattern in grammar(language).replies:
        match = pattern.fullmatch(body)
        if match is None:
            continue
        values = []
        for name, text in match.groupdict().items():
            if text is None:
                continue
            section = SLOTS.get(name)
            value = slots[section].get(text) if section else str(int(text)) if text.isdigit() else text
            if value is None:
                break
            values.append((name, value))
        else:
            return (*acts, Act(kind, tuple(values), full=_is_full(kind, body, values)))
    return tuple(acts)


def _is_full(kind: str, body: str, values: list[tuple[str, str]]) -> bool:
    if kind == "steps":
        return values[0][0] == "topic"
    return kind != "reverse" or ":" in body


_FRAGMENT_SLOTS = {
    "origin": ("place", "places"),
    "guard": ("guard", "protections"),
    "sort": ("sort", "classes"),
    "effect": ("effect", "consequences"),
    "opposite": ("opposite", "adjectives"),
    "capital": ("city", "cities"),
    "last": ("third", "items"),
}


@lru_cache(maxsize=len(CODES))
def _fragments(language: str) -> dict[str, tuple[Act, ...]]:
    """Every bare phrase that is an answer by itself, and what it may answer."""
    found: dict[str, tuple[Act, ...]] = {}
    for kind, before in grammar(language).description.fragments.items():
        slot, section = _FRAGMENT_SLOTS[kind]
        for text, key in vocabulary(language).slots[section].items():
            body = normalise(before + text) if before else text
            found[body] = (*found.get(body, ()), Act(kind, ((slot, key),), full=False))
    return found
