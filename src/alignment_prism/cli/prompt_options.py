"""Options of the commands that read prompts, and what they come to."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from alignment_prism.cli.console import echo_problem
from alignment_prism.cli.options import option
from alignment_prism.cli.outputs import check_outputs
from alignment_prism.cli.parse import parse_mapping, registry
from alignment_prism.store.names import rejects_beside

if TYPE_CHECKING:
    from alignment_prism.io import Problem
    from alignment_prism.io.rejects import Rejects
    from alignment_prism.prompts.sources import SourceOptions


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


SETS = click.argument("sets", type=SET, nargs=-1, required=True, metavar="FILE|NAME...")


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How sets of prompts are read."""

    mapping: tuple[str, ...] = option(
        "--map", multiple=True, metavar="FIELD=COLUMN[,...]",
        help="Which column is which, for files of no known format: prompt=text,language=lang. "
             "Without a header columns are 1, 2, ...",
    )  # fmt: skip
    defaults: tuple[str, ...] = option(
        "--set", multiple=True, metavar="FIELD=VALUE[,...]",
        help="Values of rows that have none: kind=general,split=eval.",
    )  # fmt: skip
    language: str | None = option(
        "--language", shell_complete=_languages,
        help="Language of rows that do not say theirs; short for --set language=CODE.",
    )  # fmt: skip
    language_file: str | None = option("--languages", type=click.Path(), help="YAML file with further languages.")
    format_name: str | None = option(
        "--format", shell_complete=_formats, help="How rows are read; recognised by columns and name unless given."
    )
    taxonomy: str | None = option(
        "--taxonomy", type=click.Choice(["aya", "any"]),
        help="Check harm categories against the nine of Aya, or take any.",
    )  # fmt: skip
    delimiter: str | None = option("--delimiter", help="Between the fields of a table.")
    no_header: bool = option("--no-header", is_flag=True, help="The table has no header.")
    quoting: str = option(
        "--quoting", type=click.Choice(["csv", "none"]), default="csv", show_default=True,
        help="Whether double quotes enclose fields.",
    )  # fmt: skip
    revision: str | None = option("--revision", help="Commit, tag or branch of a Hub dataset.")
    hub_split: str | None = option("--hub-split", help="Split of a Hub dataset.")
    config: str | None = option("--config", help="Configuration of a Hub dataset.")

    def source(self) -> SourceOptions:
        """What they are to `iter_source`.

        Raises:
            InputError: a column map is not FIELD=COLUMN, the delimiter is empty, or the language file cannot be read.
        """
        from alignment_prism.domain import AYA_TAXONOMY, InputError
        from alignment_prism.io import TableOptions

        if self.delimiter == "":
            raise InputError("--delimiter is empty", fix="give one character, or leave it out for the suffix's own")
        defaults = parse_mapping(self.defaults, "--set")
        if self.language:
            defaults["language"] = self.language
        languages = registry(self.language_file)
        return {
            "mapping": parse_mapping(self.mapping),
            "defaults": defaults,
            "format_name": self.format_name,
            "languages": languages,
            "taxonomy": AYA_TAXONOMY if self.taxonomy == "aya" else None,
            "table": TableOptions(self.delimiter or "", not self.no_header, self.quoting == "csv"),
            "revision": self.revision,
            "split": self.hub_split,
            "config": self.config,
        }


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What becomes of bad rows, and of files that are there already."""

    keep_going: bool = option("--keep-going", is_flag=True, help="Skip bad rows, into a file of rejects, and go on.")
    replace: bool = option("--replace", is_flag=True, help="Replace output files that are there already.")
    max_errors: int = option(
        "--max-errors", type=int, default=20, show_default=True,
        help="Stop after that many bad rows (0: never); with --keep-going only that many are listed.",
    )  # fmt: skip
    rejects: str | None = option(
        "--rejects", type=click.Path(), help="Where bad rows go with --keep-going; OUT.rejects.jsonl unless given."
    )

    def check_outputs(
        self, sets: Iterable[str], reading: ReadingOptions, *outputs: str | None, records: str = ""
    ) -> None:
        """Check that outputs and the file of rejects may be written, before anything is read.

        A file of rejects that is named by the output is made anew with it; one with a name of its own is an output.

        Raises:
            InputError: an output is one of the sets or another input.
            StoreError: one is there already and not to be replaced, or cannot be written.
        """
        inputs = (*sets, reading.language_file)
        check_outputs(*outputs, self.rejects, inputs=inputs, replace=self.replace, records=records)
        if records and not self.rejects:
            check_outputs(rejects_beside(records), inputs=inputs, replace=True)

    def accounts(
        self, out: str | None = None, show: Callable[[Problem], None] | None = echo_problem
    ) -> AbstractContextManager[Rejects]:
        """Where rows are accounted for; `out` is what is made of them, beside which rejects are unless named."""
        from alignment_prism.io.rejects import open_rejects

        path = self.rejects or (rejects_beside(out) if out else "")
        return open_rejects(path, self.keep_going, self.max_errors, show)
