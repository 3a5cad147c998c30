"""The digest of weights names tensors and architecture, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from alignment_prism.domain import ModelError
from alignment_prism.models.weights import weights_digest


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
