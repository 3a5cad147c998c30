"""The seam to transformers: our decode loop says what `model.generate` says, architecture by architecture."""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment_prism.calls.journal import CallJournal
from alignment_prism.domain import InputError, Message, ModelError, Prompt, PromptKind, Role, Sampling, StopReason, user
from alignment_prism.generation.backends.decoding import Decoder, greedy
from alignment_prism.generation.backends.transformers import generate_local, load_local
from alignment_prism.generation.batching import plan_windows

SMALL = {"vocab_size": 120, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
PROMPTS = [[5, 6, 7], [8, 9], [10, 11, 12, 13, 14, 15], [9, 8, 7], [20], [21, 22, 23, 24], [30, 31, 32]]


def model_of(name: str) -> Any:
    """A model of random weights, sharp enough that no two tokens are nearly equal."""
    import transformers as t

    llama = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    kinds: dict[str, Any] = {
        "cohere": lambda: t.CohereForCausalLM(t.CohereConfig(**SMALL, **llama)),
        "cohere2": lambda: t.Cohere2ForCausalLM(t.Cohere2Config(**SMALL, **llama, sliding_window=4)),
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**SMALL, **llama, num_key_value_heads=2)),
        "mistral": lambda: t.MistralForCausalLM(
            t.MistralConfig(**SMALL, **llama, num_key_value_heads=2, sliding_window=4)
        ),
        "gemma2": lambda: t.Gemma2ForCausalLM(
            t.Gemma2Config(**SMALL, **llama, num_key_value_heads=2, head_dim=8, sliding_window=4)
        ),
        "gpt2": lambda: t.GPT2LMHeadModel(t.GPT2Config(**SMALL, n_embd=32, n_layer=2, n_head=2, n_positions=64)),
        "bloom": lambda: t.BloomForCausalLM(t.BloomConfig(**SMALL, hidden_size=32, n_layer=2, n_head=2)),
        "opt": lambda: t.OPTForCausalLM(
            t.OPTConfig(
                **SMALL, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32
            )
        ),
        "mamba": lambda: t.MambaForCausalLM(t.MambaConfig(**SMALL, hidden_size=32, num_hidden_layers=2, state_size=4)),
    }
    torch.manual_seed(3)
    model = kinds[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)
    return model


@pytest.mark.parametrize("name", ["cohere", "cohere2", "llama", "mistral", "gemma2", "gpt2", "bloom", "opt", "mamba"])
def test_the_loop_says_what_generate_says(name: str) -> None:
    model = model_of(name)
    stops = [2, 40, 41, 42, 43, 44, 45]  # so that some rows stop early
    decoder = Decoder(model, stops, pad=0)
    assert decoder.fast is (name != "mamba")
    limits = [12, 12, 12, 5, 12, 1, 12]
    assert decoder.joins is (name not in ("mamba", "cohere2", "mistral", "gemma2"))  # these have windows
    found = decoder.reply(PROMPTS, limits, greedy)
    assert decoder.reply(PROMPTS, limits, greedy, at_once=2) == found  # four enter in the places of others
    expected = []
    for prompt, limit in zip(PROMPTS, limits, strict=True):
        ids = torch.tensor([prompt])
        output = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=limit, eos_token_id=stops
        )
        expected.append(output[0, len(prompt) :].tolist())
    assert found == expected


def tokenizer_folder(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<bos>", "<eos>", "<user>", "<bot>"]
    bpe.train_from_iterator([], trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}"
        "{% endif %}{{ '<user>' if m.role == 'user' else '<bot>' }}{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<bot>{% endif %}"
    )
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import transformers as t

    folder = tmp_path_factory.mktemp("local") / "model"
    torch.manual_seed(1)
    config = t.CohereConfig(
        **(SMALL | {"vocab_size": 261}),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=48,
    )
    t.CohereForCausalLM(config).save_pretrained(folder)
    tokenizer_folder(folder)
    return folder


def asked(*texts: str) -> list[Prompt]:
    return [Prompt(f"p{n}", user(text), "en", PromptKind.HARMFUL) for n, text in enumerate(texts)]


def test_counts_stops_and_order(folder: Path) -> None:
    prompts = asked("abc", "a" * 60, "abcdefgh", "x" * 43, "x" * 45)
    ticks: list[tuple[int, int]] = []
    found = generate_local(
        folder, prompts, arm="m", sampling=Sampling(max_tokens=10), progress=lambda *done: ticks.append(done)
    )
    assert [g.prompt_id for g in found] == [p.id for p in prompts]
    # BOS, user mark, bytes, bot mark; no BOS of the tokenizer's own beside the template's.
    assert [g.prompt_tokens for g in found] == [6, 63, 11, 46, 48]
    assert [g.stop_reason is StopReason.CONTEXT for g in found] == [False, True, False, False, True]
    assert found[1].reply == "" and found[1].completion_tokens == 0
    assert found[3].completion_tokens <= 2 and found[3].stop_reason in (StopReason.MAX_TOKENS, StopReason.STOP)
    assert ticks[0] == (2, 5) and ticks[-1] == (5, 5)
    assert len({g.weights for g in found}) == 1 and len(found[0].weights) == 16


