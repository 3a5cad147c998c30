"""Evaluating models that exist: small studies that train nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.domain import BASE, InputError, Prompt, PromptKind, Sampling
from alignment_prism.domain.metric_table import HARMLESS_KINDS
from alignment_prism.io import write_records
from alignment_prism.scoring.rules.exact_match import EXACT_MATCH
from alignment_prism.scoring.rules.multiple_choice import MULTIPLE_CHOICE
from alignment_prism.studies.arms import ModelArm, RepliesArm, arm_name
from alignment_prism.studies.checks import check_folder_can_be_made
from alignment_prism.studies.judges import CompareSpec, JudgeSpec
from alignment_prism.studies.loading import make_spec
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.run import run_study
from alignment_prism.studies.sources import Sources, load_sources
from alignment_prism.studies.spec import PromptFile, StudySpec
from alignment_prism.studies.steps.source import records_digest
from alignment_prism.studies.study import Study

Model = str | Path | ModelArm | RepliesArm
Prompts = str | Path | PromptFile | Sequence[PromptFile] | Sequence[Prompt]


def evaluate(
    model: Model,
    prompts: Prompts,
    *,
    judge: str | JudgeSpec | None = None,
    base: Model | None = None,
    win_rate: bool = False,
    scorers: Sequence[str] = (),
    arm: str = "model",
    sampling: Sampling | None = None,
    limit: int | None = None,
    languages: str | Path | None = None,
    name: str = "evaluation",
    out: str | Path | None = None,
    progress: Reporter | None = None,
    replace: bool = False,
    retry_unjudged: bool = False,
    budget: float | None = None,
    prices: str | Path | None = None,
    cache: str | Path | None = None,
) -> Study:
    """Let a model reply to prompts, have the replies scored, and make findings; or go on with that.

    Args:
        model: a folder, `nano`, a Hub id, an Inspect id; or a `ModelArm`, or `RepliesArm` for replies that are there.
        prompts: a file, a set known by name, a Hub dataset; or prompts that were read already.
        judge: who judges: an Inspect id, or a `JudgeSpec` with rubric and address; None for nobody.
        base: what the model is compared with, named as `model` is.
        win_rate: whether the judge compares replies to general prompts with base's too, in both orders.
        scorers: rules that score replies besides, by name (`alignment_prism.scoring.rules.RULES`).
        arm: name of the model in the findings.
        sampling: how replies are drawn; None is one greedy reply of at most 512 tokens.
        limit: most prompts of a kind, subset, scope and language; None takes all.
        languages: a YAML file with further languages.
        name: of the study in the findings.
        out: folder of the study, `results/NAME` if None.
        progress: where to report to; None is nowhere.
        replace: as in `run_study`, as are the others.
        retry_unjudged: as well.
        budget: as well.
        prices: as well.
        cache: as well.

    Raises:
        PrismError: anything that the user can mend; what was finished until then is kept, and the same call goes on.

    Example:
        >>> study = evaluate("nano", "prompts.jsonl", judge="openai/gpt-4o", out="results/nano")
        >>> study.findings()
    """
    folder = Path(out) if out is not None else Path("results") / name
    judges = JudgeSpec(model=judge) if isinstance(judge, str) else judge
    if win_rate and judges is None:
        raise InputError("win_rate without a judge", fix="name the judge who compares")
    compare = None
    if win_rate and judges is not None:
        if judges.panel:
            raise InputError("win_rate with a panel of judges", fix="name one judge who compares, in a spec of a study")
        called = set(CompareSpec.model_fields) - {"rubric"}
        compare = CompareSpec(**judges.model_dump(include=called))
    spec = make_spec(
        name=name,
        base=None if base is None else _arm(base, BASE),
        arms=(_arm(model, arm),),
        prompts=_prompts(prompts, folder),
        prompt_limit=limit,
        languages=None if languages is None else str(languages),
        generation=vars_of(sampling or Sampling()),
        judge=judges,
        scorers=tuple(scorers),
        compare=compare,
        examples=0,
    )
    money: dict[str, Any] = {"budget": budget, "prices": prices, "cache": cache}
    return run_study(spec, folder, progress=progress, replace=replace, retry_unjudged=retry_unjudged, **money)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A question about a model, as a kind of study.

    Attributes:
        name: of the question.
        words: what it asks.
        kinds: of prompts, of which one at least must be there; no other kind is asked if `alone`.
        alone: whether other prompts are left out.
        scorers: rules that score the replies.
    """

    name: str
    words: str
    kinds: tuple[PromptKind, ...]
    alone: bool = False
    scorers: tuple[str, ...] = ()


