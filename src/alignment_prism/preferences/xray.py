"""The X-ray of a preference file: can the preferred side be told without reading it, and what else is in the file.

A model that is trained on pairs learns the easiest thing that tells the sides apart. If that is the length, or who
wrote them, it learns that, and harm may stay as it was (arXiv 2504.02193, for pairs of a teacher and a student).
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, ModelError, Pair, PairKind, Prompt, PromptKind, content_digest, user
from alignment_prism.domain.refusals import OPENINGS, opens_with_refusal
from alignment_prism.preferences.cues import CUES, GENERATOR, find_cues, sides_of
from alignment_prism.preferences.separation import (
    ALL,
    FEWEST_GROUPS,
    FEWEST_PROMPTS,
    THRESHOLD,
    Separation,
    prompt_of,
    separations,
)
from alignment_prism.prompts.overlap import near_duplicates

LENGTH_RATIO = 2.0
"""Length of one side over that of the other, as a geometric mean over pairs, from which it is flagged; ours."""


COMPARED, NEAR = 300, 0.8
"""Characters of a conversation, its last ones, and their least similarity, by which near-duplicates are found: long
conversations share their beginnings."""


@dataclass(frozen=True, slots=True)
class LanguageFacts:
    """What the pairs of one language are.

    Attributes:
        language: code, or `all`.
        pairs: how many.
        prompts: different ones.
        safety: share of safety pairs.
        chosen_characters: median length of the preferred replies.
        rejected_characters: median length of the others.
        length_ratio: length of the rejected reply over that of the chosen one, geometric mean over pairs. Medians of
            lengths of two kinds, short and long, jump from one to the other by chance (`preference_thresholds.md`).
        chosen_refusals: share of preferred replies that open as refusals do; None where no such openings are known.
        rejected_refusals: of the others.
        tokens_per_character: of all replies, by the tokenizer; None without one.
        cost: that, over what English has in the same file; None without English or a tokenizer.
        too_long: share of pairs with more tokens, prompt and longer reply, than the limit; None without one.
    """

    language: str
    pairs: int
    prompts: int
    safety: float
    chosen_characters: float
    rejected_characters: float
    length_ratio: float
    chosen_refusals: float | None
    rejected_refusals: float | None
    tokens_per_character: float | None = None
    cost: float | None = None
    too_long: float | None = None


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What a file says more than once.

    Attributes:
        pairs: pairs that are there before, word for word.
        prompts: pairs whose prompt has another pair before.
        contradictions: pairs whose sides are there the other way round.
        same_sides: pairs whose two replies differ in nothing but blanks and case.
        near_prompts: pairs of different prompts that are near-duplicates of each other.
    """

    pairs: int
    prompts: int
    contradictions: int
    same_sides: int
    near_prompts: int


@dataclass(frozen=True, slots=True)
class Xray:
    """What an X-ray shows.

    Attributes:
        separations: how well each cue tells the preferred side.
        languages: facts of each language; where there are several, of all of them last.
        duplicates: what is there twice.
        threshold: of the flags, see `separation.THRESHOLD`.
        unknown: what is not known of this file, with why: cues, and languages with too few prompts.
    """

    separations: tuple[Separation, ...]
    languages: tuple[LanguageFacts, ...]
    duplicates: Duplicates
    threshold: float
    unknown: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """What ought to be looked at before a model is trained on the file, one line each."""
        lines = [
            f"{one.language}: the preferred side is told by {CUES[one.cue].words}: AUC {one.auc.estimate:.2f} "
            f"[{one.auc.lower:.2f}, {one.auc.upper:.2f}]"
            for one in self.separations
            if one.flagged
        ]
        for one in self.languages:
            ratio = one.length_ratio
            if ratio >= LENGTH_RATIO or ratio <= 1 / LENGTH_RATIO:
                side, times = ("rejected", ratio) if ratio > 1 else ("chosen", 1 / ratio)
                lines.append(f"{one.language}: {side} replies are {times:.1f} times as long (geometric mean)")
        counts = self.duplicates
        if counts.contradictions:
            lines.append(f"{counts.contradictions} pairs are there the other way round as well")
        if counts.same_sides:
            lines.append(f"{counts.same_sides} pairs have two replies that differ in blanks and case alone")
        return tuple(lines)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""

        def plain(record: Any) -> dict[str, Any]:
            values = {name: getattr(record, name) for name in record.__slots__}
            return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}

        return {
            "flags": list(self.flags),
            "threshold": self.threshold,
            "separations": [one.as_dict() for one in self.separations],
            "languages": [plain(one) for one in self.languages],
            "duplicates": plain(self.duplicates),
            "unknown": list(self.unknown),
        }


Count = Callable[[str], int]
"""Tokens of a text."""


@dataclass(frozen=True)
class Tokens:
    """Counts tokens, each text once.

    Attributes:
        count: by a tokenizer.
    """

    count: Count
    _known: dict[str, int] = field(default_factory=dict, repr=False)

    def of(self, text: str) -> int:
        """Tokens of a text, without special ones."""
        if text not in self._known:
            self._known[text] = self.count(text)
        return self._known[text]


