"""Loading the model a training starts from, and saving the one it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, ModelError
from alignment_prism.models.chat_templates import check_chat_template
from alignment_prism.models.folders import model_folder
from alignment_prism.models.weights import require_whole
from alignment_prism.training.settings import TrainingConfig

SHORT_ROWS = 200
"""Tokens of a row below which eager attention is the faster one on a CPU in bfloat16, where sdpa has a slow backward
pass; in float32 sdpa is as fast or faster. Measured in `benchmarks/attention_cpu.py`."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base that can be trained.

    Attributes:
        folder: its files, local or in the Hub's cache.
        name: as the user gave it: a folder or a Hub id.
        tokenizer: with a chat template and a padding token.
        dtype: of the weights in its files, as torch calls it (`bfloat16`).
        ends: token ids that end a reply: the tokenizer's, and those of `generation_config.json` (Gemma ends its turns
            with another token than its texts).
    """

    folder: Path
    name: str
    tokenizer: Any
    dtype: str
    ends: frozenset[int]


def find_base(base: str | Path, *, revision: str | None = None) -> Base:
    """Find a base and check that it can be trained, without loading its weights.

    A folder never touches a network. A Hub id is taken from the local cache if it is there, else downloaded.

    Raises:
        ModelError: no such folder or repository, no safetensors, not a causal language model, no chat template.
    """
    folder = model_folder(base, revision)
    _refuse_adapter(folder)
    config_path = folder / "config.json"
    try:
        content = json.loads(config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = "it has no config.json" if isinstance(error, FileNotFoundError) else f"config.json: {error}"
        fix = "name a folder with config.json and weights"
        raise ModelError(f"not a model folder: {what}", where=str(folder), fix=fix) from error
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            "the model has no safetensors weights", where=str(folder), fix="convert it with save_pretrained()"
        )
    dtype = content.get("dtype") or content.get("torch_dtype") or "float32"
    tokenizer = _load_tokenizer(folder)
    return Base(folder, str(base), tokenizer, str(dtype).removeprefix("torch."), _ends(folder, tokenizer))


def load_model(folder: Path, precision: str, attention: str, *, frozen: bool = False, bits: int | None = None) -> Any:
    """The causal language model in a folder, its weights in the precision they are trained in.

    Args:
        folder: with config and safetensors.
        precision: `fp32`, `bf16` or `fp64` (`auto` must have been resolved).
        attention: a name transformers knows.
        frozen: the weights are not trained themselves (LoRA): with `bf16` they are then held in bfloat16.
        bits: of frozen weights; None for as many as the precision has.

    Raises:
        ModelError: transformers cannot load it, or its architecture knows no such attention.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from alignment_prism.training.backends.quantised import keep_trainable, quantisation
    from alignment_prism.training.backends.zero import load_whole

    _check_attention(folder, attention)
    load_whole()

    dtype = {"fp64": torch.float64, "fp32": torch.float32}.get(precision, torch.float32)
    if precision == "bf16" and frozen:
        dtype = torch.bfloat16
    try:
        with quiet_transformers():
            model, loading = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                attn_implementation=attention,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                quantization_config=quantisation(bits),
            )
        require_whole(loading, str(folder))
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # of transformers and safetensors: each raises its own kinds
        raise ModelError(
            f"transformers cannot load the model: {error}",
            where=str(folder),
            fix="check that the folder is a whole model of an architecture that the installed transformers knows, and "
            "take another attention where that is what it refuses",
            settings={"overrides": "training.attention=auto"},
        ) from error
    model.config.use_cache = False
    if bits is not None:
        keep_trainable(model)
    return model


def resolve_precision(config: TrainingConfig) -> str:
    """`auto` as this machine means it: bfloat16 where the device computes it natively, else float32."""
    import torch

    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if cpu_has_bf16() else "fp32"


def resolve_attention(config: TrainingConfig, precision: str, row_tokens: float) -> str:
    """`auto` as it is meant for this machine, precision, and rows of so many tokens on average.

    Raises:
        InputError: FlexAttention without a GPU.
    """
    import torch

    if config.attention == "flex_attention" and not torch.cuda.is_available():
        raise InputError(
            "FlexAttention cannot train without a GPU: torch has no backward pass of it for CPUs",
            where="key training.attention",
            fix="take auto; for CPUs there is the layout flat",
        )
    if config.attention != "auto":
        return config.attention
    slow = precision == "bf16" and not torch.cuda.is_available() and row_tokens < SHORT_ROWS
    return "eager" if slow else "sdpa"


