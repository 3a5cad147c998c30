"""`prism prompts`: check, count, convert, compare and split sets of prompts. No prompt is printed, only ids."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.prompt_comparison import overlap, split
from alignment_prism.cli.prompt_options import (
    SET,
    all_prompts,
    claim_outputs,
    keeping_options,
    reading_options,
    say_left_out,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alignment_prism.cli.console import Rejects
    from alignment_prism.cli.prompt_options import PromptReader
    from alignment_prism.domain import InputError, Prompt
    from alignment_prism.prompts import Census


@click.group("prompts")
def command() -> None:
    """Check, count, convert, compare and split sets of prompts.

    A set is a file (JSONL, JSON, CSV, TSV, Parquet; all but Parquet also .gz), a set known by name (aya, dolly), or a
    Hub dataset (owner/name). No prompt is ever printed, only ids, rows and lengths.
    """


@command.command("validate", short_help="Say what is wrong: file, row, field, value, fix.")
@click.argument("sets", type=SET, nargs=-1, required=True, metavar="FILE|NAME...")
@reading_options
@keeping_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def validate(
    sets: tuple[str, ...],
    rejects: str | None,
    max_errors: int,
    replace: bool,
    keep_going: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Read every row and say what is wrong: file, row, field, value, fix. Ends with exit code 2 if anything is.

    \b
    Examples:
      prism prompts validate aya_eng.jsonl aya_hin.jsonl
      prism prompts validate mine.csv --map prompt=text,language=lang
      prism prompts validate big.jsonl.gz --keep-going --rejects bad.jsonl --max-errors 50
    """
    import json

    from alignment_prism.cli.console import open_rejects
    from alignment_prism.cli.prompt_options import PromptReader
    from alignment_prism.domain import InputError
    from alignment_prism.io import TooManyProblems

    claim_outputs(sets, options, rejects, replace)
    reader = PromptReader.of(options)
    report: list[dict[str, Any]] = []
    failed = 0
    with open_rejects(rejects or "", keep_going, max_errors, None if as_json else _say_problem) as accounts:
        for name in sets:
            intake = accounts.intake(name)
            entry: dict[str, Any] = {"file": name}
            stopped: TooManyProblems | None = None
            try:
                for _ in reader.iter(name, intake):
                    pass
            except TooManyProblems as error:
                stopped = error
                entry["stopped"] = error.what
            except InputError as error:
                failed += 1
                entry["error"] = {"what": error.what, "where": error.where, "fix": error.fix}
                if not as_json:
                    click.echo(f"{error.where or name}: {error.what}\n  fix: {error.fix}")
            entry |= {**intake.counts(), "reasons": dict(intake.reasons), "notes": dict(intake.notes)}
            entry["examples"] = {what: [each.as_dict() for each in notes] for what, notes in intake.examples.items()}
            report.append(entry)
            if not as_json and "error" not in entry:
                _say_counts(entry)
            if stopped is not None:
                break
    if as_json:
        problems = [problem.as_dict() for problem in accounts.problems]
        ok = not failed and not accounts.rejected
        click.echo(json.dumps({"ok": ok, "files": report, "problems": problems}, ensure_ascii=False))
    if failed or accounts.rejected:
        raise _verdict(failed, len(sets), accounts)


def _verdict(failed: int, files: int, accounts: Rejects) -> InputError:
    """What is wrong altogether: files that cannot be read at all, and rows."""
    from alignment_prism.domain import InputError

    faults, fixes = [], []
    if failed:
        faults.append(f"{failed} of {files} files cannot be read as prompts")
        fixes.append("do what is said beside each file")
    if accounts.rejected:
        faults.append(f"{accounts.rejected} of {accounts.rows} rows cannot be used")
        if accounts.rejected < accounts.rows:
            fixes.append("mend them as said above, or let prism prompts convert --keep-going leave bad rows out")
        else:
            fixes.append("mend them as said above: every row is bad, so leaving bad rows out leaves nothing")
    return InputError("; ".join(faults), fix="; ".join(fixes))


def _say_problem(problem: Any) -> None:
    click.echo(str(problem))


def _say_counts(entry: dict[str, Any]) -> None:
    click.echo(f"{entry['file']}: {entry['rows']} rows, {entry['accepted']} good, {entry['rejected']} bad")
    for kind, found in (("bad", entry["reasons"]), ("note", entry["notes"])):
        for what, count in sorted(found.items(), key=lambda item: -item[1]):
            rows = [str(each["row"]) for each in entry["examples"].get(what, [])] if kind == "note" else []
            more = ", ..." if count > len(rows) else ""
            where = f" (rows {', '.join(rows)}{more})" if rows else ""
            click.echo(f"  {kind}: {count} x {what}{where}")
    if "stopped" in entry:
        click.echo(f"  {entry['stopped']}; --keep-going reads on, --max-errors sets the number")


