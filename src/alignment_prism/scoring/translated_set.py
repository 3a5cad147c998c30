"""Translated sets of prompts: the same prompts in every language, as a control beside those that people wrote in each.

A translation is checked by translating it back: chrF++ between the source and what comes back says how much of it
survived two translations, not whether natives would put it so. What comes back below a threshold, is the source as it
was, or is in another language than it should be is flagged and kept, for a person to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from alignment_prism.calls.journal import Journal
from alignment_prism.domain.errors import InputError
from alignment_prism.domain.languages import LANGUAGES, Languages
from alignment_prism.domain.messages import Message
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Prompt
from alignment_prism.prompts.translations import TRANSLATED_FROM
from alignment_prism.scoring.reply_language import in_language
from alignment_prism.scoring.rules.chrf import counted, sacrebleu_chrf
from alignment_prism.scoring.translation import Translated, Translator, texts_of

THRESHOLD = 40.0
"""chrF++ of a back-translation, of 100, below which a translation is flagged: no source names one; no sentence and no
prompt comes as high against a random other one (`benchmarks/back_translation.md`)."""

SUBSET = "translated"
"""Part of the findings that translations are, beside the prompts that people wrote."""

_Texts = Mapping[tuple[str, str], Translated]


@dataclass(frozen=True, slots=True)
class TranslatedSet:
    """What became of prompts in one language.

    Attributes:
        language: code of the language.
        prompts: the translations, in the order of their sources; flagged ones have `flag` in their metadata.
        scores: chrF++ of the back-translation of each, of 100; none where nothing was translated back.
        failed: id of a prompt that has no translation -> why, in fixed words.
    """

    language: str
    prompts: tuple[Prompt, ...]
    scores: tuple[float, ...]
    failed: Mapping[str, str]

    @property
    def flagged(self) -> tuple[str, ...]:
        """Ids of the translations that a person should read."""
        return tuple(prompt.id for prompt in self.prompts if "flag" in prompt.metadata)

    @property
    def median(self) -> float | None:
        """Of the scores."""
        return median(self.scores) if self.scores else None


def sources_of(prompts: Sequence[Prompt], language: str) -> list[Prompt]:
    """The prompts that are translated.

    Raises:
        InputError: none is in the language.
    """
    found = [prompt for prompt in prompts if prompt.language == language]
    if not found:
        there = ", ".join(sorted({prompt.language for prompt in prompts}))
        what = f"none of {len(prompts)} prompts is in {language!r}; they are in {there}"
        raise InputError(what, fix="name the language of the sources", settings={"from": "LANGUAGE"})
    return found


def texts_of_all(prompts: Sequence[Prompt]) -> list[tuple[str, str]]:
    """Everything of prompts that is translated, as `Translator.translate` takes it.

    The reference of a multiple-choice question is a letter and stays.
    """
    return [text for prompt in prompts for text in texts_of(_without_letter(prompt))]


def translate_set(
    prompts: Sequence[Prompt],
    translator: Translator,
    back: Translator | None = None,
    *,
    threshold: float = THRESHOLD,
    subset: str = SUBSET,
    languages: Languages = LANGUAGES,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> TranslatedSet:
    """Prompts of one language in another one.

    A translation has its source's group, so that intervals take all languages of one source for one cluster, and its
    kind, scope and categories.

    Args:
        prompts: of one language (`sources_of`).
        translator: into the other one.
        back: translates back; None for no check.
        threshold: of the check, of 100.
        subset: part of the findings that they are; that of a source is kept in the metadata.
        languages: by which codes have names, scripts and words.
        journal: where answers are kept.
        progress: told how many translations are there.

    Raises:
        ModelError: a translator cannot be opened or answers nothing.
    """
    code = translator.into
    options: dict[str, Any] = {"languages": languages, "journal": journal, "progress": progress}
    made: _Texts = translator.translate(texts_of_all(prompts), **options)
    texts = {prompt.id: [made[text] for text in texts_of(_without_letter(prompt))] for prompt in prompts}
    failed = {
        id: next(part.problem for part in parts if part.problem)
        for id, parts in texts.items()
        if any(part.problem for part in parts)
    }
    whole = [prompt for prompt in prompts if prompt.id not in failed]
    said = [(code, part.text) for prompt in whole for part in texts[prompt.id]]
    returned: _Texts = back.translate(said, **options) if back is not None else {}
    found, scores = [], []
    for prompt in whole:
        parts = [part.text for part in texts[prompt.id]]
        turns = tuple(Message(turn.role, text) for turn, text in zip(prompt.messages, parts, strict=False))
        about: dict[str, object] = {TRANSLATED_FROM: prompt.language, "translated_by": translator.model}
        about |= {"source_subset": prompt.subset} if prompt.subset else {}
        flag = _flag(prompt, parts, code, languages)
        if back is not None:
            came = "\n".join(returned[code, part].text for part in parts)
            source = "\n".join(text for _, text in texts_of(_without_letter(prompt)))
            score = counted(sacrebleu_chrf(), came, source).value
            scores.append(score)
            about["back_translation_chrf"] = round(score, 2)
            flag = flag or (f"back-translation {score:.0f} below {threshold:g}" if score < threshold else "")
        reference = parts[-1] if len(parts) > len(turns) else prompt.reference
        found.append(
            replace(
                prompt,
                id=f"{prompt.id}@{code}",
                messages=turns,
                reference=reference,
                language=code,
                subset=subset,
                group=prompt.cluster,
                metadata={**prompt.metadata, **about, **({"flag": flag} if flag else {})},
            )
        )
    return TranslatedSet(code, tuple(found), tuple(scores), failed)


def _flag(prompt: Prompt, parts: Sequence[str], code: str, languages: Languages) -> str:
    """What is wrong with a translation at first sight."""
    if list(parts) == [text for _, text in texts_of(_without_letter(prompt))]:
        return "it is the source as it was"
    if code in languages and not in_language("\n".join(parts), languages.find(code)):
        return "it is in another language"
    return ""


def _without_letter(prompt: Prompt) -> Prompt:
    return replace(prompt, reference="") if "choices" in prompt.metadata else prompt
