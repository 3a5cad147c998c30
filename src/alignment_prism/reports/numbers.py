"""A finding as text: how estimates and ends of intervals are written, by the unit of the metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from alignment_prism.domain import Finding, FindingIndex
from alignment_prism.domain.metrics import PER_CENT_OF_BASE, POINTS, RANK, SHARE
from alignment_prism.scoring.metrics import find_metric


def arm_title(arm: tuple[str, int], index: FindingIndex) -> str:
    """The arm's name, with its seed where the study has several."""
    seeds = {seed for _, seed in index.arms if seed >= 0}
    name, seed = arm
    return f"{name} (seed {seed})" if len(seeds) > 1 and seed >= 0 else name


def estimate_text(finding: Finding | None) -> str:
    """The estimate in the metric's unit; `-` where there is no finding, a range where it is a rank."""
    if finding is None:
        return "-"
    if math.isnan(finding.estimate):
        return "undefined"
    unit = find_metric(finding.metric).unit
    if unit == RANK:
        best, worst = f"{finding.lower:g}", f"{finding.upper:g}"
        return best if best == worst else f"{best} to {worst}"
    return unit.text(finding.estimate)


def interval_text(finding: Finding | None, *, short: bool = False) -> str:
    """The interval in brackets; empty where there is none, or where the estimate says it all.

    Example:
        >>> row = Finding("s", "a", 0, "harmful", "all", "all", "all", "harm_rate", 0.123, 0.1, 0.2)
        >>> interval_text(row, short=True)
        '[10, 20]'
    """
    if finding is None or any(math.isnan(value) for value in (finding.estimate, finding.lower, finding.upper)):
        return ""
    unit = find_metric(finding.metric).unit
    return (
        "" if unit == RANK else f"[{', '.join(unit.text(end, short=short) for end in (finding.lower, finding.upper))}]"
    )


def intervals_in_words(findings: Iterable[Finding]) -> str:
    """What the intervals of some findings are called: `95 % intervals`; without the level where they differ in it.

    Example:
        >>> intervals_in_words([Finding("s", "a", 0, "harmful", "all", "all", "all", "harm_rate", 0.1, interval="x95")])
        '95 % intervals'
    """
    levels = {finding.level for finding in findings if finding.interval}
    return f"{100 * levels.pop():g} % intervals" if len(levels) == 1 else "intervals"


def units_in_words(metrics: Iterable[str]) -> str:
    """What numbers are in whose unit no table names, such as `rates in per cent`.

    Example:
        >>> units_in_words(["harm_rate", "harm_difference"])
        'rates in per cent, differences from base in percentage points'
    """
    units = [find_metric(name).unit for name in metrics]
    words = {
        "rates in per cent": SHARE,
        "differences from base in percentage points": POINTS,
        "relative changes in per cent of base's rate": PER_CENT_OF_BASE,
    }
    return ", ".join(said for said, unit in words.items() if unit in units)


def sentence(words: str) -> str:
    """With a capital letter at its beginning; names keep theirs, also there (`chrF++`)."""
    return words if any(letter.isupper() for letter in words.split(" ")[0]) else words[:1].upper() + words[1:]


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def is_doubtful(finding: Finding | None) -> bool:
    """Whether there is a number, and it rests on too little."""
    return finding is not None and finding.insufficient and not math.isnan(finding.estimate)


def as_text(finding: Finding | None) -> str:
    """A finding as short text: estimate, interval, and a question mark where it rests on too little.

    Example:
        >>> as_text(Finding("s", "a", 0, "harmful", "all", "all", "all", "harm_rate", 0.123, 0.1, 0.2))
        '12.3 [10.0, 20.0]'
    """
    doubt = "?" if is_doubtful(finding) else ""
    return " ".join(part for part in (estimate_text(finding), interval_text(finding), doubt) if part)
