"""A judge corrected by the labels of people on a sample that was drawn for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from alignment_prism.domain import ALL, MACRO, Finding, InputError, Label, Outcome, Signature
from alignment_prism.domain.metric_table import corrected
from alignment_prism.labels.frame import Design, FrameRow, require_design
from alignment_prism.labels.people import People, what_people_say
from alignment_prism.labels.ratings import Scale, rate
from alignment_prism.statistics.intervals import Floats, Interval
from alignment_prism.statistics.language_means import language_correlation, macro_over_languages
from alignment_prism.statistics.raters.judge_error import Corrected, corrected_difference, corrected_rate

METRICS = {Outcome.HARMFUL: ("harm_rate", "harm_difference"), Outcome.REFUSAL: ("refusal_rate", "refusal_difference")}
"""Names of a rate and of its change, by the outcome that is labelled."""


@dataclass(frozen=True, slots=True)
class CorrectedPart:
    """Corrected numbers of one arm in one language and scope.

    Attributes:
        arm: whose.
        language: code, `all`, or `macro` for the plain mean over languages.
        scope: global, local, or `all`.
        prompts: in the frame.
        rate: of the arm.
        change: its rate minus base's; None for base.
    """

    arm: str
    language: str
    scope: str
    prompts: int
    rate: Corrected
    change: Corrected | None


@dataclass(frozen=True, slots=True)
class Correction:
    """What the labels of a sample say.

    Attributes:
        design: of the sample.
        parts: arm by arm, base first; the first part of an arm is over all languages and scopes.
        notes: what weakens it, and what was not used, in words.
        people: what is known of the annotators.
    """

    design: Design
    parts: tuple[CorrectedPart, ...]
    notes: tuple[str, ...]
    people: People

    def part(self, arm: str, language: str = ALL, scope: str = ALL) -> CorrectedPart | None:
        """The part of a cell, or None where it could not be corrected."""
        return next((p for p in self.parts if (p.arm, p.language, p.scope) == (arm, language, scope)), None)

    def findings(self, study: str = "labels") -> list[Finding]:
        """Corrected rates of all arms and their corrected changes, as metrics of their own beside the judge's."""
        rate_name, change_name = (corrected(name) for name in METRICS[self.design.outcome])
        return [
            self._finding(study, part, name, found)
            for part in self.parts
            for name, found in ((change_name, part.change), (rate_name, part.rate))
            if found is not None
        ]

    def _finding(self, study: str, part: CorrectedPart, metric: str, found: Corrected) -> Finding:
        design, interval, error = self.design, found.interval, self.people.error
        extra = [("labels", str(found.labels)), ("design", design.digest)]
        if error is not None:
            extra.append(("annotators", f"{error.sensitivity:.3f}/{error.specificity:.3f}"))
        signature = Signature("labels", design.judge, design.rubric, ci=interval.name, extra=tuple(extra))
        return Finding(
            study, part.arm, -1, design.kind.value, part.language, part.scope, ALL, metric, interval.estimate,
            interval.lower, interval.upper, interval.name, interval.level, interval.n, interval.clusters,
            insufficient=bool(found.warnings), signature=str(signature),
        )  # fmt: skip


def correct(
    design: Design,
    labels: Sequence[Label],
    *,
    settled: Sequence[Label] | None = None,
    as_labelled: bool = False,
    level: float = 0.95,
) -> Correction:
    """Correct the judge's rates of every arm, and their changes against base, by labels on the design's sample.

    By language, by scope, over all, and as the mean over languages. The annotators' own error is taken out where it is
    known (`people.what_people_say`). Labels of prompts that were not drawn are ignored: somebody chose them, and no
    weight is right for them. Every prompt that was drawn is used or counted in the notes.

    Args:
        design: of the sample.
        labels: of the sheet, by one annotator or several.
        settled: settled answers to replies that were drawn at random, from which the annotators' error is known best.
        as_labelled: take what the annotators say for the truth: the majority, a tie as one half; with `settled`, what
            was settled, of whichever replies, comes before it.
        level: coverage.

    Raises:
        InputError: nothing of a rater can be read, labels are of another sample, or no part has labels enough.
    """
    require_design(labels, design)
    ratings = rate(labels, Scale(design.outcome))
    ratings.require_readable()
    people = what_people_say(ratings, design, settled, as_labelled)
    notes = list(people.notes)
    parts: list[CorrectedPart] = []
    failures: dict[str, None] = {}
    for arm in design.arms:
        of_arm: dict[tuple[str, str], CorrectedPart] = {}
        for (language, scope), rows in _cells(design.rows).items():
            name = " ".join(part for part in (language, scope) if part != ALL) or ALL
            try:
                part = _correct_part(design, arm, language, scope, rows, people, level)
            except InputError as error:
                failures[f"{name}: not corrected, {error.what}"] = None
                continue
            of_arm[language, scope] = part
            if scope == ALL and part.change is not None:
                who = f"{arm}, {name}" if len(design.arms) > 2 else name
                notes += [f"{who}: {warning}" for warning in part.change.warnings]
        parts += _with_means(design, arm, of_arm, people)
    unknown = len(people.said.keys() - {reply for row in design.chosen for reply in row.replies})
    if not any(part.change is not None for part in parts):
        raise InputError(
            f"no part of the sample can be corrected; {'; '.join(failures)}"
            + (f"; {unknown} labels are of replies that were not drawn" if unknown else ""),
            fix="have all replies to the drawn prompts labelled, on the sheet that belongs to this design",
        )
    notes += [*failures, *ratings.notes()]
    if unknown:
        notes.append(f"{unknown} labels are of replies that were not drawn, and were not used")
    return Correction(design, tuple(parts), tuple(notes), people)


