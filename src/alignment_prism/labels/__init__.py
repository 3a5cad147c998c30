"""Labels: what people say of replies, from files and sheets to agreement and the correction of a judge."""

from alignment_prism.labels.add import with_corrected
from alignment_prism.labels.agreement import Agreement, measure_agreement
from alignment_prism.labels.compared import sheet_contrasts
from alignment_prism.labels.correct import CorrectedPart, Correction, correct
from alignment_prism.labels.files import Columns, is_scores, read_labels, read_outcomes, read_places
from alignment_prism.labels.frame import Design, build_frame
from alignment_prism.labels.next import LanguageState, NextDraw, draw_next
from alignment_prism.labels.passport import Passport, measure_passport
from alignment_prism.labels.passport_files import passport_from_files
from alignment_prism.labels.passport_use import judge_error, passport_findings, require_able, with_passport
from alignment_prism.labels.people import People
from alignment_prism.labels.places import Place
from alignment_prism.labels.ratings import Ratings, Scale, rate
from alignment_prism.labels.sample import Sample, draw_by_scope, draw_sample
from alignment_prism.labels.sheet import sheet_lines, write_sheet

__all__ = [
    "Agreement",
    "Columns",
    "CorrectedPart",
    "Correction",
    "Design",
    "LanguageState",
    "NextDraw",
    "Passport",
    "People",
    "Place",
    "Ratings",
    "Sample",
    "Scale",
    "build_frame",
    "correct",
    "draw_next",
    "draw_by_scope",
    "draw_sample",
    "is_scores",
    "judge_error",
    "measure_agreement",
    "measure_passport",
    "passport_findings",
    "passport_from_files",
    "rate",
    "read_labels",
    "read_outcomes",
    "read_places",
    "require_able",
    "sheet_contrasts",
    "sheet_lines",
    "with_corrected",
    "with_passport",
    "write_sheet",
]