def load_tokens(folder: str | Path) -> Tokens:
    """The tokenizer in a model's folder.

    Raises:
        ModelError: there is none.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        fix = "name the folder of a model with its tokenizer, or nano"
        raise ModelError("no tokenizer is there", where=str(folder), fix=fix) from error
    return Tokens(lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]))


def xray(
    pairs: Sequence[Pair],
    *,
    cues: Sequence[str] = tuple(CUES),
    threshold: float = THRESHOLD,
    tokens: Tokens | None = None,
    max_tokens: int | None = None,
) -> Xray:
    """What tells the preferred side of pairs, and what else there is to know of them before training.

    Args:
        pairs: of any languages and kinds.
        cues: to try, by name.
        threshold: of the flags, see `separation.THRESHOLD`.
        tokens: the tokenizer of the model that is to be trained; None says nothing of tokens.
        max_tokens: of a training example; None says nothing of what is too long.

    Raises:
        InputError: there are no pairs, or there is no such cue.

    Example:
        >>> found = xray(read_pairs("pairs.jsonl"))
        >>> found.flags
    """
    whole = [pair for pair in pairs if pair.chosen and pair.rejected]
    if not whole:
        raise InputError("no pairs to look at", fix="give a file with at least one pair of two replies")
    wanted = find_cues(cues)
    unknown = []
    if len(whole) < len(pairs):
        unknown.append(f"anything of {len(pairs) - len(whole)} single replies, which are left out")
    pairs = whole
    if GENERATOR in cues and not any(side.generator for pair in pairs for side in sides_of(pair)):
        wanted = tuple(cue for cue in wanted if cue.name != GENERATOR)
        unknown.append("generator: no column says which model wrote which side")
    found = separations(pairs, wanted, threshold=threshold)
    if unmeasured := list(dict.fromkeys(one.language for one in found if not one.is_known)):
        few = f"fewer than {FEWEST_PROMPTS} prompts or {FEWEST_GROUPS} groups"
        unknown.append(f"what tells the sides in {', '.join(unmeasured)}: {few}")
    codes = sorted({pair.language for pair in pairs})
    english = _rate([pair for pair in pairs if pair.language == "en"], tokens) if tokens else None
    facts = [
        _facts(code, [pair for pair in pairs if pair.language == code], tokens, english, max_tokens) for code in codes
    ]
    if len(codes) > 1:
        facts.append(_facts(ALL, pairs, tokens, english, max_tokens))
    return Xray(tuple(found), tuple(facts), duplicates_in(pairs), threshold, tuple(unknown))


def duplicates_in(pairs: Sequence[Pair]) -> Duplicates:
    """What is there more than once; near-duplicates of prompts as `prompts.overlap` finds them."""
    asked = [content_digest([turn.as_dict() for turn in pair.messages]) for pair in pairs]
    said: Counter[tuple[str, str, str]] = Counter()
    again = contradictions = 0
    for prompt, pair in zip(asked, pairs, strict=True):
        again += said[prompt, pair.chosen, pair.rejected] > 0
        contradictions += said[prompt, pair.rejected, pair.chosen] > 0
        said[prompt, pair.chosen, pair.rejected] += 1
    unique = dict(zip(asked, pairs, strict=True))
    ends = [(digest, pair, "\n".join(turn.content for turn in pair.messages)) for digest, pair in unique.items()]
    prompts = [Prompt(digest, user(text[-COMPARED:]), pair.language, PromptKind.GENERAL) for digest, pair, text in ends]
    return Duplicates(
        pairs=again,
        prompts=len(pairs) - len(unique),
        contradictions=contradictions,
        same_sides=sum(_bare(pair.chosen) == _bare(pair.rejected) for pair in pairs),
        near_prompts=sum(1 for _ in near_duplicates(prompts, threshold=NEAR)),
    )


def _bare(text: str) -> str:
    return "".join(text.split()).casefold()


def _facts(
    language: str, pairs: Sequence[Pair], tokens: Tokens | None, english: float | None, most: int | None
) -> LanguageFacts:
    known = [pair for pair in pairs if pair.language in OPENINGS or pair.language == "und"]
    refusals = [
        sum(opens_with_refusal(getattr(pair, side)) for pair in known) / len(known) if known else None
        for side in ("chosen", "rejected")
    ]
    rate = _rate(pairs, tokens) if tokens else None
    return LanguageFacts(
        language=language,
        pairs=len(pairs),
        prompts=len({prompt_of(pair) for pair in pairs}),
        safety=sum(pair.kind is PairKind.SAFETY for pair in pairs) / len(pairs),
        chosen_characters=float(statistics.median(len(pair.chosen) for pair in pairs)),
        rejected_characters=float(statistics.median(len(pair.rejected) for pair in pairs)),
        length_ratio=math.exp(statistics.fmean(math.log(len(p.rejected) / len(p.chosen)) for p in pairs)),
        chosen_refusals=refusals[0],
        rejected_refusals=refusals[1],
        tokens_per_character=rate,
        cost=rate / english if rate and english else None,
        too_long=_too_long(pairs, tokens, most) if tokens and most else None,
    )


def _rate(pairs: Sequence[Pair], tokens: Tokens) -> float | None:
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    characters = sum(map(len, texts))
    return sum(map(tokens.of, texts)) / characters if characters else None


def _too_long(pairs: Sequence[Pair], tokens: Tokens, most: int) -> float:
    long = 0
    for pair in pairs:
        asked = sum(tokens.of(turn.content) for turn in pair.messages)
        long += asked + max(tokens.of(pair.chosen), tokens.of(pair.rejected)) > most
    return long / len(pairs)
