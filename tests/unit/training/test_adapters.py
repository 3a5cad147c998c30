"""Adapters under every method, layout and engine, and on weights in four bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from alignment_prism.domain import InputError, Pair, TrainingError
from alignment_prism.training import METHODS, load_config, train_method
from alignment_prism.training.groups import sums_from_rows
from alignment_prism.training.settings import ENGINES

QUICK = ("apo_zero", "safe_dpo", "kto")
"""Methods that are tried wherever tests run; all others among the slow ones."""
SETTINGS: dict[str, Any] = {
    "training.adapter": {"rank": 4, "alpha": 8, "merge": False},
    "training.precision": "fp64",
    "training.save_precision": "fp32",
    "training.batch_size": 4,
    "training.length_horizon": 0,
}


@pytest.fixture(scope="module")
def flagged(twelve_pairs: list[Pair]) -> list[Pair]:
    """Pairs that say which side is harmful; every other general one says nothing. Three are one in three languages."""
    return [
        replace(pair, chosen_harmful=number % 4 == 1, rejected_harmful=number % 4 == 2) if pair.scope else pair
        for number, pair in enumerate(replace(one, group=f"g{n // 3}") for n, one in enumerate(twelve_pairs[:8]))
    ]


def _adapter(method: str, engine: str, layout: str, base: Path, pairs: list[Pair], out: Path) -> dict[str, Any]:
    section = METHODS[method].stages[0].section
    config = load_config("micro", {**SETTINGS, "training.layout": layout, f"{section}.learning_rate": 3e-3})
    run = train_method(method, engine=engine, base=base, pairs=pairs, out=out, config=config)
    assert not [notice for notice in run.notices if "not packed" in notice or "not flat" in notice]
    return load_file(run.model / "adapter_model.safetensors")


@pytest.mark.parametrize(
    "method",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name, method in METHODS.items()
        if len(method.stages) == 1
    ],
)
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


FOUR_BITS: dict[str, Any] = {
    "training.precision": "bf16",
    "training.length_horizon": 0,
    "dpo_ift.learning_rate": 3e-3,
    "dpo_ift.epochs": 2,
}


def test_adapters_learn_on_weights_in_four_bits_and_are_merged_with_the_whole_base(
    tiny_model: Path, flagged: list[Pair], tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")

    def run(name: str, **adapter: Any) -> tuple[Any, list[float]]:
        config = load_config("micro", {**FOUR_BITS, "training.adapter": {"rank": 4, "alpha": 8, **adapter}})
        shared = {"references": tmp_path / "references", "config": config}
        done = train_method("dpo_ift", base=tiny_model, pairs=flagged, out=tmp_path / name, **shared)
        lines = [json.loads(line) for line in (done.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        steps = [sums_from_rows(line["groups"]).mean("loss") for line in lines if line["event"] == "step"]
        return done, steps

    plain, before = run("plain")
    held, losses = run("held", bits=4)
    # Policy and reference are the same at first: ln 2 = 0.6931 in four bits too, with references of their own in the
    # folder that the runs share.
    assert losses[0] == pytest.approx(0.6931, abs=2e-3) and losses[-1] < losses[0] - 0.02
    assert len(list((tmp_path / "references").glob("*.jsonl"))) == 2
    assert losses[1:] != before[1:] and losses[-1] == pytest.approx(before[-1], abs=0.1)
    card = (held.model / "README.md").read_text(encoding="utf-8")
    assert "merged, on weights in 4 bits" in card and "bitsandbytes" in card
    base, merged = (load_file(folder / "model.safetensors") for folder in (tiny_model, held.model))
    changed = {name for name in base if not torch.equal(base[name].bfloat16(), merged[name].bfloat16())}
    assert base.keys() == merged.keys() and changed == {name for name in base if "proj" in name}
    # The base was not rounded to four bits: what was added is of rank 4 (and what bfloat16 rounds of it).
    update = merged["model.layers.0.mlp.up_proj.weight"].double() - base["model.layers.0.mlp.up_proj.weight"].double()
    values = torch.linalg.svdvals(update)
    assert values[3] > 4 * values[4]


def test_adapters_in_drawn_layers_are_found_among_weights_in_four_bits(
    tiny_model: Path, flagged: list[Pair], tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    adapter = {"rank": 4, "alpha": 8, "layers": 1, "merge": False, "bits": 4}
    config = load_config("micro", {**FOUR_BITS, "dpo_ift.epochs": 1, "training.adapter": adapter})
    run = train_method("dpo_ift", base=tiny_model, pairs=flagged, out=tmp_path / "run", config=config)
    names = load_file(run.model / "adapter_model.safetensors")
    assert len({name.split(".layers.")[1].split(".")[0] for name in names}) == 1


def test_four_bits_without_their_library_or_in_shards_are_refused_before_anything_is_read(
    tiny_model: Path, flagged: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config("micro", {"training.adapter": {"bits": 4}})
    options: dict[str, Any] = {"base": tiny_model, "pairs": flagged, "out": tmp_path / "run", "config": config}
    monkeypatch.setattr("alignment_prism.training.backends.quantised.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="bitsandbytes, which is not installed") as caught:
        train_method("dpo_ift", **options)
    assert "alignment-prism[qlora]" in str(caught.value.fix)
    monkeypatch.setattr("alignment_prism.training.backends.quantised.find_spec", lambda name: object())
    monkeypatch.setattr("alignment_prism.training.devices.is_sharded", lambda: True)
    with pytest.raises(InputError, match="cannot be spread over processes") as refused:
        train_method("dpo_ift", **options)
    assert "training.adapter.bits" in str(refused.value.where) and not (tmp_path / "run.unfinished").exists()


@pytest.mark.parametrize("engine", ["trl", "transformers"])
@pytest.mark.parametrize(
    ("targets", "what"),
    [
        (["q_proj", "lm_head"], "'lm_head' is an embedding that the output shares"),
        (["embed_tokens"], "'embed_tokens' is an embedding that the output shares"),
        (["q_proj", "query"], "no layer of the model is called 'query'"),
    ],
)
def test_adapters_on_layers_that_cannot_have_one_are_refused(
    targets: list[str], what: str, engine: str, tiny_model: Path, flagged: list[Pair], tmp_path: Path
) -> None:
    config = load_config("micro", {"training.adapter": {"rank": 2, "alpha": 4, "targets": targets}})
    with pytest.raises(InputError, match=what) as caught:
        train_method("sft", engine=engine, base=tiny_model, pairs=flagged, out=tmp_path / "run", config=config)
    assert caught.value.where == "key training.adapter.targets"
    assert list(tmp_path.iterdir()) == []
