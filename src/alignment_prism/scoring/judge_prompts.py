"""What a judge is shown, and how to read it back.

A case is written with delimiters that no prompt and no reply can forge: each carries a tag, a digest of all that
stands between them.

    [[case 1f2e3d4c5b6a7988 rubric=standalone@2 language=hi]]
    [[system 1f2e3d4c5b6a7988]]
    (a turn of the conversation; turns come in their order, as `system`, `user` or `assistant`)
    [[/system 1f2e3d4c5b6a7988]]
    [[user 1f2e3d4c5b6a7988]]
    (the last turn is the user's)
    [[/user 1f2e3d4c5b6a7988]]
    [[reference 1f2e3d4c5b6a7988]]
    (the expected answer; left out where the prompt has none)
    [[/reference 1f2e3d4c5b6a7988]]
    [[reply 1f2e3d4c5b6a7988]]
    (the reply; in a comparison two blocks, `reply_a` and `reply_b`)
    [[/reply 1f2e3d4c5b6a7988]]
    [[/case 1f2e3d4c5b6a7988]]

Texts stand between the delimiters unchanged, so `parse_rendered` is the exact inverse: a scripted judge (the nano
oracle) reads by it what a real one reads with its own eyes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.messages import Message, Messages, Role
from alignment_prism.domain.records import Prompt, content_digest
from alignment_prism.scoring.rubric import Rubric

_HEADER = re.compile(r"\[\[case ([0-9a-f]{16}) rubric=(\S+) language=([^\s\]]+)\]\]\n")


@dataclass(frozen=True, slots=True)
class Case:
    """What a judge is shown.

    Attributes:
        rubric: id of the rubric that is asked for.
        language: code of the prompt's language.
        messages: the conversation, its last turn the user's.
        replies: the reply; two of them, A and B, in a comparison.
        reference: the expected answer, empty if there is none.
        tag: of the case, which a verdict repeats.
    """

    rubric: str
    language: str
    messages: Messages
    replies: tuple[str, ...]
    reference: str = ""
    tag: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """The last user turn."""
        return next((turn.content for turn in reversed(self.messages) if turn.role is Role.USER), "")


def render(rubric: Rubric, prompt: Prompt, *replies: str) -> Messages:
    """The conversation that asks a judge about `replies` (one, or A and B for a pairwise rubric) to `prompt`.

    Raises:
        ValueError: the rubric takes another number of replies.
    """
    if len(replies) != rubric.replies:
        raise ValueError(f"rubric {rubric.id} takes {rubric.replies} replies, not {len(replies)}")
    blocks = [(turn.role.value, turn.content) for turn in prompt.messages]
    if prompt.reference:
        blocks.append(("reference", prompt.reference))
    names = ("reply",) if len(replies) == 1 else ("reply_a", "reply_b")
    blocks += zip(names, replies, strict=True)
    tag = content_digest(rubric.id, prompt.language, blocks)
    body = "\n".join(f"[[{name} {tag}]]\n{text}\n[[/{name} {tag}]]" for name, text in blocks)
    case = f"[[case {tag} rubric={rubric.id} language={prompt.language}]]\n{body}\n[[/case {tag}]]"
    return (
        Message(Role.SYSTEM, rubric.system.strip()),
        Message(Role.USER, rubric.user.strip().replace("{case}", case)),
    )


def case_of(text: str) -> tuple[str, str]:
    """Tag and text of the case in what `render` wrote; no tag and the whole text where there is none."""
    header = _HEADER.search(text)
    if header is None:
        return "", text
    end = text.rfind(f"[[/case {header[1]}]]")
    return header[1], text[header.end() : end if end >= 0 else None]


def parse_rendered(text: str) -> Case:
    """Read back the case from the user message that `render` wrote.

    Raises:
        InputError: the text holds no case.
    """
    header = _HEADER.search(text)
    if header is None:
        raise InputError("the message holds no case", fix="write it with alignment_prism.scoring.judge_prompts.render")
    tag, rubric, language = header.groups()
    blocks = re.findall(rf"\[\[(\w+) {tag}\]\]\n(.*?)\n\[\[/\1 {tag}\]\]", text[header.end() :], flags=re.DOTALL)
    turns = tuple(Message(Role(name), content) for name, content in blocks if name in tuple(Role))
    replies = tuple(content for name, content in blocks if name in ("reply", "reply_a", "reply_b"))
    if not turns or not replies:
        raise InputError(
            "the case lacks a turn or a reply", fix="write it with alignment_prism.scoring.judge_prompts.render"
        )
    reference = next((content for name, content in blocks if name == "reference"), "")
    return Case(rubric, language, turns, replies, reference, tag)
