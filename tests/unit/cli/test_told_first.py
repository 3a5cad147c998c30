"""What a finished study prints of its contrasts: a screen or two, and where the rest is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import toy_study

from alignment_prism.cli.main import main
from alignment_prism.contrasts import MUST_AGREE, Declared, contrast, contrast_over_seeds
from alignment_prism.domain import Contrast, Run
from alignment_prism.io import read_records
from alignment_prism.reports.contrasts import told_first


@pytest.mark.parametrize("few", [True, False])
def test_headlines_are_told_where_all_rows_would_be_hundreds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, few: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "180")
    spec = {"kinds": ["harmful", "general"]} if few else {}
    contrasts = [{"name": f"method {n}", "a": "sft", "b": "dpo_15"} for n in range(1 if few else 2)]
    toy_study.folder(tmp_path / "toy", tmp_path / "in", contrasts=contrasts, **spec)
    with pytest.raises(SystemExit) as end:
        main(["study", "run", str(tmp_path / "in" / "study.json"), "--out", str(tmp_path / "toy")])
    out, err = capsys.readouterr()
    assert not end.value.code
    rows = list(read_records(tmp_path / "toy" / "contrasts.parquet", Contrast))
    told = re.findall(r"^ (?:method \d +)?harm_rate \(harmful\) +(\w+) +(\w+) ", out, re.MULTILINE)
    assert ("all", "all") in told
    assert (("en", "global") in told) == few, "all rows where they are few"
    if not few:
        assert set(told) == {("all", "all")} and out.count("\n") < 120
    assert f"{len(rows):,} rows: {tmp_path / 'toy' / 'contrasts.parquet'}" in out + err


def test_a_metric_that_is_not_told_over_seeds_is_told_of_each() -> None:
    """Nobody could judge the harm of one arm in one seed: no harmful prompt has a verdict of all runs."""
    asked = toy_study.prompts(2)
    declared = [Declared(arm, "sft", arm) for arm in ("dpo_0", "dpo_15")]

    def run(arm: str, seed: int) -> Run:
        generations, scores = toy_study.replies(arm, asked, seed)
        if (arm, seed) == ("dpo_15", 1):
            scores = [replace(one, label="unjudged") if ".harmful." in one.prompt_id else one for one in scores]
        return Run(arm, tuple(asked), tuple(generations), tuple(scores))

    arms = {arm: [run(arm, seed) for seed in range(2)] for arm in ("sft", "dpo_0", "dpo_15")}
    rows = list(contrast_over_seeds(arms, declared, may_differ=MUST_AGREE).rows)
    for seed in range(2):
        rows += contrast([runs[seed] for runs in arms.values()], declared, may_differ=MUST_AGREE, seed=seed).rows
    told = {(row.contrast, row.seed) for row in told_first(rows) if row.metric == "harm_rate"}
    assert told == {("dpo_0", 0), ("dpo_0", 1), ("dpo_15", 0)}
    assert {row.seed for row in told_first(rows) if row.metric == "refusal_rate"} == {-1}
