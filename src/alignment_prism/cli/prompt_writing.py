"""Writing prompts that were read: what becomes of bad rows, and prompts in another script."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from alignment_prism.cli.console import echo, echo_rejects
from alignment_prism.cli.options import group
from alignment_prism.cli.prompt_options import SETS, ReadingOptions, RowOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alignment_prism.domain import Prompt
    from alignment_prism.io.rejects import Rejects


class NothingGood(Exception):
    """No row can be used: the file is not written, but that of rejects is."""


def require_some(written: int, sets: tuple[str, ...], accounts: Rejects) -> None:
    """Refuse a result without a prompt.

    Raises:
        InputError: no row could be used.
    """
    from alignment_prism.domain import InputError

    if accounts.rows and not written:
        echo_rejects(accounts)
        fix = f"{accounts.path} has each with its reason; is this the right file, and the right --map?"
        raise InputError(f"none of {accounts.rows} rows can be used", where=", ".join(sets)[:300], fix=fix)


def usable(prompts: Iterator[Prompt], accounts: Rejects) -> Iterator[Prompt]:
    """The prompts; faults of theirs are raised at their end, before the file that they go to takes its place."""
    written = 0
    for prompt in prompts:
        written += 1
        yield prompt
    accounts.require_none()
    if accounts.rows and not written:
        raise NothingGood


@click.command("variants", short_help="Add every prompt in another script, by table.")
@SETS
@click.option("--out", type=click.Path(), required=True, help="The prompts and their variants, .jsonl or .parquet.")
@group("reading", ReadingOptions)
@group("rows", RowOptions)
def variants(sets: tuple[str, ...], out: str, reading: ReadingOptions, rows: RowOptions) -> None:
    """Write prompts and, after each, the same one in another script: Serbian in the other, Hindi and Arabic romanised.

    The same text always gives the same variant. Variants share the group of their source, so that intervals take the
    two for one cluster.

    \b
    Examples:
      prism prompts variants aya_srp.jsonl aya_hin.jsonl --out scripts.jsonl
    """
    from alignment_prism.domain import Prompt
    from alignment_prism.io import write_records
    from alignment_prism.prompts.sources import iter_sets
    from alignment_prism.prompts.variants import VARIANT_OF, VARIANTS, with_variants

    rows.check_outputs(sets, reading, records=out)
    source = reading.source()
    written, found = 0, 0

    def counted(prompts: Iterator[Prompt]) -> Iterator[Prompt]:
        nonlocal found
        for prompt in prompts:
            found += VARIANT_OF in prompt.metadata
            yield prompt

    with rows.accounts(out) as accounts:
        prompts = usable(iter_sets(sets, accounts, **source), accounts)
        with contextlib.suppress(NothingGood):
            written = write_records(out, counted(with_variants(prompts)), Prompt)
    require_some(written, sets, accounts)
    echo_rejects(accounts)
    tables = "" if found else f" (there are tables for {', '.join(sorted(VARIANTS))})"
    words = f"{written} prompts in {out}, {found} of them variants{tables}"
    echo(f"{accounts.rows} rows: {words}, {accounts.rejected} rejected")
