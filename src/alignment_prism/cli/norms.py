"""`prism preferences norms`: pairs whose right reply depends on the country that the prompt names."""

from __future__ import annotations

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import group
from alignment_prism.cli.outputs import check_outputs, replace_option
from alignment_prism.cli.pair_options import FILES, PairOptions
from alignment_prism.store.names import manifest_beside


@click.command("norms", short_help="Pairs that differ in the country alone, and whose right reply flips.")
@FILES
@click.option("--abroad", multiple=True, metavar="CC",
              help="A country in which the norms do not hold, two letters, several times.")  # fmt: skip
@click.option("--templates", type=click.Path(), help="YAML file of templates; border@1 unless given.")
@click.option("--out", type=click.Path(), required=True, help="The pairs that are made, .jsonl or .parquet.")
@group("reading", PairOptions)
@replace_option
def norms(
    files: tuple[str, ...],
    abroad: tuple[str, ...],
    templates: str | None,
    out: str,
    reading: PairOptions,
    replace: bool,
) -> None:
    """Norms as policy: each safety pair of local harm at home, and in every country where its norm does not hold.

    The prompts of a norm differ in one sentence, which says where somebody lives. At home the replies are preferred as
    they are; elsewhere the other way round. Where a norm ends no file knows: name the countries, or give pairs columns
    harmful_in and harmless_in. Other pairs are left out. The home of a pair is its column country, else its language's.

    \b
    Example:
      prism preferences norms safety.jsonl --abroad FR --abroad US --out norms.parquet
    """
    from alignment_prism.domain import InputError
    from alignment_prism.preferences.files import write_pairs
    from alignment_prism.preferences.norms import norm_pairs
    from alignment_prism.prompts.border import read_borders

    check_outputs(manifest_beside(out), records=out, inputs=files, replace=replace)
    pairs, words = reading.read(files, out), read_borders(templates)
    made = list(norm_pairs(pairs, words, abroad=abroad))
    if not made:
        what = f"none of {len(pairs)} pairs is a safety pair of local harm with both replies"
        raise InputError(what, where=", ".join(files)[:300], fix="a column scope says which are local")
    write_pairs(made, out, files, {"norms": words.label, "abroad": sorted(map(str.upper, abroad))})
    flipped = sum(not pair.metadata["holds"] for pair in made)
    echo(f"{len(made)} pairs of {len(pairs)}, {flipped} of them with the replies turned; wrote {out}")
