"""Records without their texts: placeholders that are as long, and tell the same replies apart, as the texts do.

What an analysis reads of a text is whether two replies are the same, how long they are, and whether there is any.
A placeholder keeps these three, so that the ordinary analysis runs on it and gives the same numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from alignment_prism.domain import Comparison, Generation, InputError, Message, Prompt, Score, content_digest
from alignment_prism.evaluation.cells import ABOUT
from alignment_prism.evaluation.norms import NORM_KEYS
from alignment_prism.prompts.translations import TRANSLATED_FROM
from alignment_prism.prompts.variants import VARIANT_OF

WITHHELD = "withheld"
LONGEST = 60
"""Characters of a label; what is longer is a text."""
FIRST, LAST = 0xF0000, 0xFFFFD
"""Characters for private use: the first of a placeholder says which reply to its prompt it stands for."""


@dataclass
class Withheld:
    """Replaces texts, and remembers what each was committed to.

    Attributes:
        key: secret of whoever seals; with it the commitments can be opened.
        commitments: rows of (prompt, reply digest of the placeholder or empty for the prompt, commitment).
    """

    key: bytes
    commitments: list[tuple[str, str, str]] = field(default_factory=list)
    _numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    _digests: dict[tuple[str, str], str] = field(default_factory=dict)

    def commitment(self, prompt_id: str, text: str) -> str:
        """SHA-256 of a text with a salt of its own, which nobody can guess who does not have the key."""
        plain = text.encode("utf-8", "surrogatepass")
        about = json.dumps([prompt_id, hashlib.sha256(plain).hexdigest()]).encode()
        return hashlib.sha256(hmac.new(self.key, about, hashlib.sha256).digest() + plain).hexdigest()

    def prompt(self, prompt: Prompt) -> Prompt:
        """The same without its conversation, its expected answer and what its source says besides."""
        text = json.dumps([(turn.role.value, turn.content) for turn in prompt.messages], ensure_ascii=False)
        self.commitments.append((prompt.id, "", self.commitment(prompt.id, text)))
        messages = tuple(Message(turn.role, f"{WITHHELD} {prompt.id}") for turn in prompt.messages)
        source = PurePath(prompt.source.partition("@")[0]).stem
        reference = WITHHELD if prompt.reference else ""
        # What numbers are made from: findings name some, and of norms it is read only which prompts are about the same.
        about = {
            name: prompt.metadata[name] for name in (*ABOUT, TRANSLATED_FROM, VARIANT_OF) if name in prompt.metadata
        }
        for name in NORM_KEYS:
            if norm := prompt.metadata.get(name):
                about[name] = self.commitment(name, str(norm))
        return replace(prompt, messages=messages, reference=reference, source=source, metadata=about)

    def reply(self, reply: Generation) -> Generation:
        """The same with a placeholder for its text.

        Raises:
            InputError: there are too many replies to one prompt to tell them apart.
        """
        numbers = self._numbers.setdefault(reply.prompt_id, {})
        number = FIRST + numbers.setdefault(reply.reply_digest, len(numbers))
        if number > LAST:
            raise InputError(f"{len(numbers)} replies to prompt {reply.prompt_id}", fix="seal parts of the study")
        text = (chr(number) + "." * (len(reply.reply) - 1)) if reply.reply else ""
        made = replace(reply, reply=text, error=WITHHELD if reply.error else "")
        if (reply.prompt_id, reply.reply_digest) not in self._digests:
            self._digests[reply.prompt_id, reply.reply_digest] = made.reply_digest
            found = self.commitment(reply.prompt_id, reply.reply)
            self.commitments.append((reply.prompt_id, made.reply_digest, found))
        return made

    def score(self, score: Score) -> Score:
        """The same without the scorer's own words; counts that numbers are made from stay."""
        known = self._digests.get((score.prompt_id, score.reply_digest))
        digest = known or content_digest(WITHHELD, self.commitment(score.prompt_id, score.reply_digest))
        raw = score.raw if not score.rubric and _is_counts(score.raw) else ""  # what answers a rubric may say anything
        label = score.label if _is_label(score.label) else WITHHELD
        return replace(score, reply_digest=digest, raw=raw, label=label, error=WITHHELD if score.error else "")

    def comparison(self, comparison: Comparison) -> Comparison:
        """The same without the judge's words."""
        return replace(comparison, raw="", error=WITHHELD if comparison.error else "")


def all_of(withheld: Withheld, records: Sequence[object]) -> list[object]:
    """Records of one table, without their texts."""
    ways = {
        Prompt: withheld.prompt,
        Generation: withheld.reply,
        Score: withheld.score,
        Comparison: withheld.comparison,
    }
    return [ways[type(record)](record) for record in records]  # type: ignore[operator]


def _is_label(label: str) -> bool:
    """Whether a score's label is a word, or a list of names of categories, and no text."""
    return label.isascii() and all(len(part) <= LONGEST and part.isprintable() for part in label.split(", "))


def _is_counts(raw: str) -> bool:
    """Whether words of a scorer are numbers alone, under names of one word."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict) or not all(name.isidentifier() and name.isascii() for name in found):
        return False
    values = found.values()
    plain = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return bool(plain) and all(isinstance(one, (int, float)) for one in plain)
