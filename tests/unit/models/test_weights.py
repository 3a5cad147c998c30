"""The digest of weights names tensors and architecture, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from alignment_prism.domain import ModelError
from alignment_prism.models.weights import model_digest, weights_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"w": np.arange(6, dtype=np.float32)}, str(tmp_path / "model.safetensors"))
    (tmp_path / "config.json").write_text(json.dumps({"logit_scale": 1.0, "transformers_version": "5.0"}))
    return tmp_path


def test_same_weights_same_digest(folder: Path) -> None:
    before = weights_digest(folder)
    (folder / "config.json").write_text(json.dumps({"transformers_version": "5.1", "logit_scale": 1.0}, indent=1))
    (folder / "README.md").write_text("a card")
    assert weights_digest(folder) == before and len(before) == 16


def test_another_tensor_or_architecture_is_another_digest(folder: Path) -> None:
    before = weights_digest(folder)
    (folder / "config.json").write_text(json.dumps({"logit_scale": 2.0}))
    scaled = weights_digest(folder)
    values = np.arange(6, dtype=np.float32)
    values[3] += 1e-6
    save_file({"w": values}, str(folder / "model.safetensors"))
    assert len({before, scaled, weights_digest(folder)}) == 3


def test_pickled_weights_are_named_and_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="no safetensors") as error:
        weights_digest(tmp_path)
    assert "pytorch_model.bin" in error.value.what
    with pytest.raises(ModelError, match="does not exist"):
        weights_digest(tmp_path / "nowhere")


def test_everything_that_shapes_replies_is_in_the_digest_of_a_model(folder: Path) -> None:
    files = {"chat_template.jinja": "{{ x }}", "tokenizer.json": "{}", "generation_config.json": '{"eos_token_id": 2}'}
    for name, text in files.items():
        (folder / name).write_text(text)
    weights, before = weights_digest(folder), model_digest(folder)
    (folder / "README.md").write_text("a card")
    assert model_digest(folder) == before
    for name, text in files.items():
        (folder / name).write_text(text.replace("{", " {", 1))  # one byte more
        assert model_digest(folder) != before and weights_digest(folder) == weights, name
        (folder / name).write_text(text)
    assert model_digest(folder) == before


def test_the_base_of_an_adapter_is_in_its_digest(folder: Path) -> None:
    adapter = folder.parent / f"{folder.name}-adapter"
    adapter.mkdir()
    save_file({"lora_A": np.zeros(2, dtype=np.float32)}, str(adapter / "adapter_model.safetensors"))
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 2, "base_model_name_or_path": str(folder)}))
    before, weights = model_digest(adapter), weights_digest(adapter)
    (folder / "chat_template.jinja").write_text("another")
    changed = model_digest(adapter)
    save_file({"w": np.ones(6, dtype=np.float32)}, str(folder / "model.safetensors"))
    assert len({before, changed, model_digest(adapter)}) == 3
    assert weights_digest(adapter) == weights
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 2, "base_model_name_or_path": str(folder / "gone")}))
    with pytest.raises(ModelError, match=r"does not exist|no model folder"):
        model_digest(adapter)
