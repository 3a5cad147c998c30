"""Damaged pairs of logs: nothing lands at a wrong prompt, and nothing is lost unsaid (benchmarks/log_pairs.py, few)."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path


def test_no_reply_of_a_damaged_log_lands_at_a_wrong_prompt(repository: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("log_pairs", repository / "benchmarks" / "log_pairs.py")
    assert spec is not None
    assert spec.loader is not None
    pairs = importlib.util.module_from_spec(spec)
    sys.modules["log_pairs"] = pairs
    spec.loader.exec_module(pairs)
    counts: Counter[str] = Counter()
    for seed in range(200):
        result = pairs.run_pair(seed, tmp_path)
        assert result.wrong == [], (seed, sorted(result.damage), result.wrong[:3])
        counts.update(rows=result.rows, taken=result.taken, rejected=result.rejected, refused=result.refused)
    # The fuzz must reach both sides: most rows are good, and many are not.
    assert counts["taken"] > counts["rows"] / 2
    assert counts["rejected"] > counts["rows"] / 50
    assert counts["refused"] > 5
