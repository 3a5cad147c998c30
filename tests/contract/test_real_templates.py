"""Chat templates as models publish them, with the real classes of their models: what a training makes of them.

The templates are those that TRL ships for its own training, read from its folder. Where it ships none of a family ours
below, in our own words, do what the published ones do with turns of text: where a prompt ends, what stands before a
reply and closes it, default system turns (shortened), dates, thoughts. What they were held against:

- Mistral: of 7B v0.3 and Nemo, and of Small 3.1, as llama.cpp collects them (MIT)
- OLMo 2: `tokenizer_config.json` of 13B Instruct (Apache-2.0); OLMo 3: what Ollama renders for Instruct and Think (MIT)
- SmolLM3: its template whole, as three projects quote it (one, of an earlier checkpoint, closes the system turn)
- Granite 3.2: the template in IBM's granite-io (Apache-2.0); Granite 4.0: as a GGUF file of it carries it, and IBM's
  guide to its prompts (which knows no default system turn: files of 4.0 differ in that)
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
from alignment_prism.models.chat_templates import prompt_ids, written
from alignment_prism.training import MethodConfig, make_examples, train_method
from alignment_prism.training.objectives import both

SHIPPED = Path(trl.__file__).parent / "chat_templates"
ALTERNATE = (
    "{% set first = messages[0].content if messages[0].role == 'system' else none %}"
    "{% set turns = messages if first is none else messages[1:] %}{{ bos_token }}"
    "{% for turn in turns %}{% if (turn.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
)
"""How Mistral's templates begin: turns of user and assistant, after a system turn or none."""
OWN = {
    # The system turn is written into the last turn of the conversation, and so not at all once a reply follows.
    "mistral": ALTERNATE + "{% for turn in turns %}{% if turn.role == 'user' %}"
    "[INST] {% if loop.last and first is not none %}{{ first + '\n\n' }}{% endif %}{{ turn.content }}[/INST]"
    "{% else %} {{ turn.content | trim }}{{ eos_token }}{% endif %}{% endfor %}",
    "mistral_nemo": ALTERNATE + "{% for turn in turns %}{% if turn.role == 'user' %}"
    "[INST]{% if loop.last and first is not none %}{{ first + '\n\n' }}{% endif %}{{ turn.content }}[/INST]"
    "{% else %}{{ turn.content }}{{ eos_token }}{% endif %}{% endfor %}",
    "mistral_small": ALTERNATE
    + "[SYSTEM_PROMPT]{{ 'The date is ' + strftime_now('%Y-%m-%d') + '.' if first is none else first }}[/SYSTEM_PROMPT]"
    "{% for turn in turns %}{% if turn.role == 'user' %}[INST]{{ turn.content }}[/INST]"
    "{% else %}{{ turn.content }}{{ eos_token }}{% endif %}{% endfor %}",
    "olmo2": (
        "{{ bos_token }}{% for turn in messages %}<|{{ turn.role }}|>\n{{ turn.content }}"
        "{% if turn.role == 'assistant' %}{{ eos_token }}{% endif %}"
        "{% if turn.role != 'assistant' or not loop.last %}{{ '\n' }}{% endif %}"
        "{% if loop.last and add_generation_prompt %}<|assistant|>\n{% endif %}{% endfor %}"
    ),
    "olmo3": (
        "{% if messages[0].role != 'system' %}<|im_start|>system\nYou call functions. You have none. "
        "<functions></functions><|im_end|>\n{% endif %}"
        "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}"
        "{% if turn.role == 'assistant' and loop.last %}{{ eos_token }}{% else %}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "olmo3_think": (
        "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help. You have no functions. "
        "<functions></functions><|im_end|>\n{% endif %}"
        "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}"
        "{% if turn.role == 'system' %} You have no functions. <functions></functions>{% endif %}"
        "{% if turn.role == 'assistant' and loop.last %}{{ eos_token }}{% else %}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}"
    ),
    # Thinks unless the system turn says /no_think; the system turn is never closed.
    "smollm3": (
        "{% set first = messages[0].content if messages[0].role == 'system' else '' %}"
        "{% set none_said = '<think>\n\n</think>\n' if '/no_think' in first else '' %}"
        "{% set own = first.replace('/no_think', '').replace('/think', '').rstrip() %}"
        "<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\n"
        "Today Date: {{ strftime_now('%d %B %Y') }}\nReasoning Mode: {{ '/no_think' if none_said else '/think' }}\n\n"
        "## Custom Instructions\n\n{{ own if own else 'You are SmolLM.' }}\n\n"
        "{% for turn in messages if turn.role != 'system' %}<|im_start|>{{ turn.role }}\n"
        "{% if turn.role == 'assistant' %}"
        "{% generation %}{{ none_said + turn.content.lstrip('\n') }}{% endgeneration %}"
        "{% else %}{{ turn.content }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{{ none_said }}{% endif %}"
    ),
    "granite": (
        "{% if messages[0].role != 'system' %}<|start_of_role|>system<|end_of_role|>"
        "Knowledge Cutoff Date: April 2024.\nToday's Date: {{ strftime_now('%B %d, %Y') }}.\nYou are Granite."
        "<|end_of_text|>\n{% endif %}"
        "{% for turn in messages %}<|start_of_role|>{{ turn.role }}<|end_of_role|>{{ turn.content }}<|end_of_text|>\n"
        "{% if loop.last and add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}{% endfor %}"
    ),
    # A system turn always, without a date.
    "granite4": (
        "{% set first = messages[0].role == 'system' %}<|start_of_role|>system<|end_of_role|>"
        "{{ messages[0].content if first else 'You help. Be exact and safe.' }}<|end_of_text|>\n"
        "{% for turn in messages[1 if first else 0:] %}"
        "<|start_of_role|>{{ turn.role }}<|end_of_role|>{{ turn.content }}<|end_of_text|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
    ),
}
PUBLISHED = [path.stem for path in sorted(SHIPPED.glob("*.jinja")) if not path.stem.endswith("_training")]
TEXT = [name for name in PUBLISHED if not re.search(r"_vl|idefics|llava|smolvlm|diffusion", name)]  # those of texts
GRANITE4 = {
    "layer_types": ["attention"] * 2,
    "mamba_n_heads": 4,
    "num_local_experts": 0,
    "num_experts_per_tok": 0,
    "num_key_value_heads": 2,
    "shared_intermediate_size": 48,
    "position_embedding_type": "rope",
    "logits_scaling": 4.0,
}
"""Of the small dense models: the class of the hybrid ones, with attention alone."""
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
    "granite4": ("GraniteMoeHybrid", GRANITE4, "<|end_of_text|>"),
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

    special = ["<|pad|>", "<|bos|>", *dict.fromkeys(re.findall(r"<\|?/?[a-zA-Z_]+\|?>|\[/?[A-Z_]+\]", _source(name)))]
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
    for pair, example in zip(asked, found.examples, strict=True):
        assert "Speak of brooks." in tokenizer.decode(example.prompt)
        for reply, completion in zip((pair.chosen, pair.rejected), example.completions, strict=True):
            said = tokenizer.decode(completion)
            assert reply in said and "stones?" not in said  # nothing of the question is learnt


