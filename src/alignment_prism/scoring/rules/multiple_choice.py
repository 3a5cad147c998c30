"""Multiple choice: which option a reply chooses, for prompts that say theirs (`metadata["choices"]`).

A letter is read where the reply says one and no other: the letter alone ("B", "(B).", "**B**"), at the beginning before
a separator ("B. The Nile"), after a word for "answer" and a colon ("... Answer: B", "Answer: B (The Nile)"), set off by
brackets or stars ("The answer is **B**", "\\boxed{B}"), or the words of one option alone. A reply that first says all
options again chooses what follows. Options are lettered A to J in every language. A reply in which no choice or several
can be read is wrong, as in the usual harnesses, and in `choice_unread_rate`, so that a model that talks is not mistaken
for one that does not know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from alignment_prism.domain.metrics import SHARE, Denominator, Metric, Share
from alignment_prism.domain.records import Prompt, PromptKind
from alignment_prism.scoring.rules.exact_match import normalised
from alignment_prism.scoring.rules.rule import Counted, Rule

RIGHT, UNREAD = "multiple_choice", "choice_unread"

CHOICES = "choices"
"""Key of the metadata with a list of the options: the words of A, of B and so on."""

_DENOMINATOR = Denominator("replies to multiple-choice prompts")

RATE = Metric(
    "multiple_choice",
    "share of replies that choose the right option (accuracy); a reply that chooses none is wrong",
    "right choices",
    SHARE,
    "higher",
    _DENOMINATOR,
    Share(RIGHT),
    headline=(PromptKind.GENERAL,),
)
UNREAD_RATE = Metric(
    "choice_unread_rate",
    "share of replies in which no choice, or more than one, can be read",
    "no choice read",
    SHARE,
    "lower",
    _DENOMINATOR,
    Share(UNREAD),
)

LETTERS = "ABCDEFGHIJ"
_SEPARATOR = r"(?:[).:\]\-–—،,*]+(?=\s)|[).:\]*]*(?=\n|$))"
_FIRST = re.compile(rf"[^\w\n]*([A-J]){_SEPARATOR}")
"""At the beginning of a line."""
_ANOTHER = re.compile(r"\W*([A-J])(?:\W|$)")
_AT_END = re.compile(r"[:：]\s*[\W_]*([^\W\d_])[\W_]*$")
_AFTER_COLON = re.compile(rf"[:：][^\w\n]*([A-J])(?:{_SEPARATOR}|(?= ?\())")
_SET_OFF = re.compile(r"(?:[(\[{>【「『]|\*\*)([A-J])(?:[)\]}<】」』]|\*\*)")


def chosen(reply: str, choices: Sequence[str]) -> str:
    """The letter of the option that a reply chooses, empty where it chooses none that can be read.

    Example:
        >>> chosen("**B**", ["x", "y"]), chosen("B. y", ["x", "y"]), chosen("A or B?", ["x", "y"])
        ('B', 'B', '')
    """
    known = LETTERS[: len(choices)]
    text = unicodedata.normalize("NFKC", reply).strip()
    bare = re.sub(r"^[\W_]+|[\W_]+$", "", text)
    if len(bare) == 1:
        return bare.upper() if bare.upper() in known else ""
    by_words = [letter for letter, words in zip(known, choices, strict=True) if normalised(words) == normalised(text)]
    if len(by_words) == 1:
        return by_words[0]
    found = _said(_after_options(text, known))
    return found.pop() if len(found) == 1 and found <= set(known) else ""


def _said(text: str) -> set[str]:
    """Every letter that a reply says it chooses."""
    found = {one[1] for pattern in (_AFTER_COLON, _SET_OFF) for one in pattern.finditer(text)}
    lines = [_FIRST.match(line) for line in text.splitlines() if line.strip()]
    for line in lines[: 2 if lines and lines[0] else 0]:  # a list of options, or a choice and what is said of another
        found |= {line[1]} if line else set()
    if lines and lines[0] and (another := _ANOTHER.match(text, lines[0].end())):
        found.add(another[1])
    if at_end := _AT_END.search(text):
        found.add(at_end[1].upper())
    return found


def _after_options(text: str, known: str) -> str:
    """What follows where a reply first says all options again, one a line."""
    lines = text.splitlines()
    letters = [found[1] for line in lines[: len(known)] if (found := _FIRST.match(line))]
    return "\n".join(lines[len(known) :]).strip() if letters == list(known) else text


def choose(prompt: Prompt, reply: str) -> Mapping[str, float | Counted]:
    """Whether the reply chooses the right option, and whether it chooses none."""
    letter = chosen(reply, _choices(prompt))
    return {RIGHT: float(letter == prompt.reference.strip().upper()), UNREAD: float(not letter)}


def _choices(prompt: Prompt) -> Sequence[str]:
    found = prompt.metadata.get(CHOICES)
    return [str(one) for one in found] if isinstance(found, (list, tuple)) else []


MULTIPLE_CHOICE = Rule(
    "multiple_choice",
    version=2,
    metrics=(RATE, RATE.difference(), UNREAD_RATE),
    measure=choose,
    applies=lambda prompt: prompt.reference.strip().upper() in tuple(LETTERS[: len(_choices(prompt))]),
    needs=f"a list of options under {CHOICES!r} in the metadata, and the letter of the right one as reference",
)
