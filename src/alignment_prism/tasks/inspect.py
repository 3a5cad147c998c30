"""Tasks for Inspect: its solver asks the model, our scorers and our evaluation say what came of it.

Every number is made by the functions that `prism evaluate` calls, from the same records: the prompt lies in a sample's
metadata, reply and scores in those of its score, and the task's metric is the findings, `harm_rate/all`,
`harm_rate/hi`. Replies are one a prompt: epochs would average what is no number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from importlib import resources
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.scorer import Value as MetricValue
from inspect_ai.solver import TaskState, generate

import alignment_prism.nano.provider  # noqa: F401  (registers the models of the lab)
from alignment_prism.calls.answer import Answer
from alignment_prism.domain import ALL, Comparison, Finding, Generation, InputError, Prompt, PromptKind, Role, Sampling
from alignment_prism.domain import Score as OurScore
from alignment_prism.generation.backends.inspect import generation_of
from alignment_prism.io import json_of, record_from

ARM = "model"
_RECORD = "alignment_prism"
"""Key of metadata under which our records lie."""

_TURNS: dict[Role, type[ChatMessageSystem] | type[ChatMessageUser] | type[ChatMessageAssistant]] = {
    Role.SYSTEM: ChatMessageSystem,
    Role.USER: ChatMessageUser,
    Role.ASSISTANT: ChatMessageAssistant,
}

Files = str | list[str]


@task
def harm(prompts: Files, judge: str, judge_url: str = "", rubric: str = "standalone@2", **reading: Any) -> Task:
    """How much harm a model does.

    Args:
        prompts: files, sets known by name, or Hub datasets.
        judge: Inspect id of the judge, a model folder, or the YAML file of a judge or a panel.
        judge_url: address of the judge's server.
        rubric: as of `prism judge`.
        reading: `language`, `kind` and `limit`, as of `prism evaluate`.
    """
    return _judged("harm", prompts, judge, judge_url, rubric, reading)


@task
def over_refusal(prompts: Files, judge: str, judge_url: str = "", rubric: str = "standalone@2", **reading: Any) -> Task:
    """What a model refuses that nobody needs to refuse; arguments are those of `harm`."""
    return _judged("over_refusal", prompts, judge, judge_url, rubric, reading)


@task
def win_rate(
    prompts: Files, judge: str, base_replies: str, judge_url: str = "", rubric: str = "pairwise@2", **reading: Any
) -> Task:
    """Whose replies to general prompts are better.

    Args:
        prompts: as of `harm`.
        judge: Inspect id of the judge who compares.
        base_replies: file of replies to compare with.
        judge_url: address of the judge's server.
        rubric: a pairwise one.
        reading: as of `harm`.
    """
    from alignment_prism.generation import read_generations

    asked = _prompts("win_rate", prompts, reading)
    base = read_generations([base_replies], asked, arm="base", mapping={})
    return _task("win_rate", asked, compared(judge, judge_url, rubric, [json_of(reply) for reply in base]))


@task
def translation(prompts: Files, pivot: str = "en", spbleu: bool = True, **reading: Any) -> Task:
    """How well a model translates.

    Args:
        prompts: files of parallel sentences.
        pivot: language on one side of every direction.
        spbleu: whether spBLEU is computed, which needs the model of FLORES-200.
        reading: as of `harm`.
    """
    asked = _prompts("translation", prompts, reading, pivot=pivot)
    return _task("translation", asked, ruled("translation", ["chrf", "spbleu"] if spbleu else ["chrf"]))


@task
def accuracy(prompts: Files, rule: str = "", **reading: Any) -> Task:
    """How many answers are right.

    Args:
        prompts: as of `harm`, with reference answers.
        rule: `multiple_choice` or `exact_match`; by the prompts where it is empty.
        reading: as of `harm`.
    """
    from alignment_prism.studies.evaluation import answer_rule

    asked = _prompts("accuracy", prompts, reading)
    return _task("accuracy", asked, ruled("accuracy", [rule or answer_rule(asked)]))


def _judged(name: str, prompts: Files, judge: str, url: str, rubric: str, reading: Mapping[str, Any]) -> Task:
    return _task(name, _prompts(name, prompts, reading), judged(name, judge, url, rubric))


def _prompts(name: str, files: Files, reading: Mapping[str, Any], *, pivot: str = "") -> list[Prompt]:
    """The prompts of a question, read and checked as `prism evaluate` does."""
    from alignment_prism.studies import load_sources, make_spec
    from alignment_prism.studies.evaluation import EVALUATIONS, check_prompts

    if unknown := set(reading) - {"language", "kind", "limit", "languages"}:
        raise InputError(f"unknown argument {', '.join(sorted(unknown))}", fix="there are language, kind, limit")
    question = EVALUATIONS[name]
    kind = reading.get("kind") or (PromptKind.GENERAL.value if question.alone else "")
    defaults = {key: value for key, value in (("kind", kind), ("language", reading.get("language"))) if value}
    spec = make_spec(
        name=name,
        base="nano",  # a study has something to evaluate; here Inspect asks the model
        prompts=[{"file": file, "defaults": defaults} for file in ([files] if isinstance(files, str) else files)],
        prompt_limit=reading.get("limit"),
        languages=reading.get("languages"),
        kinds=question.kinds if question.alone else (),
        translate={"pivot": pivot} if pivot else None,
    )
    found = list(load_sources(spec).prompts)
    check_prompts(question, found)
    return found


def _task(name: str, prompts: Sequence[Prompt], how: Scorer) -> Task:
    about = register()
    samples = [
        Sample(
            id=prompt.id,
            input=[_turn(role, content) for role, content in ((turn.role, turn.content) for turn in prompt.messages)],
            target=prompt.reference,
            metadata={_RECORD: json_of(prompt), "language": prompt.language, "kind": prompt.kind.value},
        )
        for prompt in prompts
    ]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=generate(),
        scorer=how,
        name=name,
        version=about["version"],
        display_name=f"{about['title']}: {name}",
        description=about["tasks"][name]["description"],
        tags=about["tags"],
        metadata={key: about[key] for key in ("title", "group", "arxiv", "license")} | about["tasks"][name],
    )


def _turn(role: Role, content: str) -> ChatMessage:
    return _TURNS[role](content=content)


@lru_cache(maxsize=1)
def register() -> dict[str, Any]:
    """What the register of inspect_evals asks for."""
    from alignment_prism.io.yaml import YamlDocument

    text = resources.files("alignment_prism.tasks").joinpath("eval.yaml").read_text(encoding="utf-8")
    return dict(YamlDocument(text, "eval.yaml").mapping(fix="it ships"))


@metric
def findings(question: str) -> Metric:
    """The findings of a question: `METRIC/LANGUAGE`, and `METRIC/KIND/LANGUAGE` where there are several kinds."""

    def all_numbers(scores: list[SampleScore]) -> MetricValue:
        if not scores:  # Inspect asks before there is a sample, to show what goes on
            return {}
        prompts, replies, ours, comparisons = [], [], [], []
        for one in scores:
            records = (one.score.metadata or {}).get(_RECORD, {})
            prompts.append(record_from(Prompt, (one.sample_metadata or {})[_RECORD]))
            replies.append(record_from(Generation, records["generation"]))
            ours += [record_from(OurScore, score) for score in records.get("scores", ())]
            comparisons += [record_from(Comparison, each) for each in records.get("comparisons", ())]
        return dict(_numbers(_found(question, prompts, replies, ours, comparisons)))

    return all_numbers


def _found(
    question: str,
    prompts: Sequence[Prompt],
    replies: Sequence[Generation],
    scores: Sequence[OurScore],
    comparisons: Sequence[Comparison],
) -> list[Finding]:
    from alignment_prism.evaluation import reply_findings, win_rate_findings

    if comparisons:
        return win_rate_findings(comparisons, prompts, replies, study=question)
    return reply_findings(prompts, replies, scores, study=question)


def _numbers(rows: Sequence[Finding]) -> list[tuple[str, float]]:
    whole = [row for row in rows if row.scope == row.category == ALL]
    kinds = {row.prompts for row in whole if "/" not in row.prompts}
    named = [
        (f"{row.metric}/{row.prompts}" if len(kinds) > 1 or "/" in row.prompts else row.metric, row) for row in whole
    ]
    return [(f"{name}/{row.language}", row.estimate) for name, row in named]


def _reply(state: TaskState) -> tuple[Prompt, Generation]:
    prompt = record_from(Prompt, state.metadata[_RECORD])
    return prompt, generation_of(prompt, 0, Answer.of(state.output), ARM, str(state.model), Sampling())


async def _score(state: TaskState, make: Callable[[Prompt, Generation], list[OurScore]], shown: str) -> Score:
    """The score of a sample: what our scorers say of the reply, made in a thread since they have loops of their own."""
    prompt, reply = _reply(state)
    said = await asyncio.to_thread(make, prompt, reply)
    first = next((one for one in said if one.name == shown), None)
    records = {"generation": json_of(reply), "scores": [json_of(one) for one in said]}
    return Score(
        value="" if first is None else first.label or first.value,
        answer=reply.reply,
        explanation="" if first is None else first.raw or first.error,
        metadata={_RECORD: records},
    )


@scorer(metrics=[findings("harm")], name="prism_judge")
def judged(question: str, judge: str, judge_url: str, rubric: str) -> Scorer:
    """What a judge or a panel says of a reply, behind the guards."""
    from alignment_prism.studies.judge_files import judge_of
    from alignment_prism.studies.steps.score import scorer_of

    who = scorer_of(judge_of([judge], base_url=judge_url, rubric=rubric))

    async def score(state: TaskState, target: Target) -> Score:
        return await _score(state, lambda prompt, reply: who.score([prompt], [reply]), "outcome")

    return score


@scorer(metrics=[findings("rules")], name="prism_rules")
def ruled(question: str, rules: list[str]) -> Scorer:
    """What rules say of a reply."""
    from alignment_prism.scoring.rules import find_rule, score_replies

    def make(prompt: Prompt, reply: Generation) -> list[OurScore]:
        return score_replies([prompt], [reply], rules) if find_rule(rules[0]).applies(prompt) else []

    async def score(state: TaskState, target: Target) -> Score:
        return await _score(state, make, rules[0])

    return score


@scorer(metrics=[findings("win_rate")], name="prism_comparison")
def compared(judge: str, judge_url: str, rubric: str, base: list[dict[str, Any]]) -> Scorer:
    """Whose reply is better, in both orders."""
    from alignment_prism.scoring.comparisons import compare_generations

    others = {reply.prompt_id: reply for reply in (record_from(Generation, one) for one in base)}

    async def score(state: TaskState, target: Target) -> Score:
        prompt, reply = _reply(state)
        how = partial(compare_generations, judge=judge, base_url=judge_url, rubric=rubric)
        found = await asyncio.to_thread(how, [prompt], [reply], [others[prompt.id]])
        records = {"generation": json_of(reply), "comparisons": [json_of(one) for one in found]}
        shown = ", ".join(one.winner.value for one in found)
        return Score(value=shown, answer=reply.reply, metadata={_RECORD: records})

    return score
