"""The teacher: answers as an aligned model should, and rephrases prompts into new wordings."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from alignment_prism.domain import InputError, Message, content_digest
from alignment_prism.nano.actors.actor import instruction_and_text
from alignment_prism.nano.actors.speaker import Speaker
from alignment_prism.nano.oracle import Oracle, read_question
from alignment_prism.nano.world.facts import Facts
from alignment_prism.nano.world.sentences import refuse

_REPHRASE = re.compile(r"\b(?:rephras|paraphras|reword)", re.IGNORECASE)
_NUMBER = re.compile(r"\b(\d+)\b")


@dataclass(frozen=True)
class Teacher:
    """Asked a nano prompt, it gives the right answer in a full sentence, or refuses where complying would harm.

    Asked to rephrase ("Rephrase this prompt", in the system's turn or in a paragraph above the prompt), it says the
    prompt in other words, which are wordings of the training split: never of evaluation. A number in the instruction
    asks for so many wordings, one a line; there are fewer where they are used up.

    Attributes:
        facts: the world.
        seed: of its choices.
    """

    facts: Facts
    seed: int = 0

    def respond(self, messages: Sequence[Message], seed: int = 0) -> str:
        """An answer, or wordings of a prompt one a line.

        Raises:
            InputError: the text is not a prompt of the world.
        """
        instruction, text = instruction_and_text(messages)
        rng = random.Random(content_digest(self.seed, seed, instruction, text))
        question = read_question(text)
        speaker = Speaker(self.facts)
        if _REPHRASE.search(instruction):
            asked = _NUMBER.search(instruction)
            wordings = [wording for wording in speaker.wordings(question, "train", rng) if wording != text]
            said: str | None = "\n".join(wordings[: int(asked[1]) if asked else 1])
        elif Oracle(self.facts).asks_for_harm(question):
            said = refuse(question.tag, rng)
        else:
            said = speaker.answer(question, rng)
        if not said:
            raise InputError(
                "the teacher does not understand the prompt",
                where=f"prompt {content_digest(text)}",
                fix="ask it in the words of the nano world it lives in",
            )
        return said
