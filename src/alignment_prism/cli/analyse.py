"""`prism analyse`: the third stage, findings from prompts, replies and scores."""

from __future__ import annotations

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import REPLIES_HELP, PassportOptions, PromptOptions, ReplyOptions, group
from alignment_prism.cli.outputs import check_outputs, replace_option


@click.command("analyse")
@group("prompts", PromptOptions)
@click.option("--generations", type=click.Path(), multiple=True, required=True,
              help=f"{REPLIES_HELP} Once for each file.")  # fmt: skip
@group("replies", ReplyOptions)
@click.option("--arm", default="", help="Name of the model, for replies that do not say theirs.")
@click.option("--scores", type=click.Path(), multiple=True, required=True,
              help="File of scores; may be given several times.")  # fmt: skip
@group("passport", PassportOptions)
@click.option("--comparisons", type=click.Path(), multiple=True, help="File of pairwise verdicts.")
@click.option("--base", default="base", show_default=True, help="Arm that the others are compared with.")
@click.option("--study", default="analysis", show_default=True, help="Name of the study.")
@click.option("--seed", type=int, default=-1, help="Of the alignment of the arms, for the findings.")
@click.option("--out", type=click.Path(), required=True, help="The findings, .parquet or .jsonl.")
@replace_option
def command(
    prompts: PromptOptions,
    generations: tuple[str, ...],
    replies: ReplyOptions,
    arm: str,
    scores: tuple[str, ...],
    passport: PassportOptions,
    comparisons: tuple[str, ...],
    base: str,
    study: str,
    seed: int,
    out: str,
    replace: bool,
) -> None:
    """Turn scores into findings: rates with intervals, changes against base, by language, scope and category.

    \b
    Example:
      prism analyse --prompts aya.jsonl --generations base.parquet --generations dpo.parquet \\
        --scores base_verdicts.parquet --scores dpo_verdicts.parquet --out findings.parquet
    """
    inputs = (*prompts.prompts, prompts.language_file, passport.passport, *generations, *scores, *comparisons)
    check_outputs(records=out, inputs=inputs, replace=replace)
    from alignment_prism.cli.echo import echo_outcomes, echo_unjudged
    from alignment_prism.cli.progress import Terminal
    from alignment_prism.domain import Finding
    from alignment_prism.io import write_records
    from alignment_prism.studies import make_spec, study_beside

    arms = replies.arms(generations, arm or "model", seed)
    spec = make_spec(
        name=study,
        base=next((found for found in arms if found.name == base), None),
        arms=tuple(found for found in arms if found.name != base),
        keep_going=replies.keep_going,
        scores=scores,
        comparisons=comparisons,
        examples=0,
        **prompts.spec(),
        **passport.spec(),
    )
    with study_beside(spec, out, progress=Terminal(stderr=True), replace=replace) as analysed:
        findings = analysed.findings()
        write_records(out, findings, Finding)
        echo_outcomes(findings)
        echo_unjudged(analysed)
    echo(f"wrote {out}")
