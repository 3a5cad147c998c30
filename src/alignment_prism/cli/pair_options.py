"""Options of the commands that read files of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from alignment_prism.cli.console import echo, echo_problem, echo_rejects
from alignment_prism.cli.options import option
from alignment_prism.cli.parse import parse_mapping, registry
from alignment_prism.store.names import rejects_beside

if TYPE_CHECKING:
    from alignment_prism.domain import Pair

FILES = click.argument("files", type=click.Path(), nargs=-1, required=True, metavar="FILE...")


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How files of pairs are read."""

    mapping: tuple[str, ...] = option(
        "--map", multiple=True, metavar="FIELD=COLUMN[,...]", help="Columns of the files."
    )
    language: str | None = option("--language", help="Language of pairs that do not say theirs.")
    kind: str | None = option("--kind", type=click.Choice(["safety", "general"]),
                              help="Kind of all pairs, whatever the rows say.")  # fmt: skip
    prefer: str = option("--prefer", type=click.Choice(["better", "safer"]), default="better", show_default=True,
                         help="Which label of PKU-SafeRLHF rows to use.")  # fmt: skip
    language_file: str | None = option("--languages", type=click.Path(), help="YAML file with further languages.")
    keep_going: bool = option("--keep-going", is_flag=True, help="Skip bad rows instead of stopping.")
    max_errors: int = option("--max-errors", type=int, default=20, show_default=True,
                             help="Stop after that many bad rows (0: never); with --keep-going list them.")  # fmt: skip

    def read(self, files: tuple[str, ...], out: str = "") -> list[Pair]:
        """The pairs of the files; bad rows are listed, and with an output kept beside it."""
        from alignment_prism.io.rejects import open_rejects
        from alignment_prism.preferences.files import read_files
        from alignment_prism.preferences.labelled import NOTES

        beside = rejects_beside(out) if out else ""
        with open_rejects(beside, self.keep_going, self.max_errors, echo_problem) as rejects:
            pairs = read_files(
                files,
                rejects,
                kind=self.kind,
                language=self.language,
                mapping=parse_mapping(self.mapping),
                languages=registry(self.language_file),
                prefer=self.prefer,
            )
        echo_rejects(rejects)
        for note in NOTES:
            if count := rejects.noted(note):
                echo(f"  note: {count} row{'s' if count != 1 else ''}: {note}", err=True)
        return pairs
