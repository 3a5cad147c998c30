"""Judging: rubrics, what a judge is shown, how its answer is read, and what is decided without it."""

from alignment_prism.scoring.answers import ParsedAnswer, parse_outcome, parse_winner
from alignment_prism.scoring.guards import GUARDS, Guarded, guard
from alignment_prism.scoring.judge_prompts import Case, parse_rendered, render
from alignment_prism.scoring.rubric import Rubric, load_rubric, shipped_rubrics

__all__ = [
    "GUARDS",
    "Case",
    "Guarded",
    "ParsedAnswer",
    "Rubric",
    "guard",
    "load_rubric",
    "parse_outcome",
    "parse_rendered",
    "parse_winner",
    "render",
    "shipped_rubrics",
]
