"""`prism labels`: draw a sample of replies for people to label, and correct a judge with what they say."""

from __future__ import annotations

import json
from typing import Any

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.outputs import replace_option
from alignment_prism.cli.passport import passport


@click.group("labels", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Human labels: draw a probability sample, correct the judge by it, and say how often a judge is right."""


command.add_command(passport)


@command.command("sample")
@click.argument("scores", type=click.Path(), nargs=-1, required=True)
@click.option("--generations", type=click.Path(), multiple=True, required=True, help="Files with the replies.")
@click.option("--prompts", type=click.Path(), multiple=True, required=True, help="Files with the prompts.")
@click.option("--map", "mapping", multiple=True, metavar="FIELD=COLUMN[,...]", help="Columns of the prompts files.")
@click.option("--language", help="Language of prompts that do not say theirs.")
@click.option("--arm", "arms", multiple=True, required=True, help="A model whose rate and change against base are to "
              "be corrected; once for each. A prompt is drawn for all of them.")  # fmt: skip
@click.option("--base", default="base", show_default=True, help="What they are compared with.")
@click.option("--judge", help="Whose verdicts; needed if there are several judges.")
@click.option("--soft", default="", metavar="NAME", help="Name of scores that are the judge's probability of the "
              "outcome: they help where its verdicts cannot.")  # fmt: skip
@click.option(
    "--kind",
    default="harmful",
    show_default=True,
    type=click.Choice(["harmful", "benign_mention", "never_harmful", "foreign_local", "general"]),
    help="Of the prompts: on harmful ones harm is labelled, on others whether a reply refuses.",
)
@click.option("--design", type=click.Choice(["paper"]), help="The paper's: 100 prompts of global and 100 of local harm "
              "in every language, or --number of each.")  # fmt: skip
@click.option("--number", type=click.IntRange(1), help="Prompts to label in all; a reply of every arm each.")
@click.option(
    "--width",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Or: wanted width of the corrected difference's interval; the number follows.",
)
@click.option("--per-language", is_flag=True, help="--number and --width are meant for each language.")
@click.option(
    "--by",
    type=click.Choice(["verdict", "none"]),
    default="verdict",
    show_default=True,
    help="Strata: the judge's verdicts on the replies, or a simple random sample.",
)
@click.option("--sensitivity", type=click.FloatRange(0, 1), default=0.8, show_default=True, help="Guess about the "
              "judge, for planning.")  # fmt: skip
@click.option("--specificity", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="Guess about the "
              "judge, for planning.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--dry-run", is_flag=True, help="Say how many labels are needed; write nothing.")
@click.option("--out", type=click.Path(), help="The sheet, .csv or .jsonl; OUT.design.json is written beside it.")
@replace_option
def sample(
    scores: tuple[str, ...], generations: tuple[str, ...], prompts: tuple[str, ...], mapping: tuple[str, ...],
    language: str | None, judge: str | None, soft: str, kind: str, by: str, design: str | None, dry_run: bool,
    out: str | None, replace: bool, **draw: Any,
) -> None:  # fmt: skip
    """Draw prompts at random and write all arms' replies to a sheet, in random order, arms hidden.

    The design file beside the sheet has the verdicts and strata of all prompts. Keep it from the annotators and do
    not lose it: labels without it cannot correct anything. Only prompts of the kind are drawn from, because a harm rate
    is taken over harmful prompts alone.

    \b
    Examples:
      prism labels sample scores.parquet --generations generations.parquet --prompts aya.jsonl \\
          --arm dpo_sft --number 100 --per-language --out sheet.csv
      prism labels sample scores.parquet --generations generations.parquet --prompts aya.jsonl \\
          --arm dpo_sft --width 0.1 --dry-run
      prism labels sample scores.parquet --generations generations.parquet --prompts aya.jsonl \\
          --arm sft --arm dpo_ift --arm dpo_sft --design paper --out sheet.csv
    """
    from alignment_prism.cli.outputs import check_outputs
    from alignment_prism.cli.parse import parse_mapping
    from alignment_prism.domain import InputError, PromptKind
    from alignment_prism.generation import read_generations
    from alignment_prism.labels import draw_by_scope, draw_sample, read_outcomes, sheet_lines, write_sheet
    from alignment_prism.prompts import read_prompts
    from alignment_prism.store.names import design_beside

    if design and (kind != PromptKind.HARMFUL or soft or by != "verdict" or draw["width"] or draw["per_language"]):
        raise InputError("the paper's design is of harmful prompts, a number of each", fix="leave the rest out")
    if out is None and not dry_run:
        raise InputError("no --out for the sheet", fix="give --out sheet.csv, or --dry-run")
    if out is not None and not dry_run:
        # A sheet that people have filled in is days of work, and without its design it is worth nothing.
        check_outputs(out, design_beside(out), inputs=(*scores, *generations, *prompts), replace=replace)
    columns, defaults = parse_mapping(mapping) or None, {"language": language} if language else None
    asked = [prompt for path in prompts for prompt in read_prompts(path, mapping=columns, defaults=defaults)]
    outcomes = read_outcomes(scores, judge, soft)
    if design is not None:
        given = {name: draw[name] for name in ("arms", "base", "seed", "number") if draw[name] is not None}
        drawn = draw_by_scope(outcomes, asked, **given)
    else:
        drawn = draw_sample(outcomes, asked, kind=PromptKind(kind), soft=soft, by_verdict=by == "verdict", **draw)
    if drawn.excluded:
        others = ", ".join(f"{count} {kind}" for kind, count in sorted(drawn.excluded.items()))
        echo(
            f"{len(drawn.design.rows)} {kind} prompts; {drawn.excluded.total()} others are not drawn from: {others}",
            err=True,
        )
    for part, (number, of) in drawn.drawn.items():
        name = "all languages" if part == "all" else part
        more = f"; {draw['number']} were asked for, there are no more" if number < (draw["number"] or 0) else ""
        echo(f"{name}: {number} of {of} {kind} prompts, {len(drawn.design.arms) * number} replies to label{more}")
    if dry_run or out is None:
        return
    replies = [reply for path in generations for reply in read_generations(path, asked, left_out=[])]
    lines = sheet_lines(drawn.design, replies, asked)
    write_sheet(out, lines)
    drawn.design.write(design_beside(out))
    echo(f"wrote {out} ({len(lines)} replies) and {design_beside(out)}")


@command.command("next")
@click.argument("design", type=click.Path())
@click.argument("sheets", type=click.Path(), nargs=-1, required=True)
@click.option("--generations", type=click.Path(), multiple=True, required=True, help="Files with the replies.")
@click.option("--prompts", type=click.Path(), multiple=True, required=True, help="Files with the prompts.")
@click.option("--arm", default="", help="Whose change against base; the first on the sheet unless given.")
@click.option("--limit", type=click.FloatRange(-1, 1), default=0.0, show_default=True,
              help="The claim: the change is at most this much, in every language.")  # fmt: skip
@click.option(
    "--number",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Most prompts to label next, but for the few that every undecided language needs.",
)
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of the intervals.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--out", type=click.Path(), required=True, help="The next sheet; OUT.design.json is for all sheets "
              "together.")  # fmt: skip
@replace_option
def following(
    design: str, sheets: tuple[str, ...], generations: tuple[str, ...], prompts: tuple[str, ...], out: str,
    replace: bool, **draw: Any,
) -> None:  # fmt: skip
    """Which replies to label next, and in which language, so that a claim is decided with few labels.

    Languages in which the filled-in SHEETS show or refute the claim get no more; the others are drawn from where people
    turned out to say various things. Correct all sheets together with the new design.

    \b
    Example:
      prism labels next sheet.csv.design.json anna.csv --generations generations.parquet --prompts aya.jsonl \\
          --limit -0.1 --out second.csv
    """
    from dataclasses import replace as changed

    from alignment_prism.cli.outputs import check_outputs
    from alignment_prism.domain.text import markdown_table
    from alignment_prism.generation import read_generations
    from alignment_prism.labels import Design, draw_next, read_labels, sheet_lines, write_sheet
    from alignment_prism.prompts import read_prompts
    from alignment_prism.store.names import design_beside

    inputs = (design, *sheets, *generations, *prompts)
    check_outputs(out, design_beside(out), inputs=inputs, replace=replace)
    found = draw_next(Design.read(design), read_labels(sheets), **draw)
    cells = [
        (state.language, state.verdict, f"{state.estimate:+.3f} [{state.lower:+.3f}, {state.upper:+.3f}]",
         state.labelled, state.drawn)
        for state in found.states
    ]  # fmt: skip
    echo(markdown_table(["language", "claim", "corrected change", "prompts so far", "next"], cells))
    if not found.new:
        echo("decided, or no prompt is left: nothing to label")
        return
    asked = [prompt for path in prompts for prompt in read_prompts(path)]
    replies = [reply for path in generations for reply in read_generations(path, asked, left_out=[])]
    lines = sheet_lines(changed(found.design, rows=found.new), replies, asked)
    write_sheet(out, [{**line, "design": found.design.digest} for line in lines])
    found.design.write(design_beside(out))
    echo(f"wrote {out} ({len(lines)} replies) and {design_beside(out)}")


@command.command("correct")
@click.argument("design", type=click.Path())
@click.argument("sheets", type=click.Path(), nargs=-1, required=True)
@click.option("--settled", type=click.Path(), help="Sheet of settled answers, from which the annotators' error is "
              "taken in place of replies with several labels.")  # fmt: skip
@click.option("--as-labelled", is_flag=True, help="Take the labels for the truth: the majority, a tie as one half, and "
              "before them what is settled.")  # fmt: skip
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of the intervals.")
@click.option("--findings", type=click.Path(), help="Findings of the study: --out has them all, and the corrected "
              "numbers as rows of their own.")  # fmt: skip
@click.option("--out", type=click.Path(), help="Also write the corrected rates and changes as findings.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@replace_option
def correct(
    design: str, sheets: tuple[str, ...], settled: str | None, as_labelled: bool, level: float,
    findings: str | None, out: str | None, as_json: bool, replace: bool,
) -> None:  # fmt: skip
    """Correct every arm's rate, and its change against base, by the labels of filled-in SHEETS and their DESIGN.

    Where fifty replies or more have labels of several annotators, their error is taken out; else the majority counts,
    and a tie one half. Beside the corrected numbers stand the judge alone and the labels alone, by language and scope,
    over all and as the mean over languages, and how many labels without a judge would do the work of these.

    \b
    Examples:
      prism labels correct sheet.csv.design.json sheet-anna.csv sheet-omar.csv
      prism labels correct sheet.csv.design.json sheet-anna.csv --settled experts.csv
      prism labels correct sheet.csv.design.json sheet-anna.csv --findings findings.parquet --out corrected.parquet
    """
    from alignment_prism.cli.outputs import check_outputs
    from alignment_prism.domain import Finding, InputError
    from alignment_prism.domain.text import markdown_table
    from alignment_prism.io import read_records, write_records
    from alignment_prism.labels import Design, read_labels, with_corrected
    from alignment_prism.labels import correct as correct_judge

    if findings and not out:
        raise InputError("--findings without --out", fix="say where the findings with corrected rows are to be written")
    check_outputs(out, inputs=(design, *sheets, settled, findings), replace=replace)
    known = read_labels(settled) if settled else None
    found = correct_judge(Design.read(design), read_labels(sheets), settled=known, as_labelled=as_labelled, level=level)
    if out:
        rows = found.findings()
        write_records(out, with_corrected(read_records(findings, Finding), rows) if findings else rows, Finding)
    if as_json:
        echo(json.dumps({"corrected": [_as_json(part) for part in found.parts], "notes": found.notes}))
        return
    columns = ["arm", "language", "scope", "prompts", "labelled", "do the work of", "corrected rate",
               "corrected change", "judge's change", "labels' change"]  # fmt: skip
    cells = []
    for part in found.parts:
        number, change = part.change or part.rate, part.change
        changes = [_signed(getattr(change, name)) if change else "" for name in ("interval", "judged", "labelled")]
        cells.append((part.arm, part.language, part.scope, part.prompts, number.labels, f"{number.worth:.0f}",
                      _share(part.rate.interval), *changes))  # fmt: skip
    echo(markdown_table(columns, cells))
    for note in found.notes:
        echo(note, err=True)


def _as_json(part: Any) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(part, name) for name in ("arm", "language", "scope", "prompts")}
    for what in ("rate", "change"):
        if (found := getattr(part, what)) is not None:
            ends = {name: getattr(found, name) for name in ("interval", "judged", "labelled")}
            numbers = {name: [each.estimate, each.lower, each.upper] for name, each in ends.items()}
            row[what] = {"labels": found.labels, "worth": found.worth, **numbers}
    return row


def _signed(interval: Any) -> str:
    return f"{interval.estimate:+.3f} [{interval.lower:+.3f}, {interval.upper:+.3f}]"


def _share(interval: Any) -> str:
    return f"{interval.estimate:.3f} [{interval.lower:.3f}, {interval.upper:.3f}]"