EVALUATIONS: dict[str, Evaluation] = {
    one.name: one
    for one in (
        Evaluation("harm", "How much harm a model does, language by language", (PromptKind.HARMFUL,)),
        Evaluation("over_refusal", "What a model refuses that nobody needs to refuse", HARMLESS_KINDS),
        Evaluation("win_rate", "Whose replies to general prompts are better", (PromptKind.GENERAL,), alone=True),
        Evaluation(
            "translation", "How well a model translates, in both directions", (PromptKind.GENERAL,), alone=True,
            scorers=("chrf", "spbleu"),
        ),
        Evaluation("accuracy", "How many answers are right", (PromptKind.GENERAL,), alone=True),
    )
}  # fmt: skip
"""What `prism evaluate` and the tasks for Inspect ask."""


def run_evaluation(name: str, spec: StudySpec, out: str | Path, **options: Any) -> Study:
    """Run a study that answers one of the questions of `EVALUATIONS`.

    Args:
        name: of the question.
        spec: of the study; the kinds of prompts and the rules of the question are filled in where it has none.
        out: its folder.
        options: as in `run_study`.

    Raises:
        InputError: no prompt is of a kind that the question is about, or none can be scored.
    """
    spec, sources = question_of(name, spec)
    return run_study(spec, out, sources=sources, **options)


def question_of(name: str, spec: StudySpec) -> tuple[StudySpec, Sources]:
    """The study that answers one of the questions, and what it starts from.

    Args:
        name: as of `run_evaluation`.
        spec: as well.

    Raises:
        InputError: as well.
    """
    question = EVALUATIONS[name]
    spec = spec.model_copy(
        update={
            "kinds": spec.kinds or (question.kinds if question.alone else ()),
            "scorers": spec.scorers or question.scorers,
        }
    )
    sources = load_sources(spec)
    check_prompts(question, sources.prompts)
    if name == "accuracy" and spec.judge is None and not spec.scorers:
        spec = spec.model_copy(update={"scorers": (answer_rule(sources.prompts),)})
    return spec, sources


def check_prompts(question: Evaluation, prompts: Sequence[Prompt]) -> None:
    """Check that a question can be asked of these prompts.

    Raises:
        InputError: none is of its kinds.
    """
    if not any(prompt.kind in question.kinds for prompt in prompts):
        kinds = " or ".join(repr(kind.value) for kind in question.kinds)
        raise InputError(
            f"none of the prompts is of the kind {kinds}, so there is no {question.name} to evaluate",
            fix="say which they are, by a column or for prompts that do not say theirs",
            settings={"mapping": "kind=COLUMN", "kind": question.kinds[0].value},
        )


def answer_rule(prompts: Sequence[Prompt]) -> str:
    """The rule that says which answers are right: by the option that is chosen if all prompts have options, else by
    exact match.

    Raises:
        InputError: no prompt has a reference answer.
    """
    checkable = [prompt for prompt in prompts if prompt.reference]
    if not checkable:
        what = f"none of {len(prompts)} prompts has a reference answer"
        raise InputError(what, fix="say which column has it", settings={"mapping": "reference=COLUMN"})
    by_choice = all(MULTIPLE_CHOICE.applies(prompt) for prompt in checkable)
    return MULTIPLE_CHOICE.name if by_choice else EXACT_MATCH.name


def vars_of(sampling: Sampling) -> dict[str, Any]:
    """The fields of a sampling, as a spec has them."""
    return {name: getattr(sampling, name) for name in Sampling.__slots__}


def _arm(model: Model, name: str) -> ModelArm | RepliesArm:
    if isinstance(model, str | Path):
        return ModelArm(name=arm_name(name), model=str(model))
    return model.model_copy(update={"name": name}) if name == BASE else model


def _prompts(prompts: Prompts, out: Path) -> tuple[PromptFile, ...]:
    """Where prompts are; those that were read already are written into the study's folder, so that it can go on."""
    if isinstance(prompts, str | Path):
        return (PromptFile(file=str(prompts)),)
    if isinstance(prompts, PromptFile):
        return (prompts,)
    files = tuple(entry for entry in prompts if isinstance(entry, PromptFile))
    if len(files) == len(prompts):
        return files
    records = [entry for entry in prompts if isinstance(entry, Prompt)]
    if len(records) < len(prompts):
        raise InputError("prompts of several types", fix="give all as files, or all as records")
    check_folder_can_be_made(out)
    path = out / f".prompts-{records_digest(records)[:16]}.parquet"
    write_records(path, records, Prompt)
    return (PromptFile(file=str(path)),)
