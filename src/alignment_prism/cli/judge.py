"""`prism judge`: the second stage, verdicts on replies."""

from __future__ import annotations

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import (
    REPLIES_HELP,
    CallOptions,
    JudgeOptions,
    MoneyOptions,
    PromptOptions,
    ReplyOptions,
    group,
)
from alignment_prism.cli.outputs import check_outputs, replace_option


@click.command("judge")
@group("prompts", PromptOptions)
@click.option("--generations", type=click.Path(), required=True, help=REPLIES_HELP)
@group("replies", ReplyOptions)
@click.option("--arm", default="", help="Name of the model, for replies that do not say theirs.")
@group("judge", JudgeOptions)
@group("calls", CallOptions)
@group("money", MoneyOptions)
@click.option("--out", type=click.Path(), required=True, help="The verdicts, .parquet or .jsonl.")
@replace_option
@click.option(
    "--retry-unjudged", is_flag=True, help="Where there are verdicts already: ask again for missing ones only."
)
def command(
    prompts: PromptOptions,
    generations: str,
    replies: ReplyOptions,
    arm: str,
    judge: JudgeOptions,
    calls: CallOptions,
    money: MoneyOptions,
    out: str,
    replace: bool,
    retry_unjudged: bool,
) -> None:
    """Let a judge, a guard model or a panel say what each reply is: harmful, refusal, safe help, degenerate or in the
    wrong language.

    \b
    Examples:
      prism judge --prompts aya.jsonl --generations replies.parquet --judge openai/gpt-4o --out verdicts.parquet
      prism judge --prompts aya.jsonl --generations replies.parquet --judge openai-api/local/guard --judge-url URL \\
        --rubric wildguard@1 --out guard.parquet
      prism judge --prompts aya.jsonl --generations replies.parquet --judge openai/gpt-4o --judge openai/gpt-5 \\
        --adjudicator anthropic/claude-sonnet-4-5 --out panel.parquet
      prism judge --prompts xstest.csv --generations own.csv --judge openai-api/local/j --judge-url URL --out v.parquet

    Finished work is kept in OUT.unfinished until the command is done, so that it can be stopped and started again; no
    call is made twice. Where verdicts of OUT are missing, the same command with --retry-unjudged asks for these alone.
    """
    inputs = (*prompts.prompts, prompts.language_file, generations, *judge.files)
    check_outputs(records=out, inputs=inputs, replace=replace or retry_unjudged)
    from alignment_prism.cli.dry_run import echo_usage
    from alignment_prism.cli.echo import echo_judged, echo_unjudged, echo_unverified
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.domain import Score
    from alignment_prism.io import write_records
    from alignment_prism.store.names import unfinished_beside
    from alignment_prism.studies import make_spec, study_beside

    spec = make_spec(
        name="judging",
        base=None,
        arms=tuple(replies.arms((generations,), arm or "model")),
        keep_going=replies.keep_going,
        judge=judge.spec(calls),
        **prompts.spec(),
    )
    echo_unverified(spec)
    known, again = (out,) if retry_unjudged else (), replace or retry_unjudged
    if money.dry_run:
        money.echo_dry_run(spec, unfinished_beside(out), known=known)
        return
    run = {"progress": Terminal(stderr=True), "known": known, "replace": again, **money.options()}
    with study_beside(spec, out, **run) as study:
        scores = study.scores()
        write_records(out, scores, Score)
        echo_judged(scores)
        echo_unjudged(study)
        echo_usage(study.usage(), money.prices)
    echo(f"wrote {out}")
