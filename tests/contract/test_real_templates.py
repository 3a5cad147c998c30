"""Chat templates as models publish them, with the real classes of their models: what a training makes of them.

The templates are those that TRL ships for its own training, read from its folder; where it ships none of a family
(Mistral, OLMo, SmolLM3, Granite), ours below have the form as we know it: OLMo 3's after published excerpts, the others
from memory, so that they test the kinds of turns, marks and dates, and not what those models ship byte for byte.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")
import trl

from alignment_prism.domain import Message, ModelError, Pair, Role, user
from alignment_prism.models.chat_templates import written
from alignment_prism.training import MethodConfig, make_examples, train_method
from alignment_prism.training.objectives import both

SHIPPED = Path(trl.__file__).parent / "chat_templates"
OWN = {
    "mistral": (
        "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\\n\\n' %}"
        "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
        "{% for turn in turns %}{% if (turn.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}{% if turn.role == 'user' %}"
        "[INST] {{ (first if turn == turns[-1] or turn == turns[-2] else '') + turn.content }}[/INST]"
        "{% else %} {{ turn.content | trim }}{{ eos_token }}{% endif %}{% endfor %}"
    ),
    "olmo2": (
        "{{ bos_token }}{% for turn in messages %}<|{{ turn.role }}|>\n{{ turn.content }}"
        "{% if turn.role == 'assistant' %}{{ eos_token }}{% endif %}{% if not loop.last %}\n{% endif %}"
        "{% if loop.last and add_generation_prompt %}\n<|assistant|>\n{% endif %}{% endfor %}"
    ),
    "olmo3": (
        "{% if messages[0].role != 'system' %}<|im_start|>system\nYou may help.<|im_end|>\n{% endif %}"
        "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}"
        "{% if turn.role == 'assistant' and loop.last %}{{ eos_token }}{% else %}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "olmo3_think": (
        "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}"
        "{% if turn.role == 'assistant' and loop.last %}{{ eos_token }}{% else %}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}"
    ),
    "smollm3": (
        "<|im_start|>system\n## Metadata\n\nToday Date: {{ strftime_now('%d %B %Y') }}\nReasoning Mode: /no_think\n\n"
        "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}<|im_end|>\n"
        "{% for turn in messages if turn.role != 'system' %}<|im_start|>{{ turn.role }}\n"
        "{% if turn.role == 'assistant' %}<think>\n\n</think>\n{% endif %}{{ turn.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n{% endif %}"
    ),
    "granite": (
        "{% if messages[0].role != 'system' %}<|start_of_role|>system<|end_of_role|>Today's Date: "
        "{{ strftime_now('%B %d, %Y') }}.<|end_of_text|>\n{% endif %}{% for turn in messages %}"
        "<|start_of_role|>{{ turn.role }}<|end_of_role|>{{ turn.content }}<|end_of_text|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
    ),
}
PUBLISHED = [path.stem for path in sorted(SHIPPED.glob("*.jinja")) if not path.stem.endswith("_training")]
TEXT = [name for name in PUBLISHED if not re.search(r"_vl|idefics|llava|smolvlm|diffusion", name)]  # those of texts
FAMILIES = {
    "cohere": ("Cohere", {"logit_scale": 0.0625, "num_key_value_heads": 4}, "<|END_OF_TURN_TOKEN|>"),
    "cohere2": ("Cohere2", {"sliding_window": 8, "num_key_value_heads": 2}, "<|END_OF_TURN_TOKEN|>"),
    "llama3": ("Llama", {"num_key_value_heads": 2}, "<|eot_id|>"),
    "llama3_2": ("Llama", {"num_key_value_heads": 2}, "<|eot_id|>"),
    "qwen3": ("Qwen3", {"num_key_value_heads": 2, "head_dim": 8}, "<|im_end|>"),
    "gemma3": ("Gemma3", {"head_dim": 8, "sliding_window": 8}, "<end_of_turn>"),
    "mistral": ("Mistral", {"num_key_value_heads": 2, "head_dim": 8}, "</s>"),
    "olmo2": ("Olmo2", {}, "<|endoftext|>"),
    "olmo3": ("Olmo3", {"sliding_window": 8}, "<|endoftext|>"),
    "smollm3": ("SmolLM3", {"num_key_value_heads": 2}, "<|im_end|>"),
    "granite": ("Granite", {"logits_scaling": 4.0}, "<|end_of_text|>"),
}
"""Template -> class, settings of the class, and the token that ends a reply."""

PAIRS = [
    Pair(f"p{n}", user(f"How does one carry {n} stones?"), f"Carry {n} of them home.", f"No, not {n}.", "en", "general")
    for n in range(4)
]


def _source(name: str) -> str:
    return OWN[name] if name in OWN else (SHIPPED / f"{name}.jinja").read_text(encoding="utf-8")


def _tokenizer(name: str, end: str = "") -> Any:
    """Bytes and the special tokens that a template writes."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|pad|>", "<|bos|>", *dict.fromkeys(re.findall(r"<\|?/?[a-zA-Z_]+\|?>|\[/?INST\]", _source(name)))]
    end = end or "<|end|>"
    special = [*special, *([] if end in special else [end])]
    tokenizer = Tokenizer(models.BPE())
    lines = pre_tokenizers.Split(Regex(r"[\r\n]+"), "isolated")  # ends of lines stay together, as in real tokenizers
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([lines, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["carry the stones home\n\n", "</think>\n\n"] * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token=end, pad_token="<|pad|>")
    fast.chat_template = _source(name)
    return fast


def _ids(tokenizer: Any, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> list[int]:
    (text,) = written(tokenizer, [turns], add_generation_prompt=add_generation_prompt)
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


@pytest.mark.parametrize("name", [*TEXT, *OWN])
def test_prompt_and_reply_are_what_the_template_writes_of_the_whole_conversation(name: str) -> None:
    tokenizer = _tokenizer(name)
    found = make_examples(PAIRS, [both(pair, 0) for pair in PAIRS], tokenizer, max_length=4000)
    boundary = sum(count.boundary for count in found.counts.values())
    for pair, example in zip(PAIRS, found.examples, strict=True):
        turns = [{"role": "user", "content": pair.messages[0].content}]
        ready = _ids(tokenizer, turns, add_generation_prompt=True)
        for reply, completion in zip((pair.chosen, pair.rejected), example.completions, strict=True):
            whole = [*turns, {"role": "assistant", "content": reply}]
            assert [*example.prompt, *completion] == _ids(tokenizer, whole, add_generation_prompt=False)
            assert reply in tokenizer.decode(completion)
        assert list(example.prompt) == ready[: len(example.prompt)]
        # What is not a prefix, because a thinking template writes less before a reply that has no thoughts, is counted.
        assert (len(example.prompt) < len(ready)) == bool(boundary)
    if name in FAMILIES:
        assert boundary == 0


@pytest.mark.parametrize("name", [name for name in (*TEXT, *OWN) if "strftime_now" in _source(name)])
def test_no_template_lets_the_day_into_a_prompt(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, turns = _tokenizer(name), [{"role": "user", "content": "Hello"}]
    said = []
    for day in (3, 4):

        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None, day: int = day) -> Any:
                return datetime.datetime(2031, 5, day)

        monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock)
        said += written(tokenizer, [turns], add_generation_prompt=True)
    assert said[0] == said[1] and "2025" in said[0] and "2031" not in said[0]


@pytest.mark.parametrize("name", [*TEXT, *OWN])
def test_a_system_turn_is_written_or_refused_by_name(name: str) -> None:
    tokenizer = _tokenizer(name)
    asked = [replace(pair, messages=(Message(Role.SYSTEM, "Speak of brooks."), *pair.messages)) for pair in PAIRS]
    try:
        found = make_examples(asked, [both(pair, 0) for pair in asked], tokenizer, max_length=4000)
    except ModelError as error:
        assert error.where == "pair p0" and "system" in str(error).lower()
        return
    assert all("Speak of brooks." in tokenizer.decode(example.prompt) for example in found.examples)


@pytest.mark.parametrize("name", ["qwen3", "smollm3", "gptoss"])
def test_what_a_template_writes_before_every_reply_is_no_part_of_the_preference(name: str) -> None:
    found = make_examples(PAIRS, [both(pair, 0) for pair in PAIRS], _tokenizer(name), max_length=4000)
    tokenizer = _tokenizer(name)
    for pair, example in zip(PAIRS, found.examples, strict=True):
        chosen, rejected = map(tokenizer.decode, example.completions)
        # An empty block of thoughts, or a channel, is in both or in the prompt.
        assert chosen.split(pair.chosen)[0] == rejected.split(pair.rejected)[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_real_class_of_a_family_learns_from_pairs_in_its_own_form(name: str, tmp_path: Path) -> None:
    import torch
    import transformers

    kind, settings, end = FAMILIES[name]
    tokenizer = _tokenizer(name, end)
    config_class = getattr(transformers, f"{kind}TextConfig", None) or getattr(transformers, f"{kind}Config")
    common = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    special = {
        "vocab_size": len(tokenizer),
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": tokenizer.eos_token_id,
    }
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM")(config_class(**common, **special, **settings))
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    how = MethodConfig.model_validate(
        {
            "dpo_ift": {"learning_rate": 1e-3, "epochs": 2, "schedule": "constant"},
            "training": {"batch_size": 4, "precision": "fp32", "log_every": 1},
        }
    )
    run = train_method("dpo_ift", base=tmp_path / "base", pairs=PAIRS, out=tmp_path / "run", config=how)
    (stage,) = run.stages
    about = [notice for notice in run.notices if "date" not in notice]
    assert stage.steps == 2 and not about, about  # packed, with the head's own chunks, every reply closed
    loss = stage.sums.mean("loss")
    assert loss < 0.6932  # ln 2 at the first of the two steps, and below it at the second
