"""`prism agreement`: how far judges and people agree."""

from __future__ import annotations

import click

from alignment_prism.cli.outputs import replace_option


@click.command("agreement")
@click.argument("labels", type=click.Path())
@click.argument("scores", type=click.Path(), nargs=-1)
@click.option("--prompts", type=click.Path(), multiple=True, help="Prompt files, for tables by language and scope.")
@click.option("--categories", help="Labels that count, comma-separated, in order; others are unusable and counted. "
              "Without it labels are read as harmful or not.")  # fmt: skip
@click.option("--ordinal", is_flag=True, help="The categories are ordered: add ordinal alpha and weighted kappa.")
@click.option("--key", default="reply_digest", show_default=True, help="Column of the reply's digest in sheets.")
@click.option("--rater", default="annotator", show_default=True, help="Column of the rater's name in sheets.")
@click.option("--label", default="label", show_default=True, help="Column of the label in sheets.")
@click.option("--level", type=click.FloatRange(0.5, 0.999), default=0.95, show_default=True, help="Of the intervals.")
@click.option("--replicates", type=click.IntRange(200), default=10_000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--out", type=click.Path(), help="Also write the numbers as findings, .parquet or .jsonl.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@replace_option
def command(
    labels: str,
    scores: tuple[str, ...],
    prompts: tuple[str, ...],
    categories: str | None,
    ordinal: bool,
    key: str,
    rater: str,
    label: str,
    level: float,
    replicates: int,
    seed: int,
    out: str | None,
    as_json: bool,
    replace: bool,
) -> None:
    """Agreement between the raters of LABELS, and of each judge in SCORES with their majority.

    Raters are matched by the digest of prompt and reply. Intervals are bootstrapped over prompts.

    \b
    Examples:
      prism agreement sheet.csv scores.parquet --prompts aya.jsonl
      prism agreement scores.jsonl judge.jsonl --categories 1,2,3,4,5 --ordinal
    """
    import json
    from collections.abc import Sequence

    from alignment_prism.cli.console import markdown_table
    from alignment_prism.cli.outputs import claim
    from alignment_prism.domain import ALL, Finding, InputError, Score
    from alignment_prism.io import read_records, write_records
    from alignment_prism.labels.files import Columns, read_labels, read_prompt_index
    from alignment_prism.labels.ratings import demand_readable, majority, rating_rows, say_unread
    from alignment_prism.statistics.raters.agreement import COEFFICIENTS, Coefficient, agreement
    from alignment_prism.statistics.raters.rating_table import rating_table

    columns = Columns(key, rater, label)
    allowed = [name.strip() for name in categories.split(",")] if categories else None
    claim(out, inputs=(labels, *scores, *prompts), replace=replace)
    if ordinal and allowed is None:
        raise InputError("--ordinal without an order", fix="declare it: --categories low,middle,high")
    human = rating_rows(read_labels(labels, columns), binary=allowed is None, categories=allowed)
    demand_readable(human, labels, allowed)
    said = [entry for path in scores for entry in read_labels(path, columns)]
    judged = rating_rows(said, binary=allowed is None, categories=allowed)
    demand_readable(judged, ", ".join(scores), allowed)
    order = allowed or ["harmless", "harmful"]

    prompt_of = {
        record.reply_digest: record.prompt_id for path in scores if _is_ours(path)
        for record in read_records(path, Score)
    }  # fmt: skip
    index = read_prompt_index(prompts)
    parts: dict[tuple[str, str], list[int]] = {(ALL, ALL): list(range(len(human.replies)))}
    for row, reply in enumerate(human.replies):
        prompt = index.get(prompt_of.get(reply, ""))
        if prompt is not None:
            parts.setdefault((prompt.language, ALL), []).append(row)
            if prompt.scope is not None:
                parts.setdefault((ALL, prompt.scope.value), []).append(row)
                parts.setdefault((prompt.language, prompt.scope.value), []).append(row)
    clusters = [index[p].cluster if (p := prompt_of.get(reply, reply)) in index else p for reply in human.replies]

    def coefficients(raters: int) -> list[Coefficient]:
        names = ["raw", "fleiss-kappa", "krippendorff-alpha-nominal", "gwet-ac1"]
        names += ["krippendorff-alpha-ordinal"] * ordinal
        if raters == 2:
            names[1:2] = ["cohen-kappa", *(["cohen-kappa-linear", "cohen-kappa-quadratic"] * ordinal)]
        return [COEFFICIENTS[name] for name in names]

    tables: list[tuple[str, Sequence[Sequence[str | None]]]] = []
    if len(human.raters) > 1:
        tables.append(
            (" / ".join(human.raters) if len(human.raters) < 4 else f"{len(human.raters)} people", human.values)
        )
    verdict = {reply: judged.values[row] for row, reply in enumerate(judged.replies)}
    for column, judge in enumerate(judged.raters):
        pairs = [
            (majority(values), verdict[reply][column] if reply in verdict else None)
            for reply, values in zip(human.replies, human.values, strict=True)
        ]
        tables.append((f"{judge} / people", pairs))
    if not tables:
        raise InputError("nothing to compare: one rater and no scores", fix="add a second rater or a file")
    findings = []
    for name, values in tables:
        for (language, scope), rows in sorted(parts.items()):
            table = rating_table([values[row] for row in rows], order)
            for coefficient in coefficients(table.codes.shape[1]):
                found = agreement(
                    table, coefficient, [clusters[row] for row in rows], level, replicates=replicates, seed=seed
                )
                findings.append(
                    Finding(
                        "agreement", name, -1, "labelled", language, scope, ALL, coefficient.name,
                        found.estimate, found.lower, found.upper, found.name, level, found.n, found.clusters,
                        insufficient=found.clusters < 50, signature=f"agreement|seed:{seed}|replicates:{replicates}",
                    )
                )  # fmt: skip
    if out:
        write_records(out, findings, Finding)
    unusable = {**human.unusable, **judged.unusable}
    unmatched = sum(reply not in verdict for reply in human.replies) if scores else 0
    if as_json:
        rows_out = [
            {"raters": f.arm, "language": f.language, "scope": f.scope, "coefficient": f.metric, "n": f.n,
             **{name: _number(getattr(f, name)) for name in ("estimate", "lower", "upper")}} for f in findings
        ]  # fmt: skip
        click.echo(json.dumps({"agreement": rows_out, "unusable": unusable, "unmatched": unmatched}))
        return
    click.echo(
        markdown_table(
            ["raters", "language", "scope", "coefficient", "estimate", "interval", "replies"],
            [
                (
                    f.arm,
                    f.language,
                    f.scope,
                    f.metric,
                    _shown(f.estimate),
                    f"[{_shown(f.lower)}, {_shown(f.upper)}]",
                    f.n,
                )
                for f in findings
            ],
        )
    )
    for name, count in sorted(unusable.items()):
        words = say_unread([label for label in (*human.unread, *judged.unread) if label.rater == name])
        click.echo(
            f"{name}: {count} label{'s were' if count != 1 else ' was'} not understood and count as missing"
            f"{': ' * bool(words)}{words}",
            err=True,
        )
    if unmatched:
        click.echo(f"{unmatched} labelled replies have no verdict (matched by the reply's digest)", err=True)


def _is_ours(path: str) -> bool:
    from alignment_prism.io import read_rows
    from alignment_prism.labels.files import SCORE_COLUMNS

    first = next(iter(read_rows(path)), None)
    return first is not None and set(first.values) >= SCORE_COLUMNS


def _shown(value: float) -> str:
    return "undefined" if value != value else f"{value:.3f}"


def _number(value: float) -> float | None:
    """A number as JSON knows it: NaN and infinities are null."""
    return value if abs(value) < float("inf") else None
