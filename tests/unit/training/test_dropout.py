"""In DPO nothing is random: policy and reference are one function before the first step, whatever dropout is called."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alignment_prism.domain import Pair
from alignment_prism.training import load_config
from alignment_prism.training.dropout import disable_dropout
from alignment_prism.training.settings import ENGINES
from alignment_prism.training.train import train_method

BASES: dict[str, dict[str, Any]] = {
    "Llama": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
              "attention_dropout": 0.4},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "resid_pdrop": 0.4},
    "GPTJ": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 256, "attn_pdrop": 0.4},
}  # fmt: skip


def _steps(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["event"] == "step"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", BASES)
def test_dpo_starts_at_ln_2_with_every_kind_of_dropout_and_the_saved_config_keeps_it(
    name: str, engine: str, make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    base = make_base(name, std=0.2, **BASES[name])
    config = load_config("micro", {"training.precision": "fp32", "training.layout": "padded"})
    result = train_method("dpo_ift", engine=engine, base=base, pairs=pairs[:8], out=tmp_path / "run", config=config)
    assert _steps(tmp_path / "run")[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    before, after = (
        json.loads((folder / "config.json").read_text(encoding="utf-8")) for folder in (base, result.model)
    )
    kept = {key: value for key, value in before.items() if "drop" in key}
    assert {key: after[key] for key in kept} == kept and any(kept.values())


def test_routers_of_experts_draw_no_noise_in_dpo_and_choose_as_they_do_when_they_reply(
    make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    """PhiMoE samples its experts in training (`router_jitter_noise`), and jitters what goes into them."""
    import torch
    from transformers import AutoModelForCausalLM

    base = make_base(
        "Phimoe", std=0.2, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=32, num_local_experts=4, input_jitter_noise=0.1, router_jitter_noise=0.1,
    )  # fmt: skip
    config = load_config("micro", {"training.precision": "fp32", "training.layout": "padded"})
    result = train_method("dpo_ift", base=base, pairs=pairs[:8], out=tmp_path / "run", config=config)
    assert _steps(tmp_path / "run")[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    saved = json.loads((result.model / "config.json").read_text(encoding="utf-8"))
    assert (saved["input_jitter_noise"], saved["router_jitter_noise"]) == (0.1, 0.1)
    model, ids = AutoModelForCausalLM.from_pretrained(base).eval(), torch.arange(3, 30)[None]
    with torch.no_grad():
        replying = model(ids).logits
        disable_dropout(model)
        assert torch.equal(model.train()(ids).logits, replying)


@pytest.mark.parametrize("layout", ["trees", "flat"])
def test_packed_dpo_has_no_dropout_either(
    layout: str, make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    base = make_base("GPT2", std=0.2, **BASES["GPT2"], attn_pdrop=0.3)
    config = load_config("micro", {"training.precision": "fp32", "training.layout": layout})
    result = train_method("dpo_ift", base=base, pairs=pairs[:8], out=tmp_path / "run", config=config)
    assert not result.notices
    assert _steps(tmp_path / "run")[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_flat_sft_with_dropout_in_the_attention_falls_back(
    make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    """GPT-2 calls it `attn_pdrop`, and a model that is only evaluated does not show it."""
    base = make_base("GPT2", n_embd=32, n_layer=2, n_head=4, n_positions=256)
    config = load_config("micro", {"training.precision": "fp32", "training.layout": "flat"})
    result = train_method("sft", base=base, pairs=pairs[:8], out=tmp_path / "run", config=config)
    (notice,) = result.notices
    assert notice.startswith("pairs are packed as trees, not flat: ") and "dropout" in notice


def test_configs_within_configs_are_silenced_and_restored() -> None:
    from transformers import MptConfig, MptForCausalLM

    config = MptConfig(d_model=16, n_layers=1, n_heads=2, vocab_size=8, resid_pdrop=0.2)
    vars(config.attn_config)["attn_pdrop"] = 0.3
    model = MptForCausalLM(config)
    restore = disable_dropout(model)
    assert (config.resid_pdrop, config.attn_config.attn_pdrop) == (0.0, 0.0)
    assert not [vars(one) for one in model.modules() if getattr(one, "attn_dropout_p", 0) or getattr(one, "p", 0)]
    restore()
    assert (config.resid_pdrop, config.attn_config.attn_pdrop) == (0.2, 0.3)


@pytest.mark.parametrize("engine", ENGINES)
def test_dropout_of_adapters_is_left_out_in_dpo_which_is_said_and_kept_in_sft(
    engine: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    weights: dict[tuple[str, float], str] = {}
    for method in ("sft", "dpo_ift") if engine == "transformers" else ("dpo_ift",):
        for dropout in (0.0, 0.5):
            adapter = {"rank": 2, "alpha": 4, "dropout": dropout}
            config = load_config(
                "micro",
                {"training.precision": "fp32", "training.adapter": adapter, "dpo_ift.learning_rate": 1e-2},
            )  # fmt: skip
            out = tmp_path / f"{method}-{dropout}"
            result = train_method(method, engine=engine, base=tiny_model, pairs=pairs[:16], out=out, config=config)
            weights[method, dropout] = result.weights
            said = [notice for notice in result.notices if "training.adapter.dropout = 0.5 is left out" in notice]
            assert len(said) == (method == "dpo_ift" and dropout > 0)
    assert weights["dpo_ift", 0.0] == weights["dpo_ift", 0.5]
    assert engine != "transformers" or weights["sft", 0.0] != weights["sft", 0.5]
