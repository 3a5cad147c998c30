"""A report before it is written in any form: what it is of, what it says, its figures and its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

from alignment_prism.domain import Contrast, Finding, InputError, Signature
from alignment_prism.domain.metric_table import HARM_RATE, REFUSAL_RATE
from alignment_prism.domain.metrics import Difference, RelativeChange
from alignment_prism.reports.about import About, ArmNote
from alignment_prism.reports.figures import Figure, draw_figures
from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.results import Results
from alignment_prism.reports.samples import Sample
from alignment_prism.reports.verdict import Verdict, judge_results
from alignment_prism.scoring.metrics import find_metric

FACTS = {"judge": "judge", "rubric": "rubric", "prompts": "prompts", "against": "whom replies were compared with"}
"""Parts of a signature that must be equal for numbers of two studies to be comparable, in words."""

COMPARED = (HARM_RATE.name, REFUSAL_RATE.name, "win_rate")
"""Metrics by whose signatures that is seen."""


class Requirement(Protocol):
    """A requirement and how an arm met it, a dataclass as `alignment_prism.nano.thresholds` has them."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str: ...
    @property
    def arm(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def limit(self) -> float: ...
    @property
    def at_least(self) -> bool: ...
    @property
    def reported_only(self) -> bool: ...
    @property
    def passed(self) -> bool: ...


@dataclass(frozen=True)
class Report:
    """What a report is made from.

    Attributes:
        results: findings and what goes with them.
        title: of the report; the study's name where it is empty.
        preface: lines before anything else, such as what the nano lab is and is not.
        thresholds: requirements and how the arms met them.
        samples: prompts and replies to look at.
        data: tables of what the arms were trained on, each with its title.
        again: how to run it again: what it is -> a text to copy.
    """

    results: Results
    title: str = ""
    preface: Sequence[str] = ()
    thresholds: Sequence[Requirement] = ()
    samples: Sequence[Sample] = ()
    data: Sequence[tuple[str, Sheet]] = ()
    again: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """Its title, or the study's name.

        Raises:
            InputError: there are no findings, or they belong to several studies.
        """
        studies = sorted({row.study for row in self.results.findings})
        if len(studies) != 1:
            what = "there are no findings" if not studies else f"findings of several studies: {', '.join(studies)}"
            raise InputError(what, fix="give the findings of one study, or the folders of several")
        return self.title or studies[0]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """By name, in the order in which they are read."""
        return draw_figures(self.results)

    @cached_property
    def verdict(self) -> Verdict:
        """In plain words."""
        return judge_results(self.results)


def arm_of_study(arm: str, study: str) -> str:
    """What an arm is called where several studies stand beside each other."""
    return f"{arm} ({study})"


def together(
    reports: Mapping[str, Report], between: Sequence[Contrast] = (), between_notes: Sequence[str] = ()
) -> Report:
    """Several studies as one report: their arms beside each other under the study's name, each against its own base.

    Args:
        reports: of the studies, by the name that each is to have.
        between: contrasts of arms of different studies, which are called as `arm_of_study` has it.
        between_notes: what one has to know of them, and why there is none.

    Raises:
        InputError: a study has no findings.
    """
    findings: list[Finding] = []
    contrasts, transfer, notes, arms, data, thresholds = [], [], [], [], [], []
    title = " and ".join(reports)
    for name, report in reports.items():
        _ = report.name  # raises where there is nothing
        old = report.results

        def called(arm: str, name: str = name) -> str:
            return arm_of_study(arm, name)

        findings += _called_after(name, old, title)
        transfer += [replace(row, study=title, arm=called(row.arm)) for row in old.transfer]
        contrasts += [
            replace(row, study=name, contrast=called(row.contrast), a=called(row.a), b=called(row.b))
            for row in old.contrasts
        ]
        notes += [f"{name}: {note}" for note in old.contrast_notes]
        about = old.about.arms if old.about is not None else ()
        arms += [ArmNote(called(arm.name), arm.method, arm.share, arm.seeds) for arm in about]
        data += [(f"{what}: {name}", sheet) for what, sheet in report.data]
        thresholds += [replace(one, arm=called(one.arm)) for one in report.thresholds]
    contrasts, notes = [*between, *contrasts], [*between_notes, *notes]
    oracles = {report.results.oracle for report in reports.values()}
    oracle = oracles.pop() if len(oracles) == 1 else ""
    results = Results(findings, contrasts, notes, transfer, About((), tuple(arms)), None, (), oracle)
    preface = list(dict.fromkeys(line for report in reports.values() for line in report.preface))
    return Report(results, title, [*unlike(reports), *preface], thresholds, (), data)


def _called_after(study: str, results: Results, title: str) -> Iterator[Finding]:
    """A study's findings with its arms called after it; signatures name base and opponent so too."""
    called = {arm: arm_of_study(arm, study) for arm, _ in results.index.arms}
    signed: dict[tuple[str, bool, str], str] = {}
    for row in results.findings:
        change = isinstance(find_metric(row.metric).estimator, (Difference, RelativeChange))
        key = row.arm, change, row.signature
        if key not in signed:
            analysis = row.signature.partition("|")[0]
            parts = dict(Signature.parts(row.signature))
            if change and (base := results.base_of((row.arm, row.seed))) is not None:
                parts.setdefault("base", base[0])
            parts |= {part: called.get(parts[part], parts[part]) for part in ("base", "against") if part in parts}
            signed[key] = "|".join([analysis, *(f"{part}:{value}" for part, value in parts.items())])
        yield replace(row, study=title, arm=called[row.arm], signature=signed[key])


def unlike(reports: Mapping[str, Report]) -> list[str]:
    """In what studies were measured otherwise, in words; numbers of such studies are not comparable.

    By what they have of the same metric on prompts of the same kind. Rows over seeds are of the prompts that these have
    in common, and those of the seeds say of which set they are.
    """
    lines = []
    for fact, words in FACTS.items():
        seen: dict[tuple[str, str], dict[str, set[str]]] = {}
        for name, report in reports.items():
            pooled = set(report.results.index.pooled)
            for row in report.results.findings:
                if row.metric in COMPARED and not (row.seed < 0 and row.arm in pooled):
                    value = dict(Signature.parts(row.signature)).get(fact, "")
                    value = report.results.opponent(row.arm) if value and fact == "against" else value
                    seen.setdefault((row.metric, row.prompts), {}).setdefault(name, set()).update({value} - {""})
        said: dict[str, set[str]] = {}
        for of in seen.values():
            if len(set(map(frozenset, of.values()))) > 1:
                for name, values in of.items():
                    said.setdefault(name, set()).update(values)
        if said:
            parts = (f"{', '.join(sorted(values)) or 'not said'} in {name}" for name, values in said.items())
            lines.append(f"Not comparable: the studies differ in {words} ({'; '.join(parts)}).")
    return lines
