"""The guide's table of metrics is the package's."""

from __future__ import annotations

from pathlib import Path

from alignment_prism.scoring.metrics import all_metrics


def test_the_guide_has_every_metric_as_it_is(repository: Path) -> None:
    text = (repository / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{m.name}` | {m.words} | {m.denominator.words} | {m.unit.name} | {m.better or ''} |"
        for m in all_metrics().values()
    ]
