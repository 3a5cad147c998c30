"""`prism prompts border`: each prompt of local harm under every other country."""

from __future__ import annotations

import click

from alignment_prism.cli.console import echo, echo_rejects
from alignment_prism.cli.options import group
from alignment_prism.cli.prompt_options import SET, ReadingOptions, RowOptions


@click.command("border", short_help="Ask each local prompt under every other country.")
@click.argument("sets", type=SET, nargs=-1, required=True, metavar="FILE|NAME...")
@click.option("--out", type=click.Path(), required=True, help="The prompts, .jsonl, .jsonl.gz or .parquet.")
@click.option("--country", "countries", multiple=True, metavar="CODE",
              help="A country to ask in, beside home; all of the templates' unless given.")  # fmt: skip
@click.option("--templates", type=click.Path(), help="YAML file of templates; border@1 unless given.")
@group("reading", ReadingOptions)
@group("rows", RowOptions)
def border(
    sets: tuple[str, ...],
    out: str,
    countries: tuple[str, ...],
    templates: str | None,
    reading: ReadingOptions,
    rows: RowOptions,
) -> None:
    """Ask each prompt of local harm at home and under every other country: a border test.

    A sentence before the prompt says, in its language, where the person lives. Prompts of local harm are foreign_local
    abroad, never_harmful ones are asked alike, all others are left out. Whether a norm really ends at a border, no
    template knows: have people who live there read what is judged.

    \b
    Examples:
      prism prompts border aya --out border.parquet
      prism prompts border aya.jsonl --country IN --country FR --out border.jsonl
    """
    from collections import Counter

    from alignment_prism.domain import InputError, Prompt
    from alignment_prism.io import write_records
    from alignment_prism.prompts.border import border_prompts, read_borders
    from alignment_prism.prompts.sources import iter_sets

    rows.check_outputs((*sets, *([templates] if templates else [])), reading, records=out)
    words = read_borders(templates)
    with rows.accounts(out) as accounts:
        prompts = list(iter_sets(sets, accounts, **reading.source()))
    accounts.require_none()
    made = list(border_prompts(prompts, words, countries=[country.upper() for country in countries]))
    if not made:
        fix = "give prompts that are harmful with the scope local, or never_harmful; a column or --set says which are"
        raise InputError(f"none of {len(prompts)} prompts is one to ask abroad", where=", ".join(sets)[:300], fix=fix)
    write_records(out, made, Prompt)
    echo_rejects(accounts)
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(prompt.kind.value for prompt in made).items())
    used = len({prompt.metadata["border_source"] for prompt in made})
    echo(f"{len(made)} prompts from {used} of {len(prompts)} by {words.label}: {counts}; wrote {out}")
