"""Release gates: may model B replace model A? Declared before, decided from findings alone.

Every check is a claim that must be shown, in every language it names; lack of evidence is not a pass. All checks must
pass, so no adjustment over checks is needed (intersection-union test: Berger 1982, Technometrics 24); looks at several
releases spend one declared error (`statistics.planning.looks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import get_args

from alignment_prism.domain import ALL, MACRO, Finding, InputError
from alignment_prism.domain.metrics import (
    Bound,
    Difference,
    Estimator,
    JudgeCorrected,
    Preference,
    Rank,
    RelativeChange,
)
from alignment_prism.gates.release import Estimate, Release, at_level
from alignment_prism.gates.spec import Cell, Check, Companion, Fact, GateSpec, better_is_lower
from alignment_prism.scoring.metrics import find_metric
from alignment_prism.statistics.intervals import Interval, critical_value
from alignment_prism.statistics.planning.looks import alpha_at_look, sequence_critical

COMPARISON = "comparison"
"""Name of the scores that a preference rests on."""


class Status(StrEnum):
    """Result of a check or of a gate."""

    PASS = "pass"
    """Shown."""
    UNDECIDED = "undecided"
    """Neither shown nor refuted: the interval holds the limit, or rests on too little."""
    FAIL = "fail"
    """Refuted: the whole interval is beyond the limit."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One check in one cell.

    Attributes:
        check: its name.
        cell: what it is about.
        old: interval in A; None where nothing is compared with it.
        new: interval in B.
        tested: what is compared with the limit: the new value, or the change in the direction of worse.
        limit: ceiling, floor or margin.
        status: the result.
        insufficient: whether a finding it rests on is marked so; such a cell is never shown.
        companion: whether it goes with a check of the gate.
    """

    check: str
    cell: Cell
    old: Interval | None
    new: Interval
    tested: Interval
    limit: float
    status: Status
    insufficient: bool
    companion: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """What a release was measured with.

    Attributes:
        arm: of its findings.
        facts: judge, rubric, prompts and the like, as the signatures have them.
    """

    arm: str
    facts: dict[Fact, str]


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of a gate.

    Attributes:
        status: FAIL if any decision fails, else UNDECIDED if any is, else PASS.
        decisions: in the order of the specification, companions last.
        alpha: one-sided error of this look.
        critical: critical value that followed from it (for a confidence sequence, of the smallest cell).
        note: how the error was spent, in words.
        old: A; None where there are no findings of it.
        new: B.
        exceptions: in what A and B differ and may, as the gate declares.
    """

    status: Status
    decisions: tuple[Decision, ...]
    alpha: float
    critical: float
    note: str
    old: Side | None
    new: Side
    exceptions: tuple[str, ...]


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
    look (`release.at_level`).

    Args:
        old: findings of A; may be empty if no check compares with it.
        new: findings of B.
        spec: the gate.
        old_arm: arm of A; None if its findings have one arm besides `base`, or `base` alone.
        new_arm: arm of B, likewise.

    Raises:
        InputError: a finding that the gate asks for is missing, in a language that A has too; is without an interval,
            or of an unclear arm; or A and B were measured otherwise than the gate allows.
    """
    compares = any(check.kind == "non_inferiority" for check in spec.checks)
    first = Release(old, old_arm, "A") if old or compares else None
    second = Release(new, new_arm, "B")
    alpha, note = _error(spec)
    claims = list(_claims(spec, first, second))
    decisions = tuple(_decide(claim, first, second, spec, alpha) for claim in claims)
    exceptions = _differences(claims, first, second, spec.may_differ)
    statuses = {decision.status for decision in decisions}
    status = next(s for s in (Status.FAIL, Status.UNDECIDED, Status.PASS) if s in statuses)
    critical = _critical(spec, alpha, min(decision.new.n for decision in decisions if not decision.companion))
    sides = [None if one is None else Side(one.arm, _facts(claims, one)) for one in (first, second)]
    assert sides[1] is not None
    return GateResult(status, decisions, alpha, critical, note, sides[0], sides[1], tuple(exceptions))


@dataclass(frozen=True, slots=True)
class _Claim:
    """A check in one cell."""

    check: Check
    cell: Cell
    companion: bool = False


def _claims(spec: GateSpec, old: Release | None, new: Release) -> Iterator[_Claim]:
    """Every check in every cell, then the companions of each, once a cell."""
    claims = [_Claim(check, cell) for check in spec.checks for cell in check.cells(_languages(check, old, new))]
    yield from claims
    known = {claim.cell for claim in claims}
    for claim in claims:
        for companion in spec.companions:
            cell = replace(claim.cell, metric=companion.metric)
            if _rests_on(companion.metric) == _rests_on(claim.cell.metric) and cell not in known:
                known.add(cell)
                yield _Claim(_as_check(companion, cell, compared=old is not None), cell, companion=True)


def _as_check(companion: Companion, cell: Cell, *, compared: bool) -> Check:
    relative = compared and companion.margin is not None
    limit = companion.limit if companion.margin is None else companion.margin
    return Check(
        name="companion",
        kind="non_inferiority" if relative else "ceiling",
        metric=companion.metric,
        margin=companion.margin if relative else None,
        limit=None if relative else limit,
        better="lower",
        prompts=cell.prompts,
    )


def _rests_on(metric: str) -> str:
    """Name of the scores that a metric is made of."""
    estimator: Estimator = find_metric(metric).estimator
    if isinstance(estimator, Preference):
        return COMPARISON
    if isinstance(estimator, (Difference, RelativeChange, Bound, Rank, JudgeCorrected)):
        return _rests_on(estimator.of)
    return estimator.score


def _languages(check: Check, old: Release | None, new: Release) -> Sequence[str]:
    """The languages of a check; `each` is every language that either release has, so that none can be left out."""
    if isinstance(check.languages, str) and check.languages != "each":
        return [check.languages]
    if isinstance(check.languages, list):
        return check.languages
    found = new.languages(check.metric, check.prompts)
    if not found:
        raise InputError(
            f"release B has no {check.metric!r} by language on prompts {check.prompts!r}",
            where=f"check {check.name!r}",
            fix="check metric and prompts, or evaluate a prompt set that has languages",
        )
    return sorted(found | (old.languages(check.metric, check.prompts) if old is not None else set()))


def _differences(claims: Iterable[_Claim], old: Release | None, new: Release, allowed: Sequence[Fact]) -> list[str]:
    """In what A and B were measured otherwise, in words, where the gate allows it.

    Raises:
        InputError: the gate does not, or one of them has languages in a mean that the other has not.
    """
    exceptions: dict[str, None] = {}
    for claim in claims:
        cell, where = claim.cell, f"check {claim.check.name!r}"
        old_facts, new_facts = old.facts(cell) if old is not None else {}, new.facts(cell)
        if old is None or not old_facts or not new_facts:
            continue
        if cell.language in (ALL, MACRO):
            languages = [one.languages(cell.metric, cell.prompts) for one in (old, new)]
            if languages[0] != languages[1]:
                lacking = ", ".join(sorted(languages[0] ^ languages[1]))
                raise InputError(
                    f"{cell} is over other languages in A than in B: only one of them has {lacking}",
                    where=where,
                    fix="evaluate both in the same languages, or name the languages of the check",
                )
        for fact in get_args(Fact):
            before, after = old_facts[fact], new_facts[fact]
            if before == after:
                continue
            words = f"{fact}: {before or 'not said'} in A, {after or 'not said'} in B"
            if fact not in allowed:
                raise InputError(
                    f"A and B differ in {words} ({cell})",
                    where=where,
                    fix=f"measure both alike, or declare the difference in the gate: may_differ: [{fact}]",
                )
            exceptions.setdefault(words)
    return list(exceptions)


def _facts(claims: Iterable[_Claim], release: Release) -> dict[Fact, str]:
    """Facts of all cells together."""
    found: dict[Fact, dict[str, None]] = {}
    for claim in claims:
        for fact, value in release.facts(claim.cell).items():
            if value:
                found.setdefault(fact, {}).setdefault(value)
    return {fact: "; ".join(values) for fact, values in found.items()}


def _decide(claim: _Claim, old: Release | None, new: Release, spec: GateSpec, alpha: float) -> Decision:
    check, cell = claim.check, claim.cell
    after = new.find(cell)
    critical = critical_value(0.95) if claim.companion else _critical(spec, alpha, max(after.interval.n, 1))
    value = at_level(after, cell.metric, critical)
    sign = 1.0 if better_is_lower(check) else -1.0
    if check.kind == "non_inferiority":
        assert old is not None and check.margin is not None
        before: Estimate | None = (found := old.find(cell))
        tested, limit = _change(found, value, cell.metric, critical).scaled(sign), check.margin
        status = _status(tested, limit, found.insufficient or after.insufficient)
    else:
        assert check.limit is not None
        before, tested, limit = None, value, check.limit
        status = _status(value.scaled(sign), sign * limit, after.insufficient)
    return Decision(
        check.name,
        cell,
        None if before is None else before.interval,
        after.interval,
        tested,
        limit,
        status,
        after.insufficient or (before is not None and before.insufficient),
        claim.companion,
    )


def _change(before: Estimate, new: Interval, metric: str, critical: float) -> Interval:
    """B minus A, their prompts taken as independent. Scores of both on the same prompts would make it sharper."""
    old = at_level(before, metric, critical)
    estimate = new.estimate - old.estimate
    below = math.hypot(new.estimate - new.lower, old.upper - old.estimate)
    above = math.hypot(new.upper - new.estimate, old.estimate - old.lower)
    return Interval(estimate, estimate - below, estimate + above, "mover-change", new.n, new.clusters, level=new.level)


def _status(interval: Interval, limit: float, insufficient: bool) -> Status:
    if interval.upper <= limit:
        return Status.UNDECIDED if insufficient else Status.PASS
    return Status.FAIL if interval.lower > limit else Status.UNDECIDED


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
