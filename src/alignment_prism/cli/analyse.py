"""`prism analyse`: the third stage, findings from prompts, replies and scores."""

from __future__ import annotations

import click

from alignment_prism.cli.options import prompt_options
from alignment_prism.cli.outputs import check_outputs, replace_option


@click.command("analyse")
@prompt_options
@click.option("--generations", "generations_files", type=click.Path(), multiple=True, required=True,
              help="File of replies; once for each arm, or one with all.")  # fmt: skip
@click.option("--scores", "score_files", type=click.Path(), multiple=True, required=True,
              help="File of scores; may be given several times.")  # fmt: skip
@click.option("--comparisons", "comparison_files", type=click.Path(), multiple=True, help="File of pairwise verdicts.")
@click.option("--base", "base_arm", default="base", show_default=True, help="Arm that the others are compared with.")
@click.option("--study", default="analysis", show_default=True, help="Name of the study.")
@click.option("--seed", type=int, default=-1, help="Of the alignment of the arms, for the findings.")
@click.option("--out", type=click.Path(), required=True, help="The findings, .parquet or .jsonl.")
@replace_option
def command(
    prompts_file: str,
    mapping: tuple[str, ...],
    language: str | None,
    kind: str | None,
    language_file: str | None,
    limit: int | None,
    generations_files: tuple[str, ...],
    score_files: tuple[str, ...],
    comparison_files: tuple[str, ...],
    base_arm: str,
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
    from alignment_prism.cli import options as stages
    from alignment_prism.domain import Comparison, Finding, Generation, Score
    from alignment_prism.evaluation import reply_findings, win_rate_findings
    from alignment_prism.io import read_records, write_records

    check_outputs(
        records=out, inputs=(prompts_file, *generations_files, *score_files, *comparison_files), replace=replace
    )
    prompts = stages.load(prompts_file, mapping, language, kind, language_file, limit)
    generations = [row for file in generations_files for row in read_records(file, Generation)]
    scores = [row for file in score_files for row in read_records(file, Score)]
    comparisons = [row for file in comparison_files for row in read_records(file, Comparison)]
    findings = reply_findings(prompts, generations, scores, study=study, seed=seed, base_arm=base_arm)
    findings += win_rate_findings(comparisons, prompts, generations, study=study, seed=seed)
    write_records(out, findings, Finding)
    stages.show(findings)
    stages.say_unjudged(scores)
    click.echo(f"wrote {out}")
