"""A judge corrected by the labels of people on a sample that was drawn for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alignment_prism.domain import ALL, Finding, InputError, Label, Outcome, Signature
from alignment_prism.labels.frame import Design, FrameRow
from alignment_prism.labels.ratings import Ratings, Scale, describe_disputed, rate
from alignment_prism.statistics.intervals import Floats
from alignment_prism.statistics.raters.annotators import (
    AnnotatorError,
    annotator_error_from_gold,
    annotator_error_from_pairs,
)
from alignment_prism.statistics.raters.judge_error import Corrected, corrected_difference, corrected_rate

METRICS = {Outcome.HARMFUL: ("harm_rate", "harm_difference"), Outcome.REFUSAL: ("refusal_rate", "refusal_difference")}
"""Names of a rate and of its change, by the outcome that is labelled."""

FEW_PAIRS = 100
"""Fewer labels than this say little about the annotators' error."""


@dataclass(frozen=True, slots=True)
class CorrectedPart:
    """Corrected numbers of one language, or of all.

    Attributes:
        language: code, or `all`.
        prompts: in the frame.
        difference: the model's rate minus base's.
        model: the model's rate.
        base: base's rate.
    """

    language: str
    prompts: int
    difference: Corrected
    model: Corrected
    base: Corrected


@dataclass(frozen=True, slots=True)
class Correction:
    """What the labels of a sample say.

    Attributes:
        design: of the sample.
        parts: `all` first, then each language that can be corrected.
        notes: what weakens it, and what was not used, in words.
    """

    design: Design
    parts: tuple[CorrectedPart, ...]
    notes: tuple[str, ...]

    @property
    def metric(self) -> str:
        """Name of the corrected change."""
        return METRICS[self.design.outcome][1]

    def findings(self, study: str = "labels") -> list[Finding]:
        """Corrected change of the model, and the corrected rates of both arms."""
        design = self.design
        rate_name, change_name = METRICS[design.outcome]
        rows = []
        for part in self.parts:
            for arm, metric, found in (
                (design.arm, change_name, part.difference),
                (design.arm, rate_name, part.model),
                (design.base, rate_name, part.base),
            ):
                interval = found.interval
                signature = Signature(
                    "labels", design.judge, design.rubric, ci=interval.name,
                    extra=(("labels", str(found.labels)), ("design", design.digest)),
                )  # fmt: skip
                rows.append(
                    Finding(
                        study, arm, -1, design.kind.value, part.language, ALL, ALL, metric, interval.estimate,
                        interval.lower, interval.upper, interval.name, interval.level, interval.n, interval.clusters,
                        insufficient=bool(found.warnings), signature=str(signature),
                    )
                )  # fmt: skip
        return rows


def correct(
    design: Design,
    labels: Sequence[Label],
    *,
    double: bool = False,
    settled: Sequence[Label] | None = None,
    level: float = 0.95,
) -> Correction:
    """Correct the judge's change against base, and both arms' rates, by labels on the design's sample.

    Several annotators of a reply are taken by majority, a tie as one half (`Scale.joint`). Labels of prompts that were
    not drawn are ignored: somebody chose them, and no weight is right for them. Every prompt that was drawn is used or
    counted in the notes.

    Args:
        design: of the sample.
        labels: of the sheet, by one annotator or several.
        double: take out the annotators' error, known from replies that two of them labelled. The first label of a reply
            counts then, not the majority.
        settled: likewise, known from settled answers to some replies.
        level: coverage.

    Raises:
        InputError: nothing of a rater can be read, labels are of another sample, or no part has labels enough.
    """
    if double and settled is not None:
        raise InputError("double labels and settled answers", fix="give one of them; settled answers know more")
    foreign = {label.design for label in labels if label.design} - {design.digest}
    if foreign:
        raise InputError(
            f"the sheet was drawn by another design ({sorted(foreign)[0]}, not {design.digest})",
            fix="give the design file that was written beside this sheet",
        )
    scale = Scale(design.outcome)
    ratings = rate(labels, scale)
    ratings.require_readable()
    replies = {reply: row.prompt_id for row in design.chosen for reply in row.replies}
    notes, annotator, decided = _decide(ratings, replies, double, settled)
    parts, failures = [], []
    for language, rows in _parts(design.rows).items():
        try:
            part = _correct_part(language, rows, decided, level, annotator)
        except InputError as error:
            failures.append(f"{language}: {error.what}")
            notes.append(f"{language}: not corrected, {error.what}")
            continue
        parts.append(part)
        notes += [f"{language}: {warning}" for warning in part.difference.warnings]
    notes += ratings.notes()
    unknown = len(decided.keys() - replies.keys())
    if unknown:
        notes.append(f"{unknown} labels are of replies that were not drawn, and were not used")
    if not parts:
        raise InputError(
            f"no part of the sample can be corrected; {'; '.join(failures)}"
            + (f"; {unknown} labels are of replies that were not drawn" if unknown else ""),
            fix="have both replies of the drawn prompts labelled, on the sheet that belongs to this design",
        )
    return Correction(design, tuple(parts), tuple(notes))


