"""Scoring: from replies to what a judge, or rules, say of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment_prism.calls.endpoint import Endpoint
from alignment_prism.calls.failures import public_address
from alignment_prism.domain import LANGUAGES, Generation, Outcome, Prompt, Score
from alignment_prism.domain.progress import Progress
from alignment_prism.io import read_records, write_records
from alignment_prism.models.names import resolve
from alignment_prism.models.weights import named_digest
from alignment_prism.scoring.judge_calls import is_local
from alignment_prism.scoring.rubric import load_rubric
from alignment_prism.scoring.rules import find_rule, score_replies
from alignment_prism.scoring.scorer import deciding
from alignment_prism.store import file_digest
from alignment_prism.store.names import CALLS, GENERATIONS, PROMPTS, SCORES
from alignment_prism.studies.judges import CalledSpec, JudgeSpec, TranslatorSpec
from alignment_prism.studies.steps.kind import EARLIER, Context, StepKind
from alignment_prism.studies.steps.step import Step

if TYPE_CHECKING:
    from alignment_prism.scoring.judge import Judge
    from alignment_prism.scoring.panel import Panel
    from alignment_prism.scoring.translation import Translator

RULES = "rules"


def judge_step(judge: JudgeSpec, label: str, replies: Step, prompts: Step, languages: str | None = None) -> Step:
    """A judge's scores of an arm's replies.

    Args:
        judge: who judges.
        label: of the arm, for the title.
        replies: that are judged.
        prompts: that they answer.
        languages: file with further languages, which guards know languages by.
    """
    return Step(
        "score",
        f"judge {label}",
        replies.name.removeprefix("replies-"),
        judge_settings(judge),
        {"prompts": prompts, "replies": replies},
        {"languages": file_digest(languages)} if languages else {},
        arm=replies.arm,
        options={"judge": judge.model_dump(mode="json"), **({"languages": languages} if languages else {})},
    )


def rules_step(names: Sequence[str], label: str, replies: Step, prompts: Step) -> Step:
    """What rules say of an arm's replies."""
    needs = {"prompts": prompts, "replies": replies}
    name = f"{RULES}-{replies.name.removeprefix('replies-')}"
    settings = {RULES: {rule: find_rule(rule).id for rule in names}}  # the id has the version
    return Step("score", f"score {label} by rules", name, settings, needs, arm=replies.arm)


def called_settings(judge: CalledSpec) -> dict[str, Any]:
    """What of a judge shapes its answers; the rubric by its words, wherever they are."""
    rubric = load_rubric(judge.rubric)
    server = public_address(judge.base_url)
    return {"model": judge.model, "base_url": server, "rubric": rubric.id, "rubric_digest": rubric.digest}


def judge_settings(judge: JudgeSpec) -> dict[str, Any]:
    """What of a judge of single replies, or of a panel, shapes its answers.

    Rubrics, guards' formats and policies go in by their words, and a model on this machine by its weights.
    """
    if judge.panel:
        adjudicator = judge.adjudicator and judge_settings(judge.adjudicator)
        return {"panel": [judge_settings(one) for one in judge.panel], "rule": judge.rule, "adjudicator": adjudicator}
    form = judge_from(judge).form
    server = public_address(judge.base_url)
    settings = {"model": judge.model, "base_url": server, "rubric": form.id, "rubric_digest": form.digest}
    if is_local(judge.model):
        settings["weights"] = named_digest(resolve(judge.model))
    if judge.translator is not None:
        settings["translator"] = translator_of(judge.translator).digest
    return settings


def called_options(judge: CalledSpec) -> dict[str, Any]:
    """How a judge is called, by which address with what credentials, and where its rubric is."""
    calls = {
        "max_connections": judge.max_connections,
        "retries": judge.retries,
        "timeout": judge.timeout,
        "batch": judge.batch or None,
    }
    return {
        "base_url": judge.base_url,
        "rubric": judge.rubric,
        **{name: value for name, value in calls.items() if value is not None},
    }


def scorer_of(judge: JudgeSpec, **run: Any) -> Judge | Panel:
    """The judge or the panel that a spec describes.

    Args:
        judge: one judge, or a panel of them.
        run: what a run adds: journal, progress, languages and known scores.

    Raises:
        InputError: there is no such rubric, or the panel is none.
    """
    from alignment_prism.scoring.panel import Panel

    if not judge.panel:
        return judge_from(judge, **run)
    adjudicator = None if judge.adjudicator is None else judge_from(judge.adjudicator, **run)
    return Panel(tuple(judge_from(one, **run) for one in judge.panel), judge.rule, adjudicator)


def judge_from(judge: JudgeSpec, **run: Any) -> Judge:
    """The one judge that a spec describes.

    Args:
        judge: of a model.
        run: as of `scorer_of`.
    """
    from alignment_prism.scoring.judge import Judge

    how = ("policies", "instructions", "max_tokens", "thought_tokens", "device")
    return Judge(
        judge.model,
        translator=None if judge.translator is None else translator_of(judge.translator),
        **{name: getattr(judge, name) for name in how},
        **called_options(judge),
        **run,
    )


def translator_of(translator: TranslatorSpec) -> Translator:
    """The translator that a spec describes."""
    from alignment_prism.scoring.translation import Translator

    return Translator(translator.model, translator.base_url, translator.max_tokens)


def called_endpoint(step: Step) -> tuple[Endpoint, ...]:
    """The judge of a comparison."""
    return (Endpoint(step.settings["model"], step.options["base_url"], batch=step.options.get("batch", False)),)


def _endpoints(step: Step) -> tuple[Endpoint, ...]:
    """The judges of a step, and their translators; none where nobody judges, or who judges runs on this machine."""
    if "judge" not in step.options:
        return ()
    everyone = JudgeSpec.model_validate(step.options["judge"]).everyone
    judges = [Endpoint(one.model, one.base_url, batch=one.batch) for one in everyone if not is_local(one.model)]
    translators = [
        Endpoint(one.translator.model, one.translator.base_url)
        for one in everyone
        if one.translator and resolve(one.translator.model).is_api
    ]
    return (*judges, *translators)


def do(step: Step, inputs: Mapping[str, Path], folder: Path, context: Context, progress: Progress) -> None:
    """Score the replies; scores of the step's earlier artifact, and known ones, are taken over where they are right."""
    prompts = read_records(inputs["prompts"] / PROMPTS, Prompt)
    replies = read_records(inputs["replies"] / GENERATIONS, Generation)
    if RULES in step.settings:
        write_records(folder / SCORES, score_replies(prompts, replies, step.settings[RULES]), Score)
        return
    from alignment_prism.io.languages import read_languages
    from alignment_prism.scoring.judge import require_verdicts

    earlier = [inputs[EARLIER] / SCORES] if EARLIER in inputs else []
    judge = scorer_of(
        JudgeSpec.model_validate(step.options["judge"]),
        languages=read_languages(step.options["languages"]) if "languages" in step.options else LANGUAGES,
        known=[score for path in (*earlier, *context.known) for score in read_records(path, Score)],
        journal=context.journal,
        progress=progress,
    )
    scores = judge.score(prompts, replies)
    require_verdicts(deciding(scores), judge.id, context.out / CALLS)
    write_records(folder / SCORES, scores, Score)


def _has_gaps(folder: Path) -> bool:
    return any(score.outcome is Outcome.UNJUDGED for score in deciding(read_records(folder / SCORES, Score)))


SCORE = StepKind("score", do, endpoints=_endpoints, has_gaps=_has_gaps, takes_over=True)
