"""Findings: the public contract of every analysis, one number a row.

Reports, gates and comparisons read nothing else. A finding says what was measured, on whom, how surely, and, by
its signature, how the number came about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

ALL = "all"
"""Value of `language`, `scope` and `category` in rows that pool over them."""
NATIVE = "native"
"""The part of prompts that people wrote, where others are translations."""

MACRO = "macro"
"""Value of `language` in rows that are the plain mean over languages."""

BASE = "base"
"""Name of the arm that others are compared with, unless something else is said."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One estimate.

    Attributes:
        study: name of the study.
        arm: name of the model within it.
        seed: of the alignment; -1 where seeds are pooled or do not apply.
        prompts: which prompts the number is about: a `PromptKind`, or `kind/subset` (`harmful/unseen`).
        language: code, `all` (pooled over prompts) or `macro` (mean over languages).
        scope: `global`, `local` or `all`.
        category: a harm category or `all`; categories overlap, so their rows do not add up.
        metric: what is estimated, see `alignment_prism.domain.metrics`.
        estimate: its value; NaN where it is undefined (a relative change from a base of zero).
        lower: lower end of the interval; -inf where it is unbounded, NaN where there is none.
        upper: upper end, likewise.
        interval: method and level (`wilson95`), empty where there is no interval.
        level: coverage that the interval is made for; of no meaning where there is none.
        n: number of units (prompts, or pairs of replies) that the estimate rests on.
        clusters: number of independent clusters among them; equal to n where each stands alone.
        insufficient: True where too few events or units make the estimate unreliable; shown all the same.
        joint_lower: of a change against base, lower end of an interval at the same level that holds together with those
            of all cells and arms of this metric in the same analysis; NaN for other numbers.
        joint_upper: upper end, likewise.
        q_value: of a change against base, the least false discovery rate at which it counts as a change among all cells
            and arms of this metric in the same analysis (Benjamini-Yekutieli); NaN for other numbers.
        signature: how the number came about, see `Signature`.
    """

    study: str
    arm: str
    seed: int
    prompts: str
    language: str
    scope: str
    category: str
    metric: str
    estimate: float
    lower: float = math.nan
    upper: float = math.nan
    interval: str = ""
    level: float = 0.95
    n: int = 0
    clusters: int = 0
    insufficient: bool = False
    joint_lower: float = math.nan
    joint_upper: float = math.nan
    q_value: float = math.nan
    signature: str = ""


class FindingIndex:
    """Findings by what they are about: the one way in which reports, gates and thresholds look them up.

    Args:
        findings: of one study.

    Attributes:
        findings: as they were given.
        arms: (arm, seed) in the order of their first appearance, `base` first; what is said of an arm's seeds
            together (seed -1) makes no arm of its own.
        pooled: arms of which something is said over their seeds together.
        prompts: prompt sets in that order.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        self._cells: dict[tuple[str, str, str, str, str, str], list[Finding]] = {}
        for row in self.findings:
            key = (row.arm, row.prompts, row.metric, row.language, row.scope, row.category)
            self._cells.setdefault(key, []).append(row)
        arms = dict.fromkeys((row.arm, row.seed) for row in self.findings)
        seeded = {arm for arm, seed in arms if seed >= 0}
        self.arms = sorted((arm for arm in arms if arm[1] >= 0 or arm[0] not in seeded), key=lambda a: a[0] != BASE)
        self.pooled = [arm for arm, seed in arms if seed < 0 and arm in seeded]
        self.prompts = list(dict.fromkeys(row.prompts for row in self.findings))
        self._distinct: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, None]]] = {}

    def seeds(
        self,
        arm: str,
        prompts: str,
        metric: str,
        *,
        language: str = ALL,
        scope: str = ALL,
        category: str = ALL,
    ) -> list[Finding]:
        """The findings of a cell for every seed of an arm, in their order; what stands there twice is there twice."""
        return self._cells.get((arm, prompts, metric, language, scope, category), [])

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
        """The finding of a cell for one arm and seed, or None; where there are several, the last one."""
        name, seed = arm
        found = self.seeds(name, prompts, metric, language=language, scope=scope, category=category)
        return next((row for row in reversed(found) if row.seed == seed), None)

    def values(self, column: str, **fixed: str) -> list[str]:
        """Distinct values of `column` among the rows whose other columns are as `fixed`, in order of appearance."""
        names = tuple(sorted(fixed))
        if (column, *names) not in self._distinct:  # a page asks some thousand times, of tens of thousands of rows
            table = self._distinct[(column, *names)] = {}
            for row in self.findings:
                table.setdefault(tuple(getattr(row, name) for name in names), {})[str(getattr(row, column))] = None
        return list(self._distinct[(column, *names)].get(tuple(fixed[name] for name in names), ()))

    def languages(self, **fixed: str) -> list[str]:
        """Codes of the languages that have such rows; without the pooled ones (`all`, `macro`)."""
        return [code for code in self.values("language", **fixed) if code not in (ALL, MACRO)]


@dataclass(frozen=True, slots=True)
class Signature:
    """How a number came about, as one line of `key:value` parts, in the manner of sacreBLEU.

    Example:
        >>> str(Signature("harm", judge="openai/gpt-4o", rubric="standalone@2", prompts="aya@1a2b3c4d", ci="wilson95"))
        'harm|judge:openai/gpt-4o|rubric:standalone@2|prompts:aya@1a2b3c4d|k:1|ci:wilson95'
    """

    analysis: str
    judge: str = ""
    rubric: str = ""
    prompts: str = ""
    k: int = 1
    ci: str = ""
    extra: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def parts(text: str) -> list[tuple[str, str]]:
        """Keys and values of a signature that was written, in their order; a key may occur again.

        Example:
            >>> Signature.parts("harm|judge:openai/gpt-4o|k:1")
            [('judge', 'openai/gpt-4o'), ('k', '1')]
        """
        pairs = (part.partition(":") for part in text.split("|")[1:])
        return [(key, value) for key, _, value in pairs]

    def __str__(self) -> str:
        parts = (
            ("judge", self.judge),
            ("rubric", self.rubric),
            ("prompts", self.prompts),
            ("k", str(self.k)),
            ("ci", self.ci),
            *self.extra,
        )
        return "|".join([self.analysis, *(f"{key}:{value}" for key, value in parts if value)])