@pytest.mark.parametrize(("name", "gap"), [("mistral", " "), ("mistral_nemo", "")])
def test_a_template_that_drops_the_system_turn_once_a_reply_follows_is_trained_with_it(name: str, gap: str) -> None:
    tokenizer = _tokenizer(name, "</s>")
    turns = (*user("How?"), Message(Role.ASSISTANT, "So."), *user("How?"))
    for messages, before in (
        ((Message(Role.SYSTEM, "How long?"), *user("How?")), "<|bos|>"),
        ((Message(Role.SYSTEM, "Have"), *turns), f"<|bos|>[INST]{gap}How?[/INST]{gap}So.</s>"),
    ):
        pair = Pair("p", messages, "Thus.", "No.", "en", "general")
        found = make_examples([pair], [both(pair, 0)], tokenizer, max_length=4000)
        (example,) = found.examples
        assert tokenizer.decode(example.prompt) == f"{before}[INST]{gap}{messages[0].content}\n\nHow?[/INST]"
        assert [tokenizer.decode(one) for one in example.completions] == [f"{gap}Thus.</s>", f"{gap}No.</s>"]
        assert example.prompt == tuple(prompt_ids(tokenizer, [messages], model=name)[0])  # as when it replies
        assert not found.counts["en"].boundary


@pytest.mark.parametrize("name", ["qwen3", "smollm3", "gptoss"])
def test_what_a_template_writes_before_every_reply_is_no_part_of_the_preference(name: str) -> None:
    tokenizer = _tokenizer(name)
    quiet = (Message(Role.SYSTEM, "/no_think"),) if name == "smollm3" else ()
    pairs = [replace(pair, messages=(*quiet, *pair.messages)) for pair in PAIRS]
    found = make_examples(pairs, [both(pair, 0) for pair in pairs], tokenizer, max_length=4000)
    for pair, example in zip(pairs, found.examples, strict=True):
        assert "<think>" in tokenizer.decode((*example.prompt, *example.completions[0])) or name == "gptoss"
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
