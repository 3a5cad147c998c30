"""Multilingual consistency: prompts in several languages, how far they are from one line, and a training on that."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from alignment_prism.domain import InputError, Pair, user
from alignment_prism.training import load_config, make_examples, pairs_digest, train_method
from alignment_prism.training.objectives import both, collinearity_loss
from alignment_prism.training.translations import translated_prompts

SETTINGS: dict[str, Any] = {
    "training.precision": "fp64",
    "training.save_precision": "fp32",
    "training.batch_size": 6,
    "training.length_horizon": 0,
    "mlc.learning_rate": 2e-3,
    "mlc.epochs": 3,
}


@pytest.fixture(scope="module")
def grouped(twelve_pairs: list[Pair]) -> list[Pair]:
    """Pairs of which three, in three languages, have a group in common."""
    return [replace(pair, group=f"g{number // 3}") for number, pair in enumerate(twelve_pairs)]


def test_how_far_vectors_are_from_one_line_at_values_worked_out_by_hand() -> None:
    line = torch.tensor([[3.0, 4.0], [-0.6, -0.8], [6.0, 8.0]])  # of one direction, once the other way
    apart = torch.eye(2)
    bent = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    found = collinearity_loss([line, apart, bent, line[:1]], 0.5)
    # One line: singular values (sqrt 3, 0, ...) of 3 rows in 2 dimensions, so two values, scaled (1, 0):
    # log(1 + exp(-2)). Orthogonal: (1, 1), log 2. Bent by cos 0.6: s^2 = 1 +- 0.6, s_2 / s_1 = 0.5:
    # -log(e^2 / (e^2 + e^1)) = log(1 + exp(-1)). One vector alone: 0.
    expected = [math.log(1 + math.exp(-2)), math.log(2), math.log(1 + math.exp(-1)), 0.0]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_loss_draws_vectors_to_one_line() -> None:
    vectors = torch.tensor([[1.0, 0.1], [0.2, 1.0]], requires_grad=True)
    before = None
    for _ in range(200):
        loss = collinearity_loss([vectors], 0.3).sum()
        before = float(loss) if before is None else before
        (gradient,) = torch.autograd.grad(loss, vectors)
        vectors = (vectors - 0.2 * gradient).detach().requires_grad_()
    one, other = torch.nn.functional.normalize(vectors, dim=-1)
    assert float(loss) < before and abs(float(one @ other)) > 0.99


def test_translations_are_those_that_a_pair_names_else_those_of_its_group(
    tiny_model: Path, grouped: list[Pair]
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    named = replace(grouped[0], metadata={"translations": {"hi": "नाव", "ru": "река", "en": "itself"}})
    lone = replace(grouped[11], group="")
    pairs = [named, *grouped[1:11], lone]
    examples = make_examples(pairs, [both(pair, 0) for pair in pairs], tokenizer, max_length=200).examples
    found = translated_prompts(examples, pairs, tokenizer, "tiny")
    assert [len(one) for one in found] == [3] * 9 + [2, 2, 1]
    for said, code in zip(found[0][1:], ("नाव", "река"), strict=True):
        turns = [{"role": "user", "content": code}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert list(said) == tokenizer(text, add_special_tokens=False).input_ids
    assert found[1] == (examples[1].prompt, examples[0].prompt, examples[2].prompt)
    with pytest.raises(InputError, match="none of 1 pairs has its prompt in another language"):
        translated_prompts(examples[11:], [lone], tokenizer, "tiny")
    assert pairs_digest([named]) != pairs_digest([grouped[0]])
    with pytest.raises(InputError, match="no texts by language"):
        pairs_digest([replace(named, metadata={"translations": ["река"]})])


def _run(name: str, base: Path, pairs: list[Pair], out: Path, **settings: Any) -> tuple[dict[str, Any], list[float]]:
    config = load_config("micro", {**SETTINGS, **settings})
    train_method("mlc", base=base, pairs=pairs, out=out / name, config=config)
    lines = [json.loads(line) for line in (out / name / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    apart = []
    for line in lines:
        if line["event"] == "step":
            cells = [row["metrics"]["apart"] for row in line["groups"]]
            apart.append(sum(total for total, _ in cells) / sum(count for _, count in cells))
    return load_file(out / name / "model" / "model.safetensors"), apart


def test_prompts_come_to_one_line_with_a_weight_and_micro_batches_change_nothing(
    tiny_model: Path, grouped: list[Pair], tmp_path: Path
) -> None:
    whole, apart = _run("whole", tiny_model, grouped, tmp_path)
    parts, _ = _run(
        "parts", tiny_model, grouped, tmp_path, **{"training.micro_batch_size": 2, "training.layout": "flat"}
    )
    _, without = _run("without", tiny_model, grouped, tmp_path, **{"mlc.weight": 0.0})
    assert apart[-1] < apart[0] - 0.01 and apart[-1] < without[-1] - 0.01
    for name, tensor in whole.items():
        assert torch.allclose(parts[name], tensor, rtol=0, atol=2e-5), name


def test_adapters_learn_it_too_on_either_engine_and_what_is_held_out_is_evaluated(
    tiny_model: Path, grouped: list[Pair], tmp_path: Path
) -> None:
    settings = {"training.adapter": {"rank": 4, "alpha": 8}, "training.held_out": 0.3, "mlc.depth": 0.5}
    found = []
    for engine in ("transformers", "trl"):
        config = load_config("micro", {**SETTINGS, **settings})
        run = train_method("mlc", engine=engine, base=tiny_model, pairs=grouped, out=tmp_path / engine, config=config)
        found.append(load_file(run.model / "model.safetensors"))
        log = (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        assert any(json.loads(line)["event"] == "held_out" for line in log)
    for name, tensor in found[0].items():
        assert torch.allclose(found[1][name], tensor, rtol=0, atol=2e-6), name


def test_translations_alone_are_enough(tiny_model: Path, tmp_path: Path) -> None:
    pairs = [
        Pair(f"p{n}", user(f"carry {n}"), "a boat", "no boat", "en", metadata={"translations": {"ru": f"лодка {n}"}})
        for n in range(6)
    ]
    _, apart = _run("run", tiny_model, pairs, tmp_path)
    assert apart[-1] < apart[0]
