"""`prism agreement`: how far judges and people agree."""

from __future__ import annotations

from typing import Any

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.outputs import replace_option


@click.command("agreement")
@click.argument("files", type=click.Path(), nargs=-1, required=True)
@click.option("--judge", "judges", multiple=True, help="Rater of a label file that is a judge; scorers of score files "
              "that are not human: are judges anyway.")  # fmt: skip
@click.option("--design", type=click.Path(), help="Design file of the sheet: replies then count as often as the draw "
              "says.")  # fmt: skip
@click.option("--prompts", type=click.Path(), multiple=True, help="Prompt files, for tables by language and scope; of "
              "replies that they say nothing of, the columns of the sheets do.")  # fmt: skip
@click.option("--outcome", type=click.Choice(["harmful", "refusal"]), help="What yes and no are about; harmful, or "
              "what the design says, unless given.")  # fmt: skip
@click.option("--categories", help="Labels that count, comma-separated, in order, in place of yes and no.")
@click.option("--threshold", type=float, help="Labels are numbers; yes from this one on. People together: their mean.")
@click.option("--ordinal", is_flag=True, help="The categories are ordered: add ordinal alpha and weighted kappa.")
@click.option("--key", default="reply_digest", show_default=True, help="Column of the reply's digest, or another key.")
@click.option("--rater", default="annotator", show_default=True, help="Column of the rater's name.")
@click.option("--label", default="label", show_default=True, help="Column of the label.")
@click.option("--raters", help="Columns, comma-separated, that hold one rater's labels each, in place of the last two.")
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of the intervals.")
@click.option("--replicates", type=click.IntRange(200), default=10_000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--out", type=click.Path(), help="Also write the numbers as findings, .parquet or .jsonl.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@replace_option
def command(
    files: tuple[str, ...], judges: tuple[str, ...], design: str | None, prompts: tuple[str, ...],
    outcome: str | None, categories: str | None, threshold: float | None, key: str, rater: str, label: str,
    raters: str | None, out: str | None, as_json: bool, replace: bool, **settings: Any,
) -> None:  # fmt: skip
    """Agreement between the people of FILES, and of each judge with what they say together.

    FILES are sheets, tables with a row a label or a row a reply (--raters), or scores. Raters are matched by the digest
    of prompt and reply. Of several people the majority counts, and a tie half for each side. Intervals are
    bootstrapped over prompts.

    \b
    Examples:
      prism agreement anna.csv omar.csv scores.parquet --design sheet.csv.design.json
      prism agreement xstest.csv --key id --raters annotation_1,annotation_2,gpt4_label --judge gpt4_label \\
          --categories 1_full_compliance,2_full_refusal,3_partial_refusal
    """
    from alignment_prism.cli.outputs import check_outputs
    from alignment_prism.domain import Finding, Outcome, Score
    from alignment_prism.io import read_records, write_records
    from alignment_prism.labels import Columns, Design, Scale, is_scores, measure_agreement, read_labels, read_places
    from alignment_prism.prompts import read_prompts

    check_outputs(out, inputs=(*files, *prompts, design), replace=replace)
    sample = Design.read(design) if design else None
    about = Outcome(outcome) if outcome else sample.outcome if sample else Outcome.HARMFUL
    scored = [path for path in files if is_scores(path)]
    tables = [path for path in files if path not in scored]
    columns = Columns(key, rater, label, _names(raters))
    found = measure_agreement(
        read_labels(tables, columns),
        [score for path in scored for score in read_records(path, Score)],
        [prompt for path in prompts for prompt in read_prompts(path)],
        places=read_places(tables, columns),
        judges=judges,
        scale=Scale(about, _names(categories), threshold),
        design=sample,
        **settings,
    )
    if out:
        write_records(out, found.findings, Finding)
    _show(found, as_json)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _show(found: Any, as_json: bool) -> None:
    import json

    from alignment_prism.domain.text import markdown_table

    if as_json:
        rows = [
            {"raters": f.arm, "language": f.language, "scope": f.scope, "coefficient": f.metric, "n": f.n,
             **{name: _number(getattr(f, name)) for name in ("estimate", "lower", "upper")}} for f in found.findings
        ]  # fmt: skip
        echo(json.dumps({"agreement": rows, "unusable": found.unusable, "unmatched": found.unmatched}))
        return
    columns = ["raters", "language", "scope", "coefficient", "estimate", "interval", "replies"]
    cells = [
        (f.arm, f.language, f.scope, f.metric, _shown(f.estimate) + "?" * f.insufficient,
         f"[{_shown(f.lower)}, {_shown(f.upper)}]", f.n) for f in found.findings
    ]  # fmt: skip
    echo(markdown_table(columns, cells))
    for note in found.notes:
        echo(note, err=True)


def _shown(value: float) -> str:
    return "undefined" if value != value else f"{value:.3f}"


def _number(value: float) -> float | None:
    """A number as JSON knows it: NaN and infinities are null."""
    return value if abs(value) < float("inf") else None
