"""Comparing: an arm's replies to general prompts against base's, in both orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alignment_prism.domain import Comparison, Generation, Prompt, PromptKind, Winner
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.store.names import COMPARISONS, GENERATIONS, PROMPTS
from alignment_prism.studies.judges import CompareSpec
from alignment_prism.studies.steps.kind import EARLIER, Context, StepKind
from alignment_prism.studies.steps.score import called_endpoint, called_options, called_settings
from alignment_prism.studies.steps.step import Step

if TYPE_CHECKING:
    from alignment_prism.scoring.judge_calls import JudgeCalls


def compare_step(judge: CompareSpec, label: str, candidate: Step, base: Step, prompts: Step) -> Step:
    """Comparisons of an arm's replies with base's."""
    return Step(
        "compare",
        f"compare with {base.arm}: {label}",
        candidate.name.removeprefix("replies-"),
        called_settings(judge),
        {"prompts": prompts, "candidate": candidate, "base": base},
        arm=candidate.arm,
        options=called_options(judge),
    )


def compare_calls(
    step: Step, prompts: Sequence[Prompt], candidate: Sequence[Generation], base: Sequence[Generation]
) -> JudgeCalls:
    """What the judge of a step would be asked about replies; nothing is asked."""
    from alignment_prism.scoring.comparisons import comparison_calls
    from alignment_prism.scoring.form import RubricForm
    from alignment_prism.scoring.judge_calls import JudgeCalls
    from alignment_prism.scoring.rubric import load_rubric

    form = RubricForm(load_rubric(step.options["rubric"], kind="pairwise"))
    calls = JudgeCalls(step.settings["model"], form, step.options["base_url"])
    return comparison_calls(prompts, candidate, base, calls)


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Compare on general prompts: which reply to a harmful one is better is no question of ability."""
    from alignment_prism.scoring.comparisons import compare_generations, require_winners

    prompts = [p for p in read_records(inputs["prompts"] / PROMPTS, Prompt) if p.kind is PromptKind.GENERAL]
    asked = {prompt.id for prompt in prompts}
    sides = [
        [reply for reply in read_records(inputs[role] / GENERATIONS, Generation) if reply.prompt_id in asked]
        for role in ("candidate", "base")
    ]
    known = read_records(inputs[EARLIER] / COMPARISONS, Comparison) if EARLIER in inputs else ()
    calls = {**step.options, "journal": context.journal, "progress": progress}
    comparisons = compare_generations(prompts, *sides, known=known, judge=step.settings["model"], **calls)
    require_winners(comparisons)
    write_records(folder / COMPARISONS, comparisons, Comparison)


def _has_gaps(folder: Path) -> bool:
    return any(one.winner is Winner.UNJUDGED for one in read_records(folder / COMPARISONS, Comparison))


COMPARE = StepKind("compare", do, endpoints=called_endpoint, has_gaps=_has_gaps, takes_over=True)
