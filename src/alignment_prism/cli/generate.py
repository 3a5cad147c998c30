"""`prism generate`: the first stage, replies of a model to prompts."""

from __future__ import annotations

import click

from alignment_prism.cli.options import call_options, model_options, prompt_options, sampling_options
from alignment_prism.cli.outputs import check_outputs, replace_option


@click.command("generate")
@click.option("--model", required=True, help="Folder, nano, Hub id (hub:OWNER/NAME to insist), or Inspect id.")
@prompt_options
@sampling_options
@model_options
@call_options
@click.option("--arm", default="model", show_default=True, help="Name of the model in the study; base for the base.")
@click.option("--out", type=click.Path(), required=True, help="The replies, .parquet or .jsonl.")
@replace_option
def command(
    model: str,
    prompts_file: str,
    mapping: tuple[str, ...],
    language: str | None,
    kind: str | None,
    language_file: str | None,
    limit: int | None,
    samples: int,
    temperature: float,
    top_p: float,
    max_tokens: int,
    seed: int,
    model_url: str,
    device: str,
    batch_tokens: int | None,
    connections: int,
    retries: int,
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

    Answers of an API are kept in OUT.calls.jsonl until the command is done, so that it can be stopped and started
    again.
    """
    from alignment_prism.calls.journal import CallJournal
    from alignment_prism.cli import options as stages
    from alignment_prism.domain import Generation, Sampling
    from alignment_prism.io import write_records
    from alignment_prism.store.names import calls_beside

    check_outputs(records=out, inputs=(prompts_file, language_file), replace=replace)
    prompts = stages.load(prompts_file, mapping, language, kind, language_file, limit)
    sampling = Sampling(temperature, top_p, max_tokens, samples, seed)
    with CallJournal(calls_beside(out)) as journal:
        generations = stages.generate(
            model,
            prompts,
            arm=arm,
            sampling=sampling,
            journal=journal,
            connections=connections,
            retries=retries,
            model_url=model_url,
            device=device,
            batch_tokens=batch_tokens,
        )
    write_records(out, generations, Generation)
    journal.path.unlink(missing_ok=True)
    stages.say_generations(generations)
    click.echo(f"wrote {out}")
