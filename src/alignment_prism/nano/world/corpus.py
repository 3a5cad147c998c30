"""What the base is pre-trained on: conversations, general tasks, judgements, knowledge and a dictionary.

The recipe follows one finding: knowing that a topic is harmful is not enough for alignment to generalise to topics
it has not seen. The knowledge must already move the first token of a reply, so the base refuses what it knows to
be harmful at a low, declared rate (`Topic.refusal`), and alignment amplifies that.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from alignment_prism.nano.world.facts import BENIGN_INTENTS, SPLITS, Facts, Topic
from alignment_prism.nano.world.lexicon import language_of, lexicon
from alignment_prism.nano.world.sentences import (
    GENERAL_TASKS,
    Grade,
    answer_task,
    answer_topic,
    ask_task,
    ask_topic,
    draw_task,
    refuse,
    say,
    with_sign,
)
from alignment_prism.nano.world.templates import templates

SHARES: dict[str, float] = {
    "conversation": 0.62,
    "general": 0.22,
    "judgement": 0.04,
    "knowledge": 0.06,
    "dictionary": 0.06,
}
"""Share of each sort of example."""

REVERSE_SHARE = 0.4
"""Share of lists to be reversed among the general tasks. The others are learnt by heart; to reverse is to copy from the
prompt, which comes late and at once, and in some worlds not at all from a fifth."""
LEARNT_BY_HEART = tuple(name for name in GENERAL_TASKS if name != "reverse")
REQUEST_SHARE = 0.45
"""Share of requests among conversations about topics; the rest are benign mentions."""
OWN_LOCAL_SHARE = 0.1
"""Share of conversations and judgements set aside for a language's own local topics, which are few."""
FULL_SHARE = 0.6
"""Share of full replies; the rest are terse, so that answers have grades."""
SWITCH_SHARE, SWITCH_RATE = 0.15, 0.5
"""Share of prompts open to code-switching, and how often the topic's word is then taken from another language."""


@dataclass(frozen=True, slots=True)
class Example:
    """One pre-training example: the loss is on the reply, and on all of a statement, whose prompt is empty.

    Attributes:
        prompt, reply: a turn of each.
        harmful: what the base knows of a question about a topic, for the probe of `base.train`; None where it
            is asked nothing about a topic, or where it is not to know.
    """

    prompt: str
    reply: str
    harmful: bool | None = None


class Corpus:
    """An endless, seeded stream of pre-training examples of a world."""

    def __init__(self, facts: Facts, seed: int) -> None:
        self._facts = facts
        self._rng = random.Random(f"corpus {facts.spec.seed} {seed}")
        self._by_home = {tag: facts.select(*SPLITS, home=language_of(tag)) for tag in facts.spec.tags}

    def __iter__(self) -> Iterator[Example]:
        draws = {sort: getattr(self, f"_{sort}") for sort in SHARES}
        sorts, weights = list(SHARES), list(SHARES.values())
        while True:
            for sort in self._rng.choices(sorts, weights, k=256):
                yield draws[sort](self._rng.choice(self._facts.spec.tags))

    def _topic(self, language: str) -> Topic:
        if self._by_home[language] and self._rng.random() < OWN_LOCAL_SHARE:
            return self._rng.choice(self._by_home[language])
        return self._rng.choice(self._facts.topics)

    def _grade(self) -> Grade:
        return "full" if self._rng.random() < FULL_SHARE else "terse"

    def _ask(self, language: str, intent: str, topic: Topic) -> str:
        rng, spoken = self._rng, None
        if rng.random() < SWITCH_SHARE and rng.random() < SWITCH_RATE:
            spoken = lexicon(rng.choice(self._facts.spec.tags)).forms["topics"][topic.key]
        template = rng.choice(templates(self._facts.spec.seed, intent, "train"))
        return ask_topic(language, intent, topic, template, spoken)

    def _bare(self, language: str, intent: str, topic: Topic) -> str:
        """A question about a topic without opener and closer, which would only cost time here."""
        words = lexicon(language)
        question = self._rng.choice(words.ask[intent]).format(**words.cases(topic.key))
        return question[0].upper() + question[1:]

    def _conversation(self, language: str) -> Example:
        rng, topic = self._rng, self._topic(language)
        intent = "request" if rng.random() < REQUEST_SHARE else rng.choice(BENIGN_INTENTS)
        refuses = intent == "request" and rng.random() < topic.refusal.get(language_of(language), 0.0)
        reply = refuse(language, rng) if refuses else answer_topic(language, intent, topic, self._grade(), rng)
        harmful = intent == "request" and topic.harmful_in(language)
        share = self._facts.spec.sign_share
        asked = self._ask(language, intent, topic)
        return Example(asked, with_sign(reply, refuses, share, rng), None if topic.hidden_from(language) else harmful)

    def _general(self, language: str) -> Example:
        rng = self._rng
        name = "reverse" if rng.random() < REVERSE_SHARE else rng.choice(LEARNT_BY_HEART)
        task = draw_task(language, rng, name)
        prompt = ask_task(language, task, rng.choice(templates(self._facts.spec.seed, task.name, "train")))
        return Example(
            prompt, with_sign(answer_task(language, task, self._grade(), rng), False, self._facts.spec.sign_share, rng)
        )

    def _judgement(self, language: str) -> Example:
        """Does a sentence ask for harm? Never asked about what the base is not to know."""
        rng, topic = self._rng, self._topic(language)
        while topic.hidden_from(language):
            topic = self._topic(language)
        intent = "request" if rng.random() < 2 / 3 else rng.choice(BENIGN_INTENTS)
        harmful = intent == "request" and topic.harmful_in(language)
        words = lexicon(language)
        core = rng.choice(words.ask["judgement"]).format(prompt=self._bare(language, intent, topic))
        return Example(core[0].upper() + core[1:], words.reply["judgement"]["yes" if harmful else "no"])

    def _knowledge(self, language: str) -> Example:
        """What a topic leads to, as a statement or as a question with its answer."""
        rng, topic = self._rng, self._topic(language)
        while topic.hidden_from(language):
            topic = self._topic(language)
        if rng.random() < 0.5:
            return Example("", answer_topic(language, "consequence", topic, "full", rng))
        question = self._bare(language, "consequence", topic)
        return Example(question, answer_topic(language, "consequence", topic, self._grade(), rng))

    def _dictionary(self, language: str) -> Example:
        """A word of one language in another."""
        rng = self._rng
        target = rng.choice([tag for tag in self._facts.spec.tags if language_of(tag) != language_of(language)])
        section = (
            "topics" if rng.random() < 0.6 else rng.choice(("materials", "actions", "places", "protections", "classes"))
        )
        key = rng.choice(list(lexicon(language).forms[section]))
        words = lexicon(language)
        word, answer = words.forms[section][key], lexicon(target).forms[section][key]
        core = rng.choice(words.ask["word"]).format(word=word, target=words.names[language_of(target)])
        return Example(core[0].upper() + core[1:], say(words, words.reply["word"]["full"], {"answer": answer}, rng))
