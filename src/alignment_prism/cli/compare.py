"""`prism compare`: runs on the same prompts, with a gate or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from alignment_prism.cli.console import console, echo
from alignment_prism.cli.options import PassportOptions, group
from alignment_prism.cli.outputs import check_ending, check_outputs, replace_option

if TYPE_CHECKING:
    from alignment_prism.contrasts import JudgeError
    from alignment_prism.domain import Run
    from alignment_prism.labels import Passport
    from alignment_prism.studies.runs import Release

NOT_PASSED, UNDECIDED = 6, 7
"""Exit codes of a gate that is refuted, and of one that is neither shown nor refuted."""


@click.command("compare")
@click.argument("runs", type=click.Path(), nargs=-1, required=True, metavar="A B [C ...]")
@click.option("--gate", type=click.Path(), help="YAML file of a gate that B must pass to replace A.")
@click.option("--metric", "metrics", multiple=True, help="Without a gate: compare by this metric; may be given several "
              "times. Harm, refusals of harmless prompts and right answers unless given.")  # fmt: skip
@click.option("--may-differ", multiple=True, help="Without a gate: in what the runs may have been measured otherwise, "
              "such as judge, rubric, sampling; may be given several times.")  # fmt: skip
@group("passport", PassportOptions)
@click.option("--design", type=click.Path(), help="Without a gate: design of a sheet on which the runs were labelled "
              "(`prism labels sample`): adds differences without the judge's errors, by --labels.")  # fmt: skip
@click.option("--labels", type=click.Path(), multiple=True, help="Filled sheet; may be given several times.")
@click.option("--look", type=click.IntRange(1), help="Number of this look, in place of the gate's looks.look.")
@click.option("--ledger", type=click.Path(), help="Where the looks that were spent are written down; "
              "GATE.looks.jsonl unless given.")  # fmt: skip
@click.option("--out", type=click.Path(), help="Also write the verdict (Markdown), or without a gate the contrasts, by "
              "the name's ending as .md, .csv, .parquet or .jsonl.")  # fmt: skip
@replace_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context, runs: tuple[str, ...], gate: str | None, metrics: tuple[str, ...], may_differ: tuple[str, ...],
    passport: PassportOptions, design: str | None, labels: tuple[str, ...], look: int | None, ledger: str | None,
    out: str | None, replace: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compare B (and C ...) with A prompt by prompt, by language and scope; or decide a gate.

    A run is the folder of a study or an evaluation, or a file in it, a folder of `prism import`, or a log that it
    reads; FOLDER#ARM says which arm, FOLDER#ARM:SEED which seed;
    without a seed all seeds of the arm together. The prompts that both answered are paired by their
    ids, and must have the same texts. --passport adds differences without the judge's errors, and a gate that names
    such a metric (harm_rate_corrected) is decided by the passport.

    With --gate every check must be shown by its interval, in every language that A or B has; A and B must be measured
    alike unless the gate declares in what they may differ; findings files without a study beside them are compared
    unpaired. Exit codes: 0 all shown, 6 at least one refuted, 7 undecided, 2 something is not what it should be.

    \b
    Examples:
      prism compare old new
      prism compare results/quickstart#base results/quickstart#dpo_sft --out contrasts.csv
      prism compare old/findings.parquet new/findings.parquet#dpo_sft --gate gate.yaml --out verdict.md
    """
    from alignment_prism.domain import InputError

    twice = [run for run in runs if runs.count(run) > 1]
    if twice and gate is None:
        raise InputError(f"{twice[0]} is named twice: a run does not differ from itself", fix="name different runs")
    if len(runs) < 2 or (gate is not None and len(runs) > 2):
        what = "a gate is for two runs" if gate is not None else "there is one run"
        raise InputError(f"{what}: {' '.join(runs)}", fix="name A and B" + " [C ...]" * (gate is None))
    own: dict[str, object] = {"--metric": metrics, "--may-differ": may_differ, "--design": design, "--labels": labels}
    if unused := [name for name, value in own.items() if value and gate is not None]:
        raise InputError(f"{unused[0]} goes without a gate", fix="write it into the gate")
    if unused := [name for name, value in (("--look", look), ("--ledger", ledger)) if value and gate is None]:
        raise InputError(f"{unused[0]} goes with a gate", fix="give --gate, or leave it out")
    if gate is not None:
        check_ending(out, ".md")
        check_outputs(out, inputs=(*_files(runs), gate, ledger, passport.passport), replace=replace)
        ctx.exit(_decide(runs[0], runs[1], gate, look, ledger, passport, out, as_json=as_json))
    check_ending(out, ".md", ".csv", ".parquet", ".jsonl")
    if bool(design) != bool(labels):
        raise InputError("a design without labels, or labels without their design", fix="give --design and --labels")
    check_outputs(out, inputs=(*_files(runs), passport.passport, design, *labels), replace=replace)
    _contrast(runs, metrics, may_differ, passport, design, labels, out, as_json=as_json)


def open_runs(path: str) -> list[Run]:
    """A run from a study's folder, from a log that was imported, or from a log of another harness; of an arm of several
    seeds all of them.

    Args:
        path: `PLACE`, or `PLACE#ARM` where it holds several arms.
    """
    from dataclasses import replace

    from alignment_prism.logs import read_run
    from alignment_prism.studies.runs import open_seeds, split_arm, study_folder

    if study_folder(path) is not None:
        return open_seeds(path)
    place, arm = split_arm(path)
    return [replace(read_run(place, arm=arm or None), name=path)]


