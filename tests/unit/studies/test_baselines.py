"""Baselines that claims need, each a line of a study: system prompt, steering, adapters in drawn layers, a coin."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment_prism.domain import InputError, Pair, Prompt, PromptKind, user
from alignment_prism.generation import reply
from alignment_prism.generation.backends.steering import (
    layer_at,
    random_direction,
    refusal_direction,
    save_direction,
    steered,
)
from alignment_prism.generation.backends.transformers import load_local
from alignment_prism.io import read_records
from alignment_prism.mixtures import shuffled
from alignment_prism.models.shipped import shipped_base
from alignment_prism.studies import Study, load_spec, run_study
from alignment_prism.studies.training_tables import training_curves

ARMS: list[dict[str, Any]] = [
    {"name": "system", "model": "nano", "system": "Be kind."},
    {"name": "refusal", "model": "nano", "steer": {"direction": "refusal", "strength": 3.0, "prompts": 8}},
    {"name": "random", "model": "nano", "steer": {"direction": "random", "strength": 3.0, "prompts": 8}},
    {"name": "coin", "method": "sft", "share": 0.5, "shuffled": True},
    {"name": "drawn", "method": "sft", "share": 0.5, "config": {"training": {"adapter": {"rank": 2, "layers": 1}}}},
    {"name": "early", "method": "sft", "share": 0.5, "config": {
        "sft": {"learning_rate": 0.1, "epochs": 9}, "training": {"held_out": 0.3, "eval_every": 1, "patience": 1}}},
]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    out = tmp_path_factory.mktemp("baselines") / "out"
    changes: dict[str, Any] = {"mixture": {"total": 16}, "kinds": ["harmful"], "compare": None, "examples": 0}
    run_study(load_spec("micro", arms=ARMS, **changes), out)
    return Study.open(out)


def test_every_baseline_is_an_arm_with_findings_and_replies_of_its_own(study: Study) -> None:
    rates = {one.arm for one in study.findings() if one.metric == "harm_rate"}
    assert rates == {"base", *(arm["name"] for arm in ARMS)}
    said: dict[str, list[tuple[str, int]]] = {}
    for one in study.generations():
        said.setdefault(one.arm, []).append((one.reply, one.prompt_tokens))
    for arm in ARMS[:3]:  # a training of two steps may change no greedy reply
        assert said[arm["name"]] != said["base"], arm["name"]
    assert all(more > less for (_, more), (_, less) in zip(said["system"], said["base"], strict=True))
    page = study.report.read_text(encoding="utf-8")
    for words in ("with a system prompt", "steered by a refusal direction", "preferences drawn by a coin"):
        assert words in page


def test_a_coin_turns_about_half_of_the_pairs_and_the_same_for_a_seed(study: Study) -> None:
    pairs = [
        Pair(f"p{n}", user("q"), f"c{n}", f"r{n}", chosen_harmful=False, rejected_harmful=True) for n in range(2000)
    ]
    found = shuffled(pairs, 0)
    turned = sum(one.chosen.startswith("r") for one in found)
    assert abs(turned - 1000) < 4 * 2000**0.5 / 2  # four standard errors of a fair coin
    assert all(one.chosen_harmful == one.chosen.startswith("r") for one in found)
    assert shuffled(pairs[::-1], 0) == found[::-1] and shuffled(pairs, 1) != found
    (folder,) = (study.out / "mix").glob("*shuffled*")
    (plain,) = (one for one in (study.out / "mix").iterdir() if "shuffled" not in one.name)
    mixed, before = (read_records(one / "pairs.parquet", Pair) for one in (folder, plain))
    assert tuple(mixed) == shuffled(before, 0) != tuple(before)


def test_a_training_that_held_out_pairs_end_early_has_their_losses_in_the_report(study: Study) -> None:
    log = study.models()["early", 0].parent / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    held = [line for line in lines if line["event"] == "held_out"]
    steps = [line for line in lines if line["event"] == "step"]
    losses = [line["loss"] for line in held]
    assert min(losses) < losses[-1] and len(held) == len(steps) < steps[0]["of"]
    shares = {(row["language"], row["scope"]): row["metrics"]["loss"] for row in held[-1]["groups"]}
    worst = max(shares, key=lambda group: shares[group][0] / shares[group][1])
    page = study.report.read_text(encoding="utf-8")
    table = page.partition("Losses while training")[2].partition("</table>")[0]
    (row,) = (one for one in table.split("<tr>") if "held out" in one)
    cells = [f"{losses[0]:.4f}", f"{losses[-1]:.4f}", " / ".join(worst), f"{shares[worst][0] / shares[worst][1]:.4f}"]
    cells.append(str(held[losses.index(min(losses))]["step"]))
    assert re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", row)[-5:] == cells
    assert "How training went" in page
    (curve,) = (one for one in training_curves(study) if one.part == "held out" and not one.group)
    assert curve.points == tuple((line["step"], pytest.approx(line["loss"])) for line in held)


def test_trainings_that_differ_in_settings_alone_have_curves_and_rows_of_their_own(study: Study) -> None:
    whole = [one for one in training_curves(study) if not one.group and one.part == "trained"]
    assert len(whole) == len(list((study.out / "train").glob("*/log.jsonl")))  # methods of one stage
    for arm in ("early", "drawn"):
        log = study.models()[arm, 0].parent / "log.jsonl"
        steps = [line for line in map(json.loads, log.read_text("utf-8").splitlines()) if line["event"] == "step"]
        (curve,) = (one for one in whole if one.training.endswith(f"({arm})"))
        assert curve.points == tuple((line["step"], pytest.approx(line["loss"])) for line in steps)
    table = study.report.read_text("utf-8").partition("Losses while training")[2].partition("</table>")[0]
    assert "(early)" in table and "(drawn)" in table


def test_adapters_are_in_the_drawn_layers_alone(study: Study) -> None:
    from safetensors.torch import load_file

    start = load_file(next(shipped_base().glob("*.safetensors")))
    after = load_file(study.models()["drawn", 0] / "model.safetensors")
    changed = [name for name in start if not torch.equal(start[name].float(), after[name].float())]
    moved = {name.split(".layers.")[1].split(".")[0] for name in changed}
    assert len(moved) == 1
    config = study.models()["drawn", 0].parent / "config.yaml"
    assert "layers: 1" in config.read_text(encoding="utf-8")


def test_a_refusal_direction_is_the_difference_of_means_behind_a_layer() -> None:
    local = load_local(shipped_base(), device="cpu")
    harmful, harmless = ([user(f"{word} {n}") for n in range(3)] for word in ("burn", "bake"))
    found = refusal_direction(local, harmful, harmless, 1)
    states: list[torch.Tensor] = []
    hook = local.model.model.layers[1].register_forward_hook(
        lambda module, inputs, output: states.append(output[0, -1] if output.dim() == 3 else output[0][0, -1])
    )
    for messages in (*harmful, *harmless):
        ids = local.tokenizer.apply_chat_template([one.as_dict() for one in messages], add_generation_prompt=True)
        ids = ids["input_ids"] if hasattr(ids, "keys") else ids
        with torch.no_grad():
            local.model(input_ids=torch.tensor([ids]))
    hook.remove()
    expected = torch.stack(states[:3]).mean(0) - torch.stack(states[3:]).mean(0)
    assert torch.allclose(found, expected, atol=1e-5)
    drawn = random_direction(found, 0)
    assert float(drawn.norm()) == pytest.approx(float(found.norm()), rel=1e-5)
    assert torch.equal(drawn, random_direction(found, 0)) and not torch.equal(drawn, random_direction(found, 1))
    assert layer_at(local.model, 0.0) == 0 and layer_at(local.model, 0.99) == local.model.config.num_hidden_layers - 1


def test_steering_adds_the_direction_and_keeps_its_replies_apart(tmp_path: Path) -> None:
    local = load_local(shipped_base(), device="cpu")
    seen: list[torch.Tensor] = []
    local.model.model.layers[1].register_forward_pre_hook(
        lambda module, inputs, options: seen.append(inputs[0] if inputs else options["hidden_states"]), with_kwargs=True
    )
    ids = torch.tensor([[1, 5, 9]])
    save_direction(tmp_path / "d.safetensors", torch.full((local.model.config.hidden_size,), 0.5), 0)
    with torch.no_grad():
        local.model(input_ids=ids)
        other = steered(local, tmp_path / "d.safetensors")
        other.model(input_ids=ids)
    assert torch.allclose(seen[1], seen[0] + 0.5, atol=1e-6) and other.digest != local.digest
    with pytest.raises(InputError, match="behind an API cannot be steered"):
        reply("openai/x", [Prompt("q", user("q"), "en", PromptKind.HARMFUL)], direction=tmp_path / "d.safetensors")
