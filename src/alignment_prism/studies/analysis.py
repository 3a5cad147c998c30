"""From a study's artifacts to its findings, and a few examples to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alignment_prism.domain import (
    Comparison,
    Finding,
    Generation,
    Outcome,
    Prompt,
    PromptKind,
    Score,
    content_digest,
)
from alignment_prism.io import read_records
from alignment_prism.reports import Example, Reply
from alignment_prism.store.names import COMPARISONS, GENERATIONS, SCORES
from alignment_prism.studies.plan import Plan, Step
from alignment_prism.studies.spec import StudySpec
from alignment_prism.training.methods import find_method

if TYPE_CHECKING:
    from alignment_prism.nano.thresholds import BarResult


def generations_of(step: Step, out: Path) -> list[Generation]:
    """The replies that a step left."""
    return read_records(step.folder(out) / GENERATIONS, Generation)


def scores_of(step: Step, out: Path) -> list[Score]:
    """The scores that a step left."""
    return read_records(step.folder(out) / SCORES, Score)


def comparisons_of(step: Step, out: Path) -> list[Comparison]:
    """The comparisons that a step left."""
    return read_records(step.folder(out) / COMPARISONS, Comparison)


def analyse(study: str, prompts: Sequence[Prompt], plan: Plan, out: Path) -> list[Finding]:
    """All findings of a study: replies and comparisons of every arm, seed by seed; several seeds also together."""
    from alignment_prism.evaluation import reply_findings, seed_findings, win_rate_findings

    findings: list[Finding] = []
    runs: dict[int, tuple[list[Generation], list[Score]]] = {}
    seeds = list(dict.fromkeys(of.seed for of in plan.arms)) or [-1]
    for seed in seeds:
        group = [plan.base, *(of for of in plan.arms if of.seed == seed)]
        generations = [reply for of in group for reply in generations_of(of.generate, out)]
        scores = [verdict for of in group for verdict in scores_of(of.judge, out)]
        rows = reply_findings(prompts, generations, scores, study=study, seed=seed, base_arm=plan.base.arm)
        # Base is the same for every seed of the alignment, so its rows are kept once.
        findings += [row for row in rows if seed == seeds[0] or row.arm != plan.base.arm]
        compared = [verdict for of in group if of.compare for verdict in comparisons_of(of.compare, out)]
        if compared:
            findings += win_rate_findings(compared, prompts, study=study, seed=seed)
        runs[seed] = (generations, scores)
    if len(seeds) > 1:
        findings += seed_findings(prompts, runs, study=study, base_arm=plan.base.arm)
    return findings


def nano_bars(spec: StudySpec, findings: Sequence[Finding]) -> list[BarResult]:
    """How the arms that are aligned for safety meet the bars of the nano lab; empty for prompts of one's own.

    SFT-Random and arms without safety pairs are controls, which have no bars to meet.
    """
    from alignment_prism.nano.thresholds import check_bars

    if not spec.uses_nano_prompts:
        return []
    held = [arm for arm in spec.arms if arm.share > 0 and not find_method(arm.method).control]
    return [
        bar
        for arm in held
        for seed in spec.seeds
        for bar in check_bars(findings, arm.name, seed=seed, spill_over_is_finding=arm.method == "dpo_sft")
    ]


def examples(prompts: Sequence[Prompt], plan: Plan, out: Path, count: int) -> list[Example]:
    """A few prompts with the first seed's replies: of every kind in turn, languages mixed, picked by digest."""
    picked = _in_turn(prompts, count)
    seeds = [of.seed for of in plan.arms]
    group = [plan.base, *(of for of in plan.arms if of.seed == seeds[0])]
    replies: dict[str, list[Reply]] = {prompt.id: [] for prompt in picked}
    for of in group:
        verdicts = {(s.prompt_id, s.sample): s.outcome for s in scores_of(of.judge, out) if s.outcome is not None}
        for reply in generations_of(of.generate, out):
            if reply.prompt_id in replies and reply.sample == 0:
                outcome = verdicts.get((reply.prompt_id, 0), Outcome.UNJUDGED)
                replies[reply.prompt_id].append(Reply(of.arm, reply.reply, outcome.value))
    return [
        Example(prompt.language, _label(prompt), "\n".join(turn.content for turn in prompt.messages), tuple(found))
        for prompt in picked
        if (found := replies[prompt.id])
    ]


def _label(prompt: Prompt) -> str:
    parts = (prompt.kind.value.replace("_", " "), prompt.subset, prompt.scope or "", prompt.language)
    return f"{', '.join(part for part in parts if part)} ({prompt.id})"


def _in_turn(prompts: Iterable[Prompt], count: int) -> list[Prompt]:
    """One prompt of each kind and subset after the other; within them by digest, so that languages mix."""
    groups: dict[tuple[PromptKind, str], list[Prompt]] = {}
    for prompt in sorted(prompts, key=lambda prompt: content_digest("example", prompt.id)):
        groups.setdefault((prompt.kind, prompt.subset), []).append(prompt)
    picked: list[Prompt] = []
    order = [groups[key] for key in sorted(groups)]
    while len(picked) < count and any(order):
        picked += [group.pop(0) for group in order if group][: count - len(picked)]
    return picked
