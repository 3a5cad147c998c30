"""`prism generate`: the first stage, replies of a model to prompts."""

from __future__ import annotations

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import (
    CallOptions,
    ModelOptions,
    MoneyOptions,
    PromptOptions,
    SamplingOptions,
    generation_spec,
    group,
)
from alignment_prism.cli.outputs import check_outputs, replace_option


@click.command("generate")
@click.option("--model", required=True, help="Folder, nano, Hub id (hub:OWNER/NAME to insist), or Inspect id.")
@group("prompts", PromptOptions)
@group("sampling", SamplingOptions)
@group("how", ModelOptions)
@group("calls", CallOptions)
@group("money", MoneyOptions)
@click.option("--arm", default="model", show_default=True, help="Name of the model in the study; base for the base.")
@click.option("--out", type=click.Path(), required=True, help="The replies, .parquet or .jsonl.")
@replace_option
def command(
    model: str,
    prompts: PromptOptions,
    sampling: SamplingOptions,
    how: ModelOptions,
    calls: CallOptions,
    money: MoneyOptions,
    arm: str,
    out: str,
    replace: bool,
) -> None:
    """Let a model reply to prompts; judge the replies with `prism judge`.

    \b
    Examples:
      prism generate --model runs/dpo_sft/model --prompts aya.jsonl --arm dpo_sft --out replies.parquet
      prism generate --model openai/gpt-4o --prompts aya.jsonl --limit 50 --out gpt.parquet
      prism generate --model openai-api/local/m --model-url http://localhost:8000/v1 --prompts p.csv --out r.jsonl

    Finished work is kept in OUT.unfinished until the command is done, so that it can be stopped and started again; no
    call of an API is made twice.
    """
    check_outputs(records=out, inputs=(*prompts.prompts, prompts.language_file, model), replace=replace)
    from alignment_prism.cli.dry_run import echo_usage
    from alignment_prism.cli.echo import echo_generations, quiet_hub
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.domain import Generation
    from alignment_prism.io import write_records
    from alignment_prism.store.names import unfinished_beside
    from alignment_prism.studies import ModelArm, make_spec, study_beside
    from alignment_prism.studies.arms import arm_name

    spec = make_spec(
        name="generation",
        base=None,
        arms=(ModelArm(name=arm_name(arm), model=model, base_url=how.model_url),),
        generation=generation_spec(sampling, how, calls),
        **prompts.spec(),
    )
    quiet_hub(spec)
    if money.dry_run:
        money.echo_dry_run(spec, unfinished_beside(out))
        return
    with study_beside(spec, out, progress=Terminal(stderr=True), replace=replace, **money.options()) as study:
        generations = study.generations()
        write_records(out, generations, Generation)
        echo_usage(study.usage(), money.prices)
    echo_generations(generations)
    echo(f"wrote {out}")
