"""Prompts of pairs in the lab's other languages, for methods that compare a prompt with its translations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alignment_prism.domain import Pair
from alignment_prism.nano.actors.translator import Translator
from alignment_prism.nano.world.facts import Facts


def with_translations(pairs: Sequence[Pair], facts: Facts) -> list[Pair]:
    """The pairs with their last user turn in every other language of the world, in the metadata (`translations`).

    A prompt that the lab's translator leaves as it is has no translation into that language.
    """
    translator = Translator(facts)
    found = []
    for pair in pairs:
        text = pair.messages[-1].content
        said = {
            code: translator.translate(text, code, pair.language)
            for code in facts.spec.languages
            if code != pair.language
        }
        named = {code: words for code, words in said.items() if words != text}
        found.append(replace(pair, metadata={**pair.metadata, "translations": named}) if named else pair)
    return found
