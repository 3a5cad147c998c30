"""`prism report`: findings made readable, in the terminal, as a page, as tables, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alignment_prism.cli.console import console, echo

if TYPE_CHECKING:
    from alignment_prism.domain import Finding
    from alignment_prism.reports import Report

SHOW = "show"


class _Report(click.Group):
    """A group whose first word may be a file or a folder: then it is `show` that is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [SHOW, *args]
        return super().parse_args(ctx, args)


@click.group("report", cls=_Report, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Findings made readable: `prism report PLACE...` is short for `prism report show PLACE...`.

    \b
    Examples:
      prism report results/quickstart
      prism report results/quickstart --out page.html
      prism report results/quickstart/findings.parquet --metric harm_rate --language hi
    """


@command.command(SHOW)
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write a report: .html, .md, .tex, .csv, one figure as .svg or .png, or a folder with all of them.",
)
@click.option("--title", default="", help="Of the report; the study's name if not given.")
@click.option("--figure", default="", help="Name of the figure of an .svg or .png; the first there is if not given.")
@click.option(
    "--samples", type=click.IntRange(0), help="Prompts with replies on the page; as the study says if not given."
)
@click.option("--redacted", is_flag=True, help="Leave prompts and replies out of the file altogether.")
@click.option("--metric", "metrics", multiple=True, help="Print the rows of this metric; may be given several times.")
@click.option("--language", "languages", multiple=True, help="Print the rows of this language only.")
@click.option("--arm", "arms", multiple=True, help="Print the rows of this arm only.")
def show(
    places: tuple[Path, ...], out: Path | None, title: str, figure: str, samples: int | None, redacted: bool,
    metrics: tuple[str, ...], languages: tuple[str, ...], arms: tuple[str, ...],
) -> None:  # fmt: skip
    """Show PLACES, folders of studies or files of findings, as a table, or write them as a report.

    Several places stand side by side in one report, each arm against its own base.

    \b
    Examples:
      prism report show results/quickstart --out page.html --samples 100
      prism report show results/quickstart --out page.html --redacted
      prism report show results/quickstart --out frontier.svg --figure frontier
      prism report show results/quickstart --out report/
    """
    from alignment_prism.cli.outputs import check_outputs
    from alignment_prism.domain import InputError
    from alignment_prism.reports import check_format, export, findings_table, headline_table, seeds_table, summary_table

    unused: dict[str, object] = {"metric": metrics, "language": languages, "arm": arms}
    if out is None:
        unused = {"figure": figure, "title": title, "samples": samples}
    if given := [name for name, value in unused.items() if value]:
        where, fix = ("a file", "give --out, or leave it out") if out is None else ("what is printed", "leave out one")
        raise InputError(f"--{given[0]} is for {where}", where=str(out or ""), fix=fix)
    if out is not None:
        check_format(out, figure)
        if out.is_dir() and any(place.is_dir() and place.samefile(out) for place in places):
            raise InputError("the report would be mixed with its study", where=str(out), fix="name another folder")
        # A report says nothing that the findings do not, so an old one may be replaced.
        check_outputs(None if out.is_dir() else str(out), inputs=[*map(str, places)], replace=True)
    report = _opened(places, title, samples, redacted, written=out is not None)
    if out is not None:
        echo(f"report: {export(report, out, figure=figure)}")
        return
    rows, terminal = list(report.results.findings), console()
    if metrics or languages or arms:
        wanted = {"metric": metrics, "language": languages, "arm": arms}
        terminal.print(findings_table(_chosen(rows, wanted, ", ".join(map(str, places)))))
        return
    terminal.print(summary_table(rows, terminal.width))
    for table in (seeds_table(rows), headline_table(rows)):
        if table:
            terminal.print(table)


def _opened(places: Sequence[Path], title: str, samples: int | None, redacted: bool, *, written: bool) -> Report:
    """The report of folders of studies, or of one file of findings."""
    from alignment_prism.domain import InputError
    from alignment_prism.studies.report import findings_report, study_report

    files = [place for place in places if not place.is_dir()]
    if samples and len(places) > 1:
        raise InputError("replies are shown of one study", fix="write a report of each, or leave --samples out")
    if not files:
        return study_report(places, title=title, count=samples if written else 0, redact=redacted)
    if len(places) > 1 or samples:
        what = (
            "replies are not in a file of findings" if samples else "several reports, and a file of findings among them"
        )
        raise InputError(what, where=str(files[0]), fix="name the folder of its study")
    return findings_report(files[0], title=title)


def _chosen(rows: Sequence[Finding], wanted: Mapping[str, tuple[str, ...]], where: str) -> list[Finding]:
    """The rows with any of the wanted values in each column.

    Raises:
        InputError: no row has a value that is asked for.
    """
    from difflib import get_close_matches

    from alignment_prism.domain import InputError

    kept = list(rows)
    for column, values in wanted.items():
        there = {getattr(row, column) for row in kept}
        for value in values:
            if value not in there:
                near = get_close_matches(value, there, n=1)
                fix = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(sorted(there))}"
                raise InputError(f"no finding has {column} {value!r}", where=where, fix=fix)
        kept = [row for row in kept if not values or getattr(row, column) in values]
    return kept


@command.command("declare")
@click.argument("study", type=click.Path(file_okay=False, path_type=Path))
@click.argument("gate", type=click.Path(dir_okay=False, path_type=Path))
def declare(study: Path, gate: Path) -> None:
    """Write a GATE down in the folder of a STUDY before there are results, with the time, in a chain.

    The digest that is printed, published anywhere, shows later that the gate was there then.

    \b
    Examples:
      prism report declare results/quickstart gate.yaml
    """
    from alignment_prism.store.names import PLAN
    from alignment_prism.studies.receipts import declare as write_down

    made = write_down(study, gate)
    words = "" if (study / PLAN).exists() else f"; no study was begun in {study} yet"
    if made.results:
        steps = "1 step has" if made.results == 1 else f"{made.results} steps have"
        words = f"; {steps} scored replies already, so this is not before the results"
    echo(f"declared {made.name} at {made.at}{words}\ndigest: {made.digest}")


@command.command("receipt")
@click.argument("study", type=click.Path(file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make; its key goes to OUT.key.")
def receipt(study: Path, out: Path) -> None:
    """Write the receipt of a STUDY: every score and finding, no text, and the digest of every byte.

    Whoever has it recomputes each number with `prism report verify` without reading a harmful word. Texts are
    committed to by salted SHA-256, which the key opens: keep the key, publish the root. Ids and groups stay as are.

    \b
    Examples:
      prism report receipt results/quickstart --out quickstart.receipt
    """
    from alignment_prism.studies.receipts import write_receipt

    root, key = write_receipt(study, out)
    echo(f"receipt: {out}\nroot:    {root}\nkey:     {key} (keep it; not part of the receipt)")


@command.command("verify")
@click.argument("receipt", type=click.Path(file_okay=False, path_type=Path))
@click.option("--root", default="", help="That was published; the receipt must be the one with this root.")
@click.option(
    "--study",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the study, to check that its texts are those committed to; needs the key.",
)
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Of the receipt.")
def verify(receipt: Path, root: str, study: Path | None, key: Path | None) -> None:
    """Check a RECEIPT: no byte changed, every number follows from the scores, gates came before the results.

    Exit code 5 where anything is wrong.

    \b
    Examples:
      prism report verify quickstart.receipt
      prism report verify quickstart.receipt --study results/quickstart --key quickstart.receipt.key
    """
    from alignment_prism.domain import StoreError
    from alignment_prism.studies.receipts import check_receipt

    found = check_receipt(receipt, root=root, study=study, key=key)
    if found.faults:
        fix = "ask for the receipt again, or do not rely on its numbers"
        raise StoreError("the receipt does not hold: " + "; ".join(found.faults), where=str(receipt), fix=fix)
    echo(f"root {found.root}\nevery byte is as it was sealed; {found.recomputed:,} numbers follow from the scores")
    for line in found.gates:
        echo(f"gate {line}")
    if found.texts >= 0:
        echo(f"{found.texts:,} texts are those that were committed to")


@command.command("serve")
@click.argument("study", type=click.Path(file_okay=False, path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option(
    "--samples", type=click.IntRange(0), help="Prompts with replies on the page; as the study says if not given."
)
@click.option("--redacted", is_flag=True, help="Leave prompts and replies out.")
def serve(study: Path, port: int, samples: int | None, redacted: bool) -> None:
    """Follow a running STUDY in a browser on this machine: its steps, then its report; Ctrl-C ends it.

    \b
    Examples:
      prism report serve results/quickstart
    """
    from alignment_prism.studies.live import HOST, Live, server

    with server(Live(study, samples=samples, redact=redacted), port) as running:
        echo(f"http://{HOST}:{running.server_address[1]}/")
        running.serve_forever()
