"""`prism preferences xray`: what tells the preferred side of pairs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.console import console, echo
from alignment_prism.cli.options import group
from alignment_prism.cli.outputs import check_ending, check_outputs, replace_option
from alignment_prism.cli.pair_options import FILES, PairOptions

if TYPE_CHECKING:
    from alignment_prism.preferences.separation import Separation
    from alignment_prism.preferences.xray import LanguageFacts, Xray


@click.command("xray", short_help="Can the preferred side be told without reading it?")
@FILES
@group("reading", PairOptions)
@click.option("--tokenizer", metavar="FOLDER", help="Model whose tokens are counted, language by language; or nano.")
@click.option("--max-tokens", type=click.IntRange(1), help="Of a training example: how many pairs are longer.")
@click.option("--threshold", type=click.FloatRange(0.5, 1.0), default=0.7, show_default=True,
              help="AUC above which the whole interval must lie for a flag.")  # fmt: skip
@click.option("--fail", is_flag=True, help="End with exit code 2 if anything is flagged.")
@click.option("--out", type=click.Path(), help="Write all of it as .json as well.")
@replace_option
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def xray(
    files: tuple[str, ...],
    reading: PairOptions,
    tokenizer: str | None,
    max_tokens: int | None,
    threshold: float,
    fail: bool,
    out: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Can the preferred side be told by length, first word, characters, generator or language alone? And what else?

    Each cue has an AUC, the probability that it prefers the side that is preferred: cross-validated by prompt, with an
    interval over prompts, language by language. 0.5 is what ought to be. Beside it: lengths, refusals, safety share,
    duplicates, and with --tokenizer what each language costs in tokens.

    \b
    Examples:
      prism preferences xray pairs.jsonl
      prism preferences xray harmless.jsonl.gz --language en --kind safety --keep-going
      prism preferences xray mine.parquet --tokenizer models/aya-23-8B --max-tokens 1024 --fail
    """
    from alignment_prism.domain import InputError
    from alignment_prism.io import write_json
    from alignment_prism.models.names import resolve
    from alignment_prism.preferences.xray import load_tokens
    from alignment_prism.preferences.xray import xray as xray_of

    check_ending(out, ".json")
    check_outputs(out, inputs=files, replace=replace)
    tokens = None if tokenizer is None else load_tokens(resolve(tokenizer, local=True).folder())
    pairs = reading.read(files)
    found = xray_of(pairs, threshold=threshold, tokens=tokens, max_tokens=max_tokens)
    if out:
        write_json(out, found.as_dict())
    if as_json:
        echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _echo_xray(found)
    if fail and found.flags:
        fix = "repair the file (prism preferences repair), or have both sides written by the model to be aligned"
        raise InputError(f"{len(found.flags)} flags", where=", ".join(files)[:300], fix=fix)


def _echo_xray(found: Xray) -> None:
    from rich.table import Table

    cues = list(dict.fromkeys(one.cue for one in found.separations))
    table = Table(title="Told by (AUC, 95 %; * flagged)", title_justify="left")
    table.add_column("language")
    for cue in cues:
        table.add_column(cue.replace("_", " "), justify="right")
    cells = {(one.language, one.cue): one for one in found.separations}
    for language in dict.fromkeys(one.language for one in found.separations):
        table.add_row(language, *(_auc(cells.get((language, cue))) for cue in cues))
    shown = console()
    shown.print(table)
    facts = Table(title="What is there", title_justify="left")
    columns = ("language", "pairs", "prompts", "safety", "chars chosen", "rejected", "refuse chosen", "rejected")
    by_tokens = any(one.tokens_per_character is not None for one in found.languages)
    for column in (*columns, *(("tokens/char", "x English", "too long") if by_tokens else ())):
        facts.add_column(column, justify="left" if column == "language" else "right")
    for one in found.languages:
        facts.add_row(*_facts(one, by_tokens))
    shown.print(facts)
    same = found.duplicates
    echo(f"again: {same.pairs} pairs, {same.prompts} prompts, {same.near_prompts} near-duplicates of prompts, "
         f"{same.contradictions} pairs the other way round, {same.same_sides} with two like sides")  # fmt: skip
    for line in found.unknown:
        echo(f"not known: {line}")
    for line in found.flags:
        echo(f"flag: {line}")
    if not found.flags:
        echo("no flags")


def _auc(one: Separation | None) -> str:
    if one is None:
        return ""
    if not one.is_known:
        return "too few"
    return f"{one.auc.estimate:.2f} [{one.auc.lower:.2f}, {one.auc.upper:.2f}]{'*' if one.flagged else ' '}"


def _facts(one: LanguageFacts, by_tokens: bool) -> list[str]:
    def share(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.0f} %"

    cells: list[Any] = [one.language, one.pairs, one.prompts, share(one.safety), f"{one.chosen_characters:.0f}"]
    cells += [f"{one.rejected_characters:.0f}", share(one.chosen_refusals), share(one.rejected_refusals)]
    if by_tokens:
        cells += ["" if value is None else f"{value:.2f}" for value in (one.tokens_per_character, one.cost)]
        cells.append(share(one.too_long))
    return [str(cell) for cell in cells]
