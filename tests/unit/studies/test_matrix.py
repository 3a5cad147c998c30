"""The benchmark of arms against scripts goes on being one of the preset that it names."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
from matrix import the_spec


@pytest.mark.parametrize(("full", "arms"), [(False, 6), (True, 24)])
def test_its_arms_are_of_the_preset_with_one_seed(full: bool, arms: int) -> None:
    spec = the_spec(full)
    assert (len(spec.trained), spec.seeds, spec.contrasts) == (arms, (0,), ())
