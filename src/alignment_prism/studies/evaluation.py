"""Evaluating models that exist: small studies that train nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alignment_prism.domain import InputError, Prompt, PromptKind, Sampling
from alignment_prism.io import write_records
from alignment_prism.studies.arms import BASE, ModelArm, RepliesArm
from alignment_prism.studies.checks import check_folder_can_be_made
from alignment_prism.studies.loading import make_spec
from alignment_prism.studies.progress import Reporter
from alignment_prism.studies.run import run_study
from alignment_prism.studies.sources import load_sources
from alignment_prism.studies.spec import CompareSpec, JudgeSpec, PromptFile, StudySpec
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
        replace: as in `run_study`, as is `retry_unjudged`.

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
    return run_study(spec, folder, progress=progress, replace=replace, retry_unjudged=retry_unjudged)


def evaluate_harm(spec: StudySpec, out: str | Path, **options: Any) -> Study:
    """Run a study whose prompts must have harmful ones among them.

    Args:
        spec: of the study.
        out: its folder.
        options: as in `run_study`.

    Raises:
        InputError: none of the prompts is of the kind `harmful`.
    """
    sources = load_sources(spec)
    if not any(prompt.kind is PromptKind.HARMFUL for prompt in sources.prompts):
        raise InputError(
            "none of the prompts is of the kind 'harmful', so there is no harm to evaluate",
            fix="say which they are, by a column or for prompts that do not say theirs",
            settings={"mapping": "kind=COLUMN", "kind": "harmful"},
        )
    return run_study(spec, out, sources=sources, **options)


def vars_of(sampling: Sampling) -> dict[str, Any]:
    """The fields of a sampling, as a spec has them."""
    return {name: getattr(sampling, name) for name in Sampling.__slots__}


def _arm(model: Model, name: str) -> ModelArm | RepliesArm:
    if isinstance(model, str | Path):
        return ModelArm(name=name, model=str(model))
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
