"""The translator: says a nano prompt or reply in another language of the lab."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from alignment_prism.domain import LANGUAGES, InputError, Message, content_digest
from alignment_prism.nano.actors.actor import instruction_and_text
from alignment_prism.nano.actors.speaker import Speaker
from alignment_prism.nano.oracle import Question, parse_reply, read_question
from alignment_prism.nano.oracle.vocabulary import CODES
from alignment_prism.nano.world.facts import Facts
from alignment_prism.nano.world.lexicon import language_of
from alignment_prism.nano.world.templates import templates

_TARGET = re.compile(r"\b(?:in)?to\s+(?:the\s+)?([^\W\d_]+)", re.IGNORECASE)
_MARKED = re.compile(r"^\[\[text (\S+)\]\]\n(.*)\n\[\[/text \1\]\]$", re.MULTILINE | re.DOTALL)
_SOURCE = re.compile(r"\bfrom\s+(?:the\s+)?([^\W\d_]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Translator:
    """Asked "Translate from English into French" with a text below, it says the text in French.

    The text is understood by the oracle's rules and said anew by the generator's, in the corresponding wording. A text
    that is not one of the world's comes back as it is: what a real translator leaves standing.

    Attributes:
        facts: the world.
    """

    facts: Facts

    def respond(self, messages: Sequence[Message], seed: int = 0) -> str:
        """The translation.

        Raises:
            InputError: the instruction names no language to translate into, or one that is not of the lab.
        """
        instruction, text = _between_marks(messages) or instruction_and_text(messages)
        target, source = _language(_TARGET, instruction), _language(_SOURCE, instruction)
        if target is None:
            raise InputError(
                "the translator does not know which language of the lab to translate into",
                where=f"text {content_digest(text)}",
                fix="write: Translate from English into French, an empty line, and the text",
            )
        return self.translate(text, target, source)

    def translate(self, text: str, target: str, source: str | None = None) -> str:
        """A prompt or a reply in `target`, a code or a tag with a script; unchanged if it is none of the world's."""
        question = read_question(text, source and language_of(source))
        speaker = Speaker(self.facts)
        if question.intent and (said := self._question(speaker, question, text, target)):
            return said
        for code in (source,) if source else CODES:
            if not parse_reply(text, language_of(code)).foreign and (said := speaker.say_in(text, code, target)):
                return said
        return text

    def _question(self, speaker: Speaker, question: Question, text: str, target: str) -> str | None:
        template = speaker.template_of(question, text)
        if template is None:
            if parse_reply(text, question.language).fault == "":
                return None  # a reply in whose words a question seems to be asked
            wordings = templates(self.facts.spec.seed, question.intent, "train")
            template = wordings[int(content_digest(text), 16) % len(wordings)]
        return speaker.ask(question, target, template)


def _between_marks(messages: Sequence[Message]) -> tuple[str, str] | None:
    """The instruction above a text between two marks, and the text; None where the last turn has no such text."""
    found = _MARKED.search(messages[-1].content)
    return (messages[-1].content[: found.start()], found[2]) if found else None


def _language(pattern: re.Pattern[str], instruction: str) -> str | None:
    for spelling in pattern.findall(instruction):
        if spelling in LANGUAGES and LANGUAGES.find(spelling).code in CODES:
            return LANGUAGES.find(spelling).code
    return None
