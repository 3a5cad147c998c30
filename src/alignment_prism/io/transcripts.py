r"""Transcripts of hh-rlhf (arXiv 2204.05862): turns after `\n\nHuman:` and `\n\nAssistant:`.

Chosen and rejected are whole transcripts that share everything but the last reply. In the real data a few do not:
some end with an empty turn, some with two turns of the assistant, and in some the transcripts part before the last
turn. A preference between replies to different conversations is none, so such rows are refused, each with its
reason.
"""

from __future__ import annotations

import re

from alignment_prism.domain import Message, Messages, Role
from alignment_prism.io.problems import FieldError

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": Role.USER, "Assistant": Role.ASSISTANT}


def is_transcript(value: object) -> bool:
    """Whether a text begins as a transcript does."""
    return isinstance(value, str) and value.startswith("\n\nHuman:")


def turns_of_transcript(value: str, name: str) -> Messages:
    """The turns of a transcript; the one blank after each colon is not part of the text.

    Two turns of one speaker in a row, as a handful of real rows have, stay two turns.

    Raises:
        FieldError: there is text before the first turn.
    """
    pieces = _TURN.split(value)
    if pieces[0]:
        raise FieldError(name, value, "text before the first turn", "begin the transcript with '\\n\\nHuman:'")
    speakers, texts = pieces[1::2], pieces[2::2]
    return tuple(
        Message(_ROLES[speaker], text.removeprefix(" ")) for speaker, text in zip(speakers, texts, strict=True)
    )


def split_transcripts(chosen: str, rejected: str) -> tuple[Messages, str, str]:
    """The conversation that two transcripts share, and the two replies that end them.

    Raises:
        FieldError: a transcript does not end with a reply, the replies answer different conversations, or the shared
            conversation does not end with the user's turn.
    """
    sides = {"chosen": turns_of_transcript(chosen, "chosen"), "rejected": turns_of_transcript(rejected, "rejected")}
    for name, turns in sides.items():
        if turns[-1].role is not Role.ASSISTANT:
            fix = "end the transcript with the assistant's reply"
            raise FieldError(name, turns[-1].content, "the last turn is not the assistant's", fix)
        if not turns[-1].content.strip():
            raise FieldError(name, turns[-1].content, "the last turn is empty", "give both sides a reply")
    shared, other = sides["chosen"][:-1], sides["rejected"][:-1]
    if shared != other:
        fix = "let both transcripts share everything but the last reply"
        raise FieldError("rejected", rejected, "chosen and rejected answer different conversations", fix)
    if not shared or shared[-1].role is not Role.USER:
        raise FieldError("chosen", chosen, "no turn of the user before the reply", "begin with a turn of the user")
    return shared, sides["chosen"][-1].content, sides["rejected"][-1].content
