"""Adapters under every method, layout and engine; held in four bits where there is a GPU for that, else refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from alignment_prism.domain import InputError, Pair, TrainingError
from alignment_prism.training import load_config, train_method
from alignment_prism.training.settings import ENGINES

METHODS = {"apo_zero": 3e-3, "safe_dpo": 3e-3, "kto": 3e-3}
SETTINGS: dict[str, Any] = {
    "training.adapter": {"rank": 4, "alpha": 8, "merge": False},
    "training.precision": "fp64",
    "training.save_precision": "fp32",
    "training.batch_size": 4,
    "training.length_horizon": 0,
}


@pytest.fixture(scope="module")
def flagged(twelve_pairs: list[Pair]) -> list[Pair]:
    """Pairs that say which side is harmful; every other general one says nothing."""
    return [
        replace(pair, chosen_harmful=number % 4 == 1, rejected_harmful=number % 4 == 2) if pair.scope else pair
        for number, pair in enumerate(twelve_pairs[:8])
    ]


def _adapter(method: str, engine: str, layout: str, base: Path, pairs: list[Pair], out: Path) -> dict[str, Any]:
    config = load_config("micro", {**SETTINGS, "training.layout": layout, f"{method}.learning_rate": METHODS[method]})
    run = train_method(method, engine=engine, base=base, pairs=pairs, out=out, config=config)
    assert not [notice for notice in run.notices if "not packed" in notice or "not flat" in notice]
    return load_file(run.model / "adapter_model.safetensors")


@pytest.mark.parametrize("method", METHODS)
def test_adapters_are_the_same_on_every_layout_and_engine(
    method: str, tiny_model: Path, flagged: list[Pair], tmp_path: Path
) -> None:
    layouts = [("transformers", "padded"), *((engine, layout) for engine in ENGINES for layout in ("trees", "flat"))]
    first, *others = (
        _adapter(method, engine, layout, tiny_model, flagged, tmp_path / f"{engine}-{layout}")
        for engine, layout in layouts
    )
    assert max(float(one.abs().max()) for name, one in first.items() if "lora_B" in name) > 1e-3  # which begin at 0
    for found, how in zip(others, layouts[1:], strict=True):
        assert found.keys() == first.keys()
        for name, tensor in first.items():
            assert torch.allclose(found[name], tensor, rtol=0, atol=2e-6), (how, name)


def test_four_bits_without_their_library_or_a_gpu_are_refused_before_anything_is_read(
    tiny_model: Path, flagged: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config("micro", {"training.adapter": {"bits": 4}})
    options: dict[str, Any] = {"base": tiny_model, "pairs": flagged, "out": tmp_path / "run", "config": config}
    with pytest.raises(TrainingError, match="bitsandbytes, which is not installed") as caught:
        train_method("dpo_ift", **options)
    assert "alignment-prism[qlora]" in str(caught.value.fix)
    monkeypatch.setattr("alignment_prism.training.backends.quantised.find_spec", lambda name: object())
    with pytest.raises(InputError, match="a CUDA GPU") as refused:
        train_method("dpo_ift", **options)
    assert "training.adapter.bits" in str(refused.value.where) and not (tmp_path / "run.unfinished").exists()


def test_four_bits_are_those_of_qlora() -> None:
    from alignment_prism.training.backends.quantised import quantisation

    found = quantisation(4)
    assert (found.bnb_4bit_quant_type, found.bnb_4bit_use_double_quant) == ("nf4", True)
    assert found.bnb_4bit_compute_dtype is torch.bfloat16
    assert quantisation(None) is None
