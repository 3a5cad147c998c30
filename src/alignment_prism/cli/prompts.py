"""`prism prompts`: check, count, convert, compare and split sets of prompts. No prompt is printed, only ids."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import click

from alignment_prism.cli.border import border
from alignment_prism.cli.console import echo, echo_problem, echo_rejects
from alignment_prism.cli.options import group
from alignment_prism.cli.outputs import check_ending
from alignment_prism.cli.prompt_options import SET, SETS, ReadingOptions, RowOptions
from alignment_prism.cli.prompt_writing import NothingGood, require_some, usable, variants
from alignment_prism.cli.translate import translate

if TYPE_CHECKING:
    from alignment_prism.domain import Prompt
    from alignment_prism.prompts.overlap import Match, Overlap
    from alignment_prism.prompts.splits import Split
    from alignment_prism.prompts.validation import SetReport


@click.group("prompts")
def command() -> None:
    """Check, count, convert, compare and split sets of prompts.

    A set is a file (JSONL, JSON, CSV, TSV, Parquet, .xlsx; all but the last two also .gz), a set known by name (aya,
    dolly), or a Hub dataset (owner/name). No prompt is ever printed, only ids, rows and lengths.
    """


command.add_command(border)
command.add_command(translate)


@command.command("validate", short_help="Say what is wrong: file, row, field, value, fix.")
@SETS
@group("reading", ReadingOptions)
@group("rows", RowOptions)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def validate(
    sets: tuple[str, ...],
    reading: ReadingOptions,
    rows: RowOptions,
    as_json: bool,
) -> None:
    """Read every row and say what is wrong: file, row, field, value, fix. Ends with exit code 2 if anything is, and
    where prompts are mostly in another language than they say.

    \b
    Examples:
      prism prompts validate aya_eng.jsonl aya_hin.jsonl
      prism prompts validate mine.csv --map prompt=text,language=lang,kind=kind
      prism prompts validate big.jsonl.gz --keep-going --rejects bad.jsonl --max-errors 50
    """
    from alignment_prism.prompts.translations import Kinship
    from alignment_prism.prompts.validation import fault_of, validate_sets
    from alignment_prism.scoring.prompt_language import SaidLanguages

    rows.check_outputs(sets, reading)
    reports: list[SetReport] = []
    source = reading.source()
    kinship, said = Kinship(), SaidLanguages(source["languages"])

    def look(prompt: Prompt) -> None:
        kinship.add(prompt)
        said.add(prompt)

    show = None if as_json else (lambda problem: echo_problem(problem, err=False))
    with rows.accounts(show=show) as accounts:
        for report in validate_sets(sets, accounts, show=look, **source):
            reports.append(report)
            if not as_json:
                _echo_report(report)
    other, notes = said.check()
    fault = fault_of(reports, len(sets), accounts) or other
    notes += [note] if (note := kinship.note()) else []
    if as_json:
        problems = [problem.as_dict() for problem in accounts.problems]
        files = [report.as_dict() for report in reports]
        told = {"ok": fault is None, "files": files, "problems": problems, "notes": notes}
        echo(json.dumps(told, ensure_ascii=False))
    else:
        for note in notes:
            echo(f"note: {note}")
    if fault is not None:
        raise fault


def _echo_report(report: SetReport) -> None:
    from alignment_prism.cli.remedies import advice

    if (error := report.error) is not None:
        fix = advice(error.fix or "", error.settings, click.get_current_context().command)
        echo(f"{error.where or report.file}: {error.what}\n  fix: {fix}")
        return
    intake = report.intake
    echo(f"{report.file}: {intake.rows} rows, {intake.accepted} good, {intake.rejected} bad")
    for what, count in intake.reasons.most_common():
        echo(f"  bad: {count} x {what}")
    for what, count in intake.notes.most_common():
        rows = [str(note.row) for note in intake.examples[what]]
        more = ", ..." if count > len(rows) else ""
        echo(f"  note: {count} x {what} (rows {', '.join(rows)}{more})")
    if report.stopped is not None:
        echo(f"  {report.stopped.what}; --keep-going reads on, --max-errors sets the number")


@command.command("stats", short_help="Count prompts by language, scope and category.")
@SETS
@group("reading", ReadingOptions)
@group("rows", RowOptions)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.option("--markdown", is_flag=True, help="Print Markdown tables.")
@click.option("--out", type=click.Path(), help="Write the table as .parquet or .md as well.")
def stats(
    sets: tuple[str, ...],
    reading: ReadingOptions,
    rows: RowOptions,
    as_json: bool,
    markdown: bool,
    out: str | None,
) -> None:
    """Count prompts by language, scope and category, as the tables of the paper do.

    \b
    Examples:
      prism prompts stats aya --revision main
      prism prompts stats aya_*.jsonl --markdown
      prism prompts stats mine.csv --map prompt=text --language fr --set kind=general --json
    """
    from alignment_prism.domain.text import markdown_table
    from alignment_prism.prompts.sources import iter_sets
    from alignment_prism.prompts.stats import Census, census_tables, write_census
    from alignment_prism.prompts.translations import Kinship

    rows.check_outputs(sets, reading, out)
    check_ending(out, ".parquet", ".md")
    source = reading.source()
    languages = source["languages"]
    census, kinship = Census(), Kinship()
    with rows.accounts() as accounts:
        for prompt in iter_sets(sets, accounts, **source):
            census.add(prompt)
            kinship.add(prompt)
    accounts.require_none()
    note = kinship.note()
    if out:
        write_census(census, languages, out)
    if as_json:
        notes = [note] if note else []
        counts = {**census.as_dict(languages), "rows": accounts.counts(), "notes": notes}
        echo(json.dumps(counts, ensure_ascii=False))
        return
    for title, columns, body in census_tables(census, languages):
        echo(f"**{title}**\n\n{markdown_table(columns, body)}\n" if markdown else _table(title, columns, body))
    if note:
        echo(f"note: {note}")
    echo_rejects(accounts)


def _table(title: str, columns: list[str], rows: list[list[Any]]) -> str:
    """A table in columns of even width, the first to the left and the others to the right."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(columns, *rows, strict=True)]
    lines = [title]
    for row in (columns, *rows):
        first, *others = (str(cell) for cell in row)
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join([*lines, ""])


