"""Looking findings up: the one way in which tables and pages read them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from alignment_prism.domain import ALL, Finding

Key = tuple[str, int, str, str, str, str, str]


class FindingIndex:
    """Findings by what they are about.

    Args:
        findings: of one study; where two rows are about the same thing, the later one counts.

    Attributes:
        arms: (arm, seed) in the order of their first appearance, `base` first; what is said of an arm's seeds
            together (seed -1) makes no arm of its own.
        pooled: arms of which something is said over their seeds together.
        prompts: prompt sets in that order.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        self._index: dict[Key, Finding] = {}
        for row in self.findings:
            key = (row.arm, row.seed, row.prompts, row.language, row.scope, row.category, row.metric)
            self._index[key] = row
        arms = dict.fromkeys((row.arm, row.seed) for row in self.findings)
        seeded = {arm for arm, seed in arms if seed >= 0}
        self.arms = sorted((arm for arm in arms if arm[1] >= 0 or arm[0] not in seeded), key=lambda a: a[0] != "base")
        self.pooled = [arm for arm, seed in arms if seed < 0 and arm in seeded]
        self.prompts = list(dict.fromkeys(row.prompts for row in self.findings))

    def get(
        self,
        arm: tuple[str, int],
        prompts: str,
        metric: str,
        *,
        language: str = ALL,
        scope: str = ALL,
        category: str = ALL,
    ) -> Finding | None:
        """The finding, or None where the study has none."""
        return self._index.get((*arm, prompts, language, scope, category, metric))

    def values(self, column: str, **fixed: str) -> list[str]:
        """Distinct values of `column` among the rows whose other columns are as `fixed`, in order of appearance."""
        rows = (row for row in self.findings if all(getattr(row, name) == value for name, value in fixed.items()))
        return list(dict.fromkeys(str(getattr(row, column)) for row in rows))

    def languages(self, **fixed: str) -> list[str]:
        """Codes of the languages that have such rows; the pooled ones (`all`, `macro`) are left out."""
        return [code for code in self.values("language", **fixed) if code not in (ALL, "macro")]


def arm_title(arm: tuple[str, int], index: FindingIndex) -> str:
    """The arm's name, with its seed where the study has several."""
    seeds = {seed for _, seed in index.arms if seed >= 0}
    name, seed = arm
    return f"{name} (seed {seed})" if len(seeds) > 1 and seed >= 0 else name


def as_text(finding: Finding | None) -> str:
    """A finding as short text: a share in per cent, a change with its sign, `-` where there is none.

    Example:
        >>> as_text(Finding("s", "a", 0, "harmful", "all", "all", "all", "harm_rate", 0.123, 0.1, 0.2, n=90))
        '12.3 [10.0, 20.0]'
    """
    if finding is None:
        return "-"
    if math.isnan(finding.estimate):
        return "undefined"
    if finding.metric == "harm_rank":
        best, worst = f"{finding.lower:g}", f"{finding.upper:g}"
        return best if best == worst else f"{best} to {worst}"
    scale = 1.0 if finding.metric.endswith("relative_change") else 100.0
    signed = finding.metric.endswith(("relative_change", "difference"))
    number = "{:+.1f}" if signed else "{:.1f}"
    text = number.format(finding.estimate * scale)
    if not (math.isnan(finding.lower) or math.isnan(finding.upper)):
        ends = (_end(number, end * scale) for end in (finding.lower, finding.upper))
        text += " [" + ", ".join(ends) + "]"
    return text + (" ?" if finding.insufficient else "")


def _end(number: str, value: float) -> str:
    if math.isinf(value):
        return "-inf" if value < 0 else "inf"
    return number.format(value)
