"""`prism labels passport`: how often a judge is right, from labelled replies."""

from __future__ import annotations

from typing import Any

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.outputs import replace_option


@click.command("passport")
@click.argument("files", type=click.Path(), nargs=-1, required=True)
@click.option("--judge", required=True, help="Rater of a label file, or scorer of a score file, that is the judge.")
@click.option("--rubric", default="", help="That the judge was asked, where no score says.")
@click.option("--prompts", type=click.Path(), multiple=True, help="Prompt files, for the language and scope of scores; "
              "origin is their metadata.")  # fmt: skip
@click.option("--design", type=click.Path(), help="Design file of a drawn sheet.")
@click.option("--map", "mapping", multiple=True, metavar="FIELD=COLUMN[,...]",
              help="Columns of language, scope, origin (native or translated) and cluster.")  # fmt: skip
@click.option("--outcome", type=click.Choice(["harmful", "refusal"]), help="What yes and no are about; harmful unless "
              "given.")  # fmt: skip
@click.option("--categories", help="Two labels, comma-separated, the outcome last, in place of yes and no.")
@click.option("--threshold", type=float, help="Labels are numbers; yes from this one on. People together: their mean.")
@click.option("--key", default="reply_digest", show_default=True, help="Column of the reply's digest, or another key.")
@click.option("--rater", default="annotator", show_default=True, help="Column of the rater's name.")
@click.option("--label", default="label", show_default=True, help="Column of the label.")
@click.option("--raters", help="Columns, comma-separated, that hold one rater's labels each, in place of the last two.")
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of the intervals.")
@click.option("--out", type=click.Path(), required=True, help="The passport, .json.")
@replace_option
def passport(
    files: tuple[str, ...], judge: str, rubric: str, prompts: tuple[str, ...], design: str | None,
    mapping: tuple[str, ...], outcome: str | None, categories: str | None, threshold: float | None, key: str,
    rater: str, label: str, raters: str | None, level: float, out: str, replace: bool,
) -> None:  # fmt: skip
    """Sensitivity and specificity of a judge by language, scope and origin, from the labels and verdicts of FILES.

    `prism analyse` and `prism evaluate` correct their numbers with it, and refuse a judge that is too often wrong.

    \b
    Examples:
      prism labels passport anna.csv scores.parquet --judge openai/gpt-4o --prompts prompts.jsonl --out gpt4o.json
      prism labels passport toxicity.csv --raters person_1,person_2,person_3,gpt4 --judge gpt4 --threshold 3 \\
          --key id --map language=locale --out gpt4.json
    """
    from alignment_prism.cli.outputs import check_ending, check_outputs
    from alignment_prism.cli.parse import parse_mapping
    from alignment_prism.domain import Outcome
    from alignment_prism.domain.text import markdown_table
    from alignment_prism.labels import Columns, passport_from_files

    check_ending(out, ".json")
    check_outputs(out, inputs=(*files, *prompts, design), replace=replace)
    found = passport_from_files(
        files,
        judge,
        rubric=rubric,
        prompts=prompts,
        design=design,
        columns=Columns(key, rater, label, _names(raters)),
        mapping=parse_mapping(mapping),
        outcome=Outcome(outcome) if outcome else None,
        categories=_names(categories),
        threshold=threshold,
        level=level,
    )
    found.write(out)
    columns_shown = ["language", "scope", "origin", "sensitivity", "labels", "specificity", "labels"]
    cells = [
        (cell.language, cell.scope, cell.origin, _shown(cell.sensitivity), cell.sensitivity.labels,
         _shown(cell.specificity), cell.specificity.labels)
        for cell in found.cells
    ]  # fmt: skip
    echo(markdown_table(columns_shown, cells))
    echo(f"wrote {out}")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _shown(share: Any) -> str:
    return f"{share.estimate:.2f} [{share.lower:.2f}, {share.upper:.2f}]" if share.labels else "no labels"