@command.command("convert", short_help="Write sets of any kind as prompts of this package.")
@SETS
@click.option("--out", type=click.Path(), required=True, help="The prompts, .jsonl, .jsonl.gz or .parquet.")
@group("reading", ReadingOptions)
@group("rows", RowOptions)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def convert(
    sets: tuple[str, ...],
    out: str,
    reading: ReadingOptions,
    rows: RowOptions,
    as_json: bool,
) -> None:
    """Write sets of any kind as prompts of this package: one record a prompt, checked, with ids.

    Nothing is written if a row is bad, unless --keep-going skips such rows, into a file of rejects.

    \b
    Examples:
      prism prompts convert aya --out aya.parquet
      prism prompts convert mine.csv --map prompt=text,language=lang,kind=kind --out mine.jsonl --keep-going
      prism prompts convert xsafety/fr/*.csv --out fr.jsonl
    """
    from alignment_prism.domain import Prompt
    from alignment_prism.io import write_records
    from alignment_prism.prompts.sources import iter_sets

    rows.check_outputs(sets, reading, records=out)
    source, written = reading.source(), 0
    with rows.accounts(out) as accounts:
        prompts = usable(iter_sets(sets, accounts, **source), accounts)
        with contextlib.suppress(NothingGood):
            written = write_records(out, prompts, Prompt)
    require_some(written, sets, accounts)
    if as_json:
        counts = {"written": written, "rejected": accounts.rejected, "files": accounts.counts()}
        echo(json.dumps(counts, ensure_ascii=False))
    else:
        echo_rejects(accounts)
        echo(f"{accounts.rows} rows: {written} prompts in {out}, {accounts.rejected} rejected")


@command.command("overlap", short_help="Find prompts of one set that another has too.")
@click.argument("one", type=SET, metavar="A")
@click.argument("other", type=SET, metavar="B")
@click.option("--threshold", type=float, default=0.7, show_default=True, help="Least similarity (Jaccard).")
@click.option("--n", type=int, default=5, show_default=True, help="Characters of an n-gram.")
@click.option("--out", type=click.Path(), help="Write every match, by ids, as .jsonl.")
@click.option("--fail", is_flag=True, help="End with exit code 2 if anything matches.")
@group("reading", ReadingOptions)
@group("rows", RowOptions)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def overlap(
    one: str,
    other: str,
    threshold: float,
    n: int,
    out: str | None,
    fail: bool,
    reading: ReadingOptions,
    rows: RowOptions,
    as_json: bool,
) -> None:
    """Find prompts of A that B has too, word for word or nearly, in any script, or through English translations.

    B is held in memory and A is streamed past it, so let A be the larger one. Give a set twice to find the
    near-duplicates within it. English translations are columns literal_translation, semantic_translation or english.

    \b
    Examples:
      prism prompts overlap training.jsonl evaluation.jsonl --fail
      prism prompts overlap aya_srp.jsonl flores200/dev/srp_Cyrl.dev --out matches.jsonl
      prism prompts overlap mine.csv aya --map prompt=hindi,english=original --language hi --set kind=harmful
    """
    from alignment_prism.domain import InputError
    from alignment_prism.io import text_writer
    from alignment_prism.prompts.overlap import find_overlap
    from alignment_prism.prompts.sources import iter_sets

    rows.check_outputs((one, other), reading, out)
    source = reading.source()
    with rows.accounts() as accounts:
        first = iter_sets((one,), accounts, **source)
        second = iter_sets((other,), accounts, **source) if other != one else None
        with text_writer(out) if out else contextlib.nullcontext() as stream:
            found = find_overlap(first, second, threshold=threshold, n=n, on_match=partial(_write_match, stream))
            accounts.require_none()  # before the file takes its place
    if as_json:
        echo(json.dumps(found.counts, ensure_ascii=False))
    else:
        _echo_overlap(found, out)
        echo_rejects(accounts)
    if fail and found.counts["matches"]:
        fix = "take them out, or split both together with prism prompts split"
        raise InputError(f"{found.counts['matches']} matches between {one} and {other}", fix=fix)


