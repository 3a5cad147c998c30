"""`prism report`: findings made readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alignment_prism.cli.console import console, echo

if TYPE_CHECKING:
    from alignment_prism.domain import Finding
    from alignment_prism.reports.about import About


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
    from alignment_prism.cli.outputs import check_outputs
    from alignment_prism.domain import Finding
    from alignment_prism.io import read_records
    from alignment_prism.reports import findings_table, headline_table, seeds_table, summary_table, write_report

    if out is not None:
        # A page says nothing that the findings do not, so an old one may be replaced.
        check_outputs(str(out), inputs=[str(findings)], replace=True)
    rows = read_records(findings, Finding)
    if out is not None:
        echo(f"report: {write_report(rows, out, title=title, about=_about(findings.parent, rows))}")
        return
    terminal = console()
    if metrics or languages or arms:
        wanted = {"metric": metrics, "language": languages, "arm": arms}
        terminal.print(findings_table(_chosen(rows, wanted, str(findings))))
        return
    terminal.print(summary_table(rows, terminal.width))
    for table in (seeds_table(rows), headline_table(rows)):
        if table:
            terminal.print(table)


def _about(folder: Path, rows: Sequence[Finding]) -> About | None:
    """What a study says of its arms in the folder of its findings; None where the folder is of other arms."""
    from alignment_prism.reports import read_about

    about = read_about(folder)
    known = {arm.name for arm in about.arms} if about is not None else set()
    return about if {row.arm for row in rows} <= known else None


def _chosen(rows: Sequence[Finding], wanted: Mapping[str, tuple[str, ...]], where: str) -> list[Finding]:
    """The rows with any of the wanted values in each column.

    Raises:
        InputError: no row has a value that is asked for.
    """
    from alignment_prism.domain import InputError

    kept = list(rows)
    for column, values in wanted.items():
        there = {getattr(row, column) for row in kept}
        for value in values:
            if value not in there:
                fix = f"use one of: {', '.join(sorted(there))}"
                raise InputError(f"no finding has {column} {value!r}", where=where, fix=fix)
        kept = [row for row in kept if not values or getattr(row, column) in values]
    return kept