@command.command("stats", short_help="Count prompts by language, scope and category.")
@click.argument("sets", type=SET, nargs=-1, required=True, metavar="FILE|NAME...")
@reading_options
@keeping_options
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.option("--markdown", is_flag=True, help="Print Markdown tables.")
@click.option("--out", type=click.Path(), help="Write the table as .parquet or .md as well.")
def stats(
    sets: tuple[str, ...],
    rejects: str | None,
    max_errors: int,
    replace: bool,
    keep_going: bool,
    as_json: bool,
    markdown: bool,
    out: str | None,
    **options: Any,
) -> None:
    """Count prompts by language, scope and category, as tables 1 and 5 of the paper do.

    \b
    Examples:
      prism prompts stats aya --revision main
      prism prompts stats aya_*.jsonl --markdown
      prism prompts stats mine.csv --map prompt=text --language fr --json
    """
    import json

    from alignment_prism.cli.census import census_tables, write_census
    from alignment_prism.cli.console import markdown_table, open_rejects, say_rejects
    from alignment_prism.cli.prompt_options import PromptReader

    claim_outputs(sets, options, rejects, replace, out)
    reader = PromptReader.of(options)
    with open_rejects(rejects or "", keep_going, max_errors) as accounts:
        census = _count(sets, reader, accounts)
    accounts.demand_none()
    if out:
        write_census(census, reader.languages, out)
    if as_json:
        counts = {name: intake.counts() for name, intake in accounts.intakes.items()}
        click.echo(json.dumps({**census.as_dict(reader.languages), "rows": counts}, ensure_ascii=False))
        return
    for title, columns, rows in census_tables(census, reader.languages):
        if markdown:
            click.echo(f"**{title}**\n\n{markdown_table(columns, rows)}\n")
        else:
            widths = [max(len(str(cell)) for cell in column) for column in zip(columns, *rows, strict=True)]
            click.echo(title)
            for row in (columns, *rows):
                cells = [str(cell).ljust(width) if place == 0 else str(cell).rjust(width)
                         for place, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
                click.echo("  " + "  ".join(cells).rstrip())
            click.echo()
    say_rejects(accounts)
    say_left_out(accounts.intakes.values())


def _count(sets: tuple[str, ...], reader: PromptReader, accounts: Rejects) -> Census:
    from alignment_prism.prompts import Census

    census = Census()
    for prompt in all_prompts(sets, reader, accounts):
        census.add(prompt)
    return census


class _NothingGood(Exception):
    """No row can be used: the file is not written, but that of rejects is."""


@command.command("convert", short_help="Write sets of any kind as prompts of this package.")
@click.argument("sets", type=SET, nargs=-1, required=True, metavar="FILE|NAME...")
@click.option("--out", type=click.Path(), required=True, help="The prompts, .jsonl, .jsonl.gz or .parquet.")
@reading_options
@keeping_options
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def convert(
    sets: tuple[str, ...],
    out: str,
    rejects: str | None,
    max_errors: int,
    replace: bool,
    keep_going: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write sets of any kind as prompts of this package: one record a prompt, checked, with ids.

    Nothing is written if a row is bad, unless --keep-going leaves such rows out, into a file of rejects.

    \b
    Examples:
      prism prompts convert aya --out aya.parquet
      prism prompts convert mine.csv --map prompt=text,language=lang --out mine.jsonl --keep-going
      prism prompts convert xsafety/fr/*.csv --out fr.jsonl
    """
    import json

    from alignment_prism.cli.console import open_rejects, say_rejects
    from alignment_prism.cli.prompt_options import PromptReader
    from alignment_prism.domain import InputError, Prompt
    from alignment_prism.io import write_records
    from alignment_prism.store.names import rejects_beside

    claim_outputs(sets, options, rejects, replace, records=out)
    reader = PromptReader.of(options)

    def good() -> Iterator[Prompt]:
        written = 0
        for prompt in all_prompts(sets, reader, accounts):
            written += 1
            yield prompt
        accounts.demand_none()  # before the file takes its place, as is this
        if accounts.rows and not written:
            raise _NothingGood

    written = 0
    with (
        open_rejects(rejects or rejects_beside(out), keep_going, max_errors) as accounts,
        contextlib.suppress(_NothingGood),
    ):
        written = write_records(out, good(), Prompt)
    if accounts.rows and not written:
        say_rejects(accounts)
        fix = f"{accounts.path} has each with its reason; is this the right file, and the right --map?"
        raise InputError(f"none of {accounts.rows} rows can be used", where=", ".join(sets)[:300], fix=fix)
    if as_json:
        files = {name: intake.counts() for name, intake in accounts.intakes.items()}
        click.echo(json.dumps({"written": written, "rejected": accounts.rejected, "files": files}, ensure_ascii=False))
    else:
        say_rejects(accounts)
        say_left_out(accounts.intakes.values())
        click.echo(f"{accounts.rows} rows: {written} prompts in {out}, {accounts.rejected} rejected")


command.add_command(overlap)
command.add_command(split)
