"""`prism mix`: safety and general pairs into one training set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.console import echo, echo_problem, echo_rejects
from alignment_prism.cli.outputs import check_outputs, replace_option

if TYPE_CHECKING:
    from alignment_prism.io.rejects import Rejects
    from alignment_prism.mixtures import Balance


def _balance(context: click.Context, parameter: click.Parameter, value: str) -> Balance:
    if value in ("pool", "equal"):
        return "pool" if value == "pool" else "equal"
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter("give pool, equal, or a number of at least 1") from None


@click.command("mix")
@click.option("--safety", type=click.Path(), multiple=True, help="File of safety pairs; may be given several times.")
@click.option("--general", type=click.Path(), multiple=True, help="File of general pairs; may be given several times.")
@click.option("--share", type=float, required=True, help="Share of safety pairs, 0 to 1 (the paper: 0, 0.15, 1).")
@click.option("--total", type=int, help="Pairs in the mixture; as many as the pools can fill unless given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw and the order.")
@click.option("--balance", default="pool", callback=_balance, show_default=True,
              help="Spread over scope x language: as the pool is, equally, or at a temperature.")  # fmt: skip
@click.option("--scope", type=click.Choice(["global", "local"]), help="Safety pairs of this scope only.")
@click.option("--language", help="Language of pairs that do not say theirs.")
@click.option("--prefer", type=click.Choice(["better", "safer"]), default="better", show_default=True,
              help="Which label of PKU-SafeRLHF rows to use.")  # fmt: skip
@click.option("--map", "mapping", multiple=True, metavar="FIELD=COLUMN[,...]", help="Columns of the files.")
@click.option("--languages", "language_file", type=click.Path(), help="YAML file with further languages.")
@click.option("--keep-going", is_flag=True, help="Skip bad rows, into OUT.rejects.jsonl, instead of stopping.")
@click.option("--max-errors", type=int, default=20, show_default=True,
              help="Stop after that many bad rows (0: never); with --keep-going list that many.")  # fmt: skip
@click.option("--out", type=click.Path(), required=True, help="The mixture, .jsonl or .parquet.")
@replace_option
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def command(
    safety: tuple[str, ...],
    general: tuple[str, ...],
    share: float,
    total: int | None,
    seed: int,
    balance: Balance,
    scope: str | None,
    language: str | None,
    prefer: str,
    mapping: tuple[str, ...],
    language_file: str | None,
    keep_going: bool,
    max_errors: int,
    out: str,
    replace: bool,
    as_json: bool,
) -> None:
    """Mix safety and general preference pairs: exact counts, stratified by scope x language, seeded.

    Writes the mixture and OUT.manifest.json, which says of every pair where it came from.

    \b
    Examples:
      prism mix --safety safety.jsonl --general general.jsonl --share 0.15 --total 2000 --seed 1 --out mix.jsonl
      prism mix --general ultrafeedback.parquet --share 0 --out control.parquet
      prism mix --safety harmless.jsonl.gz --language en --share 1 --keep-going --out safety.jsonl
    """

    from alignment_prism.cli.parse import parse_mapping, registry
    from alignment_prism.domain import PairKind, Scope
    from alignment_prism.io.rejects import open_rejects
    from alignment_prism.mixtures import build_mixture, check_size
    from alignment_prism.mixtures.files import read_pools, write_mixture
    from alignment_prism.store.names import manifest_beside, rejects_beside

    check_size(share, total, balance)
    inputs = (*safety, *general, language_file)
    check_outputs(manifest_beside(out), records=out, inputs=inputs, replace=replace)
    check_outputs(rejects_beside(out), inputs=inputs, replace=True)
    languages, columns = registry(language_file), parse_mapping(mapping)
    files = {PairKind.SAFETY: safety, PairKind.GENERAL: general}
    with open_rejects(rejects_beside(out), keep_going, max_errors, echo_problem) as rejects:
        pools = read_pools(files, rejects, language=language, mapping=columns, languages=languages, prefer=prefer)
    rejects.require_none()
    mixture = build_mixture(
        pools[PairKind.SAFETY],
        pools[PairKind.GENERAL],
        share=share,
        total=total,
        seed=seed,
        balance=balance,
        scopes=[Scope(scope)] if scope else None,
    )
    manifest = write_mixture(mixture, out, rejects)
    if as_json:
        echo(json.dumps({key: value for key, value in manifest.items() if key != "pairs"}, ensure_ascii=False))
    else:
        _echo_mixture(manifest["sides"], out, rejects)


def _echo_mixture(sides: dict[str, Any], out: str, rejects: Rejects) -> None:
    from alignment_prism.io.identity import SAME_PAIR
    from alignment_prism.preferences.pairs import SAYS_SAFETY
    from alignment_prism.store.names import manifest_beside

    counts = ", ".join(f"{side['drawn']} of {side['pool']} {name}" for name, side in sides.items())
    echo(f"{sum(side['drawn'] for side in sides.values())} pairs: {counts}")
    for name, side in sides.items():
        for stratum in side["strata"]:
            place = f"{name:8} {stratum['scope']:7} {stratum['language']:4}"
            echo(f"  {place} {stratum['drawn']:6} of {stratum['pool']}")
    if again := rejects.noted(SAME_PAIR):
        echo(f"  {again} pairs of the pools occur more than once; each copy counts", err=True)
    if wrong := rejects.noted(SAYS_SAFETY):
        echo(f"  {wrong} pairs of the general pool say that they are safety pairs; they count as general", err=True)
    echo_rejects(rejects)
    echo(f"wrote {out} and {manifest_beside(out)}")
