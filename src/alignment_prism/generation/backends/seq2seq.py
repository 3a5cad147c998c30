"""Translation by encoder-decoder models of sentences on this machine: NLLB, MADLAD-400 and those of their kind.

By transformers, or where a folder is one that CTranslate2's converter wrote by that (extra `ctranslate2`), which is
faster and smaller on CPUs; both are asked the same.

NLLB is told the source by its tokenizer and the target by the first token of the output (`forced_bos_token_id`, the
FLORES code); MADLAD is told the target by a mark before the text (`<2hi>`). Texts are taken apart into sentences and
put together again (`prompts/sentences.py`), so that line ends, lists and code stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.domain.errors import ModelError
from alignment_prism.domain.languages import Language
from alignment_prism.domain.progress import Progress
from alignment_prism.models.names import ModelKind, ModelRef, resolve
from alignment_prism.prompts.sentences import by_sentence

SENTENCES = 16
"""Of a batch; sentences of like length are together."""


@dataclass(frozen=True, slots=True)
class SentenceTranslator:
    """A loaded model.

    Attributes:
        name: as it was given.
        model: of `AutoModelForSeq2SeqLM`.
        tokenizer: of the same folder.
    """

    name: str
    model: Any
    tokenizer: Any

    def translate(
        self,
        texts: Sequence[str],
        source: Language,
        target: Language,
        *,
        beams: int = 1,
        max_tokens: int = 256,
        progress: Progress | None = None,
    ) -> list[str]:
        """Translations of texts with the layout of their sources; greedy, or by beams.

        Args:
            texts: in the source language.
            source: that they are in.
            target: to translate into.
            beams: 1 is greedy.
            max_tokens: most tokens of a sentence.
            progress: told how many sentences are done.

        Raises:
            ModelError: the model does not know one of the languages.
        """
        mark, first = self._ask(source, target)

        def sentences(some: list[str]) -> list[str]:
            return self._sentences([f"{mark}{one}" for one in some], first, beams, max_tokens, progress)

        return by_sentence(texts, sentences)

    def _ask(self, source: Language, target: Language) -> tuple[str, int | None]:
        """The mark before every sentence, and the token that every output begins with."""
        vocabulary = self.tokenizer.get_vocab()
        if (mark := f"<2{target.code}>") in vocabulary:
            return f"{mark} ", None
        for language in (source, target):
            if language.flores is None or language.flores not in vocabulary:
                fix = "take a model that translates it; NLLB has a token for each FLORES code, MADLAD for <2CODE>"
                what = f"the model has no token for {language.name} ({language.flores or language.code})"
                raise ModelError(what, where=self.name, fix=fix)
        assert source.flores is not None and target.flores is not None
        self.tokenizer.src_lang = source.flores
        return "", int(vocabulary[target.flores])

    def _sentences(
        self, sentences: Sequence[str], first: int | None, beams: int, most: int, progress: Progress | None
    ) -> list[str]:
        order = sorted(range(len(sentences)), key=lambda number: (len(sentences[number]), number))
        found = [""] * len(sentences)
        for start in range(0, len(order), SENTENCES):
            batch = order[start : start + SENTENCES]
            said = self._batch([sentences[number] for number in batch], first, beams, most)
            for number, text in zip(batch, self.tokenizer.batch_decode(said, skip_special_tokens=True), strict=True):
                found[number] = text.strip()
            if progress is not None:
                progress(min(start + SENTENCES, len(order)), len(order))
        return found

    def _batch(self, sentences: list[str], first: int | None, beams: int, most: int) -> Any:
        """Token ids of the translations."""
        import torch

        asked = self.tokenizer(sentences, return_tensors="pt", padding=True, truncation=True).to(self.model.device)
        forced = {} if first is None else {"forced_bos_token_id": first}
        with torch.inference_mode():
            return self.model.generate(**asked, num_beams=beams, do_sample=False, max_new_tokens=most, **forced)


class ConvertedTranslator(SentenceTranslator):
    """A model of CTranslate2's format; `model` is its `Translator`."""

    __slots__ = ()

    def _batch(self, sentences: list[str], first: int | None, beams: int, most: int) -> Any:
        names = self.tokenizer.convert_ids_to_tokens
        asked = [names(ids) for ids in self.tokenizer(sentences, truncation=True)["input_ids"]]
        prefix = None if first is None else [[names(first)]] * len(asked)
        found = self.model.translate_batch(asked, target_prefix=prefix, beam_size=beams, max_decoding_length=most)
        return [self.tokenizer.convert_tokens_to_ids(one.hypotheses[0]) for one in found]


def is_converted(model: ModelRef) -> bool:
    """Whether a folder is of CTranslate2's format: weights in `model.bin` and a vocabulary beside them."""
    if model.kind is not ModelKind.FOLDER:
        return False
    folder = Path(model.id)
    vocabularies = [*folder.glob("shared_vocabulary.*"), *folder.glob("source_vocabulary.*")]
    return (folder / "model.bin").is_file() and bool(vocabularies)


def load_converted(model: ModelRef, *, device: str = "auto") -> ConvertedTranslator:
    """A model of CTranslate2's format.

    Raises:
        ModelError: CTranslate2 is not installed, or the folder is damaged or has no tokenizer.
    """
    try:
        import ctranslate2
    except ImportError as error:
        fix = "pip install 'alignment-prism[ctranslate2]', or name the model that was converted"
        raise ModelError("CTranslate2 is not installed", where=model.name, fix=fix) from error
    import torch
    from transformers import AutoTokenizer

    place = ("cuda" if ctranslate2.get_cuda_device_count() else "cpu") if device == "auto" else device
    try:
        tokenizer = AutoTokenizer.from_pretrained(model.id, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        fix = "convert it with --copy_files tokenizer.json tokenizer_config.json"
        raise ModelError("no tokenizer is beside the converted model", where=model.name, fix=fix) from error
    try:
        loaded = ctranslate2.Translator(model.id, device=place, intra_threads=torch.get_num_threads())
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"CTranslate2 cannot load it: {error}", where=model.name, fix="convert it again") from error
    return ConvertedTranslator(model.name, loaded, tokenizer)


def is_seq2seq(model: ModelRef) -> bool:
    """Whether a model on this machine is an encoder-decoder; its configuration alone is read."""
    if model.is_api:
        return False
    if is_converted(model):
        return True
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model.folder(), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        fix = "name a folder that save_pretrained wrote, or a Hub id such as facebook/nllb-200-distilled-600M"
        raise ModelError("no configuration of a model is there", where=model.name, fix=fix) from error
    return bool(getattr(config, "is_encoder_decoder", False))


def load_translator(name: str | ModelRef, *, device: str = "auto") -> SentenceTranslator:
    """The model of a folder, that CTranslate2's converter wrote too, or of a Hub id.

    Args:
        name: of the model.
        device: `cpu`, `cuda`, `mps`; `auto` takes an accelerator if there is one.

    Raises:
        ModelError: there is none, it is no encoder-decoder, or CTranslate2 is not installed.
    """
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    found = name if isinstance(name, ModelRef) else resolve(name, local=True)
    if is_converted(found):
        return load_converted(found, device=device)
    if not is_seq2seq(found):
        fix = "name NLLB, MADLAD-400 or another model of AutoModelForSeq2SeqLM; chat models translate as they are asked"
        raise ModelError("the model is no encoder-decoder", where=found.name, fix=fix)
    folder = found.folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return SentenceTranslator(found.name, model.to(place).eval(), tokenizer)
