"""Replies of a model on this machine, through transformers."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alignment_prism.calls.answer import Answer
from alignment_prism.calls.journal import Journal, call_key
from alignment_prism.domain.errors import InputError, ModelError
from alignment_prism.domain.progress import Progress
from alignment_prism.domain.records import Generation, Prompt, Sampling, StopReason
from alignment_prism.generation.backends.decoding import Decoder, Pick, greedy, sampler
from alignment_prism.generation.batching import BATCH_TOKENS, plan_windows
from alignment_prism.models.chat_templates import check_chat_template, prompt_ids, require_chat_template, with_arguments
from alignment_prism.models.folders import model_folder
from alignment_prism.models.weights import model_digest, require_whole, weights_digest

_UNBOUNDED = 10**6
"""Context lengths from here on are placeholders of tokenizers that know none."""


@dataclass(frozen=True)
class LocalModel:
    """A causal language model in memory, ready to reply.

    Attributes:
        name: what was asked for: folder or Hub id.
        weights: digest of the weights.
        digest: of everything that shapes its replies.
        model: of transformers, in evaluation mode.
        tokenizer: its tokenizer, with a chat template.
        context: most tokens of prompt and reply together; None where the configuration does not say.
    """

    name: str
    weights: str
    digest: str
    model: Any
    tokenizer: Any
    context: int | None


def load_local(
    model: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    chat_template: str = "",
    template_arguments: Mapping[str, Any] | None = None,
) -> LocalModel:
    """Load a model from a folder that `save_pretrained` wrote, or by its Hub id (from the local cache if it is there).

    Args:
        model: folder or Hub id. A folder with a PEFT adapter loads base and adapter.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes the accelerator if there is one.
        dtype: `float32`, `bfloat16`, `float16`; `auto` is the checkpoint's own on an accelerator, float32 on a CPU.
        chat_template: in place of the model's own.
        template_arguments: what the chat template is told, plain JSON values by name.

    Raises:
        ModelError: there is no such model, it has no safetensors, no chat template, or is no causal language model.
    """
    folder = model_folder(model)
    weights = weights_digest(folder)
    digest = model_digest(folder, weights)
    from transformers import AutoTokenizer

    name = str(model)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer.chat_template = chat_template or tokenizer.chat_template
        require_chat_template(tokenizer, name)
        tokenizer.chat_template = with_arguments(tokenizer.chat_template, template_arguments or {})
        check_chat_template(tokenizer, name)
        chosen: Any = (torch.float32 if device == "cpu" else "auto") if dtype == "auto" else getattr(torch, dtype)
        with _quiet():
            loaded = _load_weights(folder, chosen).to(device).eval()
    except ModelError:
        raise
    except Exception as error:  # of transformers, tokenizers and safetensors: each raises its own kinds
        raise ModelError(
            f"the model cannot be loaded: {str(error).strip().splitlines()[0] if str(error).strip() else error!r}",
            where=name,
            fix="give a folder with config.json, safetensors and tokenizer of a causal language model, "
            "as save_pretrained writes it",
        ) from error
    return LocalModel(name, weights, digest, loaded, tokenizer, _context(loaded.config, tokenizer))


def generate_local(
    model: str | Path | LocalModel,
    prompts: Sequence[Prompt],
    *,
    arm: str,
    sampling: Sampling,
    batch_tokens: int | None = None,
    journal: Journal | None = None,
    progress: Progress | None = None,
    device: str = "auto",
) -> list[Generation]:
    """k replies to each prompt, in the order of the prompts, samples of one prompt together.

    Token counts are those of the prompt as sent and of the reply with its end token, without padding. A prompt that
    leaves no room for a reply in the model's context gets an empty one with stop reason CONTEXT; a reply that is cut
    by `max_tokens` or by the context has MAX_TOKENS. What is drawn for a prompt depends on the seed, the prompt's
    conversation and the sample's number, not on the other prompts.

    Args:
        model: folder, Hub id, or what `load_local` returned.
        prompts: what to ask.
        arm: name of the model within its study.
        sampling: temperature 0 is greedy; more than one sample needs a temperature.
        batch_tokens: most positions of a batch (prompt and reply, padding included); lower it when memory is short.
        journal: where replies are kept after every window of a few batches, so that a run that was killed draws the
            other windows only.
        progress: told after every window.
        device: as in `load_local`.

    Raises:
        ModelError: as `load_local`; or the device has not enough memory for a batch.
        InputError: several samples without a temperature; the chat template refuses a conversation.
    """
    _check(sampling)
    local = model if isinstance(model, LocalModel) else load_local(model, device=device)
    ids = prompt_ids(local.tokenizer, [prompt.messages for prompt in prompts], model=local.name)
    limits = [_room(len(tokens), sampling.max_tokens, local.context) for tokens in ids]
    asked = [(row, sample) for row in range(len(prompts)) for sample in range(sampling.samples)]
    fitting = [place for place, (row, _) in enumerate(asked) if limits[row] > 0]
    stops = _stop_ids(local)
    decoder = Decoder(local.model, stops, pad=local.tokenizer.pad_token_id or stops[0])
    keys = (
        [_key(local, ids[row], limits[row], sampling, sample) for row, sample in asked] if journal is not None else []
    )
    drawn: dict[int, Answer] = {}
    windows = plan_windows(
        [len(ids[asked[place][0]]) for place in fitting],
        new_tokens=max((limits[asked[place][0]] for place in fitting), default=0),
        batch_tokens=batch_tokens or BATCH_TOKENS,
    )
    done = len(asked) - len(fitting)
    if progress is not None:
        progress(done, len(asked))
    for window in windows:
        places = [fitting[number] for number in window.rows]
        kept = [Answer.from_journal(journal.get(keys[place])) if journal is not None else None for place in places]
        if None in kept:  # drawn whole: what rounding depends on is the same as in a run that went through
            members = [asked[place] for place in places]
            pick = _pick(sampling, [(prompts[row], sample) for row, sample in members], decoder.device)
            try:
                asked_ids, most = [ids[row] for row, _ in members], [limits[row] for row, _ in members]
                found = decoder.reply(asked_ids, most, pick, window.at_once)
            except torch.OutOfMemoryError as error:
                raise ModelError(
                    f"out of memory with {window.at_once} replies at once",
                    where=local.name,
                    fix=f"let a batch have fewer positions than {batch_tokens or BATCH_TOKENS}",
                    settings={"batch_tokens": str((batch_tokens or BATCH_TOKENS) // 2)},
                ) from error
            texts = _decode(local.tokenizer, found, stops)
            kept = [
                Answer(text, _stop_reason(tokens, stops), len(ids[row]), len(tokens))
                for text, tokens, (row, _) in zip(texts, found, members, strict=True)
            ]
            for place, answer in zip(places, kept, strict=True):
                if journal is not None and answer is not None:
                    journal.put(keys[place], answer.as_dict())
        drawn.update((place, answer) for place, answer in zip(places, kept, strict=True) if answer is not None)
        done += len(places)
        if progress is not None:
            progress(done, len(asked))
    empty = Answer("", StopReason.CONTEXT, completion_tokens=0)
    return [
        Generation(
            prompt_id=prompts[row].id,
            arm=arm,
            model=local.name,
            weights=local.weights,
            reply=drawn.get(place, empty).text,
            sample=sample,
            prompt_tokens=len(ids[row]),
            completion_tokens=drawn.get(place, empty).completion_tokens,
            stop_reason=StopReason(drawn.get(place, empty).stop),
            temperature=sampling.temperature,
            seed=sampling.seed,
        )
        for place, (row, sample) in enumerate(asked)
    ]


def _key(local: LocalModel, ids: Sequence[int], limit: int, sampling: Sampling, sample: int) -> str:
    """Key of a reply in the journal, from everything that shapes it but the batch that it is drawn in."""
    draw = (sampling.temperature, sampling.top_p, sampling.seed, sample) if sampling.temperature else ()
    return call_key("reply", local.digest, local.model.device.type, str(local.model.dtype), draw, limit, ids)


def _check(sampling: Sampling) -> None:
    if sampling.samples < 1 or sampling.max_tokens < 1 or sampling.temperature < 0 or not 0 < sampling.top_p <= 1:
        raise InputError(
            f"impossible sampling {sampling}", fix="samples and max_tokens >= 1, temperature >= 0, 0 < top_p <= 1"
        )
    if sampling.samples > 1 and sampling.temperature == 0:
        raise InputError(
            f"{sampling.samples} greedy samples would all be the same", fix="give a temperature above 0, or one sample"
        )


def _load_weights(folder: Path, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    if (folder / "adapter_config.json").exists():
        from peft import AutoPeftModelForCausalLM

        # All of it goes on to the loading of the base. The path is absolute, for PEFT asks the Hub about `a/b`.
        adapted = AutoPeftModelForCausalLM.from_pretrained(
            folder.resolve(), dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
        return adapted.merge_and_unload()
    loaded, loading = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    require_whole(loading, str(folder))
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the loader's own progress bar, which would break into ours, and PEFT's use of what is to go."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _context(config: Any, tokenizer: Any) -> int | None:
    text = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
    known = [getattr(text, name, None) for name in ("max_position_embeddings", "n_positions", "max_seq_len")]
    known.append(getattr(tokenizer, "model_max_length", None))
    lengths = [int(length) for length in known if isinstance(length, int | float) and 0 < length < _UNBOUNDED]
    return min(lengths) if lengths else None


def _room(prompt: int, wanted: int, context: int | None) -> int:
    return wanted if context is None else max(0, min(wanted, context - prompt))


def _stop_ids(local: LocalModel) -> list[int]:
    found: list[int] = []
    configured = getattr(getattr(local.model, "generation_config", None), "eos_token_id", None)
    for source in (configured, local.tokenizer.eos_token_id):
        found += source if isinstance(source, list) else [source] if source is not None else []
    if not found:
        raise ModelError(
            "the model names no token that ends a reply",
            where=local.name,
            fix="set eos_token_id in its generation_config.json",
        )
    return list(dict.fromkeys(found))


def _pick(sampling: Sampling, members: Sequence[tuple[Prompt, int]], device: torch.device) -> Pick:
    if sampling.temperature == 0:
        return greedy
    uniforms = np.empty((len(members), sampling.max_tokens), np.float32)
    for row, (prompt, sample) in enumerate(members):
        turns = [message.as_dict() for message in prompt.messages]
        key = hashlib.sha256(repr((sampling.seed, sample, turns)).encode("utf-8", "surrogatepass")).digest()
        uniforms[row] = np.random.Generator(np.random.PCG64(int.from_bytes(key))).random(
            sampling.max_tokens, np.float32
        )
    return sampler(torch.from_numpy(uniforms).to(device), sampling.temperature, sampling.top_p)


def _decode(tokenizer: Any, replies: Sequence[Sequence[int]], stops: Sequence[int]) -> list[str]:
    bare = [list(reply[:-1]) if reply and reply[-1] in stops else list(reply) for reply in replies]
    texts: list[str] = tokenizer.batch_decode(bare, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return texts


def _stop_reason(reply: Sequence[int], stops: Sequence[int]) -> StopReason:
    return StopReason.STOP if reply and reply[-1] in stops else StopReason.MAX_TOKENS
