"""`prism report`: findings made readable."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("findings", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write a page there.")
@click.option("--title", default="", help="Of the page; the study's name if not given.")
@click.option("--metric", "metrics", multiple=True, help="Print the rows of this metric; may be given several times.")
@click.option("--language", "languages", multiple=True, help="Print the rows of this language only.")
@click.option("--arm", "arms", multiple=True, help="Print the rows of this arm only.")
def command(
    findings: Path,
    out: Path | None,
    title: str,
    metrics: tuple[str, ...],
    languages: tuple[str, ...],
    arms: tuple[str, ...],
) -> None:
    """Show the FINDINGS of a study as a table, or write them as a page.

    \b
    Examples:
      prism report results/quickstart/findings.parquet
      prism report results/quickstart/findings.parquet --metric harm_rate --language hi
      prism report results/quickstart/findings.parquet --out page.html
    """
    from alignment_prism.cli.console import console as open_console
    from alignment_prism.cli.outputs import check_outputs
    from alignment_prism.domain import Finding, InputError
    from alignment_prism.io import read_records
    from alignment_prism.reports import (
        findings_table,
        headline_table,
        read_about,
        seeds_table,
        summary_table,
        write_report,
    )

    if out is not None:
        # A page says nothing that the findings do not, so an old one may be replaced.
        check_outputs(str(out), inputs=[str(findings)], replace=True)
    rows = read_records(findings, Finding)
    if out is not None:
        # The folder of a study says what its arms are; findings on their own do not. It may hold other findings too.
        about = read_about(findings.parent)
        if about is not None and not {row.arm for row in rows} <= {arm.name for arm in about.arms}:
            about = None
        click.echo(f"report: {write_report(rows, out, title=title, about=about)}")
        return
    console = open_console()
    if not (metrics or languages or arms):
        console.print(summary_table(rows, console.width))
        if together := seeds_table(rows):
            console.print(together)
        if by_language := headline_table(rows):
            console.print(by_language)
        return
    for column, wanted in (("metric", metrics), ("language", languages), ("arm", arms)):
        there = {getattr(row, column) for row in rows}
        for value in wanted:
            if value not in there:
                fix = f"use one of: {', '.join(sorted(there))}"
                raise InputError(f"no finding has {column} {value!r}", where=str(findings), fix=fix)
        rows = [row for row in rows if not wanted or getattr(row, column) in wanted]
    console.print(findings_table(rows))
