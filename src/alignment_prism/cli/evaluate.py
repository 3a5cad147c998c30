"""`prism evaluate`: generate, judge and analyse in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import (
    REPLIES_HELP,
    CallOptions,
    JudgeOptions,
    ModelOptions,
    PassportOptions,
    PromptOptions,
    ReplyOptions,
    SamplingOptions,
    generation_spec,
    group,
    retry_option,
)

if TYPE_CHECKING:
    from alignment_prism.studies.arms import ModelArm, RepliesArm


@click.group("evaluate")
def command() -> None:
    """Generate, judge and analyse in one go. Each stage alone: prism generate, prism judge, prism analyse."""


@command.command("harm")
@click.option("--model", help="Folder, nano, Hub id (hub:OWNER/NAME to insist), or Inspect id. Not with --generations.")
@group("prompts", PromptOptions)
@group("judge", JudgeOptions)
@group("passport", PassportOptions)
@click.option("--generations", type=click.Path(), help=REPLIES_HELP)
@group("replies", ReplyOptions)
@click.option("--base", help="Model to compare with, named as --model is.")
@click.option("--base-generations", type=click.Path(), help="Replies of the base that are there already.")
@click.option("--win-rate", is_flag=True,
              help="Also let the judge compare replies to general prompts with base's, in both orders.")  # fmt: skip
@click.option("--arm", default="model", show_default=True, help="Name of the model in the findings.")
@group("sampling", SamplingOptions)
@group("how", ModelOptions)
@group("calls", CallOptions)
@click.option("--study", default="evaluation", show_default=True, help="Name of the study in the findings.")
@click.option("--out", type=click.Path(), required=True, help="Folder of the study; run again with it to go on.")
@click.option("--replace", is_flag=True, help="Replace findings of another evaluation; finished steps are kept.")
@retry_option
def harm(
    model: str | None,
    prompts: PromptOptions,
    judge: JudgeOptions,
    passport: PassportOptions,
    generations: str | None,
    replies: ReplyOptions,
    base: str | None,
    base_generations: str | None,
    win_rate: bool,
    arm: str,
    sampling: SamplingOptions,
    how: ModelOptions,
    calls: CallOptions,
    study: str,
    out: str,
    replace: bool,
    retry_unjudged: bool,
) -> None:
    """How much harm a model does, language by language: any model, also one that was never trained here.

    \b
    Examples:
      prism evaluate harm --model runs/dpo_sft/model --prompts aya.jsonl --judge openai/gpt-4o --out result
      prism evaluate harm --model openai/gpt-4o-mini --base CohereLabs/aya-23-8B --prompts aya.jsonl \\
        --judge anthropic/claude-sonnet-4-5 --out result
      prism evaluate harm --generations answers.csv --prompts xstest.csv --judge openai-api/local/judge \\
        --judge-url http://localhost:8000/v1 --out result

    OUT is the folder of a study: prompts, generations, scores and findings (.parquet), report.html, and every finished
    step, so that the same command goes on where it was stopped: no reply is generated and no call is made twice, and
    a larger --limit asks for what is new. Another judge on the same replies: --generations OUT/generations.parquet and
    another OUT. Where replies have no verdict, the same command with --retry-unjudged asks for these alone.
    """
    from alignment_prism.cli.echo import echo_outcomes, echo_unjudged, echo_unverified, quiet_hub
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.studies import evaluate_harm, make_spec

    against, arms = _arms(model, generations, base, base_generations, arm, how.model_url, replies)
    spec = make_spec(
        name=study,
        base=against,
        arms=tuple(arms),
        keep_going=replies.keep_going,
        generation=generation_spec(sampling, how, calls),
        judge=judge.spec(calls),
        compare=judge.pairwise(calls) if win_rate else None,
        examples=0,
        **prompts.spec(),
        **passport.spec(),
    )
    quiet_hub(spec)
    echo_unverified(spec)
    done = evaluate_harm(spec, out, progress=Terminal(stderr=True), replace=replace, retry_unjudged=retry_unjudged)
    echo_outcomes(done.findings())
    echo_unjudged(done)
    echo(f"wrote {out}")


def _arms(
    model: str | None,
    generations: str | None,
    base: str | None,
    base_generations: str | None,
    arm: str,
    model_url: str,
    replies: ReplyOptions,
) -> tuple[ModelArm | RepliesArm | None, list[ModelArm | RepliesArm]]:
    """What the options compare with, and what they evaluate.

    Raises:
        InputError: neither or both of two options that stand for one another, or a file that cannot be read.
    """
    from alignment_prism.domain import InputError
    from alignment_prism.studies.arms import BASE, ModelArm, RepliesArm

    if (model is None) == (generations is None):
        raise InputError("neither or both of --model and --generations", fix="give the one or the other")
    if base is not None and base_generations is not None:
        raise InputError("both of --base and --base-generations", fix="give the one or the other")
    arms: list[ModelArm | RepliesArm] = []
    arms += [ModelArm(name=arm, model=model, base_url=model_url)] if model is not None else []
    arms += replies.arms((generations,), arm) if generations is not None else []
    against: ModelArm | RepliesArm | None = None
    if base is not None:
        same_server = model is None or base.partition("/")[0] == model.partition("/")[0]
        against = ModelArm(name=BASE, model=base, base_url=model_url if same_server else "")
    elif base_generations is not None:
        stored = replies.arms((base_generations,), BASE)
        if len(stored) > 1:
            what = f"the file of base's replies has several arms: {', '.join(one.name for one in stored)}"
            raise InputError(what, where=base_generations, fix="give a file with one arm")
        against = stored[0].model_copy(update={"name": BASE})
    else:
        against = next((one for one in arms if one.name == BASE and isinstance(one, RepliesArm)), None)
    return against, [one for one in arms if one is not against]
