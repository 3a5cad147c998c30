"""`prism labels`: draw a sample of replies for people to label, and correct a judge with what they say."""

from __future__ import annotations

from typing import Any

import click

from alignment_prism.cli.outputs import replace_option


@click.group("labels", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Human labels: draw a probability sample, and correct the judge by it."""


@command.command("sample")
@click.argument("scores", type=click.Path(), nargs=-1, required=True)
@click.option("--generations", type=click.Path(), multiple=True, required=True, help="Files with the replies.")
@click.option("--prompts", type=click.Path(), multiple=True, required=True, help="Files with the prompts.")
@click.option("--arm", required=True, help="The model whose change against base is to be corrected.")
@click.option("--base", default="base", show_default=True, help="What it is compared with.")
@click.option("--judge", help="Whose verdicts; needed if there are several judges.")
@click.option("--number", type=click.IntRange(1), help="Prompts to label in all; two replies each.")
@click.option("--width", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Or: wanted width of the corrected difference's interval; the number follows.")  # fmt: skip
@click.option("--per-language", is_flag=True, help="--number and --width are meant for each language.")
@click.option("--by", type=click.Choice(["verdict", "none"]), default="verdict", show_default=True,
              help="Strata: the judge's verdicts on the two replies, or a simple random sample.")  # fmt: skip
@click.option("--sensitivity", type=float, default=0.8, show_default=True, help="Guess about the judge, for planning.")
@click.option("--specificity", type=float, default=0.9, show_default=True, help="Guess about the judge, for planning.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--dry-run", is_flag=True, help="Say how many labels are needed; write nothing.")
@click.option("--out", type=click.Path(), help="The sheet, .csv or .jsonl; OUT.design.json is written beside it.")
@replace_option
def sample(
    scores: tuple[str, ...],
    generations: tuple[str, ...],
    prompts: tuple[str, ...],
    arm: str,
    base: str,
    judge: str | None,
    number: int | None,
    width: float | None,
    per_language: bool,
    by: str,
    sensitivity: float,
    specificity: float,
    seed: int,
    dry_run: bool,
    out: str | None,
    replace: bool,
) -> None:
    """Draw harmful prompts at random and write both arms' replies to a sheet, in random order, arms hidden.

    The design file beside the sheet has the verdicts and strata of all prompts. Keep it from the annotators and do
    not lose it: labels without it cannot correct anything. Only prompts that the prompts file calls harmful are drawn
    from, because harm rates are taken over them alone.

    \b
    Examples:
      prism labels sample scores.parquet --generations generations.parquet --prompts aya.jsonl \\
          --arm dpo_sft --number 100 --per-language --out sheet.csv
      prism labels sample scores.parquet --generations generations.parquet --prompts aya.jsonl \\
          --arm dpo_sft --width 0.1 --dry-run
    """
    from dataclasses import replace as changed

    from alignment_prism.cli.outputs import claim
    from alignment_prism.domain import InputError
    from alignment_prism.io import write_json
    from alignment_prism.labels.files import read_generations, read_prompt_index, read_scores, write_sheet
    from alignment_prism.labels.frame import build_frame, frame_to_json, say_aside, spread_of
    from alignment_prism.labels.sheet import sheet_lines
    from alignment_prism.statistics.planning.label_design import draw, labels_needed, spread_for
    from alignment_prism.store.names import design_beside

    if (number is None) == (width is None):
        raise InputError("give either --number or --width", fix="--number 200, or --width 0.1")
    if out is None and not dry_run:
        raise InputError("no --out for the sheet", fix="give --out sheet.csv, or --dry-run")
    if out is not None and not dry_run:
        # A sheet that people have filled in is days of work, and without its design it is worth nothing.
        claim(out, design_beside(out), inputs=(*scores, *generations, *prompts), replace=replace)
    index = read_prompt_index(prompts)
    said = read_scores(scores, judge)
    frame = build_frame(said, index, arm=arm, base=base, by_verdict=by == "verdict", by_language=per_language)
    rows = frame.rows
    if frame.aside:
        click.echo(
            f"{len(rows)} harmful prompts; {frame.aside.total()} others left aside: {say_aside(frame.aside)}", err=True
        )
    parts = sorted({row.language for row in rows}) if per_language else [None]
    chosen: list[int] = []
    allocation: dict[str, int] = {}
    for position, language in enumerate(parts):
        inside = [i for i, row in enumerate(rows) if language is None or row.language == language]
        part = [rows[i] for i in inside]
        strata = [row.stratum for row in part]
        harm = max(sum(row.judge_model + row.judge_base for row in part) / (2 * len(part)), 0.02)
        kinds = spread_of(sensitivity, specificity, harm) | {
            "any": (2 * (harm * (1 - sensitivity) + (1 - specificity))) ** 0.5
        }
        spread = spread_for(strata, kinds)
        discordant = max(sum(row.judge_model != row.judge_base for row in part) / len(part), 0.02)
        total = number if number is not None else labels_needed(strata, width or 0.1, spread, discordant)
        total = min(total, len(part))
        drawn = draw(strata, total, seed=seed + position, spread=spread)
        chosen += [inside[i] for i in drawn.chosen]
        allocation |= drawn.allocation
        click.echo(
            f"{language or 'all languages'}: {total} of {len(part)} harmful prompts, {2 * total} replies to label"
        )
    if dry_run or out is None:
        return
    picked = set(chosen)
    rows = [changed(row, chosen=i in picked) for i, row in enumerate(rows)]
    lines = sheet_lines([rows[i] for i in chosen], read_generations(generations), index, seed)
    write_sheet(out, lines)
    about: dict[str, Any] = {"arm": arm, "base": base, "judge": said[0].scorer, "rubric": said[0].rubric, "seed": seed}
    write_json(design_beside(out), frame_to_json(rows, **about, by=by, allocation=allocation))
    click.echo(f"wrote {out} ({len(lines)} replies) and {design_beside(out)}")


@command.command("correct")
@click.argument("design", type=click.Path())
@click.argument("sheets", type=click.Path(), nargs=-1, required=True)
@click.option("--double", is_flag=True, help="Model noisy annotators: their error from replies that two of them "
              "labelled. The first label of a reply counts, not the majority.")  # fmt: skip
@click.option("--prompts", type=click.Path(), multiple=True, help="Files with the prompts; needed for a design "
              "that does not say which of its prompts are harmful.")  # fmt: skip
@click.option("--settled", type=click.Path(), help="The same, from a sheet of settled answers.")
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of the intervals.")
@click.option("--study", default="labels", show_default=True, help="Name of the study in the findings.")
@click.option("--out", type=click.Path(), help="Also write the corrected differences as findings.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@replace_option
def correct(
    design: str,
    sheets: tuple[str, ...],
    double: bool,
    prompts: tuple[str, ...],
    settled: str | None,
    level: float,
    study: str,
    out: str | None,
    as_json: bool,
    replace: bool,
) -> None:
    """Correct the change of harm against base by the labels of filled-in SHEETS and their DESIGN.

    Harmful prompts only. Several annotators of a reply are taken by majority, and a tie as one half; their error is
    taken out by --double or --settled. Beside the corrected difference (PPI++) stand the judge alone and the labels
    alone, by language and over all.

    \b
    Examples:
      prism labels correct sheet.csv.design.json sheet-anna.csv sheet-omar.csv
      prism labels correct sheet.csv.design.json sheet-anna.csv --settled experts.csv
    """
    import json
    from pathlib import Path

    from alignment_prism.cli.console import markdown_table
    from alignment_prism.cli.outputs import claim
    from alignment_prism.domain import ALL, Finding, InputError
    from alignment_prism.io import write_records
    from alignment_prism.labels.files import Columns, read_labels, read_prompt_index
    from alignment_prism.labels.frame import correct_frame, frame_from_json, keep_harmful
    from alignment_prism.labels.ratings import (
        consensus,
        demand_readable,
        first_label,
        majority,
        rating_rows,
        say_disputed,
        say_unread,
        single_annotator_error,
    )

    if double and settled:
        raise InputError("both --double and --settled", fix="give the one that knows more: --settled, if there are any")
    claim(out, inputs=(design, *sheets, settled), replace=replace)
    try:
        content = json.loads(Path(design).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the design: {error}", where=design, fix="pass the .design.json file") from error
    about, everything = frame_from_json(content, design)
    rows, notes = keep_harmful(about, everything, read_prompt_index(prompts), design)
    ratings = rating_rows([label for sheet in sheets for label in read_labels(sheet, Columns())], binary=True)
    demand_readable(ratings, ", ".join(sheets))
    annotator = None
    if double or settled:
        answers = None
        if settled:
            known_answers = rating_rows(read_labels(settled, Columns()), binary=True)
            demand_readable(known_answers, settled)
            answers = {
                reply: value
                for reply, values in zip(known_answers.replies, known_answers.values, strict=True)
                if (value := majority(values)) is not None
            }
        annotator, number = single_annotator_error(ratings, answers)
        notes.append(
            f"annotators: sensitivity {annotator.sensitivity:.3f}, specificity {annotator.specificity:.3f}, "
            f"from {number} {'settled' if settled else 'double'} labels{'; that is few' if number < 100 else ''}"
        )
    combine = consensus if annotator is None else first_label
    decided = {
        reply: label
        for reply, values in zip(ratings.replies, ratings.values, strict=True)
        if (label := combine(values)) is not None
    }
    prompt_of = {digest: row.prompt_id for row in rows if row.chosen for digest in (row.model_digest, row.base_digest)}
    notes += say_disputed(ratings, prompt_of, modelled=annotator is not None)
    drawn = {digest for row in everything if row.chosen for digest in (row.model_digest, row.base_digest)}
    strangers = sum(reply not in drawn for reply in decided)
    parts = {ALL: rows}
    languages = sorted({row.language for row in rows} - {""})
    if len(languages) > 1:
        parts |= {language: [row for row in rows if row.language == language] for language in languages}
    table, findings, failures = [], [], []
    for part, members in parts.items():
        try:
            found = correct_frame(members, decided, level, annotator=annotator)
        except InputError as error:
            failures.append(f"{part}: {error.what}")
            notes.append(f"{part}: not corrected, {error.what}")
            continue
        notes += [f"{part}: {warning}" for warning in found.warnings]
        table.append((part, found))
        interval = found.interval
        findings.append(
            Finding(
                study, str(about.get("arm", "")), -1, "harmful", part, ALL, ALL, "harm_difference", interval.estimate,
                interval.lower, interval.upper, interval.name, level, interval.n, interval.clusters,
                insufficient=bool(found.warnings),
                signature=f"harm|judge:{about.get('judge', '')}|rubric:{about.get('rubric', '')}"
                f"|labels:{found.labels}|ci:{interval.name}",
            )
        )  # fmt: skip
    for name, count in sorted(ratings.unusable.items()):
        words = say_unread([label for label in ratings.unread if label.rater == name])
        notes.append(f"{name}: {count} labels were not understood and count as missing{': ' * bool(words)}{words}")
    if strangers:
        notes.append(f"{strangers} labels are of replies that were not drawn, and were not used")
    if not table:
        raise InputError(
            f"no part of the sample can be corrected; {'; '.join(failures)}"
            + (f"; {strangers} labels are of replies that were not drawn" if strangers else ""),
            where=", ".join(sheets),
            fix="have both replies of the drawn prompts labelled, on the sheet that belongs to this design",
        )
    if out:
        write_records(out, findings, Finding)
    columns = ("interval", "judged", "labelled")
    if as_json:
        result = [
            {"language": part, "labels": found.labels, "weight": found.weight,
             **{name: [getattr(found, name).estimate, getattr(found, name).lower, getattr(found, name).upper]
                for name in columns}}
            for part, found in table
        ]  # fmt: skip
        click.echo(json.dumps({"harm_difference": result, "notes": notes}))
        return
    click.echo(
        markdown_table(
            ["language", "prompts", "labelled", "corrected", "judge alone", "labels alone", "trust in judge"],
            [
                (part, len(parts[part]), found.labels, *(_shown(getattr(found, name)) for name in columns),
                 f"{found.weight:.2f}")
                for part, found in table
            ],
        )
    )  # fmt: skip
    for note in notes:
        click.echo(note, err=True)


def _shown(interval: Any) -> str:
    return f"{interval.estimate:+.3f} [{interval.lower:+.3f}, {interval.upper:+.3f}]"