def save_model(model: Any, tokenizer: Any, folder: Path, dtype: str, *, state: dict[str, Any] | None = None) -> None:
    """Save weights as safetensors, with config, tokenizer and chat template.

    Args:
        model: a transformers or PEFT model.
        tokenizer: with its chat template.
        folder: made if need be.
        dtype: the weights are stored in (`float32`, `bfloat16`, ...).
        state: the weights, where they had to be gathered from several processes.
    """
    import torch

    target = getattr(torch, dtype)
    full = state if state is not None else model.state_dict()
    cast: dict[tuple[int, tuple[int, ...]], Any] = {}  # tied weights stay one tensor and are stored once
    stored = {
        name: cast.setdefault(
            (tensor.data_ptr(), tuple(tensor.shape)), tensor.to(target) if tensor.is_floating_point() else tensor
        )
        for name, tensor in full.items()
    }
    for name, source in (getattr(model, "all_tied_weights_keys", None) or {}).items():
        if name in stored and source in stored:
            stored[name] = stored[source]  # gathered from processes, tied weights come as two tensors
    model.config.use_cache = True
    with quiet_transformers():
        model.save_pretrained(folder, state_dict=stored)
        tokenizer.save_pretrained(folder)
    _write_dtype(folder / "config.json", dtype)


_SUPPORT = {
    "sdpa": "_supports_sdpa",
    "flash_attention_2": "_supports_flash_attn",
    "flex_attention": "_supports_flex_attn",
}
"""Attention -> what transformers notes of each architecture."""


def _check_attention(folder: Path, attention: str) -> None:
    """Refuse an attention that the architecture does not know; transformers' own words for it name no setting."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if attention not in _SUPPORT:
        return
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        architecture = AutoModelForCausalLM._model_mapping[type(config)]
    except (OSError, ValueError, KeyError):
        return  # loading will say what is wrong
    if not getattr(architecture, _SUPPORT[attention], True):
        raise ModelError(
            f"{architecture.__name__} knows no attention {attention!r}",
            where="key training.attention",
            fix="take auto, or eager, which every architecture knows",
            settings={"overrides": "training.attention=auto"},
        )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the progress bars of loading and saving off the terminal: ours says more."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


def _refuse_adapter(folder: Path) -> None:
    """An adapter is a change to some other model, which a training would have to be given as well."""
    path = folder / "adapter_config.json"
    if not path.is_file() or (folder / "config.json").is_file():
        return
    try:
        of = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path") or "its base"
    except (OSError, ValueError, AttributeError):
        of = "its base"
    raise ModelError(
        f"the folder holds an adapter of {of}, not a whole model",
        where=str(folder),
        fix="train it with training.adapter.merge: true, or merge it with PEFT's merge_and_unload()",
    )


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the model has no tokenizer that loads: {error}", where=str(folder)) from error
    if not tokenizer.chat_template:
        raise ModelError(
            "the model's tokenizer has no chat template, so prompts cannot be rendered as it expects them",
            where=str(folder),
            fix="use an instruction-tuned model, or save a chat_template.jinja beside its tokenizer",
        )
    check_chat_template(tokenizer, str(folder))
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError("the tokenizer has neither a padding nor an end token", where=str(folder))
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked everywhere: which token it is does not matter
    return tokenizer


def _ends(folder: Path, tokenizer: Any) -> frozenset[int]:
    found = [tokenizer.eos_token_id]
    for name in ("generation_config.json", "config.json"):
        try:
            named = json.loads((folder / name).read_text(encoding="utf-8")).get("eos_token_id")
        except (OSError, ValueError, AttributeError):
            continue
        found += named if isinstance(named, list) else [named]
    return frozenset(token for token in found if isinstance(token, int))


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 natively (AMX or AVX-512 BF16)."""
    import torch

    if not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in ("amx_bf16", "avx512_bf16"))


def _write_dtype(path: Path, dtype: str) -> None:
    """Name the stored precision in the config, which still has that of the training."""
    if not path.is_file():  # an adapter has no config of its own
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    content["dtype"] = dtype
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