def test_batches_do_not_change_replies(folder: Path) -> None:
    prompts = asked(*("word " * (1 + n % 6) for n in range(40)))
    local = load_local(folder)
    together = generate_local(local, prompts, arm="m", sampling=Sampling(max_tokens=12))
    alone = [generate_local(local, [p], arm="m", sampling=Sampling(max_tokens=12))[0] for p in prompts]
    small = generate_local(local, prompts, arm="m", sampling=Sampling(max_tokens=12), batch_tokens=60)
    assert together == alone == small


def _steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every pass through a model from now on."""
    rows: list[int] = []
    real = Decoder._logits

    def counted(self: Decoder, work: Any) -> torch.Tensor:
        rows.append(len(work.rows))
        return real(self, work)

    monkeypatch.setattr(Decoder, "_logits", counted)
    return rows


def test_others_enter_when_some_are_done_and_every_reply_is_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight rows at once and limits of 3 and 24 tokens in turn: 40 x (3 + 24) / 2 = 540 tokens take 540 / 8 = 68 steps
    at least; five batches of eight, each as long as its longest, take 5 x 24 = 120."""
    model = model_of("llama")
    decoder = Decoder(model, [2], pad=0)
    prompts = [[1, *(7 + (3 * n + k) % 40 for k in range(9 - n // 8))] for n in range(40)]
    limits = [3 if n % 2 else 24 for n in range(40)]
    alone = [decoder.reply([prompt], [limit], greedy)[0] for prompt, limit in zip(prompts, limits, strict=True)]
    rows = _steps(monkeypatch)
    assert decoder.reply(prompts, limits, greedy, at_once=8) == alone
    assert sum(map(len, alone)) > 400 and max(rows) <= 8 and len(rows) < 95


def test_an_adapter_replies_the_same_whoever_is_at_work_beside(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(5)
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder), LoraConfig(r=4, target_modules=["q_proj", "v_proj"])
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    adapted.save_pretrained(tmp_path / "adapter")
    for file in (*folder.glob("tokenizer*"), *folder.glob("chat_template*")):
        shutil.copy(file, tmp_path / "adapter")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        local = load_local(tmp_path / "adapter")
    assert not [one for one in said if issubclass(one.category, FutureWarning)]  # of libraries about one another
    prompts = asked(*("word " * (1 + n % 6) for n in range(20)))
    draw = Sampling(max_tokens=12)
    together = generate_local(local, prompts, arm="m", sampling=draw, batch_tokens=150)
    assert together == [generate_local(local, [one], arm="m", sampling=draw)[0] for one in prompts]
    base = generate_local(load_local(folder), prompts, arm="m", sampling=draw)
    assert [one.reply for one in together] != [one.reply for one in base]


def test_samples_follow_seed_prompt_and_number_only(folder: Path) -> None:
    prompts = asked(*(f"question {n}" for n in range(10)))
    local = load_local(folder)
    draw = Sampling(temperature=1.0, max_tokens=8, samples=3, seed=11)
    all_at_once = generate_local(local, prompts, arm="m", sampling=draw)
    part = generate_local(local, prompts[4:6], arm="m", sampling=draw)
    assert [(g.prompt_id, g.sample) for g in part] == [(p.id, k) for p in prompts[4:6] for k in range(3)]
    assert [g.reply for g in part] == [g.reply for g in all_at_once[12:18]]
    assert len({g.reply for g in all_at_once}) == 30
    other = generate_local(
        local, prompts, arm="m", sampling=Sampling(temperature=1.0, max_tokens=8, samples=3, seed=12)
    )
    assert [g.reply for g in other] != [g.reply for g in all_at_once]


def test_sampling_draws_from_the_model_s_distribution(folder: Path) -> None:
    """First tokens of 3,000 draws against the softmax, and a nucleus that holds the likeliest tokens only."""
    from alignment_prism.models.chat_templates import prompt_ids

    local = load_local(folder)
    prompt = asked("hello")
    ids = prompt_ids(local.tokenizer, [prompt[0].messages], model="x")
    with torch.inference_mode():
        logits = local.model(torch.tensor(ids)).logits[0, -1]
    temperature = 0.02  # random weights are flat; this makes a few tokens likely
    p = (logits / temperature).softmax(-1)
    decoder_draw = Sampling(temperature=temperature, max_tokens=1, samples=3000, seed=1)
    counts = Counter(g.reply for g in generate_local(local, prompt, arm="m", sampling=decoder_draw))
    expected: Counter[str] = Counter()  # several tokens can read alike: bytes that are no character
    for token, share in enumerate(p.tolist()):
        expected[local.tokenizer.decode([token], skip_special_tokens=True)] += share  # type: ignore[assignment]
    for text, share in expected.most_common(4):
        assert counts[text] / 3000 == pytest.approx(share, abs=4 * (share * (1 - share) / 3000) ** 0.5 + 1e-3)
    nucleus = Sampling(temperature=temperature, top_p=float(p.max()) * 0.9, max_tokens=1, samples=50, seed=1)
    only = {g.reply for g in generate_local(local, prompt, arm="m", sampling=nucleus)}
    assert only == {local.tokenizer.decode([int(p.argmax())], skip_special_tokens=True)}


def test_several_greedy_samples_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="would all be the same"):
        generate_local(folder, asked("a"), arm="m", sampling=Sampling(samples=2))


def test_a_template_that_refuses_a_turn_is_named(folder: Path) -> None:
    prompt = Prompt("p", (Message(Role.SYSTEM, "be kind"), *user("hello")), "en", PromptKind.HARMFUL)
    with pytest.raises(InputError, match="no system role"):
        generate_local(folder, [prompt], arm="m", sampling=Sampling())


@pytest.mark.parametrize("broken", ["chat_template.jinja", "model.safetensors", "config.json", "tokenizer.json"])
def test_a_folder_that_lacks_a_part(folder: Path, tmp_path: Path, broken: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / broken).unlink()
    with pytest.raises(ModelError) as error:
        load_local(copy)
    assert str(copy) in str(error.value.where) and error.value.fix


def test_garbage_weights_are_a_model_error(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_local(copy)


@pytest.mark.parametrize("what", ["renamed", "reshaped", "cut"])
def test_a_model_that_lacks_weights_neither_replies_nor_is_trained(folder: Path, tmp_path: Path, what: str) -> None:
    """A flipped bit in a tensor's name: transformers would draw that tensor at random, and say so in a log."""
    from safetensors.torch import load_file, save_file

    from alignment_prism.training.base_model import load_model

    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "model.safetensors"
    tensors = load_file(path)
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        name = "model.layers.1.mlp.up_proj.weight"
        tensor = tensors.pop(name)
        tensors |= {name.replace("up_", "vp_"): tensor} if what == "renamed" else {name: tensor[1:].clone()}
        save_file(tensors, path, {"format": "pt"})
    for load in (load_local, lambda place: load_model(place, "fp32", "eager")):
        with pytest.raises(ModelError, match="lack 1 of its weights" if what == "renamed" else "cannot") as error:
            load(copy)
        assert str(copy) in str(error.value.where) and error.value.fix


class Killed(BaseException):
    """Nothing catches it."""


@pytest.mark.parametrize("draw", [Sampling(max_tokens=6), Sampling(temperature=1.0, max_tokens=6, samples=2, seed=3)])
def test_a_run_that_was_killed_draws_the_other_batches_only(
    draw: Sampling, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = load_local(folder)
    prompts = asked(*(f"{n} word " * (1 + n % 3) for n in range(12)), "too long for the context" * 4)
    options: dict[str, Any] = {"arm": "m", "sampling": draw, "batch_tokens": 100}
    monkeypatch.setattr(
        "alignment_prism.generation.backends.transformers.plan_windows", partial(plan_windows, window=1)
    )
    whole = generate_local(local, prompts, **options)
    batches: list[int] = []
    real = Decoder.reply

    def counted(self: Decoder, ids: Any, limits: Any, pick: Any, at_once: int) -> list[list[int]]:
        batches.append(len(ids))
        return real(self, ids, limits, pick, at_once)

    def kill(done: int, total: int) -> None:
        if len(batches) == 2:
            raise Killed

    monkeypatch.setattr(Decoder, "reply", counted)
    with CallJournal(tmp_path / "calls.jsonl") as journal, pytest.raises(Killed):
        generate_local(local, prompts, journal=journal, progress=kill, **options)
    assert len(CallJournal(tmp_path / "calls.jsonl")) == sum(batches) > 0
    with CallJournal(tmp_path / "calls.jsonl") as journal:
        assert generate_local(local, prompts, journal=journal, **options) == whole
    assert sum(batches) == 12 * draw.samples  # each reply was drawn once in both runs; one prompt has no room for any
    with CallJournal(tmp_path / "calls.jsonl") as journal:  # another draw is not taken for this one
        other = replace(draw, max_tokens=5)
        assert generate_local(local, prompts, journal=journal, **{**options, "sampling": other}) != whole
