"""A judge's passport from files as they lie: tables of labels, scores, prompts and the design of a sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from alignment_prism.domain import Outcome, Score
from alignment_prism.io import read_records
from alignment_prism.labels.files import Columns, is_scores, read_labels, read_places
from alignment_prism.labels.frame import Design
from alignment_prism.labels.passport import Passport, measure_passport
from alignment_prism.labels.places import find_places
from alignment_prism.labels.ratings import Scale, labels_of_scores
from alignment_prism.prompts import read_prompts


def passport_from_files(
    files: Sequence[str],
    judge: str,
    *,
    rubric: str = "",
    prompts: Sequence[str] = (),
    design: str | None = None,
    columns: Columns | None = None,
    mapping: Mapping[str, str] | None = None,
    outcome: Outcome | None = None,
    categories: tuple[str, ...] = (),
    threshold: float | None = None,
    level: float = 0.95,
) -> Passport:
    """How often a judge is right, from what people and it say of the same replies.

    Args:
        files: tables of labels, and files of scores.
        judge: rater of a table, or scorer of a score, that is the judge.
        rubric: that the judge was asked, where no score says.
        prompts: files of prompts, for the language and scope of scores; their origin is in their metadata.
        design: file of the design of a drawn sheet.
        columns: of the tables.
        mapping: field (`language`, `scope`, `origin`, `cluster`) -> column of the tables, or several by commas.
        outcome: that yes and no are about; that of the design, or else harmful.
        categories: two labels in place of yes and no, the outcome last.
        threshold: labels are numbers, yes from this one on.
        level: of the intervals.

    Raises:
        InputError: a file cannot be read, or the judge has judged nothing that people labelled.
    """
    sample = Design.read(design) if design else None
    about = outcome or (sample.outcome if sample else Outcome.HARMFUL)
    columns = columns if columns is not None else Columns()
    scored = [path for path in files if is_scores(path)]
    tables = [path for path in files if path not in scored]
    scores = [score for path in scored for score in read_records(path, Score) if score.outcome is not None]
    rubrics = sorted({score.rubric for score in scores if score.scorer == judge} - {""})
    asked = {prompt.id: prompt for path in prompts for prompt in read_prompts(path)}
    places = find_places(scores, asked, sample, read_places(tables, columns, mapping or {}))
    return measure_passport(
        [*read_labels(tables, columns), *labels_of_scores(scores)],
        judge,
        places,
        scale=Scale(about, categories, threshold),
        rubric=rubric or ", ".join(rubrics),
        source=[Path(path).stem for path in (prompts or tables)],
        design=sample,
        level=level,
    )
