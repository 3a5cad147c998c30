"""A speaker of the nano languages: says with the generator's words what the oracle has understood.

Actors and reference policies hear through the oracle and speak through the generator, so that whatever they say is
said in the world's own sentences.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from alignment_prism.nano.oracle import Act, Question, parse_reply
from alignment_prism.nano.oracle.normal import is_cyrillic, level
from alignment_prism.nano.world.facts import Facts, Split
from alignment_prism.nano.world.lexicon import Lexicon, language_of, lexicon, tags_of
from alignment_prism.nano.world.sentences import (
    HELP_SIGN,
    REFUSAL_SIGN,
    Grade,
    Task,
    Template,
    answer_task,
    answer_topic,
    ask_task,
    ask_topic,
)
from alignment_prism.nano.world.templates import templates

_REPLY_OF: dict[str, str] = {
    "steps": "request",
    "origin": "history",
    "guard": "prevention",
    "sort": "definition",
    "effect": "consequence",
    "sum": "addition",
    "opposite": "opposite",
    "capital": "capital",
    "reverse": "reverse",
    "last": "last",
}
"""Which of the generator's replies says what an act says."""


class Speaker:
    """Asks and answers in one world.

    Args:
        facts: the world.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def answer(self, question: Question, rng: random.Random, grade: Grade = "full") -> str | None:
        """The right, helpful answer to a question, harmful or not; None if it is not one about topics or tasks."""
        topic = self.facts.by_key.get(question.topic)
        if topic is not None and question.intent in ("request", "history", "prevention", "definition", "consequence"):
            return answer_topic(question.tag, question.intent, topic, grade, rng)
        task = self.task(question, question.tag)
        if task is not None:
            return answer_task(question.tag, task, grade, rng)
        if question.intent == "judgement" and question.inner is not None:
            inner = self.facts.by_key.get(question.inner.topic)
            harmful = question.inner.intent == "request" and inner is not None and inner.harmful_in(question.language)
            return str(lexicon(question.tag).reply["judgement"]["yes" if harmful else "no"])
        return None

    def ask(self, question: Question, language: str, template: Template) -> str | None:
        """The question in a language and wording, None where the generator has no such question."""
        topic = self.facts.by_key.get(question.topic)
        if topic is not None and question.intent in lexicon(language).ask:
            return ask_topic(language, question.intent, topic, template)
        task = self.task(question, language)
        return ask_task(language, task, template) if task is not None else None

    def wordings(self, question: Question, split: Split, rng: random.Random) -> Iterator[str]:
        """Every wording of a question that belongs to a split, in random order."""
        if question.intent not in lexicon("en").ask:
            return
        choices = list(templates(self.facts.spec.seed, question.intent, split))
        rng.shuffle(choices)
        for template in choices:
            text = self.ask(question, question.tag, template)
            if text is not None:
                yield text

    def task(self, question: Question, language: str) -> Task | None:
        """The general task that a question sets, with its answer, in the words of a language."""
        words = lexicon(language).forms
        if question.intent == "addition":
            a, b = question.get("a"), question.get("b")
            return Task("addition", (("a", a), ("b", b), ("sum", str(int(a) + int(b)))))
        if question.intent == "opposite":
            key = question.get("word")
            for pair, forms in words["opposites"].items():
                if key in pair.split("/"):
                    word, answer = forms if pair.startswith(f"{key}/") else reversed(forms)
                    return Task("opposite", (("word", word), ("answer", answer)))
        if question.intent == "capital":
            country, answer = words["capitals"][question.get("country")]
            return Task("capital", (("country", country), ("answer", answer)))
        if question.intent in ("reverse", "last"):
            items = (words["items"][question.get(slot)] for slot in ("first", "second", "third"))
            return Task(question.intent, tuple(zip("abc", items, strict=True)))
        return None

    def template_of(self, question: Question, text: str) -> Template | None:
        """The wording that a text has in its language, None if it is not one of the generator's."""
        words = lexicon(question.tag)
        openers = [n for n, opener in enumerate(words.openers) if text.startswith(opener)]
        closers = [n for n, closer in enumerate(words.closers) if text.endswith(closer)]
        for core in range(len(words.ask.get(question.intent, ()))):
            for opener in openers:
                for closer in closers:
                    template = Template(opener, core, closer)
                    if self.ask(question, question.tag, template) == text:
                        return template
        return None

    def say_in(self, reply: str, source: str, target: str) -> str | None:
        """A reply in another language, sentence by sentence, in the corresponding wording.

        Either may be a tag with a script. None where a sentence is not of the source language, or says what the
        generator has no words for.
        """
        speech = parse_reply(reply, language_of(source))
        if speech.fault or speech.foreign:
            return None
        written = _written(reply, source)
        said = [self._say(acts, reply, written, target) for acts in speech.sentences]
        if None in said:
            return None
        sign = f"{reply.lstrip()[0]} " if reply.lstrip()[:1] in (HELP_SIGN, REFUSAL_SIGN) else ""
        return sign + " ".join(sentence for sentence in said if sentence is not None)

    def _say(self, acts: tuple[Act, ...], reply: str, source: str, target: str) -> str | None:
        for act in acts:
            here, there = self._patterns(act, source), self._patterns(act, target)
            original, translated = self._values(act, source), self._values(act, target)
            for number, pattern in enumerate(here):
                try:
                    said, wanted = pattern.format(**original), there[number].format(**translated)
                except (KeyError, IndexError):
                    continue
                if said.casefold() in reply.casefold():
                    return wanted[0].upper() + wanted[1:]
        return None

    @staticmethod
    def _patterns(act: Act, language: str) -> list[str]:
        replies = lexicon(language).reply
        if act.kind == "refusal":
            return list(replies["refusal"])
        if act.kind in ("yes", "no"):
            return [replies["judgement"][act.kind]]
        if act.kind not in _REPLY_OF:
            return []
        return list(replies[_REPLY_OF[act.kind]]["full" if act.full else "terse"])

    def _values(self, act: Act, language: str) -> dict[str, str]:
        """What an act says, in the generator's words and slots; a slot without a value is omitted."""
        words = lexicon(language)
        values: dict[str, str] = {}
        for slot, value in act.values:
            if slot == "topic":
                values |= words.cases(value)
            elif slot in _SECTIONS:
                name, section = _SECTIONS[slot]
                values[name] = words.forms[section][value]
            elif slot in ("word", "opposite"):
                values["word" if slot == "word" else "answer"] = _adjective(words, value)
            elif slot in ("country", "city"):
                country, city = words.forms["capitals"][value]
                values |= {"country": country} if slot == "country" else {"answer": city}
            else:
                values[slot] = value
        return values


_SECTIONS: dict[str, tuple[str, str]] = {
    "material": ("material", "materials"),
    "action": ("action", "actions"),
    "place": ("place", "places"),
    "guard": ("protection", "protections"),
    "sort": ("class", "classes"),
    "effect": ("consequence", "consequences"),
    "first": ("a", "items"),
    "second": ("b", "items"),
    "third": ("c", "items"),
}
"""The generator's slot and section for each slot of the oracle."""


def _written(reply: str, language: str) -> str:
    """The language with the script in which a reply is written, where there are two."""
    first, *second = tags_of(language_of(language))
    return second[0] if second and not is_cyrillic(level(reply)) else first


def _adjective(words: Lexicon, key: str) -> str:
    for pair, forms in words.forms["opposites"].items():
        if key in pair.split("/"):
            return str(forms[pair.split("/").index(key)])
    raise KeyError(key)
