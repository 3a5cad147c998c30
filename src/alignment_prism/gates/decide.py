"""Release gates: may model B replace model A? Declared before, decided from findings alone.

Every check is a claim that must be shown, in every language it names; lack of evidence is not a pass. All checks must
pass, so no adjustment over checks is needed (intersection-union test: Berger 1982, Technometrics 24); looks at several
releases spend one declared error (`statistics.planning.looks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from alignment_prism.domain import Finding, FindingIndex, InputError
from alignment_prism.gates.spec import Check, GateSpec, better_is_lower
from alignment_prism.statistics.intervals import Interval, critical_value
from alignment_prism.statistics.planning.looks import alpha_at_look, at_critical, sequence_critical


class Status(StrEnum):
    """Result of a check or of a gate."""

    PASS = "pass"
    """Shown."""
    UNDECIDED = "undecided"
    """Neither shown nor refuted: the interval holds the limit."""
    FAIL = "fail"
    """Refuted: the whole interval is beyond the limit."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One check in one cell.

    Attributes:
        check: its name.
        metric: of the findings.
        language: code, `all` or `macro`.
        scope: of the findings.
        category: of the findings.
        old: interval in A; None for a ceiling.
        new: interval in B.
        tested: what is compared with the limit: the new value, or the change in the direction of worse.
        limit: ceiling, floor or margin.
        status: the result.
        insufficient: whether a finding it rests on is marked so.
    """

    check: str
    metric: str
    language: str
    scope: str
    category: str
    old: Interval | None
    new: Interval
    tested: Interval
    limit: float
    status: Status
    insufficient: bool


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of a gate.

    Attributes:
        status: FAIL if any decision fails, else UNDECIDED if any is, else PASS.
        decisions: in the order of the specification.
        alpha: one-sided error of this look.
        critical: critical value that followed from it (for a confidence sequence, of the smallest cell).
        note: how the error was spent, in words.
    """

    status: Status
    decisions: tuple[Decision, ...]
    alpha: float
    critical: float
    note: str


def decide(
    old: Sequence[Finding],
    new: Sequence[Finding],
    spec: GateSpec,
    *,
    old_arm: str | None = None,
    new_arm: str | None = None,
) -> GateResult:
    """Put findings of release B beside those of release A and decide.

    The change of a rate is B minus A with a MOVER interval for independent estimates (Zou & Donner 2008). If both
    releases answered the same prompts it is on the safe side, too wide. Intervals are made anew at the level of the
    look (`sequential.at_critical`). Several seeds of an arm are averaged, their spread widening the interval.

    Args:
        old: findings of A.
        new: findings of B.
        spec: the gate.
        old_arm: arm of A; None if its findings have one arm besides `base`, or `base` alone.
        new_arm: arm of B, likewise.

    Raises:
        InputError: a finding that the gate asks for is missing, without an interval, or of an unclear arm.
    """
    first = _Release(old, old_arm, "A") if any(check.kind == "non_inferiority" for check in spec.checks) else None
    second = _Release(new, new_arm, "B")
    alpha, note = _error(spec)
    decisions = [
        decision
        for check in spec.checks
        for language in _languages(check, second)
        for decision in _decide_cells(check, language, first, second, spec, alpha)
    ]
    statuses = {decision.status for decision in decisions}
    status = next(s for s in (Status.FAIL, Status.UNDECIDED, Status.PASS) if s in statuses)
    critical = _critical(spec, alpha, min(decision.new.n for decision in decisions))
    return GateResult(status, tuple(decisions), alpha, critical, note)


def _decide_cells(
    check: Check, language: str, old: _Release | None, new: _Release, spec: GateSpec, alpha: float
) -> Iterable[Decision]:
    lower_better = better_is_lower(check)
    for scope in check.scopes:
        for category in check.categories:
            key = (check.metric, check.prompts, language, scope, category)
            after, insufficient = new.find(key)
            critical = _critical(spec, alpha, max(after.n, 1))
            value = at_critical(after, new.level, critical, "gate")
            before = None
            if check.kind == "non_inferiority":
                assert old is not None and check.margin is not None
                before, thin = old.find(key)
                insufficient = insufficient or thin
                tested = _change(at_critical(before, old.level, critical, "gate"), value)
                tested = tested if lower_better else tested.scaled(-1.0)
                limit = check.margin
                status = _status(tested, limit)
            else:
                assert check.limit is not None
                tested, limit = value, check.limit
                status = _status(value if lower_better else value.scaled(-1.0), limit if lower_better else -limit)
            yield Decision(
                check.name, check.metric, language, scope, category, before, after, tested, limit, status, insufficient
            )


def _status(interval: Interval, limit: float) -> Status:
    if interval.upper <= limit:
        return Status.PASS
    return Status.FAIL if interval.lower > limit else Status.UNDECIDED


def _change(old: Interval, new: Interval) -> Interval:
    estimate = new.estimate - old.estimate
    below = math.hypot(new.estimate - new.lower, old.upper - old.estimate)
    above = math.hypot(new.upper - new.estimate, old.estimate - old.lower)
    return Interval(estimate, estimate - below, estimate + above, "mover-change", new.n, new.clusters)


