"""Translation tasks from parallel sentences: FLORES-200, NTREX, or any prompts of which one group is one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from alignment_prism.domain import LANGUAGES, InputError, Languages, Prompt, PromptKind, content_digest, user

INSTRUCTION = "Translate the following text from {source} into {target}. Write the translation alone.\n\n{text}"
"""What a model is asked; in English, as models are tuned to be asked to translate."""

SCRIPTS = {"Latn": "Latin script", "Cyrl": "Cyrillic script", "Arab": "Arabic script", "Deva": "Devanagari",
           "Hans": "Simplified Chinese characters", "Hant": "Traditional Chinese characters"}  # fmt: skip
"""How a script is called where a language has several."""


def translation_prompts(
    sentences: Sequence[Prompt], pivot: str = "en", *, limit: int | None = None, languages: Languages = LANGUAGES
) -> list[Prompt]:
    """Tasks in both directions between a pivot and every other language, with the parallel sentence as reference.

    The subset of a task is its direction (`en-fr`), its language the target's, its group that of the sentence, so that
    a sentence that is translated into several languages is one cluster.

    Args:
        sentences: prompts whose text is a sentence and whose group is shared by its translations.
        pivot: code of the language that is on one side of every direction.
        limit: most sentences of a language, the same ones in all directions; None takes all.
        languages: the registry that names come from.

    Raises:
        InputError: there are no sentences in the pivot or in no other language, one has no parallel, or a language has
            two of one group.
    """
    pivot = languages.find(pivot).code
    by_language: dict[str, dict[str, Prompt]] = {}
    for sentence in sentences:
        mine = by_language.setdefault(sentence.language, {})
        if mine.setdefault(sentence.cluster, sentence) is not sentence:
            what = f"two sentences of group {sentence.cluster!r} in {sentence.language!r}"
            raise InputError(what, fix="give one file of each language; of two scripts of a language one")
    others = [code for code in by_language if code != pivot]
    if pivot not in by_language or not others:
        raise InputError(
            f"translation between {pivot!r} and other languages, and there are sentences in "
            f"{', '.join(by_language) or 'none'}",
            fix="give a file of the pivot and of another language, such as eng_Latn.devtest and fra_Latn.devtest",
        )
    tasks = []
    for other in others:
        shared = [group for group in by_language[pivot] if group in by_language[other]]
        if len(shared) < max(len(by_language[other]), len(by_language[pivot])):
            raise InputError(
                f"{len(by_language[pivot])} sentences in {pivot!r} and {len(by_language[other])} in {other!r}, "
                f"of which {len(shared)} are parallel",
                fix="give the same part of every language (devtest of all), line by line or with a group for each",
            )
        kept = sorted(shared, key=content_digest)[:limit] if limit is not None else shared
        for source, target in ((pivot, other), (other, pivot)):
            tasks += [_task(by_language[source][one], by_language[target][one], languages) for one in kept]
    return tasks


def _task(source: Prompt, target: Prompt, languages: Languages) -> Prompt:
    text = INSTRUCTION.format(source=_name(source, languages), target=_name(target, languages), text=source.text)
    direction = f"{source.language}-{target.language}"
    return Prompt(
        id=f"{source.cluster}-{direction}",
        messages=user(text),
        language=target.language,
        kind=PromptKind.GENERAL,
        subset=direction,
        group=source.cluster,
        reference=target.text,
        source=target.source,
        metadata={"from": source.language, **target.metadata},
    )


def _name(sentence: Prompt, languages: Languages) -> str:
    """The language's name, with the script where it is written in several and the file says in which."""
    language, script = languages.find(sentence.language), str(sentence.metadata.get("script", ""))
    if len(language.scripts) > 1 and script in SCRIPTS:
        return f"{language.name} ({SCRIPTS[script]})"
    return language.name
