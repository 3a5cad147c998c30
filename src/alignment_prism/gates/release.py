"""The findings of one arm of a release: its numbers by cell, and how they were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alignment_prism.domain import Finding, InputError
from alignment_prism.domain.findings import FindingIndex, Signature
from alignment_prism.domain.metrics import POINTS, SHARE, Difference, Missing, Preference, Share, ShareOrMarked
from alignment_prism.gates.spec import Cell, Fact
from alignment_prism.scoring.metrics import find_metric, near_metric
from alignment_prism.statistics.intervals import Interval, critical_value
from alignment_prism.statistics.levels import difference_at_level, rate_at_level, stretched

SAMPLING = ("k", "temperature", "base_k", "base_temperature")
"""Parts of a signature that say how replies were drawn; of a change, those of base too."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a release says of one cell.

    Attributes:
        interval: at the level of the findings.
        df: degrees of freedom of Student's t in it; None for the normal distribution.
        insufficient: whether a finding it rests on is marked so.
    """

    interval: Interval
    df: float | None
    insufficient: bool


class Release:
    """Findings of one arm.

    Args:
        findings: of one study, of any arms.
        arm: None if they have one arm besides `base`, or `base` alone.
        side: what the release is called, `A` or `B`.

    Raises:
        InputError: it is unclear which arm is meant.
    """

    def __init__(self, findings: Sequence[Finding], arm: str | None, side: str) -> None:
        self.side = side
        names = sorted({finding.arm for finding in findings})
        if arm is None:
            others = [name for name in names if name != "base"] or names
            if len(others) != 1:
                raise InputError(
                    f"release {side} has arms {', '.join(names) or '(none)'}",
                    fix=f"say which of them it is: {side}#NAME",
                )
            arm = others[0]
        elif arm not in names:
            raise InputError(f"release {side} has no arm {arm!r}", fix=f"use one of {', '.join(names)}")
        self.arm = arm
        self.index = FindingIndex(finding for finding in findings if finding.arm == arm)

    def languages(self, metric: str, prompts: str) -> set[str]:
        """Languages that have this metric on these prompts."""
        return set(self.index.languages(metric=metric, prompts=prompts))

    def find(self, cell: Cell) -> Estimate:
        """The number of a cell. Of an arm with several seeds it is that over seeds and prompts where the findings have
        it (seed -1), else the mean over seeds.

        Raises:
            InputError: there is none, or not in every seed, without an interval, or twice.
        """
        found = self._rows(cell)
        usable = [f for f in found if all(math.isfinite(value) for value in (f.estimate, f.lower, f.upper))]
        if not usable or len(usable) < len(found):
            reason = "has no finding of" if not found else "has no finite interval of"
            near = near_metric(cell.metric)
            fix = "evaluate that cell, or take its check or companion out of the gate"
            raise InputError(
                f"release {self.side}, arm {self.arm!r}, {reason} {cell}",
                fix=f"did you mean {near}?" if near else fix,
            )
        if len({f.seed for f in found}) < len(found):
            raise InputError(
                f"release {self.side} has {cell} of seed {found[0].seed} twice", fix="give the findings of one study"
            )
        for row in usable:
            if fault := _impossible(row):
                what = f"release {self.side}, arm {self.arm!r}: no data gives {fault}, as its finding of {cell} has it"
                raise InputError(what, fix="make the findings anew from the replies and their scores")
        insufficient = any(f.insufficient for f in found)
        if len(usable) == 1:
            row = usable[0]
            interval = Interval(row.estimate, row.lower, row.upper, row.interval, row.n, row.clusters, level=row.level)
            return Estimate(interval, _degrees(row), insufficient)
        return Estimate(_mean_over_seeds(usable), len(usable) - 1, insufficient)

    def find_if_there(self, cell: Cell) -> Estimate | None:
        """`find`, or None where there is no such number."""
        return self.find(cell) if self._rows(cell) else None

    def facts(self, cell: Cell) -> dict[Fact, str]:
        """How the number of a cell was measured, from its signatures; empty where there is no such number."""
        rows = self.index.seeds(
            self.arm, cell.prompts, cell.metric, language=cell.language, scope=cell.scope, category=cell.category
        )
        # Numbers over seeds rest on the prompts that all seeds have judged, so those of the seeds say which set it is.
        rows = [row for row in rows if row.seed >= 0] or rows
        said = [_facts(row.signature) for row in rows]
        found: dict[Fact, dict[str, None]] = {}
        for facts in said:
            for fact, value in facts.items():
                found.setdefault(fact, {}).update({value: None} if value else {})
        return {fact: "; ".join(values) for fact, values in found.items()}

    def _rows(self, cell: Cell) -> list[Finding]:
        rows = self.index.seeds(
            self.arm, cell.prompts, cell.metric, language=cell.language, scope=cell.scope, category=cell.category
        )
        seeded, pooled = [row for row in rows if row.seed >= 0], [row for row in rows if row.seed < 0]
        if len(seeded) > 1 and pooled:
            return pooled
        return seeded or pooled


def level_of(critical: float) -> float:
    """Level of the two-sided interval with a critical value of the normal distribution; always below 1."""
    return min(math.erf(critical / math.sqrt(2.0)), 1.0 - 1e-15)


def at_level(estimate: Estimate, metric: str, critical: float) -> Interval:
    """The interval at the level of a critical value of the normal distribution.

    Rates and paired differences exactly (`statistics.levels`), other numbers by the ratio of the critical values.
    """
    level, interval = level_of(critical), estimate.interval
    estimator = find_metric(metric).estimator
    if isinstance(estimator, (Share, ShareOrMarked, Missing)):
        return rate_at_level(interval, level, estimate.df)
    if isinstance(estimator, Difference):
        return difference_at_level(interval, level, estimate.df)
    if isinstance(estimator, Preference) and (estimator.win, estimator.tie, estimator.loss) == (1.0, 0.5, 0.0):
        # (wins + ties / 2) / n = 1/2 + (wins - losses) / 2n: half a paired difference.
        return difference_at_level(interval.scaled(2.0, -1.0), level, estimate.df).scaled(0.5, 0.5)
    if isinstance(estimator, Preference):
        return rate_at_level(interval, level, estimate.df)
    return stretched(interval, level, estimate.df)


def _facts(signature: str) -> dict[Fact, str]:
    parts = dict(Signature.parts(signature))
    judge = [parts.get("judge") or parts.get("scorer", "")]
    judge += ["(corrected by labels)"] * ("labels" in parts)
    judge += [f"(corrected by passport {value[:12]})" for name, value in parts.items() if name == "passport"]
    if "guards" in parts:
        judge.append(f"(guards {parts['guards']})")
    return {
        "judge": " ".join(filter(None, judge)),
        "rubric": parts.get("rubric", ""),
        "prompts": parts.get("prompts", ""),
        "sampling": ", ".join(f"{name} {parts[name]}" for name in SAMPLING if name in parts),
        "opponent": parts.get("against", ""),
    }


def _impossible(row: Finding) -> str:
    """What of a finding no data gives; empty where there is nothing. A file of findings may have been edited, or made
    by something else, and no gate is to pass on it."""
    unit = find_metric(row.metric).unit
    if row.n < 1:
        return f"n = {row.n}"
    if not 1 <= row.clusters <= row.n:
        return f"{row.clusters} clusters of {row.n} units"
    if not 0.0 < row.level < 1.0:
        return f"a level of {row.level}"
    if not row.lower <= row.upper or not row.lower - _ROUNDING <= row.estimate <= row.upper + _ROUNDING:
        return f"an estimate of {row.estimate:g} with an interval from {row.lower:g} to {row.upper:g}"
    if unit in (SHARE, POINTS) and (row.lower < unit.low - _ROUNDING or row.upper > unit.high + _ROUNDING):
        return f"an interval from {row.lower:g} to {row.upper:g} of what lies between {unit.low:g} and {unit.high:g}"
    return ""


def _degrees(row: Finding) -> float | None:
    """Degrees of freedom of a finding's interval: of its seeds, of its clusters, or none to speak of."""
    parts = dict(Signature.parts(row.signature))
    seeds = parts.get("seeds", "")
    if seeds.isdecimal() and int(seeds) > 1:
        return int(seeds) - 1  # at least; the prompts add some, and fewer are on the safe side
    alone = row.clusters == row.n and parts.get("k", "1") == "1"
    return None if alone else max(row.clusters - 1, 1)


def _mean_over_seeds(seeds: Sequence[Finding]) -> Interval:
    """Mean over seeds, with an interval that is at least wide enough.

    The arms of the seeds' intervals are averaged in square, as if the seeds' estimates shared all of their error by
    prompts, and the seeds' spread is added with Student's t, as if they shared none of it.
    """
    level = seeds[0].level
    if {f.level for f in seeds} != {level}:
        raise InputError("intervals of several levels in one cell", fix="compute all findings at one level")
    values = np.array([(f.estimate, f.lower, f.upper) for f in seeds])
    mean = float(values[:, 0].mean())
    between = critical_value(level, len(seeds) - 1) ** 2 * float(values[:, 0].var(ddof=1)) / len(seeds)
    below = math.sqrt(float(np.mean((values[:, 0] - values[:, 1]) ** 2)) + between)
    above = math.sqrt(float(np.mean((values[:, 2] - values[:, 0]) ** 2)) + between)
    n, clusters = min(f.n for f in seeds), min(f.clusters for f in seeds)
    return Interval(mean, mean - below, mean + above, f"mean-of-{len(seeds)}-seeds", n, clusters, level=level)
