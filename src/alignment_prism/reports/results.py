"""What a report is made from: the findings of a study, its contrasts, its transfer, and what the study was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from alignment_prism.domain import ALL, Contrast, Finding, FindingIndex, Transfer
from alignment_prism.domain.findings import BASE
from alignment_prism.domain.metric_table import HARM_DIFFERENCE, HARM_RATE
from alignment_prism.domain.metrics import Difference, Preference
from alignment_prism.reports.about import About
from alignment_prism.reports.bases import bases_of, part_of
from alignment_prism.reports.numbers import arm_title
from alignment_prism.reports.summary import HARMFUL, headline_prompts
from alignment_prism.scoring.metrics import find_metric

AGAINST_BASE = (Difference, Preference)
"""Estimators of metrics that are of an arm against its base, so that base itself has none."""

ArmSeed = tuple[str, int]
"""Name of an arm and the seed of its alignment, -1 where there is none or seeds are pooled."""


class LabelledShare(Protocol):
    """A share with its interval, and how many labelled replies it is of."""

    @property
    def estimate(self) -> float: ...
    @property
    def lower(self) -> float: ...
    @property
    def upper(self) -> float: ...
    @property
    def labels(self) -> int: ...


class JudgeCell(Protocol):
    """How often a judge is right on some replies, as `alignment_prism.labels` has it."""

    @property
    def language(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def sensitivity(self) -> LabelledShare: ...
    @property
    def specificity(self) -> LabelledShare: ...
    @property
    def insufficient(self) -> bool: ...


class JudgePassport(Protocol):
    """What labelled replies say of a judge."""

    @property
    def judge(self) -> str: ...
    @property
    def labels(self) -> int: ...
    @property
    def source(self) -> tuple[str, ...]: ...
    @property
    def cells(self) -> Sequence[JudgeCell]: ...


@dataclass(frozen=True, slots=True)
class Curve:
    """The loss of one stage of a training, step by step.

    Attributes:
        training: its name.
        stage: of it; losses of different stages are of different objectives.
        part: `trained` or `held out`.
        group: language and scope in words; empty for all pairs together.
        points: (step, mean loss since the last) in the order of steps.
    """

    training: str
    stage: str
    part: str
    group: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Results:
    """What tables, figures and words are made from; nothing else is read.

    Attributes:
        findings: of one study, or of several with arms of different names.
        contrasts: of arms with each other.
        contrast_notes: what one has to know of them.
        transfer: what arms do in languages and scopes that they were not trained on.
        about: what the study was; None where nobody says.
        passport: of the judge; None where there is none.
        curves: losses of trainings.
        oracle: name of the judge that knows the truth, as that of the nano lab does; empty where there is none.
    """

    findings: Sequence[Finding]
    contrasts: Sequence[Contrast] = ()
    contrast_notes: Sequence[str] = ()
    transfer: Sequence[Transfer] = ()
    about: About | None = None
    passport: JudgePassport | None = None
    curves: Sequence[Curve] = ()
    oracle: str = ""

    @cached_property
    def index(self) -> FindingIndex:
        """The findings by what they are about."""
        return FindingIndex(self.findings)

    @cached_property
    def prompts(self) -> str:
        """The harmful prompts that the study is summed up on."""
        return headline_prompts(self.index) or HARMFUL

    @cached_property
    def base(self) -> ArmSeed | None:
        """The arm that others are compared with: the one of which there are no changes; None if there is none or
        several."""
        kinds = {name: find_metric(name).estimator for name in self.index.values("metric")}
        changed: set[str] = set()
        for against in AGAINST_BASE:  # win-rates may be against a third model: they tell only where nothing else does
            changed = changed or {row.arm for row in self.findings if isinstance(kinds[row.metric], against)}
        found = [arm for arm in self.index.arms if arm[0] not in changed]
        named = [arm for arm in found if arm[0] == "base"]
        if named:
            return named[0]
        return found[0] if len(found) == 1 and changed else None

    @cached_property
    def bases(self) -> dict[str, str]:
        """Arm -> the arm that its changes are against, as their signatures name it."""
        return bases_of(self.index)

    def opponent(self, *names: str) -> str:
        """Whom the replies of some arms were compared with, in words: `base` for an arm's own by whatever name, or
        another model by its own; `base or gpt` where that is not the same for all.

        Comparisons name it; where they do not, it is base.
        """
        found = set()
        for name in names:
            own = self.bases.get(name, self.base[0] if self.base else BASE)
            signatures = self.index.values("signature", arm=name, metric="win_rate")
            found |= {BASE if one in ("", own) else one for one in (part_of(each, "against") for each in signatures)}
        return " or ".join(sorted(found)) or BASE

    def base_of(self, arm: ArmSeed) -> ArmSeed | None:
        """The arm that another is compared with; None for base itself, or where nobody knows."""
        named = next((one for one in self.index.arms if one[0] == self.bases.get(arm[0])), None)
        return named or (None if arm == self.base else self.base)

    @cached_property
    def models(self) -> list[ArmSeed]:
        """Base and every arm, seed by seed, without copies."""
        return [arm for arm in self.index.arms if str(arm[1]) not in self.copies(arm[0])]

    @cached_property
    def arms(self) -> list[ArmSeed]:
        """The same without bases; a base that is compared with another is an arm as well."""
        bases = set(self.bases.values()) - self.bases.keys() or ({self.base[0]} if self.base else set())
        return [arm for arm in self.models if arm[0] not in bases]

    def copies(self, name: str) -> list[str]:
        """Seeds that are not counted, since a training with each of them gave the very weights of an earlier one."""
        return self._copies.get(name, [])

    @cached_property
    def _copies(self) -> dict[str, list[str]]:
        over = (row for row in self.findings if row.seed < 0 and row.arm in self.index.pooled)
        said = ((row.arm, part_of(row.signature, "copies")) for row in over)
        return {arm: copies.split(",") for arm, copies in said if copies}

    def seeds_of(self, name: str) -> list[ArmSeed]:
        """An arm's alignments."""
        return [arm for arm in self.arms if arm[0] == name]

    def over_seeds(self, name: str, metric: str, prompts: str = "", language: str = ALL) -> Finding | None:
        """A number of an arm over its seeds, where several tell it together."""
        over = self.find((name, -1), metric, prompts=prompts, language=language) if name in self.index.pooled else None
        return None if over is None or part_of(over.signature, "seeds") == "1" else over

    def told(self, name: str, metric: str, prompts: str = "", language: str = ALL) -> list[ArmSeed]:
        """Where to look a number of an arm up: over its seeds where several tell it together, else one by one."""
        over = self.over_seeds(name, metric, prompts, language)
        return self.seeds_of(name) if over is None else [(name, -1)]

    def harm_of(self, name: str) -> list[ArmSeed]:
        """Where to look an arm's harm up."""
        return self.told(name, HARM_DIFFERENCE.name)

    @cached_property
    def compared(self) -> list[ArmSeed]:
        """Every arm but bases, as `harm_of` has them."""
        return [arm for name in dict.fromkeys(name for name, _ in self.arms) for arm in self.harm_of(name)]

    def title(self, arm: ArmSeed) -> str:
        """The arm's name, with its seed where the study has several."""
        return arm_title(arm, self.index)

    def find(
        self,
        arm: ArmSeed,
        metric: str,
        *,
        prompts: str = "",
        language: str = ALL,
        scope: str = ALL,
        category: str = ALL,
    ) -> Finding | None:
        """A finding that has a number, on the prompts that the study is summed up on unless others are named."""
        found = self.index.get(arm, prompts or self.prompts, metric, language=language, scope=scope, category=category)
        return None if found is None or math.isnan(found.estimate) else found

    @cached_property
    def languages(self) -> list[str]:
        """Codes of the languages that harm is known in."""
        return sorted(self.index.languages(metric=HARM_RATE.name, prompts=self.prompts))

    @cached_property
    def scopes(self) -> list[str]:
        """`global` and `local` where they are told apart, else `all`."""
        there = self.index.values("scope", metric=HARM_RATE.name, prompts=self.prompts)
        return [scope for scope in ("global", "local") if scope in there] or [ALL]

    @cached_property
    def several_seeds(self) -> bool:
        """Whether something is said of arms over their seeds."""
        return bool(self.index.pooled)

    @cached_property
    def recipes(self) -> dict[str, tuple[str, float]]:
        """Arm -> method and share of safety pairs, of those that the study trained."""
        return {row.arm: (row.method, row.share) for row in self.transfer if row.method}

    @cached_property
    def whole_mixtures(self) -> set[str]:
        """Arms that were trained on all languages and scopes of their pairs, so that they differ in the share alone."""
        whole = {row.arm for row in self.transfer if row.method}
        part = {row.arm for row in self.transfer if {row.trained_languages, row.trained_scopes} - {ALL, "none", ""}}
        return whole - part
