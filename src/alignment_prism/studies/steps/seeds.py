"""Seeds: from a set of prompts to those that pairs are made from, apart from what is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alignment_prism.domain import Prompt
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_json, write_records
from alignment_prism.preferences.seeds import draw_seeds
from alignment_prism.preferences.tables import write_table
from alignment_prism.store.names import PROMPTS
from alignment_prism.studies.steps.kind import Context, StepKind
from alignment_prism.studies.steps.step import Step
from alignment_prism.studies.synthesis.spec import SeedsSpec

EVALUATION = "evaluation.parquet"
"""What is left of the set to evaluate on; and, in the source of a build, what nothing may be near."""


def seeds_step(seeds: SeedsSpec, given: Step) -> Step:
    """The seeds of a build, drawn from the prompts of a source that has the evaluation sets too."""
    settings = {"per_language": seeds.per_language, "threshold": seeds.threshold}
    title = f"{seeds.per_language or 'all'} seeds a language"
    return Step("seeds", title, "seeds", settings, {"given": given}, seed=seeds.seed)


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Draw the seeds."""
    prompts, evaluation = (read_records(inputs["given"] / name, Prompt) for name in (PROMPTS, EVALUATION))
    found = draw_seeds(prompts, evaluation, seed=step.seed or 0, **step.settings)
    write_records(folder / PROMPTS, found.seeds, Prompt)
    write_records(folder / EVALUATION, found.rest, Prompt)
    rows = [{"prompt_id": name, "why": why} for name, why in found.left_out.items()]
    write_table(folder / "left_out.parquet", rows, ("prompt_id", "why"))
    write_json(folder / "counts.json", found.counts())


SEEDS = StepKind("seeds", do)
