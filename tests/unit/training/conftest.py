"""A tiny real model with tokenizer and chat template, and pairs in three languages, made in a temporary folder."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import Pair, Scope, user

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|bot|>{{ message['content'] }}<|end|>"
    "{% else %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)
SPECIAL = ("<|pad|>", "<|bos|>", "<|end|>", "<|user|>", "<|bot|>", "<|system|>")
WORDS = {
    "en": "how can the old river carry a small red boat over many quiet stones before night".split(),
    "ru": "как старая река несёт маленькую красную лодку через много тихих камней до ночи".split(),
    "hi": "पुरानी नदी छोटी लाल नाव को रात से पहले कई शांत पत्थरों पर कैसे ले जाती है".split(),
}


def make_pairs(count: int, *, seed: int = 0, words: int = 6) -> list[Pair]:
    """Pairs of random words: the chosen reply starts with another word than the rejected one."""
    rng = random.Random(seed)
    pairs = []
    for number in range(count):
        language = ("en", "ru", "hi")[number % 3]
        vocabulary = WORDS[language]
        prompt, chosen, rejected = (
            " ".join(rng.choices(vocabulary, k=rng.randint(max(1, words // 2), words * 3 // 2))) for _ in range(3)
        )
        scope = (None, Scope.GLOBAL, Scope.LOCAL)[number // 3 % 3]
        pairs.append(
            Pair(
                id=f"pair-{number}",
                messages=user(prompt),
                chosen=f"{vocabulary[0]} {chosen}",
                rejected=f"{vocabulary[1]} {rejected}",
                language=language,
                kind="general" if scope is None else "safety",
                scope=scope,
            )
        )
    return pairs


def grouped_pairs(count: int) -> list[Pair]:
    """The same, of which every three, in three languages, have a group in common."""
    return [replace(pair, group=f"g{number // 3}") for number, pair in enumerate(make_pairs(count))]


def save_tiny_model(
    folder: Path,
    *,
    vocabulary: int = 512,
    hidden: int = 48,
    layers: int = 2,
    heads: int = 4,
    chat_template: bool = True,
    tied: bool = True,
) -> Path:
    """A Cohere model with random weights of realistic spread and a byte-level BPE tokenizer trained on `WORDS`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import CohereConfig, CohereForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words) for words in WORDS.values()], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|end|>", pad_token="<|pad|>"
    )
    if chat_template:
        fast.chat_template = CHAT_TEMPLATE
    config = CohereConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        logit_scale=0.5,
        tie_word_embeddings=tied,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        max_position_embeddings=512,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    model = CohereForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.08)  # wide enough that logits are far from uniform
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def twelve_pairs() -> list[Pair]:
    return make_pairs(12)


@pytest.fixture
def pairs() -> list[Pair]:
    return make_pairs(48)


@pytest.fixture
def make_base(tiny_model: Path, tmp_path: Path) -> Callable[..., Path]:
    """A base of another architecture: `make_base("Llama", hidden_size=32, ...)`, with the tiny model's tokenizer.

    `config` names its config class where that is called otherwise, `std` spreads the weights.
    """

    def make(name: str, *, config: str = "", std: float | None = None, **settings: Any) -> Path:
        import torch
        import transformers

        folder = tmp_path / f"base-{name}"
        shutil.copytree(tiny_model, folder)
        (folder / "model.safetensors").unlink()
        special = {"vocab_size": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
        made = getattr(transformers, config or f"{name}Config")(**special, **settings)
        model_class = getattr(transformers, f"{name}ForCausalLM", None) or getattr(transformers, f"{name}LMHeadModel")
        torch.manual_seed(0)
        model = model_class(made)
        if std is not None:
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.dim() > 1:
                        parameter.normal_(std=std)
        model.save_pretrained(folder)
        return folder

    return make
