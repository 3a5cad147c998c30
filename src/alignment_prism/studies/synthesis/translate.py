"""Translating pairs with any model: sentence by sentence with NLLB or MADLAD, as a whole with a model that chats."""

from __future__ import annotations

from collections.abc import Sequence

from alignment_prism.calls.journal import Journal
from alignment_prism.domain import (
    LANGUAGES,
    Languages,
    Message,
    Pair,
    Prompt,
    PromptKind,
    Role,
    Sampling,
    content_digest,
)
from alignment_prism.domain.progress import Progress
from alignment_prism.models.names import resolve
from alignment_prism.preferences.templates import load_template
from alignment_prism.preferences.translating import Translate, translate_pairs

TEMPLATE = "translate@1"


def translated_pairs(
    pairs: Sequence[Pair],
    into: Sequence[str],
    model: str,
    *,
    base_url: str = "",
    device: str = "auto",
    beams: int = 1,
    max_tokens: int = 512,
    languages: Languages = LANGUAGES,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> list[Pair]:
    """Pairs in other languages.

    Args:
        pairs: of languages that are known.
        into: codes to translate into.
        model: a folder or a Hub id of an encoder-decoder; or any model that `generation.reply` takes.
        base_url: of a model behind an API: address of its server.
        device: of a model on this machine.
        beams: of an encoder-decoder; 1 is greedy.
        max_tokens: most tokens of a sentence, or of a chat model's answer.
        languages: by which codes have names.
        journal: where answers of a chat model are kept.
        progress: told how far each language is.

    Raises:
        InputError: a language is not known.
        ModelError: there is no such model, or it does not know a language.
    """
    from alignment_prism.generation.backends.seq2seq import is_seq2seq, load_translator

    found = resolve(model)
    codes = [languages.find(code).code for code in into]
    if is_seq2seq(found):
        loaded = load_translator(found, device=device)

        def by_sentences(texts: Sequence[str], source: str, target: str) -> Sequence[str]:
            return loaded.translate(
                texts, languages.find(source), languages.find(target), beams=beams, max_tokens=max_tokens,
                progress=progress,
            )  # fmt: skip

        return translate_pairs(pairs, codes, by_sentences, model)
    template = load_template(TEMPLATE, ("instruction",))

    def by_chat(texts: Sequence[str], source: str, target: str) -> Sequence[str]:
        from alignment_prism.generation import reply

        words = template.texts["instruction"].strip().replace("{source}", languages.find(source).name)
        system = Message(Role.SYSTEM, words.replace("{language}", languages.find(target).name))
        asked = [
            Prompt(content_digest(source, target, text), (system, Message(Role.USER, text)), source, PromptKind.GENERAL)
            for text in texts
        ]
        sampling = Sampling(max_tokens=max_tokens)
        said = reply(found, asked, sampling, journal=journal, progress=progress, base_url=base_url, device=device)
        return [one.reply for one in said]

    chat: Translate = by_chat
    return translate_pairs(pairs, codes, chat, model)
