"""`prism merge`, as a user types it: what it makes loads and replies, and a merge that was stopped is gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from prism_command import prism
from safetensors.torch import load_file, save_file

from alignment_prism.cli.merge import METHODS
from alignment_prism.models.merging import MERGES, Merge, merge_models
from alignment_prism.models.shipped import shipped_base


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models near the one that ships."""
    found = []
    for seed in (1, 2):
        folder = Path(shutil.copytree(shipped_base(), tmp_path_factory.mktemp("models") / str(seed)))
        generator = torch.Generator().manual_seed(seed)
        weights = load_file(folder / "model.safetensors")
        near = {name: one + 0.01 * torch.randn(one.shape, generator=generator) for name, one in weights.items()}
        save_file({name: one.to(weights[name].dtype) for name, one in near.items()}, folder / "model.safetensors")
        found.append(folder)
    return found


def test_the_choices_are_the_ways_there_are() -> None:
    assert tuple(MERGES) == METHODS


@pytest.mark.parametrize("method", METHODS)
def test_models_are_merged_into_a_folder_that_loads(method: str, models: list[Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = [] if method in ("linear", "slerp") else ["--base", "nano"]
    done = prism("merge", "--method", method, *models, *base, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"model: {tmp_path / 'out'}\n"
    merge_models(Merge(method), models, tmp_path / "same", base=shipped_base())
    for name, tensor in load_file(tmp_path / "same" / "model.safetensors").items():
        assert torch.equal(tensor, load_file(tmp_path / "out" / "model.safetensors")[name])
    _, loading = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template


def test_a_merge_that_was_stopped_is_gone_on_with_by_the_same_command(models: list[Path], tmp_path: Path) -> None:
    def stop(done: int, total: int, message: str) -> None:
        if done == 7:
            raise KeyboardInterrupt

    how = ("merge", "--method", "ties", *models, "--base", "nano", "--weight", "1", "--weight", "2")
    assert prism(*how, "--out", tmp_path / "whole").returncode == 0
    with pytest.raises(KeyboardInterrupt):
        merge_models(Merge("ties", (1.0, 2.0)), models, tmp_path / "out", base=shipped_base(), progress=stop)
    assert not (tmp_path / "out" / "config.json").exists()  # nothing takes it for a model
    other = prism("merge", "--method", "ties", *models, "--base", "nano", "--out", tmp_path / "out")
    assert other.returncode == 5 and "another merge than this one, begun" in other.stderr
    assert prism(*how, "--out", tmp_path / "out").returncode == 0
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "what"),
    [
        (["--method", "ties"], 2, "there is none"),
        (["--method", "slerp", "--weight", "1"], 2, "slerp with the weights"),
        (["--method", "linear", "--weight", "1"], 2, "for 2 models"),
        (["--method", "mean"], 2, "mean"),
        (["--method", "linear", "--density", "0.2"], 2, "--density is for ties and dare_ties, not for linear"),
        (["--method", "slerp", "--base", "nano"], 2, "--base is for task_arithmetic, ties and dare_ties, not for"),
        (["--method", "linear", "--t", "0.5"], 2, "--t is for slerp, not for linear"),
        (["--method", "ties", "--base", "nano", "--seed", "1"], 2, "--seed is for dare_ties, not for ties"),
    ],
)
def test_what_cannot_be_merged_is_refused_and_leaves_nothing(
    options: list[str], code: int, what: str, models: list[Path], tmp_path: Path
) -> None:
    done = prism("merge", *options, *models, "--out", tmp_path / "out")
    assert done.returncode == code and what in done.stderr and not (tmp_path / "out").exists()


def test_a_folder_that_is_read_or_holds_something_is_not_written_to(models: list[Path], tmp_path: Path) -> None:
    done = prism("merge", "--method", "linear", *models, "--out", models[0])
    assert done.returncode == 2 and "also an input" in done.stderr and not (models[0] / "merge.json").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    done = prism("merge", "--method", "linear", *models, "--out", tmp_path / "mine")
    assert done.returncode == 5 and "not empty" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    done = prism("merge", "--method", "linear", *models, "--out", tmp_path / "mine" / "notes.txt")
    assert done.returncode == 5 and "notes.txt is a file, not a folder" in done.stderr, done.stderr
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
