"""What the doctor reckons against the tensors of a step that hold nothing (benchmarks/step_memory.py, two layers)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
from step_memory import peak

FACTOR = 1.25
"""By which the doctor may be wrong either way; it is to be the larger one where everything is trained."""


@pytest.mark.parametrize(("rank", "checkpointing"), [(32, True), (32, False), (0, True)])
def test_the_doctor_is_within_a_factor_of_the_tensors_of_a_step(rank: int, checkpointing: bool) -> None:
    found, reckoned = peak(2, rank, checkpointing, pairs=2, length=2048)
    assert found / FACTOR < reckoned < found * FACTOR
