"""What a finished study prints of its contrasts: a screen or two, and where the rest is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import toy_study

from alignment_prism.cli.main import main
from alignment_prism.domain import Contrast
from alignment_prism.io import read_records


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
