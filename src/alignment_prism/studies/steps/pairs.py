"""Pairs: from what judges and people say of couples to the pairs that are trained on, by stated rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from alignment_prism.domain import Comparison, InputError, Pair, PairKind, Prompt, Score
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_json, write_records
from alignment_prism.preferences.ranking import Decision, Rules, decide, summary
from alignment_prism.preferences.tables import write_table
from alignment_prism.scoring.scorer import deciding
from alignment_prism.store.names import COMPARISONS, PAIRS, PROMPTS, SCORES
from alignment_prism.studies.steps.kind import Context, StepKind
from alignment_prism.studies.steps.mix import GENERAL, SAFETY
from alignment_prism.studies.steps.rank import SIDE, candidates_in
from alignment_prism.studies.steps.step import Step
from alignment_prism.studies.synthesis.spec import RankSpec

DECISIONS = "decisions.parquet"
"""Every couple and what became of it."""

SUMMARY = "summary.json"

COLUMNS = tuple(Decision.__dataclass_fields__)

_SCORES = "scores:"
"""How the role of a step with scores of a side's replies begins."""


def pairs_step(
    rank: RankSpec, prompts: Step, sides: Sequence[Step], compared: Step, scores: Sequence[Step], labels: Step | None
) -> Step:
    """The pairs of a build.

    Args:
        rank: the rules.
        prompts: that were answered.
        sides: steps with the replies.
        compared: step with the comparisons.
        scores: steps that judge the replies alone.
        labels: source of comparisons by people.
    """
    needs = {"prompts": prompts, "rank": compared}
    needs |= {f"{SIDE}{side.arm}": side for side in sides}
    needs |= {f"{_SCORES}{number}": step for number, step in enumerate(scores)}
    needs |= {"labels": labels} if labels else {}
    settings = {"refusal_cap": rank.refusal_cap, "per_prompt": rank.per_prompt}
    return Step("pairs", "pairs by the rules", "pairs", settings, needs)


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Decide on every couple."""
    scores = [
        score
        for role, place in inputs.items()
        if role.startswith(_SCORES)
        for score in deciding(read_records(place / SCORES, Score))
    ]
    prompts = read_records(inputs["prompts"] / PROMPTS, Prompt)
    labels = read_records(inputs["labels"] / COMPARISONS, Comparison) if "labels" in inputs else []
    decisions, pairs = decide(
        prompts,
        candidates_in(inputs),
        read_records(inputs["rank"] / COMPARISONS, Comparison),
        labels,
        {score.reply_digest: score.outcome for score in scores if score.outcome is not None},
        Rules(**step.settings),
    )
    if not pairs:
        counts = summary(decisions, pairs)["status"]
        raise InputError(
            f"none of {len(decisions)} couples is a pair: {counts}",
            fix="see the comparisons in the folder of the step that ranks; more samples, or a higher temperature, give "
            "couples that differ",
        )
    write_records(folder / PAIRS, pairs, Pair)
    for name, kind in ((SAFETY, PairKind.SAFETY), (GENERAL, PairKind.GENERAL)):
        write_records(folder / name, [pair for pair in pairs if pair.kind is kind], Pair)
    write_table(folder / DECISIONS, [one.as_dict() for one in decisions], COLUMNS)
    write_json(folder / SUMMARY, summary(decisions, pairs, labels))


PAIRS_KIND = StepKind("pairs", do)
