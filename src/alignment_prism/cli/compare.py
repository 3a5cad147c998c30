"""`prism compare`: may release B replace release A?"""

from __future__ import annotations

import click

from alignment_prism.cli.outputs import check_outputs, replace_option

NOT_PASSED, UNDECIDED = 6, 7
"""Exit codes of a gate that is refuted, and of one that is neither shown nor refuted."""


@click.command("compare")
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@click.option("--gate", type=click.Path(), required=True, help="YAML file of the gate; see docs/statistics.md.")
@click.option("--arm-a", help="Arm of A; needed if its findings have several besides base.")
@click.option("--arm-b", help="Arm of B, likewise.")
@click.option("--look", type=click.IntRange(1), help="Number of this look, in place of the gate's looks.look.")
@click.option("--out", type=click.Path(), help="Also write the Markdown verdict to this file.")
@replace_option
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    a: str,
    b: str,
    gate: str,
    arm_a: str | None,
    arm_b: str | None,
    look: int | None,
    out: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Decide a release gate from the findings files A (in use) and B (new).

    Every check of the gate must be shown by its interval, in every language it names. Exit codes: 0 all shown,
    6 at least one refuted, 7 undecided (more prompts may decide), 2 a finding or the gate is not what it should be.

    \b
    Examples:
      prism compare old/findings.parquet new/findings.parquet --gate gate.yaml --arm-b dpo_sft
      prism compare a.jsonl b.jsonl --gate gate.yaml --look 2 --out verdict.md
    """
    import json

    from alignment_prism.domain import Finding, InputError
    from alignment_prism.gates.decide import Status, decide, markdown
    from alignment_prism.gates.spec import read_gate
    from alignment_prism.io import read_records, write_text

    check_outputs(out, inputs=(a, b, gate), replace=replace)
    spec = read_gate(gate)
    if look is not None:
        if spec.looks is None or look > spec.looks.planned:
            planned = spec.looks.planned if spec.looks else 1
            raise InputError(
                f"--look {look}, but {planned} look{'s are' if planned > 1 else ' is'} planned",
                where=gate,
                fix="plan looks before the first one; error that is spent does not return",
            )
        spec = spec.model_copy(update={"looks": spec.looks.model_copy(update={"look": look})})
    verdict = decide(read_records(a, Finding), read_records(b, Finding), spec, old_arm=arm_a, new_arm=arm_b)
    text = markdown(verdict, spec)
    if out:
        write_text(out, text)
    if as_json:
        decisions = [
            {
                "check": d.check, "metric": d.metric, "language": d.language, "scope": d.scope, "category": d.category,
                "old": None if d.old is None else d.old.estimate, "new": d.new.estimate, "estimate": d.tested.estimate,
                "lower": d.tested.lower, "upper": d.tested.upper, "limit": d.limit, "status": d.status.value,
                "insufficient": d.insufficient,
            }
            for d in verdict.decisions
        ]  # fmt: skip
        click.echo(json.dumps({"status": verdict.status.value, "error": verdict.note, "decisions": decisions}))
    else:
        click.echo(text, nl=False)
    ctx.exit({Status.PASS: 0, Status.FAIL: NOT_PASSED, Status.UNDECIDED: UNDECIDED}[verdict.status])
