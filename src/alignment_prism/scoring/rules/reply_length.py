"""Length of replies, in characters and in words.

Characters are code points after composition (NFC), white space at the ends not counted: an accent typed as a sign of
its own makes no reply longer. Words are what stands between white space; of a reply mostly in a script that is written
without spaces between words (Han, kana, Thai, Lao, Khmer, Myanmar, Tibetan) no words are counted. Lengths in
different languages are not comparable with each other, an arm's and base's in the same language are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from alignment_prism.domain.metrics import Denominator, Mean, Metric, Unit
from alignment_prism.domain.records import Prompt
from alignment_prism.domain.scripts import script_counts
from alignment_prism.scoring.rules.rule import Counted, Rule

CHARACTERS, WORDS = "reply_length", "reply_words"

UNSPACED = {"Hani", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"}
"""ISO 15924 codes of scripts without spaces between words."""

LENGTH = Metric(
    "reply_length",
    "mean number of characters of a reply",
    "characters",
    Unit("characters", low=0.0),
    None,
    Denominator("replies"),
    Mean(CHARACTERS),
)
WORD_COUNT = Metric(
    "reply_words",
    "mean number of words of a reply, in scripts that have spaces between words",
    "words",
    Unit("words", low=0.0),
    None,
    Denominator("replies in scripts with spaces between words"),
    Mean(WORDS),
)


def lengths(prompt: Prompt, reply: str) -> Mapping[str, float | Counted]:
    """Number of characters and, where there are spaces between words, of words."""
    text = unicodedata.normalize("NFC", reply).strip()
    found: dict[str, float | Counted] = {CHARACTERS: float(len(text))}
    counts = script_counts(text)
    if 2 * sum(counts.get(script, 0) for script in UNSPACED) <= sum(counts.values()):
        found[WORDS] = float(len(text.split()))
    return found


REPLY_LENGTH = Rule(
    "reply_length",
    version=1,
    metrics=(LENGTH, LENGTH.difference(), WORD_COUNT, WORD_COUNT.difference()),
    measure=lengths,
)
