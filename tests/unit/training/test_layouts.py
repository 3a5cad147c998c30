"""What happens to models that cannot be packed, have no head of their own, or whose positions follow the batch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment_prism.domain import InputError, ModelError, Pair
from alignment_prism.training import base_model as models
from alignment_prism.training import load_config
from alignment_prism.training.layouts import prepare as layouts
from alignment_prism.training.layouts.prepare import changing_positions, prepare
from alignment_prism.training.train import train_method

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
OTHERS: dict[str, dict[str, Any]] = {
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "CodeGen": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 256, "n_ctx": 256},
    "Falcon": SMALL,
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "GPTJ": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 256},
    "Llama": {**SMALL, "intermediate_size": 48},
    "Llama4": {
        **SMALL, "config": "Llama4TextConfig", "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 32,
        "intermediate_size_mlp": 32, "num_local_experts": 2, "interleave_moe_layer_step": 1,
    },
    "Mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 256},
}  # fmt: skip


def _train(base: Path, pairs: list[Pair], out: Path, method: str = "dpo_ift", **settings: Any) -> Any:
    wanted = {"training.precision": "fp32", **{f"training.{name}": value for name, value in settings.items()}}
    return train_method(method, base=base, pairs=pairs, out=out, config=load_config("micro", wanted))


def _start(out: Path) -> dict[str, Any]:
    first: dict[str, Any] = json.loads((out / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["event"] == "start"
    return first


@pytest.mark.parametrize(
    ("name", "layout", "reason"),
    [
        ("Bloom", "trees", "fails on them (ValueError"),
        ("Mpt", "flat", "fails on them (RuntimeError"),
    ],
)
def test_what_cannot_be_packed_trains_on_padded_rows_with_a_stock_attention_and_one_notice(
    name: str, layout: str, reason: str, make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    used = []
    original = models.load_model
    monkeypatch.setattr(
        layouts, "load_model", lambda *args, **options: used.append(args[2]) or original(*args, **options)
    )
    base = make_base(name, **OTHERS[name])
    result = _train(base, pairs[:8], tmp_path / "packed", layout=layout)
    assert _start(tmp_path / "packed")["layout"] == "padded"
    assert used[-1] == "eager"
    (notice,) = result.notices
    assert notice.startswith("pairs are not packed: ") and reason in notice
    assert ("; and as trees, " in notice) == (layout == "flat")  # which is tried as well
    assert _train(base, pairs[:8], tmp_path / "padded", layout="padded").weights == result.weights


GEMMA2 = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}


@pytest.mark.parametrize(("name", "layout"), [("Bloom", "padded"), ("Gemma2", "trees")])
def test_a_model_without_sdpa_is_trained_with_the_default_preset_and_refused_with_sdpa(
    name: str, layout: str, make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    base = make_base(name, **OTHERS.get(name, GEMMA2))
    settings = {"training.precision": "fp32", "training.layout": layout, "training.batch_size": 4}
    default = load_config(None, settings)
    train_method("sft", base=base, pairs=pairs[:4], out=tmp_path / "default", config=default)
    assert _start(tmp_path / "default")["layout"] == layout
    with pytest.raises(ModelError, match=f"{name}ForCausalLM knows no attention 'sdpa'") as caught:
        _train(base, pairs[:8], tmp_path / "sdpa", layout=layout, attention="sdpa")
    assert str(caught.value.fix).startswith("take auto, or eager")
    assert not (tmp_path / "sdpa.unfinished").exists()


def test_a_model_that_no_attention_loads_is_an_error_with_a_remedy(
    make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    base = make_base("Llama", **OTHERS["Llama"])
    content = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps({**content, "model_type": "llama99"}), encoding="utf-8")
    with pytest.raises(ModelError, match="transformers cannot load the model") as caught:
        _train(base, pairs[:8], tmp_path / "run")
    assert "installed transformers" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Gemma2", "the layout 'flat' knows no attn_logit_softcapping"),
        ("CodeGen", "CodeGenForCausalLM fails on them (RuntimeError"),
        ("Falcon", "with the attention of the layout 'flat', transformers cannot load the model"),
        ("GPTJ", "with the attention of the layout 'flat', transformers cannot load the model"),
    ],
)
def test_what_cannot_be_flat_is_packed_as_trees_which_is_said(
    name: str, reason: str, make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    base = make_base(name, **OTHERS.get(name, GEMMA2))
    flat = _train(base, pairs[:8], tmp_path / "flat", layout="flat", attention="auto")
    assert _start(tmp_path / "flat")["layout"] == "trees"
    (notice,) = flat.notices
    assert notice.startswith(f"pairs are packed as trees, not flat: {reason}")
    assert _train(base, pairs[:8], tmp_path / "trees", layout="trees", attention="auto").weights == flat.weights


def test_flex_attention_without_a_gpu_is_refused_before_anything_is_loaded(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="cannot train without a GPU"):
        _train(tiny_model, pairs[:8], tmp_path / "run", attention="flex_attention")


def test_a_mixture_of_experts_is_told_that_its_router_is_not_balanced() -> None:
    from transformers import CohereConfig, DogeConfig, JetMoeConfig, Qwen3MoeConfig

    assert "router_aux_loss_coef = 0.001" in str(layouts.router_notice(Qwen3MoeConfig()))
    assert "aux_loss_coef = 0.01" in str(layouts.router_notice(JetMoeConfig()))
    for config in (CohereConfig(), DogeConfig(), Qwen3MoeConfig(router_aux_loss_coef=0.0)):
        assert layouts.router_notice(config) is None


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_ctrl_c_and_a_full_memory_are_no_reason_for_padded_rows(
    fault: BaseException, tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignment_prism.training.layouts.trees import TreeBatch

    def fail(*_: Any) -> None:
        raise fault

    monkeypatch.setattr(TreeBatch, "inputs", fail)
    with pytest.raises(type(fault)):
        _train(tiny_model, pairs[:8], tmp_path / "run")


@pytest.mark.parametrize("method", ["sft", "dpo_ift"])
def test_a_model_whose_trunk_cannot_be_called_apart_uses_its_own_logits(
    method: str, make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    base = make_base("Llama4", **OTHERS["Llama4"])
    result = _train(base, pairs[:8], tmp_path / "run", method, layout="padded")
    head, router = result.notices
    assert "Llama4ForCausalLM treats its hidden states in a way of its own" in head
    assert "router's load-balancing loss" in router
    assert _start(tmp_path / "run")["notices"] == [head, router]


@pytest.mark.parametrize(("method", "layout"), [("sft", "trees"), ("sft", "flat"), ("sft_random", "flat")])
def test_supervised_stages_are_packed_too(
    method: str, layout: str, tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    found = []
    for name in ("padded", layout):
        _train(tiny_model, pairs[:24], tmp_path / name, method, layout=name, precision="fp64", length_horizon=0)
        assert _start(tmp_path / name)["layout"] == name
        found.append(load_file(tmp_path / name / "model" / "model.safetensors"))
    start = load_file(tiny_model / "model.safetensors")

    def way(left: dict[str, Any], right: dict[str, Any]) -> float:
        return sum(float((left[name] - right[name]).double().pow(2).sum()) for name in start) ** 0.5

    assert way(found[0], found[1]) < 1e-3 * way(found[0], start)  # AdamW amplifies rounding of the smallest gradients


def test_an_attention_that_takes_no_mask_of_ours_is_said(
    tiny_model: Path, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignment_prism.training import make_examples
    from alignment_prism.training.objectives import both

    base = models.find_base(tiny_model)
    examples = make_examples(pairs, [both(pair, 0) for pair in pairs], base.tokenizer, max_length=99)

    def load(folder: Path, precision: str, attention: str, frozen: bool = False, bits: int | None = None) -> Any:
        model = models.load_model(folder, precision, "eager")  # the package of FlashAttention is not installed here
        model.config._attn_implementation_internal = attention
        return model

    monkeypatch.setattr(layouts, "load_model", load)
    monkeypatch.setattr(layouts, "add_completion_head", lambda model, samples: None)
    settings = load_config("micro", {"training.attention": "flash_attention_2"}).training
    prepared = prepare(base, settings, examples, "fp32", uses_reference=True)
    assert prepared.collator.layout == "padded"
    assert examples.notices == ["pairs are not packed: attention 'flash_attention_2' takes no mask of our own"]


@pytest.mark.parametrize("row_tokens", [0, 96])
def test_rows_have_the_budget_of_the_settings(
    row_tokens: int, tiny_model: Path, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignment_prism.training import stage

    budgets = []
    prepare_as_it_is = stage.prepare

    def watched(*args: Any, **options: Any) -> Any:
        prepared = prepare_as_it_is(*args, **options)
        budgets.append(prepared.collator.budget)
        return prepared

    monkeypatch.setattr(stage, "prepare", watched)
    _train(tiny_model, pairs[:16], tmp_path / "run", row_tokens=row_tokens)
    assert budgets == [row_tokens]


def test_positions_that_follow_the_longest_of_a_batch_are_found() -> None:
    from transformers import CohereConfig, LlamaConfig, Phi3Config

    dynamic = LlamaConfig(max_position_embeddings=64, rope_parameters={"rope_type": "dynamic", "factor": 4.0})
    assert changing_positions(dynamic) == ("dynamic", 64)
    factors = [1.0] * 48
    long = Phi3Config(
        max_position_embeddings=4096, original_max_position_embeddings=512,
        rope_parameters={"rope_type": "longrope", "short_factor": factors, "long_factor": factors,
                         "rope_theta": 1e4, "original_max_position_embeddings": 512},
    )  # fmt: skip
    assert changing_positions(long) == ("longrope", 512)
    assert changing_positions(CohereConfig()) is None
    assert changing_positions(LlamaConfig(rope_parameters={"rope_type": "linear", "factor": 2.0})) is None


def test_sequences_beyond_dynamic_positions_are_noticed_and_refused_in_dpo(
    make_base: Callable[..., Path], pairs: list[Pair], tmp_path: Path
) -> None:
    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}
    base = make_base("Llama", **OTHERS["Llama"], max_position_embeddings=64, rope_parameters=rope)
    long = dataclasses.replace(pairs[0], id="long", chosen=" ".join(["old river"] * 40))
    with pytest.raises(InputError, match=r"1 of 8 pairs are longer than the 64 positions(.|\n)*max_length") as caught:
        _train(base, [*pairs[3:10], long], tmp_path / "dpo")
    assert caught.value.fix == "set it to 64 or less"
    result = _train(base, [*pairs[3:10], long], tmp_path / "sft", "sft")
    assert any("results depend on which pairs are computed together" in notice for notice in result.notices)
    short = [pair for pair in pairs if pair.language == "en"][:8]
    assert not _train(base, short, tmp_path / "short").notices