def open_release(path: str) -> Release:
    """One side of a gate: findings as they are, or those of a log."""
    from pathlib import Path

    from alignment_prism.evaluation import reply_findings
    from alignment_prism.studies.runs import open_release as open_findings
    from alignment_prism.studies.runs import split_arm, study_folder

    place = Path(split_arm(path)[0])
    if study_folder(path) is not None or (not place.is_dir() and place.suffix in (".parquet", ".jsonl")):
        return open_findings(path)
    (run,) = open_runs(path)
    return reply_findings(run.prompts, run.generations, run.scores, study=path, base_arm=""), None, [run]


def _known_judge(
    passport: PassportOptions, runs: Sequence[Run]
) -> tuple[Passport | None, JudgeError | None, list[str]]:
    """The passport, what it says of the judge of these runs, and what weakens that."""
    given = passport.spec()
    if not given:
        return None, None, []
    from alignment_prism.labels import Passport, judge_error, require_able

    known = Passport.read(given["passport"]["file"])
    if not runs:
        return known, None, []
    prompts = {prompt.id: prompt for run in runs for prompt in run.prompts}.values()
    languages = {prompt.language for prompt in prompts}
    require_able(known, languages, judge=known.judge, origin=passport.origin, min_sensitivity=passport.min_sensitivity)
    error, notes = judge_error(known, prompts, passport.origin)
    return known, error, [f"passport: {note}" for note in notes]


def _files(runs: Sequence[str]) -> list[str]:
    from alignment_prism.studies.runs import split_arm

    return [split_arm(run)[0] for run in runs]


def _contrast(
    paths: Sequence[str], metrics: Sequence[str], may_differ: Sequence[str], passport: PassportOptions,
    design: str | None, labels: Sequence[str], out: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    import json
    from dataclasses import replace

    from alignment_prism.contrasts import contrast, contrast_over_seeds
    from alignment_prism.domain import Contrast, InputError
    from alignment_prism.io import write_records, write_text
    from alignment_prism.io.schemas import json_of
    from alignment_prism.prompts.translations import translations_note
    from alignment_prism.reports import contrasts_markdown, contrasts_table, rows_csv

    arms = [open_runs(path) for path in paths]
    _, error, said = _known_judge(passport, [run for seeds in arms for run in seeds])
    options: Any = {"metrics": metrics, "may_differ": may_differ, "judge_error": error}
    if any(len(seeds) > 1 for seeds in arms):
        found = contrast_over_seeds(dict(zip(paths, arms, strict=True)), **options)
    else:
        found = contrast([seeds[0] for seeds in arms], **options)
    if design:
        from alignment_prism.labels import Design, read_labels, sheet_contrasts

        if any(len(seeds) > 1 for seeds in arms):
            raise InputError("a sheet is of one model of each arm", fix="name the seed: FOLDER#ARM:SEED")
        rows, more = sheet_contrasts([seeds[0] for seeds in arms], Design.read(design), read_labels(labels))
        found = replace(found, rows=(*found.rows, *rows))
        said += more
    kin = translations_note(arms[0][0].prompts)
    found = replace(found, notes=(*found.notes, *said, *([kin] if kin else [])))
    name = (out or "").lower()
    if out and name.endswith((".parquet", ".jsonl")):
        write_records(out, found.rows, Contrast)
    elif out:
        text = rows_csv(Contrast, found.rows) if name.endswith(".csv") else contrasts_markdown(found.rows, found.notes)
        write_text(out, text)
    if as_json:
        echo(json.dumps({"notes": found.notes, "contrasts": [json_of(row) for row in found.rows]}))
        return
    console().print(contrasts_table(found.rows))
    for note in found.notes:
        echo(f"note: {note}")


def _decide(
    a: str, b: str, gate: str, look: int | None, ledger: str | None, passport: PassportOptions, out: str | None, *,
    as_json: bool,
) -> int:  # fmt: skip
    from dataclasses import replace

    from alignment_prism.gates import Ledger, Status, decide, markdown, read_gate
    from alignment_prism.io import write_text
    from alignment_prism.store.names import looks_beside

    spec = read_gate(gate) if look is None else read_gate(gate).at_look(look)
    (old, old_arm, first), (new, new_arm, second) = open_release(a), open_release(b)
    known, error, said = _known_judge(passport, [*first, *second])
    if known is not None:
        from alignment_prism.labels import with_passport

        old, new = (with_passport(findings, known, passport.origin) for findings in (old, new))
    result = decide(old, new, spec, old_arm=old_arm, new_arm=new_arm, runs=(first, second), judge_error=error)
    result = replace(result, notes=tuple(said))
    Ledger(ledger or looks_beside(gate)).spend(spec, old, new, (old_arm, new_arm))
    text = markdown(result, spec)
    if out:
        write_text(out, text)
    echo(_as_json(result) if as_json else text, nl=as_json)
    return {Status.PASS: 0, Status.FAIL: NOT_PASSED, Status.UNDECIDED: UNDECIDED}[result.status]


def _as_json(result: Any) -> str:
    import json

    decisions = [
        {
            "check": d.check, "metric": d.cell.metric, "prompts": d.cell.prompts, "language": d.cell.language,
            "scope": d.cell.scope, "category": d.cell.category, "old": None if d.old is None else d.old.estimate,
            "new": d.new.estimate, "estimate": d.tested.estimate, "lower": d.tested.lower, "upper": d.tested.upper,
            "interval": d.tested.name, "n": d.tested.n, "limit": d.limit, "status": d.status.value, "reason": d.reason,
            "insufficient": d.insufficient,
        }
        for d in result.decisions
    ]  # fmt: skip
    sides = {
        name: None if side is None else {"arm": side.arm, **side.facts}
        for name, side in (("a", result.old), ("b", result.new))
    }
    return json.dumps(
        {"status": result.status.value, "error": result.note, **sides, "exceptions": result.exceptions,
         "pairing": result.pairing, "notes": result.notes, "decisions": decisions}
    )  # fmt: skip
