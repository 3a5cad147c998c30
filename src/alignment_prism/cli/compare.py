"""`prism compare`: may release B replace release A?"""

from __future__ import annotations

from typing import Any

import click

from alignment_prism.cli.console import echo
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
@click.option("--ledger", type=click.Path(), help="Where the looks that were spent are written down; "
              "GATE.looks.jsonl unless given.")  # fmt: skip
@click.option("--out", type=click.Path(), help="Also write the Markdown verdict to this file.")
@replace_option
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.pass_context
def command(
    ctx: click.Context, a: str, b: str, gate: str, arm_a: str | None, arm_b: str | None, look: int | None,
    ledger: str | None, out: str | None, replace: bool, as_json: bool,
) -> None:  # fmt: skip
    """Decide a release gate from the findings files A (in use) and B (new).

    Every check of the gate must be shown by its interval, in every language that A or B has; unjudged, broken and
    inconsistent replies must not have become many meanwhile. A and B must be measured alike (judge, rubric, prompts,
    sampling), unless the gate declares in what they may differ. Exit codes: 0 all shown, 6 at least one refuted, 7
    undecided (more prompts may decide), 2 a finding or the gate is not what it should be.

    \b
    Examples:
      prism compare old/findings.parquet new/findings.parquet --gate gate.yaml --arm-b dpo_sft
      prism compare a.jsonl b.jsonl --gate gate.yaml --look 2 --out verdict.md
    """
    from alignment_prism.domain import Finding
    from alignment_prism.gates import Ledger, Status, decide, markdown, read_gate
    from alignment_prism.io import read_records, write_text
    from alignment_prism.store.names import looks_beside

    check_outputs(out, inputs=(a, b, gate, ledger), replace=replace)
    spec = read_gate(gate) if look is None else read_gate(gate).at_look(look)
    old, new = read_records(a, Finding), read_records(b, Finding)
    result = decide(old, new, spec, old_arm=arm_a, new_arm=arm_b)
    Ledger(ledger or looks_beside(gate)).spend(spec, old, new, (arm_a, arm_b))
    text = markdown(result, spec)
    if out:
        write_text(out, text)
    echo(_as_json(result) if as_json else text, nl=as_json)
    ctx.exit({Status.PASS: 0, Status.FAIL: NOT_PASSED, Status.UNDECIDED: UNDECIDED}[result.status])


def _as_json(result: Any) -> str:
    import json

    decisions = [
        {
            "check": d.check, "metric": d.cell.metric, "prompts": d.cell.prompts, "language": d.cell.language,
            "scope": d.cell.scope, "category": d.cell.category, "old": None if d.old is None else d.old.estimate,
            "new": d.new.estimate, "estimate": d.tested.estimate, "lower": d.tested.lower, "upper": d.tested.upper,
            "limit": d.limit, "status": d.status.value, "insufficient": d.insufficient,
        }
        for d in result.decisions
    ]  # fmt: skip
    sides = {
        name: None if side is None else {"arm": side.arm, **side.facts}
        for name, side in (("a", result.old), ("b", result.new))
    }
    return json.dumps(
        {"status": result.status.value, "error": result.note, **sides, "exceptions": result.exceptions,
         "decisions": decisions}
    )  # fmt: skip
