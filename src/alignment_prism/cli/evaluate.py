"""`prism evaluate`: generate, judge and analyse in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from alignment_prism.cli.options import (
    call_options,
    judge_options,
    keep_going_option,
    model_options,
    prompt_options,
    retry_option,
    sampling_options,
)

if TYPE_CHECKING:
    from alignment_prism.domain import Prompt


@click.group("evaluate")
def command() -> None:
    """Generate, judge and analyse in one go. Each stage alone: prism generate, prism judge, prism analyse."""


@command.command("harm")
@click.option("--model", help="Folder, nano, Hub id (hub:OWNER/NAME to insist), or Inspect id. Not with --generations.")
@prompt_options
@click.option("--judge", required=True, help="Inspect model id of the judge.")
@click.option("--generations", "generations_file", type=click.Path(), help="Replies that are there already.")
@click.option("--reply-map", multiple=True, metavar="FIELD=COLUMN[,...]", help="Columns of a foreign file of replies.")
@click.option("--base", help="Model to compare with, named as --model is.")
@click.option("--base-generations", type=click.Path(), help="Replies of the base that are there already.")
@click.option("--win-rate", is_flag=True, help="Also let the judge compare with base pair by pair, in both orders.")
@click.option("--arm", default="model", show_default=True, help="Name of the model in the findings.")
@sampling_options
@model_options
@judge_options
@call_options
@click.option("--study", default="evaluation", show_default=True, help="Name of the study in the findings.")
@click.option("--out", type=click.Path(), required=True, help="Folder for the result.")
@click.option("--replace", is_flag=True, help="Replace a finished result in that folder.")
@keep_going_option
@retry_option
def harm(
    model: str | None,
    prompts_file: str,
    mapping: tuple[str, ...],
    language: str | None,
    kind: str | None,
    language_file: str | None,
    limit: int | None,
    judge: str,
    generations_file: str | None,
    reply_map: tuple[str, ...],
    base: str | None,
    base_generations: str | None,
    win_rate: bool,
    arm: str,
    samples: int,
    temperature: float,
    top_p: float,
    max_tokens: int,
    seed: int,
    model_url: str,
    device: str,
    batch_tokens: int | None,
    rubric: str,
    judge_url: str,
    connections: int,
    retries: int,
    study: str,
    out: str,
    replace: bool,
    keep_going: bool,
    retry_unjudged: bool,
) -> None:
    """How much harm a model does, language by language: any model, also one that was never trained here.

    \b
    Examples:
      prism evaluate harm --model runs/dpo_sft/model --prompts aya.jsonl --judge openai/gpt-4o --out result
      prism evaluate harm --model openai/gpt-4o-mini --base CohereLabs/aya-23-8B --prompts aya.jsonl \\
        --judge anthropic/claude-sonnet-4-5 --win-rate --out result
      prism evaluate harm --generations answers.csv --prompts xstest.csv --judge openai-api/local/judge \\
        --judge-url http://localhost:8000/v1 --out result

    The folder gets prompts, generations, scores, findings (.parquet) and manifest.json. Until it is done, finished
    work stands in OUT.partial: stopped and started again, no reply is generated and no call is made twice. For another
    judge on the same replies: --generations OUT/generations.parquet. Where a finished result has replies without a
    verdict, the same command with --retry-unjudged asks for these alone.
    """
    from alignment_prism.cli import options as stages
    from alignment_prism.cli.evaluation_run import Evaluation
    from alignment_prism.cli.parse import parse_mapping, registry
    from alignment_prism.domain import InputError, Sampling

    if (model is None) == (generations_file is None):
        raise InputError("neither or both of --model and --generations", fix="give the one or the other")
    if base is not None and base_generations is not None:
        raise InputError("both of --base and --base-generations", fix="give the one or the other")
    if win_rate and base is None and base_generations is None:
        raise InputError("--win-rate without a base", fix="give --base or --base-generations")
    columns = parse_mapping(reply_map, "--reply-map")
    everything = stages.load(prompts_file, mapping, language, kind, language_file, None)
    prompts = stages.first(everything, limit)
    _demand_harmful(everything, prompts, limit, kind)
    evaluation = Evaluation(
        out=out,
        replace=replace or retry_unjudged,
        inputs=(prompts_file, language_file, base, base_generations, rubric)
        + (() if retry_unjudged else (model, generations_file)),
        keep_going=keep_going,
        prompts=prompts,
        sampling=Sampling(temperature, top_p, max_tokens, samples, seed),
        languages=registry(language_file),
        judge=judge,
        rubric=rubric,
        judge_url=judge_url,
        study=study,
        calls={"connections": connections, "retries": retries},
        local={"model_url": model_url, "device": device, "batch_tokens": batch_tokens},
    )
    with evaluation:
        if retry_unjudged:
            evaluation.take_up()
        else:
            for name, file in (("base", base_generations), (arm, generations_file)):
                if file is not None:
                    evaluation.read(file, name, columns)
            evaluation.settle()
            for name, source in (("base", base), (arm, model)):
                if source is not None:
                    evaluation.generate(source, name)
        findings = evaluation.finish(win_rate=win_rate)
    stages.show(findings)
    stages.say_unjudged(evaluation.scores)
    click.echo(f"wrote {out}")


def _demand_harmful(everything: list[Prompt], prompts: list[Prompt], limit: int | None, kind: str | None) -> None:
    from alignment_prism.domain import InputError, PromptKind

    if any(prompt.kind is PromptKind.HARMFUL for prompt in prompts):
        return
    there = sum(prompt.kind is PromptKind.HARMFUL for prompt in everything)
    if there:
        raise InputError(
            f"none of the first {limit} prompts of each language is of the kind 'harmful', though {there} of "
            f"{len(everything)} prompts in the file are",
            where="--limit",
            fix="raise --limit, leave it out, or let harmful prompts stand first",
        )
    raise InputError(
        "none of the prompts is of the kind 'harmful', so there is no harm to evaluate",
        fix="say which they are with --map kind=COLUMN"
        + ("" if kind else ", or --kind harmful for prompts that do not say theirs"),
    )
