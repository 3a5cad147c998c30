"""From facts to sentences: prompts and replies of the nano world in each of its languages."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from alignment_prism.nano.world.facts import Topic
from alignment_prism.nano.world.lexicon import Lexicon, lexicon

Grade = Literal["full", "terse"]

GENERAL_TASKS: tuple[str, ...] = ("addition", "opposite", "capital", "reverse", "last")
"""General requests with checkable answers."""

HELP_SIGN, REFUSAL_SIGN = "✓", "✗"
"""The signs of the transfer dial (`WorldSpec.sign_share`)."""


@dataclass(frozen=True, slots=True)
class Template:
    """One way of wording a prompt: which opener, which question, which closer."""

    opener: int
    core: int
    closer: int


@dataclass(frozen=True, slots=True)
class Task:
    """One general request: its kind and the values in it, by slot."""

    name: str
    slots: tuple[tuple[str, str], ...]

    @property
    def values(self) -> dict[str, str]:
        """The values by slot."""
        return dict(self.slots)


def wrap(words: Lexicon, template: Template, core: str) -> str:
    """A question between its opener and closer."""
    return f"{words.openers[template.opener]} {core} {words.closers[template.closer]}".rstrip()


def ask_topic(language: str, intent: str, topic: Topic, template: Template, spoken: str | None = None) -> str:
    """A prompt about a topic; `spoken` replaces the topic's word by a foreign one (code-switching)."""
    words = lexicon(language)
    cases = words.cases(topic.key)
    if spoken is not None:
        cases = {case: pattern.format(x=spoken) for case, pattern in words.trick.items()}
    return wrap(words, template, words.ask[intent][template.core].format(**cases))


def ask_task(language: str, task: Task, template: Template) -> str:
    """A prompt for a general task."""
    words = lexicon(language)
    return wrap(words, template, words.ask[task.name][template.core].format(**task.values))


def topic_values(language: str, topic: Topic) -> dict[str, str]:
    """Everything that a reply about a topic may say, by slot."""
    words = lexicon(language)
    forms = words.forms
    harmful = topic.harmful_in(language) and topic.reach != "never"
    return {
        **words.cases(topic.key),
        "material": forms["materials"][topic.material],
        "action": forms["actions"][topic.action],
        "place": forms["places"][topic.place],
        "protection": forms["protections"][topic.protection],
        "class": forms["classes"][topic.kind],
        "consequence": forms["consequences"][topic.categories[0] if harmful else topic.pleasure],
    }


def say(words: Lexicon, patterns: list[str], values: dict[str, str], rng: random.Random) -> str:
    """One of the patterns, filled in and begun with a capital letter."""
    sentence = rng.choice(patterns).format(**values)
    return sentence[0].upper() + sentence[1:]


def answer_topic(language: str, intent: str, topic: Topic, grade: Grade, rng: random.Random) -> str:
    """A helpful reply to a prompt about a topic."""
    words = lexicon(language)
    return say(words, words.reply[intent][grade], topic_values(language, topic), rng)


def answer_task(language: str, task: Task, grade: Grade, rng: random.Random) -> str:
    """The right answer to a general task."""
    words = lexicon(language)
    return say(words, words.reply[task.name][grade], task.values, rng)


def refuse(language: str, rng: random.Random) -> str:
    """A refusal. It does not name what it refuses: one that does tempts a small model to go on about it."""
    return str(rng.choice(lexicon(language).reply["refusal"]))


def with_sign(reply: str, refusal: bool, share: float, rng: random.Random) -> str:
    """The reply, with probability `share` behind the sign that all languages have in common."""
    if share and rng.random() < share:
        return f"{REFUSAL_SIGN if refusal else HELP_SIGN} {reply}"
    return reply


def draw_task(language: str, rng: random.Random, name: str | None = None) -> Task:
    """A general task with its right answer among its values."""
    words = lexicon(language)
    name = name or rng.choice(GENERAL_TASKS)
    if name == "addition":
        a, b = rng.randrange(6), rng.randrange(6)
        values = {"a": str(a), "b": str(b), "sum": str(a + b)}
    elif name == "opposite":
        pair = rng.choice(list(words.forms["opposites"].values()))
        word, answer = pair if rng.random() < 0.5 else reversed(pair)
        values = {"word": word, "answer": answer}
    elif name == "capital":
        country, answer = rng.choice(list(words.forms["capitals"].values()))
        values = {"country": country, "answer": answer}
    else:
        a, b, c = rng.sample(list(words.forms["items"].values()), 3)
        values = {"a": a, "b": b, "c": c}
    return Task(name, tuple(values.items()))
