"""Rendering and tokenising: prompts are what the model sees before it replies, and nothing is lost uncounted."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment_prism.domain import InputError, Message, ModelError, Pair, Role, user
from alignment_prism.training import Example, Replies, make_examples, pairs_digest
from alignment_prism.training.objectives import both, tossed


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def _replies(pairs: list[Pair]) -> list[tuple[Replies, ...]]:
    return [both(pair, 0) for pair in pairs]


def test_prompt_and_completions_join_to_what_the_template_writes(pairs: list[Pair], tokenizer: Any) -> None:
    result = make_examples(pairs, _replies(pairs), tokenizer, max_length=200)
    assert len(result.examples) == len(pairs)
    for pair, example in zip(pairs, result.examples, strict=True):
        turns = [{"role": "user", "content": pair.messages[0].content}]
        ready = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert tokenizer.decode(example.prompt) == ready
        for reply, completion in zip((pair.chosen, pair.rejected), example.completions, strict=True):
            assert tokenizer.decode(completion) == f"{reply}<|end|>"
        assert example.group == (pair.language, pair.scope.value if pair.scope else "none")
    assert not result.notices


def test_too_long_and_truncated_pairs_are_counted_by_language(tokenizer: Any) -> None:
    pairs = [
        Pair("short", user("how can"), "the old", "a red", language="en"),
        Pair("cut", user("how can"), "the old river " * 20, "a red", language="en"),
        Pair("gone", user("the old river " * 20), "yes", "no", language="hi"),
    ]
    result = make_examples(pairs, _replies(pairs), tokenizer, max_length=24)
    assert [example.pair_id for example in result.examples] == ["short", "cut"]
    assert (result.counts["en"].trained, result.counts["en"].truncated, result.counts["en"].too_long) == (2, 1, 0)
    assert (result.counts["hi"].trained, result.counts["hi"].too_long) == (0, 1)
    cut = result.examples[1]
    assert cut.padded_length == 24
    assert result.counts["en"].prompt_tokens == sum(len(example.prompt) for example in result.examples)
    assert result.counts["en"].gradient_tokens == sum(len(c) for e in result.examples for c in e.completions)
    text = " ".join(result.notices)
    assert "1 of 3 pairs left out" in text and "hi 1" in text and "cut at max_length = 24 (en 1)" in text


def test_examples_keep_the_label_of_their_replies(tokenizer: Any, pairs: list[Pair]) -> None:
    picked = [tossed(pair, 0) for pair in pairs]
    found = make_examples(pairs, picked, tokenizer, max_length=200).examples
    assert {example.label for example in found} == {0.0, 1.0}
    by_id = {pair.id: reply.label for pair, (reply,) in zip(pairs, picked, strict=True)}
    assert all(example.label == by_id[example.pair_id] for example in found)


def test_pairs_with_equal_replies_are_kept_and_counted(tokenizer: Any) -> None:
    pairs = [Pair("same", user("how"), "the old", "the old")]
    result = make_examples(pairs, _replies(pairs), tokenizer, max_length=50)
    assert result.counts["und"].identical == 1 and "und 1" in result.notices[0]


def test_a_template_that_never_ends_a_turn_is_noticed(pairs: list[Pair], tokenizer: Any) -> None:
    import copy

    endless = copy.copy(tokenizer)
    endless.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    result = make_examples(pairs, _replies(pairs), endless, max_length=200)
    assert any("may not learn to stop" in notice for notice in result.notices)


def test_a_refused_conversation_names_its_pair(tokenizer: Any) -> None:
    import copy

    strict = copy.copy(tokenizer)
    strict.chat_template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}x"
    good = Pair("good", user("how"), "c", "r")
    bad = Pair("bad", (Message(Role.SYSTEM, "s"), Message(Role.USER, "q")), "c", "r")
    with pytest.raises(ModelError, match=r"no system turn(.|\n)*pair bad"):
        make_examples([good, bad], _replies([good, bad]), strict, max_length=50)


def test_a_tokenizer_without_template_an_empty_pool_and_a_pool_that_never_fits_are_refused(
    pairs: list[Pair], tokenizer: Any
) -> None:
    import copy

    bare = copy.copy(tokenizer)
    bare.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        make_examples(pairs, _replies(pairs), bare, max_length=50)
    with pytest.raises(InputError, match="no pair"):
        make_examples([], [], tokenizer, max_length=50)
    with pytest.raises(InputError, match="max_length = 2"):
        make_examples(pairs, _replies(pairs), tokenizer, max_length=2)


def test_the_digest_of_pairs_sees_content_and_order(pairs: list[Pair]) -> None:
    import dataclasses

    digest = pairs_digest(pairs)
    assert digest == pairs_digest(list(pairs))
    assert digest != pairs_digest(pairs[::-1])
    assert digest != pairs_digest([dataclasses.replace(pairs[0], chosen="other"), *pairs[1:]])
    moved = [dataclasses.replace(pairs[0], chosen=pairs[0].chosen + pairs[0].rejected, rejected=""), *pairs[1:]]
    assert digest != pairs_digest(moved)


def test_what_is_cut_is_counted_under_its_own_language_whichever_came_first(tokenizer: Any) -> None:
    pairs = [
        Pair("first", user("how can"), "the old", "a red", language="hi"),
        Pair("cut", user("how can"), "the old river " * 20, "a red", language="ru"),
    ]
    result = make_examples(pairs, _replies(pairs), tokenizer, max_length=24)
    assert {lang: count.truncated for lang, count in result.counts.items()} == {"hi": 0, "ru": 1}
    assert "ru 1" in " ".join(result.notices) and "hi" not in " ".join(result.notices)


def test_a_prompt_of_exactly_the_most_tokens_leaves_no_room_and_one_less_leaves_one(tokenizer: Any) -> None:
    pairs = [Pair("x", user("how can"), "the old", "a red"), Pair("y", user("a"), "the", "a")]
    length = len(make_examples(pairs, _replies(pairs), tokenizer, max_length=99).examples[0].prompt)
    result = make_examples(pairs, _replies(pairs), tokenizer, max_length=length)
    assert [example.pair_id for example in result.examples] == ["y"] and result.counts["und"].too_long == 1
    result = make_examples(pairs, _replies(pairs), tokenizer, max_length=length + 1)
    assert [len(completion) for completion in result.examples[0].completions] == [1, 1]


def test_a_prompt_that_is_written_otherwise_once_a_reply_follows_is_counted(tokenizer: Any) -> None:
    shifting = copy.copy(tokenizer)
    shifting.chat_template = (
        "{% for m in messages %}<|{{ 'bot' if m['role'] == 'assistant' else 'user' }}|>{{ m['content'] }}<|end|>"
        "{% endfor %}{% if add_generation_prompt %}<|bot|><|system|>{% endif %}"
    )
    pairs = [Pair("x", user("how can"), "the old", "a red", language="en")]
    result = make_examples(pairs, _replies(pairs), shifting, max_length=99)
    assert tokenizer.decode(result.examples[0].prompt) == "<|user|>how can<|end|><|bot|>"
    assert result.counts["en"].boundary == 1
    assert "written otherwise once a reply follows (en 1)" in result.notices[0]
    assert make_examples(pairs, _replies(pairs), tokenizer, max_length=99).counts["en"].boundary == 0


def test_nothing_is_put_back_where_the_end_of_the_prompt_is_written_otherwise_too(tokenizer: Any) -> None:
    # The system turn is said in the last turn of the user alone, and there is an empty block of thoughts before a reply
    # that is still to come: the question, which was asked before as well, must not be learnt as a part of the reply.
    tokenizer, end = copy.copy(tokenizer), tokenizer.eos_token
    tokenizer.chat_template = (
        "{% set first, turns = messages[0].content, messages[1:] %}{% for turn in turns %}{% if turn.role == 'user' %}"
        "<user>{{ first if loop.last else '' }} {{ turn.content }}<assistant>{% if loop.last %}<think>{% endif %}"
        "{% else %}{{ turn.content }}{{ eos_token }}{% endif %}{% endfor %}"
    )
    turns = (Message(Role.SYSTEM, "Be brief."), *user("How?"), Message(Role.ASSISTANT, "So."), *user("How?"))
    pair = Pair("p", turns, "Thus.", "No.", "en")
    found = make_examples([pair], _replies([pair]), tokenizer, max_length=999)
    (example,) = found.examples
    assert found.counts["en"].boundary == 1
    for reply, completion in zip(("Thus.", "No."), example.completions, strict=True):
        whole = tokenizer.decode([*example.prompt, *completion])
        assert whole == f"<user> How?<assistant>So.{end}<user> How?<assistant>{reply}{end}"


def test_the_first_token_of_a_sequence_without_prompt_carries_no_loss_and_is_not_counted() -> None:
    from alignment_prism.training.layouts.batches import PaddedBatch
    from alignment_prism.training.layouts.packing import pack

    examples = [
        Example("x", ("en", "none"), (), ((5, 6, 7), (8,))),
        Example("y", ("en", "none"), (9,), ((5, 6), ())),
        Example("z", ("en", "none"), (), ((), (4,))),
    ]
    assert [example.gradient_tokens for example in examples] == [2, 2, 0]
    for example in examples:
        assert len(pack([example], budget=0, pad_token_id=0).targets) == example.gradient_tokens
        batch = PaddedBatch([example], 0)([0])
        assert len(batch["targets"]) == example.gradient_tokens
        assert {batch[name].dtype for name in ("positions", "targets", "owners")} == {torch.int64}


THINKING = (  # the generation prompt has a block that the template does not write before a reply
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}<|bot|>{% else %}<|user|>"
    "{% endif %}{{ message['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|bot|>how can the{% endif %}"
)


def test_replies_that_end_are_not_reported_whatever_the_generation_prompt_says(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    thinking = AutoTokenizer.from_pretrained(tiny_model)
    thinking.chat_template = THINKING
    pairs = [Pair("short", user("how can"), "a", "b")]  # shorter than the block
    notices = make_examples(pairs, _replies(pairs), thinking, max_length=50).notices
    assert not any("end-of-sequence" in notice for notice in notices)


def test_a_turn_may_end_with_another_token_than_a_text(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    """Gemma closes turns with `<end_of_turn>`, which is in the list of its generation_config.json."""
    import json
    import shutil

    from alignment_prism.training.base_model import find_base

    folder = tmp_path / "gemma"
    shutil.copytree(tiny_model, folder)
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template.replace("<|end|>", "<|system|>"), encoding="utf-8")

    def notices() -> list[str]:
        base = find_base(folder)
        return make_examples(pairs, _replies(pairs), base.tokenizer, max_length=200, ends=base.ends).notices

    assert any("48 of 48 pairs have a reply without an end-of-sequence token" in one for one in notices())
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 5]}), encoding="utf-8")  # <|system|>
    assert notices() == []
