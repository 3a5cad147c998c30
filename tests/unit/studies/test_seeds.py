"""Studies of several seeds, run whole on the nano model."""

from __future__ import annotations

from pathlib import Path

import pytest

from alignment_prism.studies import Study, load_spec, run_study


@pytest.mark.slow
def test_several_seeds_may_be_asked_harmless_prompts_alone(tmp_path: Path) -> None:
    """There is no harm to tell; refusals are told of each seed and over both."""
    arms = [{"name": "sft", "method": "sft", "share": 0}]
    some = {"mixture": {"total": 8}, "kinds": ["benign_mention"], "compare": None, "examples": 0}
    run_study(load_spec("micro", arms=arms, seeds=[0, 1], **some), tmp_path / "out")
    study = Study.open(tmp_path / "out")
    rows = study.findings().where(metric="refusal_difference", language="all", scope="all")
    assert {(row.arm, row.seed) for row in rows} == {("sft", 0), ("sft", 1), ("sft", -1)}
    text = study.report.read_text(encoding="utf-8")
    assert "this page says nothing of harm" in text and "over 2 seeds" in text