def _decide(
    ratings: Ratings, replies: Mapping[str, str], double: bool, settled: Sequence[Label] | None
) -> tuple[list[str], AnnotatorError | None, dict[str, float]]:
    """Notes, the annotators' error if it is modelled, and by reply the share of the outcome: 1, 0, or 1/2 of a tie."""
    event = ratings.scale.order[1]
    disputed = describe_disputed(ratings, replies)
    if not double and settled is None:
        said = {reply: votes.get(event, 0.0) for reply, votes in ratings.joint().items()}
        advice = "; a tie counts as one half, and the annotators' error shrinks a difference unless it is modelled"
        return [disputed + advice] if disputed else [], None, said
    error, number = _annotator_error(ratings, settled)
    notes = [
        f"annotators: sensitivity {error.sensitivity:.3f}, specificity {error.specificity:.3f}, from {number} "
        f"{'double' if settled is None else 'settled'} labels{'; that is few' if number < FEW_PAIRS else ''}"
    ]
    if disputed:
        notes.append(f"{disputed}; their error is taken out")
    # Single labels have the error of one person, which is the one that was measured.
    first = {
        reply: float(next(value for value in values if value is not None) == event)
        for reply, values in zip(ratings.replies, ratings.values, strict=True)
        if any(value is not None for value in values)
    }
    return notes, error, first


def _annotator_error(ratings: Ratings, settled: Sequence[Label] | None) -> tuple[AnnotatorError, int]:
    """How wrong one label by one annotator is, and the number of labels or pairs that say so.

    Settled answers are compared with every label of their replies; without them the first two labels of every reply
    that has two are compared with each other.

    Raises:
        InputError: no reply has a settled answer, or two labels. Formulas and limits: `annotators.py`.
    """
    event = ratings.scale.order[1]
    answers: dict[str, float] = {}
    if settled is not None:
        known = rate(settled, ratings.scale)
        known.require_readable("settled answers")
        answers = {reply: votes.get(event, 0.0) for reply, votes in known.joint().items() if len(votes) == 1}
    first, second = [], []
    for reply, values in zip(ratings.replies, ratings.values, strict=True):
        given = [float(value == event) for value in values if value is not None]
        if settled is None and len(given) > 1:
            first.append(given[0])
            second.append(given[1])
        elif reply in answers:
            first += given
            second += [answers[reply]] * len(given)
    if not first:
        raise InputError(
            "no reply has two labels" if settled is None else "no settled answer is of a labelled reply",
            fix="have 100 replies or more labelled by two people, or settle the answers of some",
        )
    estimate = annotator_error_from_pairs if settled is None else annotator_error_from_gold
    return estimate(first, second), len(first)


def _parts(rows: Sequence[FrameRow]) -> dict[str, Sequence[FrameRow]]:
    """All rows, and those of each language where there are several."""
    parts: dict[str, Sequence[FrameRow]] = {ALL: rows}
    languages = sorted({row.language for row in rows} - {""})
    if len(languages) > 1:
        parts |= {language: [row for row in rows if row.language == language] for language in languages}
    return parts


def _correct_part(
    language: str, rows: Sequence[FrameRow], said: Mapping[str, float], level: float, annotator: AnnotatorError | None
) -> CorrectedPart:
    def of(reply: str, row: FrameRow) -> float:
        return said.get(reply, np.nan) if row.chosen else np.nan

    labels_model: Floats = np.array([of(row.model_digest, row) for row in rows])
    labels_base: Floats = np.array([of(row.base_digest, row) for row in rows])
    judge_model, judge_base = [row.judge_model for row in rows], [row.judge_base for row in rows]
    strata = [row.stratum for row in rows]
    names = [row.cluster for row in rows]
    clusters = names if len(set(names)) < len(names) else None
    difference = corrected_difference(
        judge_model, judge_base, labels_model, labels_base, strata, clusters, level, annotator=annotator
    )
    bare = sum(row.chosen and not set(row.replies) & said.keys() for row in rows)
    if bare:
        warning = f"{bare} drawn prompts have no label at all and were not used"
        difference = replace(difference, warnings=(*difference.warnings, warning))
    return CorrectedPart(
        language,
        len(rows),
        difference,
        corrected_rate(judge_model, labels_model, strata, clusters, level, annotator=annotator),
        corrected_rate(judge_base, labels_base, strata, clusters, level, annotator=annotator),
    )
