"""Options of the commands that read prompts, and what they come to."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from alignment_prism.cli.outputs import check_outputs, replace_option
from alignment_prism.cli.parse import parse_mapping, registry
from alignment_prism.store.names import rejects_beside

if TYPE_CHECKING:
    from alignment_prism.prompts.sources import SourceOptions

F = TypeVar("F", bound=Callable[..., Any])


class PromptSet(click.Path):
    """A file, a set known by name, or a Hub dataset; the shell completes files and names."""

    name = "set"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Files; names of sets as well, but in bash, which takes either, only where no file begins so."""
        from alignment_prism.prompts import SOURCES

        names = _beginning([CompletionItem(name, help=source.repo) for name, source in SOURCES.items()], incomplete)
        if incomplete and names and not glob.glob(glob.escape(incomplete) + "*"):
            return names
        return [*names, CompletionItem(incomplete, type="file")]


SET = PromptSet()


def _beginning(items: list[CompletionItem], incomplete: str) -> list[CompletionItem]:
    return [item for item in items if str(item.value).startswith(incomplete)]


def _languages(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from alignment_prism.domain import LANGUAGES

    return _beginning([CompletionItem(each.code, help=each.name) for each in LANGUAGES], incomplete)


def _formats(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from alignment_prism.prompts import FORMATS

    return _beginning([CompletionItem(name, help=each.words) for name, each in FORMATS.items()], incomplete)


_READING = (
    click.option("--map", "mapping", multiple=True, metavar="FIELD=COLUMN[,...]",
                 help="Which column is which, for files of no known format: prompt=text,language=lang. "
                      "Without a header columns are 1, 2, ..."),
    click.option("--set", "defaults", multiple=True, metavar="FIELD=VALUE[,...]",
                 help="Values of rows that have none: kind=general,split=eval."),
    click.option("--language", shell_complete=_languages,
                 help="Language of rows that do not say theirs; short for --set language=CODE."),
    click.option("--languages", "language_file", type=click.Path(), help="YAML file with further languages."),
    click.option("--format", "format_name", shell_complete=_formats,
                 help="How rows are read; recognised by columns and name unless given."),
    click.option("--taxonomy", type=click.Choice(["aya", "any"]),
                 help="Check harm categories against the nine of Aya, or take any."),
    click.option("--delimiter", help="Between the fields of a table."),
    click.option("--no-header", is_flag=True, help="The table has no header."),
    click.option("--quoting", type=click.Choice(["csv", "none"]), default="csv", show_default=True,
                 help="Whether double quotes enclose fields."),
    click.option("--revision", help="Commit, tag or branch of a Hub dataset."),
    click.option("--hub-split", help="Split of a Hub dataset."),
    click.option("--config", help="Configuration of a Hub dataset."),
)  # fmt: skip


def reading_options(command: F) -> F:
    """Adds the options that say how prompts are read."""
    for option in reversed(_READING):
        command = option(command)
    return command


def keeping_options(command: F) -> F:
    """Adds the options that say what becomes of bad rows."""
    for option in (
        click.option("--rejects", type=click.Path(),
                     help="Where bad rows go with --keep-going; OUT.rejects.jsonl unless given."),
        click.option("--max-errors", type=int, default=20, show_default=True,
                     help="Stop after that many bad rows (0: never); with --keep-going only that many are listed."),
        replace_option,
        click.option("--keep-going", is_flag=True, help="Skip bad rows, into a file of rejects, and go on."),
    ):  # fmt: skip
        command = option(command)
    return command


def check_prompt_outputs(
    sets: Iterable[str],
    options: Mapping[str, Any],
    rejects: str | None,
    replace: bool,
    *outputs: str | None,
    records: str = "",
) -> None:
    """Check that outputs and the file of rejects may be written, before anything is read.

    A file of rejects that is named by the output is made anew with it; one with a name of its own is an output.

    Raises:
        InputError: an output is one of the sets or another input.
        StoreError: one is there already and not to be replaced, or cannot be written.
    """
    inputs = (*sets, options["language_file"])
    check_outputs(*outputs, rejects, inputs=inputs, replace=replace, records=records)
    if records and not rejects:
        check_outputs(rejects_beside(records), inputs=inputs, replace=True)


def source_options(options: Mapping[str, Any]) -> SourceOptions:
    """The values of `reading_options` as `iter_source` takes them.

    Raises:
        InputError: a column map is not FIELD=COLUMN, the delimiter is empty, the language is not known, or the language
            file cannot be read.
    """
    from alignment_prism.domain import AYA_TAXONOMY, InputError
    from alignment_prism.io import TableOptions

    if options["delimiter"] == "":
        raise InputError("--delimiter is empty", fix="give one character, or leave it out for the suffix's own")
    defaults = parse_mapping(options["defaults"], "--set")
    if options["language"]:
        defaults["language"] = options["language"]
    languages = registry(options["language_file"])
    if "language" in defaults:
        languages.find(defaults["language"])
    return {
        "mapping": parse_mapping(options["mapping"]),
        "defaults": defaults,
        "format_name": options["format_name"],
        "languages": languages,
        "taxonomy": AYA_TAXONOMY if options["taxonomy"] == "aya" else None,
        "table": TableOptions(options["delimiter"] or "", not options["no_header"], options["quoting"] == "csv"),
        "revision": options["revision"],
        "split": options["hub_split"],
        "config": options["config"],
    }
