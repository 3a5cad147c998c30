"""Scoring: from replies to what a judge, or rules, say of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.failures import public_address
from alignment_prism.domain import LANGUAGES, Generation, Outcome, Prompt, Score
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.scoring.rubric import load_rubric
from alignment_prism.scoring.rules import find_rule, score_replies
from alignment_prism.store.names import GENERATIONS, PROMPTS, SCORES
from alignment_prism.studies.spec import JudgeSpec
from alignment_prism.studies.steps.kind import EARLIER, Context, StepKind
from alignment_prism.studies.steps.step import Step

RULES = "rules"


def judge_step(judge: JudgeSpec, label: str, replies: Step, prompts: Step, languages: tuple[str, str] | None) -> Step:
    """A judge's scores of an arm's replies.

    Args:
        judge: who judges.
        label: of the arm, for the title.
        replies: that are judged.
        prompts: that they answer.
        languages: digest and path of a file with further languages, which guards know languages by.
    """
    return Step(
        "score",
        f"judge {label}",
        replies.name.removeprefix("replies-"),
        judge_settings(judge),
        {"prompts": prompts, "replies": replies},
        {"languages": languages[0]} if languages else {},
        arm=replies.arm,
        options={**judge_options(judge), **({"languages": languages[1]} if languages else {})},
    )


def rules_step(names: Sequence[str], label: str, replies: Step, prompts: Step) -> Step:
    """What rules say of an arm's replies."""
    needs = {"prompts": prompts, "replies": replies}
    name = f"{RULES}-{replies.name.removeprefix('replies-')}"
    settings = {RULES: {rule: find_rule(rule).id for rule in names}}  # the id has the version
    return Step("score", f"score {label} by rules", name, settings, needs, arm=replies.arm)


def judge_settings(judge: JudgeSpec) -> dict[str, str]:
    """What of a judge shapes its answers; the rubric by its words, wherever they are."""
    rubric = load_rubric(judge.rubric)
    server = public_address(judge.base_url)
    return {"model": judge.model, "base_url": server, "rubric": rubric.id, "rubric_digest": rubric.digest}


def judge_options(judge: JudgeSpec) -> dict[str, Any]:
    """How a judge is called, by which address with what credentials, and where its rubric is."""
    calls = {"max_connections": judge.max_connections, "retries": judge.retries, "timeout": judge.timeout}
    return {
        "base_url": judge.base_url,
        "rubric": judge.rubric,
        **{name: value for name, value in calls.items() if value is not None},
    }


def judge_endpoint(step: Step) -> Endpoint | None:
    """The judge of a step, None where nobody judges."""
    if "model" not in step.settings:
        return None
    return Endpoint(step.settings["model"], step.options["base_url"])


def judge_call(step: Step, context: Context, progress: Progress) -> dict[str, Any]:
    """How the judge of a step is called."""
    return {
        **{name: value for name, value in step.options.items() if name != "languages"},
        "journal": context.journal,
        "progress": progress,
    }


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Score the replies; scores of the step's earlier artifact, and known ones, are taken over where they are right."""
    prompts = read_records(inputs["prompts"] / PROMPTS, Prompt)
    replies = read_records(inputs["replies"] / GENERATIONS, Generation)
    if RULES in step.settings:
        write_records(folder / SCORES, score_replies(prompts, replies, step.settings[RULES]), Score)
        return
    from alignment_prism.io.languages import read_languages
    from alignment_prism.scoring.judge import Judge, require_verdicts

    earlier = [inputs[EARLIER] / SCORES] if EARLIER in inputs else []
    judge = Judge(
        step.settings["model"],
        languages=read_languages(step.options["languages"]) if "languages" in step.options else LANGUAGES,
        known=[score for path in (*earlier, *context.known) for score in read_records(path, Score)],
        **judge_call(step, context, progress),
    )
    scores = judge.score(prompts, replies)
    require_verdicts(scores, judge.id)
    write_records(folder / SCORES, scores, Score)


def _has_gaps(folder: Path) -> bool:
    return any(score.outcome is Outcome.UNJUDGED for score in read_records(folder / SCORES, Score))


SCORE = StepKind("score", do, endpoint=judge_endpoint, has_gaps=_has_gaps)