def _write_match(stream: IO[str] | None, match: Match) -> None:
    if stream is not None:
        stream.write(json.dumps(match.as_dict(), ensure_ascii=False) + "\n")


def _echo_overlap(found: Overlap, out: str | None) -> None:
    """The counts and the closest matches, by ids."""
    counts = found.counts
    if found.within:
        echo(f"{counts['matches']} pairs of near-duplicates among {counts['first']} prompts")
    else:
        echo(
            f"{counts['matches']} matches: {counts['prompts_of_the_first']} of {counts['first']} prompts of A, "
            f"{counts['prompts_of_the_second']} of {counts['second']} of B"
        )
    for name in ("how", "languages"):
        if counts[name]:
            echo(f"  by {name}: " + ", ".join(f"{key} {count}" for key, count in counts[name].items()))
    for match in found.closest:
        echo(f"  {match.similarity:.2f}  {match.one}  {match.other}  {'-'.join(match.languages)}  {match.how}")
    if counts["matches"] > len(found.closest):
        echo(f"  ... {counts['matches'] - len(found.closest)} more" + ("" if out else "; --out writes all"))
    if out:
        echo(f"wrote {out}")


@command.command("split", short_help="Divide prompts into parts that share nothing.")
@SETS
@click.option("--part", "parts", multiple=True, metavar="NAME=SIZE",
              help="A part and its size a language: a count, a share below 1, or 'rest'.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option(
    "--threshold", type=float, default=0.7, show_default=True, help="Near-duplicates from here stay together."
)
@click.option("--n", type=int, default=5, show_default=True, help="Characters of an n-gram.")
@click.option("--check", is_flag=True, help="Only make sure that the parts that rows name share nothing.")
@click.option("--out", type=click.Path(), help="All prompts with their part, .jsonl or .parquet.")
@group("reading", ReadingOptions)
@group("rows", RowOptions)
def split(
    sets: tuple[str, ...],
    parts: tuple[str, ...],
    seed: int,
    threshold: float,
    n: int,
    check: bool,
    out: str | None,
    reading: ReadingOptions,
    rows: RowOptions,
) -> None:
    """Divide prompts into parts that share nothing: groups, translations and near-duplicates stay together.

    Stratified by language and scope, the same for the same seed. Writes OUT and OUT.manifest.json.

    \b
    Examples:
      prism prompts split aya --part seed=100 --part eval=rest --seed 1 --out aya_split.parquet
      prism prompts split aya_split.parquet --check
    """
    from alignment_prism.cli.progress import progress_bar
    from alignment_prism.domain import InputError
    from alignment_prism.prompts.sources import iter_sets
    from alignment_prism.prompts.splits import check_parts, split_prompts, write_split
    from alignment_prism.store.names import manifest_beside

    if not (check or out):
        raise InputError("no file to write to", fix="name it with --out, or only check with --check")
    sizes = _sizes(parts)
    rows.check_outputs(sets, reading, manifest_beside(out) if out else None, records=out or "")
    source = reading.source()
    with rows.accounts(out) as accounts:
        prompts = list(iter_sets(sets, accounts, **source))
    accounts.require_none()
    echo_rejects(accounts)
    if check:
        with progress_bar("prompts compared") as progress:
            named = check_parts(prompts, threshold=threshold, n=n, progress=progress).most_common()
        counts = ", ".join(f"{name or '(none)'} {count}" for name, count in named)
        echo(f"no leak between {counts} at similarity {threshold}")
    elif out:
        with progress_bar("prompts compared") as progress:
            divided = split_prompts(prompts, sizes, seed=seed, threshold=threshold, n=n, progress=progress)
        write_split(divided, out)
        _echo_split(divided, out)


def _sizes(parts: tuple[str, ...]) -> dict[str, float | str]:
    """Sizes of parts: counts, shares or `rest`."""
    from alignment_prism.cli.parse import parse_mapping
    from alignment_prism.domain import InputError
    from alignment_prism.prompts.splits import REST

    sizes: dict[str, float | str] = {}
    for name, size in parse_mapping(parts, "--part").items():
        try:
            sizes[name] = size if size == REST else float(size)
        except ValueError:
            fix = "write --part seed=100 (a count), train=0.5 (a share) or eval=rest"
            raise InputError(f"--part {name}={size} is no size", fix=fix) from None
    return sizes


def _echo_split(divided: Split, out: str) -> None:
    for part, languages in sorted(divided.manifest["counts"].items()):
        total = sum(sum(scopes.values()) for scopes in languages.values())
        each = ", ".join(f"{language} {sum(scopes.values())}" for language, scopes in sorted(languages.items()))
        echo(f"{part}: {total} ({each})")
    together = divided.manifest["grouped_prompts"]
    echo(f"{together} prompts were kept together with their like; wrote {out} and {out}.manifest.json")


command.add_command(variants)
