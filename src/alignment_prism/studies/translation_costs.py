"""What a translated set takes before it is made: calls, tokens and money, by who translates and who translates back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from alignment_prism.calls.journal import Journal
from alignment_prism.calls.runner import kept_answers
from alignment_prism.domain.languages import LANGUAGES, Languages
from alignment_prism.domain.messages import Messages
from alignment_prism.domain.records import Prompt
from alignment_prism.models.names import resolve
from alignment_prism.scoring.translated_set import texts_of_all
from alignment_prism.scoring.translation import Translator
from alignment_prism.studies.estimate import kept_in
from alignment_prism.studies.prices import Prices
from alignment_prism.studies.reckoning import CHARACTERS, Estimate, called, computed

GROWTH = 2
"""A translation is reckoned as so many times as long as its source: ours, for other scripts take more tokens."""


def translation_costs(
    prompts: Sequence[Prompt],
    there: Sequence[Translator],
    back: Translator | None,
    prices: Prices,
    *,
    out: Path | None = None,
    cache: Path | None = None,
    languages: Languages = LANGUAGES,
    parameters: Callable[[str], int],
) -> list[Estimate]:
    """What is left of the calls of `translate_set`, by model; translations that are not there yet are reckoned.

    Args:
        prompts: of one language.
        there: a translator for each language.
        back: translates back; None for no check.
        prices: of tokens and GPUs.
        out: folder with a journal of answers; None for none.
        cache: folder of answers that runs share; None for none.
        languages: by which codes have names.
        parameters: folder or Hub id of a model on this machine -> its parameters, 0 where they are not known.
    """
    journal = kept_in(out, cache)
    texts, found = texts_of_all(prompts), list[Estimate]()

    def cost(what: str, translator: Translator, asked: Sequence[Messages], sources: int, at_most: bool) -> None:
        read = sum(len(turn.content) for turns in asked for turn in turns) // CHARACTERS
        written = min(GROWTH * sources // CHARACTERS, len(asked) * translator.max_tokens)
        model = resolve(translator.model)
        name = f"{what} by {translator.model}"
        if model.is_api:
            one = called(name, translator.model, len(asked), read, written, prices)
        else:
            operations = 2.0 * (read + written) * parameters(model.id)
            one = computed(name, read, written, operations, prices.gpu, prices.gpu.replies)
        found.append(replace(one, at_most=at_most))

    for translator in there:
        missing, made = _left(translator, texts, languages, journal)
        cost("translate", translator, [turns for _, turns in missing], sum(len(text) for text, _ in missing), False)
        if back is None:
            continue
        again, _ = _left(back, [(translator.into, text) for text in made], languages, journal)
        reckoned = [*again, *missing]  # what is not there yet is taken to be as long as its source
        cost("translate back", back, [turns for _, turns in reckoned], sum(len(text) for text, _ in reckoned),
             bool(missing))  # fmt: skip
    sums: dict[str, Estimate] = {}
    for one in found:
        if one.tokens_in:
            sums[one.what] = sums[one.what] + one if one.what in sums else one
    return list(sums.values())


def _left(
    translator: Translator, texts: Sequence[tuple[str, str]], languages: Languages, journal: Journal
) -> tuple[list[tuple[str, Messages]], list[str]]:
    """The texts that nobody has translated yet, with what is asked of each; and the translations that are there."""
    calls = translator.calls_for(texts, languages)
    kept = kept_answers(
        (key for key, _ in calls.values()), journal, lambda _, answer: not translator.read(answer).problem
    )
    missing = [(text, turns) for (_, text), (key, turns) in calls.items() if key not in kept]
    return missing, [translator.read(answer).text for answer in kept.values()]
