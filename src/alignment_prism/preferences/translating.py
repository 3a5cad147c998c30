"""Pairs in other languages: prompt and both replies translated, and what native replies are compared with.

A translated reference against a reply that a model writes in the language itself: the paper's judge preferred the
native one in 42.8 to 79.8 % of cases by language (arXiv 2406.18682). `references_of` gives the translated side as
stored replies, and its prompts, so that a study with a comparison measures the same, with intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from alignment_prism.domain import Generation, InputError, Message, Pair, Prompt, PromptKind, StopReason, content_digest

Translate = Callable[[Sequence[str], str, str], Sequence[str]]
"""From texts, the code of their language and that of the target to as many translations."""

TRANSLATED = "translated"
"""Arm of the translated references."""


def translate_pairs(pairs: Sequence[Pair], into: Sequence[str], translate: Translate, by: str) -> list[Pair]:
    """Every pair in every language but its own.

    Ids are new, the group is that of the source, so that all its translations are one cluster. A pair one of whose
    texts came back empty, or whose sides came back the same, is left out.

    Args:
        pairs: to translate.
        into: codes of languages.
        translate: each text once a language; empty for what has no translation.
        by: name of the translator, for the metadata.
    """
    found = []
    sources = list(dict.fromkeys(pair.language for pair in pairs))
    for target in into:
        for source in sources:
            members = [pair for pair in pairs if pair.language == source and source != target]
            texts = list(dict.fromkeys(text for pair in members for text in _texts(pair)))
            said = dict(zip(texts, translate(texts, source, target), strict=True)) if texts else {}
            for pair in members:
                if all(said[text].strip() for text in _texts(pair)) and said[pair.chosen] != said[pair.rejected]:
                    found.append(_said(pair, said, target, by))
    return found


def check_translated(pairs: Sequence[Pair], done: Sequence[Pair]) -> None:
    """Check that something was translated.

    Raises:
        InputError: nothing was.
    """
    if not done:
        raise InputError(
            f"none of {len(pairs)} pairs could be translated: a text came back empty, or both replies alike",
            fix="see whether the model translates between these languages, and allow longer answers",
            settings={"max_tokens": "512"},
        )


def _texts(pair: Pair) -> list[str]:
    return [*(turn.content for turn in pair.messages), pair.chosen, pair.rejected]


def _said(pair: Pair, said: dict[str, str], target: str, by: str) -> Pair:
    return replace(
        pair,
        id=content_digest("translated", pair.id, target, by),
        messages=tuple(Message(turn.role, said[turn.content]) for turn in pair.messages),
        chosen=said[pair.chosen],
        rejected=said[pair.rejected],
        language=target,
        group=pair.group or pair.id,
        metadata={**pair.metadata, "translated_by": by, "translated_from": pair.language},
    )


def references_of(pairs: Sequence[Pair]) -> tuple[list[Prompt], list[Generation]]:
    """Prompts of translated pairs, and their chosen replies as stored replies of an arm `translated`."""
    prompts = [
        Prompt(pair.id, pair.messages, pair.language, PromptKind.GENERAL, group=pair.group, source=pair.source)
        for pair in pairs
    ]
    replies = [
        Generation(pair.id, TRANSLATED, str(pair.metadata.get("translated_by", "")), pair.chosen,
                   stop_reason=StopReason.STORED)
        for pair in pairs
    ]  # fmt: skip
    return prompts, replies
