"""Options that every command which reads prompts has, and what they come to."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from alignment_prism.cli.outputs import claim
from alignment_prism.store.names import rejects_beside

if TYPE_CHECKING:
    from alignment_prism.cli.console import Rejects
    from alignment_prism.domain import Languages, Prompt
    from alignment_prism.io import Intake
    from alignment_prism.io.identity import Identities

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
        click.option("--replace", is_flag=True, help="Replace output files that are there already."),
        click.option("--keep-going", is_flag=True, help="Leave bad rows out, into a file of rejects, and go on."),
    ):  # fmt: skip
        command = option(command)
    return command


def claim_outputs(
    sets: Iterable[str],
    options: Mapping[str, Any],
    rejects: str | None,
    replace: bool,
    *outputs: str | None,
    records: str = "",
) -> None:
    """Make sure that outputs and the file of rejects may be written, before anything is read.

    A file of rejects that is named by the output is made anew with it; one with a name of its own is an output.

    Raises:
        InputError: an output is one of the sets or another input.
        StoreError: one is there already and not to be replaced, or cannot be written.
    """
    inputs = (*sets, options["language_file"])
    claim(*outputs, rejects, inputs=inputs, replace=replace, records=records)
    if records and not rejects:
        claim(rejects_beside(records), inputs=inputs, replace=True)


@dataclass
class PromptReader:
    """Reads prompts as the options say.

    Args:
        options: values of `reading_options`, by name.
    """

    options: dict[str, Any]
    languages: Languages
    mapping: dict[str, str]
    defaults: dict[str, str]

    @classmethod
    def of(cls, options: dict[str, Any]) -> PromptReader:
        """Checks the options and takes them out of `options`.

        Raises:
            InputError: a column map is not FIELD=COLUMN, the delimiter is empty, a map names a field that is nearly one
                of ours, a value that is meant for every row cannot be right, or the language file cannot be read.
        """
        from alignment_prism.cli.console import parse_mapping, registry

        names = (
            "mapping", "defaults", "language", "language_file", "format_name", "taxonomy", "delimiter", "no_header",
            "quoting", "revision", "hub_split", "config",
        )  # fmt: skip
        taken = {name: options.pop(name) for name in names}
        if taken["delimiter"] == "":
            from alignment_prism.domain import InputError

            raise InputError("--delimiter is empty", fix="give one character, or leave it out for the suffix's own")
        defaults = parse_mapping(taken["defaults"], "--set")
        if taken["language"]:
            defaults["language"] = taken["language"]
        languages = registry(taken["language_file"])
        mapping = parse_mapping(taken["mapping"])
        _check_names(mapping, "--map")
        _check_names(defaults, "--set")
        if "language" in defaults:
            languages.find(defaults["language"])
        return cls(taken, languages, mapping, defaults)

    def iter(self, name: str, intake: Intake, identities: Identities | None = None) -> Iterator[Prompt]:
        """Prompts of a file, a known set or a Hub dataset.

        Raises:
            InputError: see `iter_source`.
        """
        from alignment_prism.domain import AYA_TAXONOMY, Taxonomy
        from alignment_prism.io import TableOptions
        from alignment_prism.prompts import iter_source

        taxonomy: Taxonomy | None = AYA_TAXONOMY if self.options["taxonomy"] == "aya" else None
        return iter_source(
            name,
            revision=self.options["revision"],
            split=self.options["hub_split"],
            config=self.options["config"],
            mapping=self.mapping,
            defaults=self.defaults,
            format_name=self.options["format_name"],
            languages=self.languages,
            taxonomy=taxonomy,
            intake=intake,
            identities=identities,
            table=TableOptions(
                self.options["delimiter"] or "", not self.options["no_header"], self.options["quoting"] == "csv"
            ),
        )


def _check_names(given: Mapping[str, str], option: str) -> None:
    """A name that no field has goes into the metadata; one that nearly is a field's is a slip of the pen.

    Raises:
        InputError: there is such a name.
    """
    from alignment_prism.domain import InputError
    from alignment_prism.prompts.plain import FIELDS

    for name in given:
        near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.82)
        if near and name not in FIELDS:
            raise InputError(
                f"{option} names {name!r}, which is no field",
                fix=f"write {near[0]!r}; or give it a name of its own, under which it goes into the metadata",
            )


def all_prompts(sets: tuple[str, ...], reader: PromptReader, accounts: Rejects) -> Iterator[Prompt]:
    """Prompts of all sets, under ids that are unique over all of them."""
    from alignment_prism.io.identity import Identities

    identities = Identities()
    for name in sets:
        yield from reader.iter(name, accounts.intake(name), identities)


def say_left_out(intakes: Iterable[Intake]) -> None:
    """Which languages were left out because they are not known here, and how many prompts of each."""
    for intake in intakes:
        for what, count in intake.notes.items():
            if what.endswith("are left out"):
                click.echo(f"  note: {count} x {what}; add it with --languages FILE", err=True)
