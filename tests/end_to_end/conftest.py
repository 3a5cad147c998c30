"""Scripted model servers, one with a batch API, a tiny model in a folder, and real prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_server import BatchServer
from scripted_server import Server

from alignment_prism.calls import endpoint
from alignment_prism.cli.main import main
from alignment_prism.domain import Prompt


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def second_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    """A batch API that OpenAI's client may ask; a batch is looked at again at once."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setattr(endpoint, "_BATCH_DELAY", 0.01)
    server = BatchServer()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Cohere model of random weights with a context of 96 tokens (bytes, nearly) and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import CohereConfig, CohereForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "model"
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<bos>", "<eos>", "<user>", "<bot>"]
    bpe.train_from_iterator([], trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{{ '<user>' if m.role == 'user' else '<bot>' }}{{ m.content }}"
        "{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}"
    )
    torch.manual_seed(0)
    config = CohereConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=96,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    CohereForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def aya(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 40 real prompts of each of the four languages, as they are published."""
    lines = (realdata / "aya_redteaming_partial" / "aya_partial_merged.jsonl").read_text("utf-8").splitlines()
    kept: dict[str, list[str]] = {}
    for line in lines:
        kept.setdefault(json.loads(line)["language"], []).append(line)
    file = tmp_path_factory.mktemp("aya") / "aya.jsonl"
    file.write_text("".join(f"{line}\n" for some in kept.values() for line in some[:40]), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def prompts(aya: Path) -> list[Prompt]:
    """Those that `--limit 16` takes: as many in each language."""
    from alignment_prism.prompts import load_prompts
    from alignment_prism.studies.sources import limited

    return limited(load_prompts(aya), 16)


@pytest.fixture
def prism(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command; returns exit code and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out + captured.err

    return run
