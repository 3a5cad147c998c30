"""`prism judge`: the second stage, verdicts on replies."""

from __future__ import annotations

import click

from alignment_prism.cli.options import call_options, judge_options, keep_going_option, prompt_options, retry_option
from alignment_prism.cli.outputs import check_outputs, replace_option


@click.command("judge")
@prompt_options
@click.option("--generations", "generations_file", type=click.Path(), required=True, help="File of replies.")
@click.option("--reply-map", multiple=True, metavar="FIELD=COLUMN[,...]", help="Columns of a foreign file of replies.")
@click.option("--arm", default="", help="Name of the model, for replies that do not say theirs.")
@click.option("--judge", required=True, help="Inspect model id of the judge.")
@judge_options
@call_options
@click.option("--out", type=click.Path(), required=True, help="The verdicts, .parquet or .jsonl.")
@replace_option
@keep_going_option
@retry_option
def command(
    prompts_file: str,
    mapping: tuple[str, ...],
    language: str | None,
    kind: str | None,
    language_file: str | None,
    limit: int | None,
    generations_file: str,
    reply_map: tuple[str, ...],
    arm: str,
    judge: str,
    rubric: str,
    judge_url: str,
    connections: int,
    retries: int,
    out: str,
    replace: bool,
    keep_going: bool,
    retry_unjudged: bool,
) -> None:
    """Let a judge say what each reply is: harmful, refusal, safe help, degenerate or in the wrong language.

    \b
    Examples:
      prism judge --prompts aya.jsonl --generations replies.parquet --judge openai/gpt-4o --out verdicts.parquet
      prism judge --prompts xstest.csv --generations own.csv --judge openai-api/local/j --judge-url URL --out v.parquet

    The judge's answers are kept in OUT.calls.jsonl until the command is done, so that it can be stopped and started
    again; no call is made twice. Where verdicts of OUT are missing, the same command with --retry-unjudged asks for
    these alone.
    """
    from alignment_prism.calls.journal import CallJournal
    from alignment_prism.cli import options as stages
    from alignment_prism.cli.parse import parse_mapping, registry
    from alignment_prism.domain import Score
    from alignment_prism.generation import answered, read_generations
    from alignment_prism.io import read_records, write_records
    from alignment_prism.scoring.judge import Judge, require_verdicts
    from alignment_prism.store.names import calls_beside

    inputs = (prompts_file, language_file, generations_file, rubric)
    check_outputs(records=out, inputs=inputs, replace=replace or retry_unjudged)
    prompts = stages.load(prompts_file, mapping, language, kind, language_file, limit)
    Judge(judge, base_url=judge_url).check(prompts)
    columns = parse_mapping(reply_map, "--reply-map")
    left_out: list[str] | None = [] if keep_going else None
    generations = read_generations(generations_file, prompts, arm=arm, mapping=columns, left_out=left_out)
    if left_out is not None:
        before = len(prompts)
        prompts, generations = answered(prompts, generations)
        stages.say_left_out(left_out, before, len(prompts))
    known = read_records(out, Score) if retry_unjudged else []
    with CallJournal(calls_beside(out)) as journal, stages.progress("judging") as tick:
        scorer = Judge(
            judge,
            rubric,
            judge_url,
            journal=journal,
            progress=tick,
            max_connections=connections,
            retries=retries,
            languages=registry(language_file),
            known=known,
        )
        scores = scorer.score(prompts, generations)
    require_verdicts(scores, judge)
    write_records(out, scores, Score)
    journal.path.unlink(missing_ok=True)
    stages.say_unjudged(scores)
    click.echo(f"wrote {out}")