def _error(spec: GateSpec) -> tuple[float, str]:
    if spec.sequence is not None:
        return spec.alpha, f"confidence sequence, one-sided {spec.alpha:g} over all looks"
    if spec.looks is None:
        return spec.alpha, f"one look, one-sided {spec.alpha:g}"
    looks = spec.looks
    alpha = alpha_at_look(looks.look, looks.planned, spec.alpha, looks.spending, looks.fractions)
    note = f"look {looks.look} of {looks.planned}, {looks.spending} spending: one-sided {alpha:.3g} of {spec.alpha:g}"
    return alpha, note


def _critical(spec: GateSpec, alpha: float, n: int) -> float:
    if spec.sequence is not None:
        return sequence_critical(n, spec.sequence.planned_n, 2.0 * alpha)
    return critical_value(1.0 - 2.0 * alpha)


def _languages(check: Check, release: _Release) -> Sequence[str]:
    if check.languages == "each":
        return release.languages(check)
    return [check.languages] if isinstance(check.languages, str) else check.languages


class _Release:
    """Findings of one arm of one release, by cell."""

    level: float

    def __init__(self, findings: Sequence[Finding], arm: str | None, side: str) -> None:
        self.side = side
        names = sorted({finding.arm for finding in findings})
        if arm is None:
            others = [name for name in names if name != "base"] or names
            if len(others) != 1:
                raise InputError(
                    f"release {side} has arms {', '.join(names) or '(none)'}",
                    fix=f"say which with --arm-{side.lower()} NAME",
                )
            arm = others[0]
        elif arm not in names:
            raise InputError(f"release {side} has no arm {arm!r}", fix=f"use one of {', '.join(names)}")
        self.arm = arm
        self.index = FindingIndex(finding for finding in findings if finding.arm == arm)
        levels = {finding.level for finding in self.index.findings if finding.interval}
        if len(levels) > 1:
            raise InputError(
                f"findings of release {side} have intervals of levels {sorted(levels)}", fix="compute all at one level"
            )
        self.level = levels.pop() if levels else 0.95

    def languages(self, check: Check) -> list[str]:
        """Languages with this metric on these prompts."""
        found = self.index.languages(metric=check.metric, prompts=check.prompts)
        if not found:
            raise InputError(
                f"release {self.side} has no {check.metric!r} by language on prompts {check.prompts!r}",
                where=f"check {check.name!r}",
                fix="check metric and prompts, or run prism evaluate with a prompt set that has languages",
            )
        return sorted(found)

    def find(self, key: tuple[str, str, str, str, str]) -> tuple[Interval, bool]:
        """The interval of a cell, its seeds averaged, and whether any of them is marked insufficient."""
        metric, prompts, language, scope, category = key
        found = self.index.seeds(self.arm, prompts, metric, language=language, scope=scope, category=category)
        usable = [f for f in found if all(math.isfinite(value) for value in (f.estimate, f.lower, f.upper))]
        if not usable or len(usable) < len(found):
            reason = "has no finding" if not found else "has no finite interval"
            raise InputError(
                f"release {self.side}, arm {self.arm!r} {reason} for {metric} on {prompts}, language {language}, "
                f"scope {scope}, category {category}",
                fix="evaluate that cell, or take it out of the gate",
            )
        if len({f.seed for f in found}) < len(found):
            raise InputError(
                f"release {self.side} has the same cell of seed {found[0].seed} twice ({metric}, {language})",
                fix="pass the findings of one study only",
            )
        return self._mean(usable), any(f.insufficient for f in found)

    def _mean(self, seeds: Sequence[Finding]) -> Interval:
        """Mean over seeds. The arms of the intervals (prompts, shared by the seeds) are averaged in square, and the
        spread of the seeds is added with Student's t."""
        values = np.array([(f.estimate, f.lower, f.upper) for f in seeds])
        mean = float(values[:, 0].mean())
        n, clusters = min(f.n for f in seeds), min(f.clusters for f in seeds)
        if len(seeds) == 1:
            return Interval(
                mean, float(values[0, 1]), float(values[0, 2]), seeds[0].interval, n, clusters, level=self.level
            )
        between = critical_value(self.level, len(seeds) - 1) ** 2 * float(values[:, 0].var(ddof=1)) / len(seeds)
        below = math.sqrt(float(np.mean((values[:, 0] - values[:, 1]) ** 2)) + between)
        above = math.sqrt(float(np.mean((values[:, 2] - values[:, 0]) ** 2)) + between)
        return Interval(mean, mean - below, mean + above, f"{len(seeds)}-seeds", n, clusters, level=self.level)


def markdown(verdict: GateResult, spec: GateSpec) -> str:
    """The verdict as Markdown: the result, how the error was spent, one row a decision."""
    words = {
        Status.PASS: "PASS: every claim of the gate is shown.",
        Status.FAIL: "FAIL: at least one claim is refuted.",
        Status.UNDECIDED: "UNDECIDED: nothing is refuted, but not every claim is shown; more prompts may decide.",
    }
    lines = [f"# {spec.name}", "", f"**{words[verdict.status]}**", "", f"Error: {verdict.note}.", ""]
    lines.append("| check | metric | language | scope | category | A | B | tested (interval) | limit | result |")
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for d in verdict.decisions:
        old = "" if d.old is None else f"{d.old.estimate:.4g}"
        mark = " (insufficient)" if d.insufficient else ""
        tested = f"{d.tested.estimate:.4g} [{d.tested.lower:.4g}, {d.tested.upper:.4g}]"
        cells = [d.check, d.metric, d.language, d.scope, d.category, old, f"{d.new.estimate:.4g}", tested]
        cells += [f"{d.limit:g}", f"{d.status.value}{mark}"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