def _cells(rows: Sequence[FrameRow]) -> dict[tuple[str, str], Sequence[FrameRow]]:
    """All rows, and those of each language and scope where there are several."""
    cells: dict[tuple[str, str], Sequence[FrameRow]] = {}
    languages, scopes = ({getattr(row, name) for row in rows} - {""} for name in ("language", "scope"))
    for scope in (ALL, *(sorted(scopes) if len(scopes) > 1 else ())):
        for language in (ALL, *(sorted(languages) if len(languages) > 1 else ())):
            inside = [row for row in rows if language in (ALL, row.language) and scope in (ALL, row.scope)]
            if inside:
                cells[language, scope] = inside
    return cells


def _correct_part(
    design: Design, arm: str, language: str, scope: str, rows: Sequence[FrameRow], people: People, level: float
) -> CorrectedPart:
    strata = [row.stratum for row in rows]
    names = [row.cluster for row in rows]
    clusters = names if len(set(names)) < len(names) else None
    position = design.arms.index(arm)

    def of(number: int) -> tuple[list[int], Floats, list[float] | None]:
        labels = [people.said.get(row.replies[number], np.nan) if row.chosen else np.nan for row in rows]
        soft = [row.soft[number] for row in rows] if rows[0].soft else None
        return [row.judged[number] for row in rows], np.array(labels), soft

    judge, human, soft = of(position)
    rates = corrected_rate(judge, human, strata, clusters, level, annotator=people.error, soft=soft)
    if position == 0:
        return CorrectedPart(arm, language, scope, len(rows), rates, None)
    base_judge, base_human, base_soft = of(0)
    change = corrected_difference(
        judge, base_judge, human, base_human, strata, clusters, level, annotator=people.error, soft_model=soft,
        soft_base=base_soft,
    )  # fmt: skip
    bare = sum(row.chosen and not set(row.replies) & people.said.keys() for row in rows)
    if bare:
        warning = f"{bare} drawn prompts have no label at all and were not used"
        change = replace(change, warnings=(*change.warnings, warning))
    return CorrectedPart(arm, language, scope, len(rows), rates, change)


def _with_means(
    design: Design, arm: str, parts: Mapping[tuple[str, str], CorrectedPart], people: People
) -> Iterator[CorrectedPart]:
    """The parts of an arm, after those of each scope their mean over languages, where every language has one."""
    cells = _cells(design.rows)
    for scope in dict.fromkeys(scope for _, scope in cells):
        codes = [language for language, of in cells if of == scope and language != ALL]
        yield from (parts[language, scope] for language in (ALL, *codes) if (language, scope) in parts)
        found = [parts[language, scope] for language in codes if (language, scope) in parts]
        if len(found) < 2 or len(found) < len(codes):
            continue
        rows = [row for code in codes for row in cells[code, scope]]
        numbers = [design.arms.index(arm)]
        mean = partial(_mean, rows=rows, codes=codes, people=people)
        changes = [part.change for part in found if part.change is not None]
        yield CorrectedPart(
            arm, MACRO, scope, len(rows), mean([part.rate for part in found], numbers=numbers),
            mean(changes, numbers=[*numbers, 0]) if changes else None,
        )  # fmt: skip


def _mean(
    parts: Sequence[Corrected],
    *,
    rows: Sequence[FrameRow],
    codes: Sequence[str],
    people: People,
    numbers: Sequence[int],
) -> Corrected:
    """Mean over languages; those that share sources go together as far as their labelled prompts do."""

    def value(row: FrameRow) -> float:
        said = [people.said.get(row.replies[number], np.nan) for number in numbers]
        return said[0] - (said[1] if len(said) > 1 else 0.0) if row.chosen else np.nan

    sources = {name: i for i, name in enumerate(dict.fromkeys(row.cluster for row in rows))}
    deviations, held = np.zeros((len(sources), len(codes))), np.zeros((len(sources), len(codes)), bool)
    for column, (code, part) in enumerate(zip(codes, parts, strict=True)):
        for row in rows:
            if row.language == code and not np.isnan(value(row)):
                deviations[sources[row.cluster], column] += value(row) - part.labelled.estimate
                held[sources[row.cluster], column] = True
    correlation = language_correlation(deviations, held)

    def over(interval: Callable[[Corrected], Interval]) -> Interval:
        return macro_over_languages([interval(part) for part in parts], correlation)

    return Corrected(
        over(lambda part: part.interval),
        over(lambda part: part.judged),
        over(lambda part: part.labelled),
        float(np.mean([part.weight for part in parts])),
        sum(part.labels for part in parts),
        sum(part.worth for part in parts),
        tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
    )
