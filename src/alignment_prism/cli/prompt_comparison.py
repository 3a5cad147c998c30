"""`prism prompts overlap` and `split`: what two sets share, and parts that share nothing."""

from __future__ import annotations

from typing import Any

import click

from alignment_prism.cli.prompt_options import SET, all_prompts, claim_outputs, keeping_options, reading_options


@click.command("overlap", short_help="Find prompts of one set that another has too.")
@click.argument("one", type=SET, metavar="A")
@click.argument("other", type=SET, metavar="B")
@click.option("--threshold", type=float, default=0.7, show_default=True, help="Least similarity (Jaccard).")
@click.option("--n", type=int, default=5, show_default=True, help="Characters of an n-gram.")
@click.option("--out", type=click.Path(), help="Write every match, by ids, as .jsonl.")
@click.option("--fail", is_flag=True, help="End with exit code 2 if anything matches.")
@reading_options
@keeping_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def overlap(
    one: str,
    other: str,
    threshold: float,
    n: int,
    out: str | None,
    fail: bool,
    rejects: str | None,
    max_errors: int,
    replace: bool,
    keep_going: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find prompts of A that B has too, word for word or nearly, in any script, or through English translations.

    B is held in memory and A is streamed past it, so let A be the larger one. Give a set twice to find the
    near-duplicates within it.

    \b
    Examples:
      prism prompts overlap training.jsonl evaluation.jsonl --fail
      prism prompts overlap aya_srp.jsonl flores200/dev/srp_Cyrl.dev --out matches.jsonl
    """
    import json

    from alignment_prism.cli.console import open_rejects, say_rejects
    from alignment_prism.cli.overlap import find_matches
    from alignment_prism.cli.prompt_options import PromptReader
    from alignment_prism.domain import InputError

    claim_outputs((one, other), options, rejects, replace, out)
    reader = PromptReader.of(options)
    with open_rejects(rejects or "", keep_going, max_errors) as accounts:
        found = find_matches(one, other, reader, accounts, threshold, n, out)
    if as_json:
        click.echo(json.dumps(found.counts, ensure_ascii=False))
    else:
        found.say()
        say_rejects(accounts)
    if fail and found.counts["matches"]:
        raise InputError(
            f"{found.counts['matches']} matches between {one} and {other}",
            fix="take them out, or split both together with prism prompts split",
        )


@click.command("split", short_help="Divide prompts into parts that share nothing.")
@click.argument("sets", type=SET, nargs=-1, required=True, metavar="FILE|NAME...")
@click.option("--part", "parts", multiple=True, metavar="NAME=SIZE",
              help="A part and its size a language: a count, a share below 1, or 'rest'.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option(
    "--threshold", type=float, default=0.7, show_default=True, help="Near-duplicates from here stay together."
)
@click.option("--n", type=int, default=5, show_default=True, help="Characters of an n-gram.")
@click.option("--check", is_flag=True, help="Only make sure that the parts that rows name share nothing.")
@click.option("--out", type=click.Path(), help="All prompts with their part, .jsonl or .parquet.")
@reading_options
@keeping_options
def split(
    sets: tuple[str, ...],
    parts: tuple[str, ...],
    seed: int,
    threshold: float,
    n: int,
    check: bool,
    out: str | None,
    rejects: str | None,
    max_errors: int,
    replace: bool,
    keep_going: bool,
    **options: Any,
) -> None:
    """Divide prompts into parts that share nothing: groups, translations and near-duplicates stay together.

    Stratified by language and scope, the same for the same seed. Writes OUT and OUT.manifest.json.

    \b
    Examples:
      prism prompts split aya --part seed=100 --part eval=rest --seed 1 --out aya_split.parquet
      prism prompts split aya_split.parquet --check
    """
    from alignment_prism.cli.console import open_rejects, say_rejects
    from alignment_prism.cli.overlap import check_parts, write_split
    from alignment_prism.cli.prompt_options import PromptReader
    from alignment_prism.store.names import manifest_beside, rejects_beside

    claim_outputs(sets, options, rejects, replace, manifest_beside(out) if out else None, records=out or "")
    reader = PromptReader.of(options)
    with open_rejects(rejects or (rejects_beside(out) if out else ""), keep_going, max_errors) as accounts:
        prompts = list(all_prompts(sets, reader, accounts))
    accounts.demand_none()
    say_rejects(accounts)
    if check:
        check_parts(prompts, threshold, n)
    else:
        write_split(prompts, parts, seed, threshold, n, out)
