"""Exact match: accuracy for prompts with a reference answer, without a judge.

Reply and reference are equal if they are so after normalisation: compatibility forms (NFKC, so that full-width digits
and letters are ordinary ones), decimal digits of every script as 0 to 9, case folded, punctuation and backticks at
either end taken off (a minus before a number stays, and so do signs such as + and $), white space as single blanks.
Nothing is searched for within a reply: "The answer is 4." is not "4", so ask for the answer alone, or have a judge say
what is `correct`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from alignment_prism.domain.metric_table import CHECKABLE_PROMPTS
from alignment_prism.domain.metrics import SHARE, Metric, Share
from alignment_prism.domain.records import Prompt, PromptKind
from alignment_prism.scoring.rules.rule import Counted, Rule

SCORE = "exact_match"

RATE = Metric(
    "exact_match",
    "share of replies that equal the reference answer after normalisation (accuracy by exact match)",
    "exact match",
    SHARE,
    "higher",
    CHECKABLE_PROMPTS,
    Share(SCORE),
    headline=(PromptKind.GENERAL,),
)


def normalised(text: str) -> str:
    """The text as it is compared.

    Example:
        >>> normalised("  The  Nile. "), normalised("٤٢"), normalised("-4")
        ('the nile', '42', '-4')
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    text = " ".join(text.split())
    return _without_ends(text) or text


def _without_ends(text: str) -> str:
    """Without the punctuation around it; a minus before a number belongs to the number."""
    text = text.replace("\u2212", "-")
    start, end = 0, len(text)
    while start < end and _is_outer(text[start]) and not (text[start] == "-" and text[start + 1 : start + 2].isdigit()):
        start += 1
    while end > start and _is_outer(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_outer(character: str) -> bool:
    return character in " `" or unicodedata.category(character).startswith("P")


def match(prompt: Prompt, reply: str) -> Mapping[str, float | Counted]:
    """1 if the reply is the reference answer, else 0."""
    return {SCORE: float(normalised(reply) == normalised(prompt.reference))}


EXACT_MATCH = Rule(
    "exact_match",
    version=1,
    metrics=(RATE, RATE.difference()),
    measure=match,
    applies=lambda prompt: bool(prompt.reference),
    needs="a reference answer",
)
