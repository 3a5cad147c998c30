"""Merges equal references on whole tensors, whatever the files, in little memory, and go on where they stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from alignment_prism.domain import InputError, ModelError, StoreError
from alignment_prism.models.merging import Merge, merge, merge_models

SHAPES = {"embed.weight": (37, 16), "norm.weight": (16,), "up.weight": (48, 16), "scalar": ()}


def _model(folder: Path, seed: int, dtype: torch.dtype = torch.float32, shards: int = 1, near: Any = None) -> Path:
    """A folder with random tensors in one file or several; close to those of another where one is given."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()}
    if near is not None:
        tensors = {name: near[name].double() + 0.1 * tensor for name, tensor in tensors.items()}
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    tensors["steps"] = torch.tensor([3, 1])
    names = sorted(tensors)
    for shard in range(shards):
        save_file({name: tensors[name] for name in names[shard::shards]}, folder / f"model-{shard}.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}}), encoding="utf-8")
    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    return folder


def _read(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def _reference(merge: Merge, models: list[np.ndarray], base: np.ndarray, name: str) -> np.ndarray:
    """Each merge as its paper writes it, on whole tensors in float64."""
    shape = base.shape
    weights = merge.weights or (1.0,) * len(models)
    if merge.method == "linear":
        return np.average(np.stack(models), axis=0, weights=weights)
    if merge.method == "slerp":
        one, other = (model.ravel() for model in models)
        angle = np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        if one.size == 1:
            return np.asarray((1 - merge.t) * one + merge.t * other).reshape(shape)
        parts = np.sin((1 - merge.t) * angle) * one + np.sin(merge.t * angle) * other
        return (parts / np.sin(angle)).reshape(shape)
    changes = [(model - base).ravel() for model in models]
    if merge.method == "task_arithmetic":
        return base + merge.scale * np.average(changes, axis=0, weights=weights).reshape(shape) * sum(weights)
    for index, change in enumerate(changes):
        if merge.method == "ties":
            kept = np.argsort(-np.abs(change))[: max(1, round(merge.density * change.size))]
            changes[index] = np.where(np.isin(np.arange(change.size), kept), change, 0)
        else:
            key = hashlib.sha256(f"{merge.seed}/{index}/{name}".encode()).digest()[:16]
            lots = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
            changes[index] = np.where(lots.random(change.size, np.float32) < merge.density, change / merge.density, 0)
    merged = np.zeros(base.size)
    for place in range(base.size):
        values = [change[place] for change in changes]
        sign = 1 if sum(w * v for w, v in zip(weights, values, strict=True)) >= 0 else -1
        agree = [(w, v) for w, v in zip(weights, values, strict=True) if v * sign > 0]
        if agree:
            merged[place] = sum(w * v for w, v in agree) / sum(w for w, _ in agree)
    return base + merge.scale * merged.reshape(shape)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A base and three models near it."""
    folder = tmp_path_factory.mktemp("models")
    base = _model(folder / "base", 0)
    return [base, *(_model(folder / f"m{seed}", seed, shards=seed, near=_read(base)) for seed in (1, 2, 3))]


MERGES = [
    Merge("linear"),
    Merge("linear", weights=(1.0, 2.0, -0.5)),
    Merge("slerp", t=0.3),
    Merge("task_arithmetic", weights=(1.0, -0.5, 0.25), scale=0.7),
    Merge("ties", density=0.3),
    Merge("ties", density=1.0, weights=(1.0, 2.0, 0.5), scale=1.5),
    Merge("dare_ties", density=0.4, seed=5),
]


@pytest.mark.parametrize("how", MERGES, ids=[f"{n}-{one.method}" for n, one in enumerate(MERGES)])
def test_a_merge_equals_its_reference_on_whole_tensors(
    how: Merge, models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "PIECE", 50)  # several pieces a tensor
    base, *parts = models
    parts = parts[:2] if how.method == "slerp" else parts
    merge_models(how, parts, tmp_path / "out", base=base)
    found, values, origin = _read(tmp_path / "out"), [_read(part) for part in parts], _read(base)
    assert found.keys() == origin.keys() and found["steps"].tolist() == [3, 1]
    for name in SHAPES:
        given = [value[name].double().numpy() for value in values]
        expected = _reference(how, given, origin[name].double().numpy(), name)
        assert found[name].dtype == torch.float32 and found[name].shape == SHAPES[name]
        assert np.abs(found[name].double().numpy() - expected).max() < 1e-6, name
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".safetensors") == [
        "chat_template.jinja", "config.json", "tokenizer.json",
    ]  # fmt: skip


def test_slerp_ends_at_the_models_and_keeps_the_length_between(tmp_path: Path) -> None:
    one, other = (_model(tmp_path / str(seed), seed) for seed in (1, 2))
    first, second = _read(one), _read(other)
    for t, expected in ((0.0, first), (1.0, second)):
        merge_models(Merge("slerp", t=t), [one, other], tmp_path / f"t{t}")
        for name, tensor in _read(tmp_path / f"t{t}").items():
            assert torch.allclose(tensor.double(), expected[name].double(), atol=1e-6)
    # Two tensors of one length: so is every point of the arc, where the middle of the chord is shorter.
    left, right = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    for name, tensor in (("a", left), ("b", right)):
        shutil.copytree(one, tmp_path / name)
        save_file({"w": tensor, "same": left.clone()}, tmp_path / name / "model-0.safetensors")
    merge_models(Merge("slerp", t=0.5), [tmp_path / "a", tmp_path / "b"], tmp_path / "arc")
    found = _read(tmp_path / "arc")
    assert found["w"].tolist() == pytest.approx([3 / 2**0.5] * 2) and found["same"].tolist() == [3.0, 0.0]


def test_files_in_bfloat16_are_merged_in_float32_and_rounded_once(tmp_path: Path) -> None:
    one, other = (_model(tmp_path / str(seed), seed, torch.bfloat16) for seed in (1, 2))
    merge_models(Merge("linear", weights=(1.0, 2.0)), [one, other], tmp_path / "out")
    first, second, found = _read(one), _read(other), _read(tmp_path / "out")
    for name in SHAPES:
        expected = (first[name].float() * (1 / 3) + second[name].float() * (2 / 3)).bfloat16()
        assert found[name].dtype == torch.bfloat16 and torch.equal(found[name], expected)


@pytest.mark.parametrize("method", ["linear", "slerp", "ties", "dare_ties"])
def test_a_merge_never_holds_more_than_two_and_a_half_tensors(method: str, tmp_path: Path) -> None:
    """The large tensor takes 8 MiB in float32; numpy's memory is traced, and torch holds pieces of 4 MiB only."""
    rows = 1 << 21
    for seed in range(3):
        _model(tmp_path / str(seed), seed)
        generator = torch.Generator().manual_seed(seed)
        file = tmp_path / str(seed) / "model-0.safetensors"
        save_file({"large": torch.randn(rows, 1, generator=generator), **load_file(file)}, file)
    base, *parts = (tmp_path / str(seed) for seed in range(3))
    small = 1 << 16
    before, merge.PIECE = merge.PIECE, small
    tracemalloc.start()
    try:
        merge_models(Merge(method), parts, tmp_path / "out", base=base)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        merge.PIECE = before
    assert peak < 2.5 * 4 * rows + 20 * 4 * small  # some pieces beside it
    assert _read(tmp_path / "out")["large"].shape == (rows, 1)


def test_a_merge_that_was_stopped_goes_on_with_the_tensor_that_it_was_at(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, *parts = models
    how = Merge("dare_ties", density=0.4)
    merge_models(how, parts, tmp_path / "whole", base=base)

    def stop(done: int, total: int, message: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge_models(how, parts, tmp_path / "out", base=base, progress=stop)
    (torn,) = (tmp_path / "out").glob("*.partial")
    with torn.open("ab") as file:
        file.write(b"abc")  # of a tensor that takes more
    read: list[str] = []
    tensors = merge._merged
    monkeypatch.setattr(merge, "_merged", lambda *args: read.append(args[-1]) or tensors(*args))
    with pytest.raises(StoreError, match="another merge than this one"):
        merge_models(Merge("ties"), parts, tmp_path / "out", base=base)
    merge_models(how, parts, tmp_path / "out", base=base)
    assert len(read) == len(SHAPES) + 1 - 3
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


def test_models_that_do_not_fit_together_are_refused_before_anything_is_written(
    models: list[Path], tmp_path: Path
) -> None:
    base, one, *_ = models
    other = _model(tmp_path / "other", 4)
    save_file({"embed.weight": torch.zeros(3, 3)}, other / "model-0.safetensors")
    with pytest.raises(ModelError, match=r"one of them alone has norm\.weight"):
        merge_models(Merge("linear"), [one, other], tmp_path / "out")
    tensors = _read(one)
    save_file({**tensors, "up.weight": torch.zeros(3, 3)}, other / "model-0.safetensors")
    with pytest.raises(ModelError, match=r"up\.weight has the shape \[48, 16\] in one model, \[3, 3\] in the other"):
        merge_models(Merge("linear"), [one, other], tmp_path / "out")
    save_file(tensors, other / "model-0.safetensors")
    (other / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"b": 0}}}), encoding="utf-8")
    with pytest.raises(ModelError, match="different tokens"):
        merge_models(Merge("linear"), [one, other], tmp_path / "out")
    twin = Path(shutil.copytree(other, tmp_path / "twin"))
    for folder, added in ((twin, "<|en|>"), (other, "<|hi|>")):  # each learnt a token of its own under one id
        tokens = {"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 1, "content": added}]}
        (folder / "tokenizer.json").write_text(json.dumps(tokens), encoding="utf-8")
    with pytest.raises(ModelError, match="different tokens"):
        merge_models(Merge("linear"), [twin, other], tmp_path / "out")
    (other / "config.json").unlink()
    with pytest.raises(ModelError, match="not the folder of a whole model"):
        merge_models(Merge("linear"), [one, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for how, parts, what in (
        (Merge("mean"), [one, base], "unknown way to merge"),
        (Merge("slerp"), [one, base, one], "slerp of 3 models"),
        (Merge("linear"), [one], "linear of 1 models"),
        (Merge("ties"), [one], "there is none"),
        (Merge("linear", weights=(1.0, -1.0)), [one, base], "weights"),
        (Merge("slerp", t=2.0), [one, base], "t = 2"),
        (Merge("slerp", weights=(0.9, 0.1)), [one, base], "slerp with the weights"),
        (Merge("linear", weights=(float("nan"), 1.0)), [one, base], "weights"),
        (Merge("linear", scale=float("inf")), [one, base], "scale = inf"),
    ):
        with pytest.raises(InputError, match=what):
            merge_models(how, parts, tmp_path / "out")


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.int8, torch.uint8], ids=str)
def test_quantised_weights_are_refused_and_what_all_have_alike_is_copied(kind: torch.dtype, tmp_path: Path) -> None:
    """The merge had the first model's weights; in float8 it was a torn file."""
    one, other = _model(tmp_path / "one", 1), _model(tmp_path / "other", 2)
    for folder in (one, other):
        tensors = _read(folder)
        tensors["up.weight"] = (tensors["up.weight"] * 20).to(kind)
        save_file(tensors, folder / "model-0.safetensors")
    with pytest.raises(ModelError, match=r"up\.weight is held as [A-Z0-9_]+ in one model(.|\n)*quantised"):
        merge_models(Merge("linear"), [one, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    whole = _model(tmp_path / "whole", 3)
    with pytest.raises(ModelError, match=r"F32 in one model, [A-Z0-9_]+ in the other"):
        merge_models(Merge("linear"), [whole, other], tmp_path / "out")
    save_file({**_read(other), "up.weight": _read(one)["up.weight"]}, other / "model-0.safetensors")
    merge_models(Merge("linear"), [one, other], tmp_path / "out")
    merged = _read(tmp_path / "out")
    assert torch.equal(merged["up.weight"].view(torch.uint8), _read(one)["up.weight"].view(torch.uint8))
    assert torch.allclose(merged["embed.weight"], (_read(one)["embed.weight"] + _read(other)["embed.weight"]) / 2)


def _with_head(folder: Path, head: torch.Tensor | None) -> Path:
    """The model in a folder with an output embedding beside its input embedding; None stores a copy of that one."""
    tensors = {name: tensor for name, tensor in _read(folder).items() if name != "lm_head.weight"}
    for path in folder.glob("*.safetensors"):
        path.unlink()
    stored = tensors["embed.weight"].clone() if head is None else head
    save_file({**tensors, "lm_head.weight": stored}, folder / "model-0.safetensors")
    return folder


@pytest.mark.parametrize("how", [Merge("linear"), Merge("slerp"), Merge("dare_ties", density=0.4)], ids=str)
@pytest.mark.parametrize("twice", ["base", "models", "all"])
def test_an_output_embedding_that_is_a_copy_is_merged_as_what_it_copies(
    how: Merge, twice: str, models: list[Path], tmp_path: Path
) -> None:
    """A base may store its tied embedding twice, and what is trained from it once: those were called different
    architectures. Where all had it twice, DARE drew other lots for each, so that transformers tied them no more."""
    folders = [Path(shutil.copytree(model, tmp_path / model.name)) for model in models[:3]]
    base, *parts = folders
    merge_models(how, parts, tmp_path / "once", base=base)
    for folder in {"base": [base], "models": parts, "all": folders}[twice]:
        _with_head(folder, None)
    merge_models(how, parts, tmp_path / "out", base=base)
    found, once = _read(tmp_path / "out"), _read(tmp_path / "once")
    head = found.pop("lm_head.weight", once["embed.weight"])
    assert torch.equal(head, once["embed.weight"])
    assert all(torch.equal(found[name], once[name]) for name in once) and found.keys() == once.keys()


def test_models_of_which_one_has_an_output_embedding_of_its_own_are_refused_for_that(
    models: list[Path], tmp_path: Path
) -> None:
    base, one, other = (Path(shutil.copytree(model, tmp_path / model.name)) for model in models[:3])
    _with_head(one, None)
    _with_head(other, torch.randn(SHAPES["embed.weight"], generator=torch.Generator().manual_seed(7)))
    for parts in ([base, other], [one, other], [other, one]):
        with pytest.raises(ModelError, match="one of them alone has an output embedding of its own") as refused:
            merge_models(Merge("linear"), parts, tmp_path / "out")
        assert "lm_head.weight" in str(refused.value)
    for folder in (base, one, other):  # a head of its own that began as a copy
        (folder / "config.json").write_text(json.dumps({"tie_word_embeddings": False}), encoding="utf-8")
    merge_models(Merge("linear"), [one, other], tmp_path / "out")
    first, second, found = _read(one), _read(other), _read(tmp_path / "out")
    assert torch.allclose(found["lm_head.weight"], (first["lm_head.weight"] + second["lm_head.weight"]) / 2)


def test_models_that_differ_in_more_than_their_output_embedding_are_of_different_architectures(
    models: list[Path], tmp_path: Path
) -> None:
    """The first name by the alphabet decided, and that is the output embedding's."""
    named = {"model": torch.randn(SHAPES["embed.weight"], generator=torch.Generator().manual_seed(7)), "trunk": None}
    folders = [Path(shutil.copytree(models[0], tmp_path / prefix)) for prefix in named]
    for folder, (prefix, head) in zip(folders, named.items(), strict=True):
        tensors = {f"{prefix}.{name}": tensor for name, tensor in _read(folder).items()}
        for path in folder.glob("*.safetensors"):
            path.unlink()
        save_file(tensors if head is None else {**tensors, "lm_head.weight": head}, folder / "model.safetensors")
    for parts in (folders, folders[::-1]):
        with pytest.raises(ModelError, match="different architectures: one of them alone has model.embed.weight"):
            merge_models(Merge("linear"), parts, tmp_path / "out")
