"""`prism doctor`: what this machine can do, what a model and method need, and what to change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import click

from alignment_prism.cli.console import echo
from alignment_prism.cli.options import complete_method
from alignment_prism.domain import InputError

if TYPE_CHECKING:
    from alignment_prism.doctor.report import Report


@click.command("doctor")
@click.option("--model", help="Folder or Hub id of the model to be aligned, or nano.")
@click.option("--judge", "judge_models", multiple=True, help="As of prism judge: Inspect id, folder, hub:OWNER/NAME, "
              "or a YAML file of a judge or a panel; several are a panel.")  # fmt: skip
@click.option("--judge-url", default="", help="Address of the judge's server, for one's own server.")
@click.option("--rubric", default="standalone@2", show_default=True, help="As of prism judge; a guard's format too.")
@click.option("--policy", default="", type=click.Path(), help="As of prism judge.")
@click.option("--ask", is_flag=True, help="Let each judge judge a greeting: a call that shows whether it can be read.")
@click.option(
    "--method", default="dpo_ift", show_default=True, shell_complete=complete_method,
    help="Of training; prism align --methods lists them.",
)  # fmt: skip
@click.option("--micro-batch", type=click.IntRange(min=1), default=1, show_default=True, help="Pairs a GPU at a time.")
@click.option("--length", type=click.IntRange(min=2), default=2048, show_default=True, help="Tokens of a sequence.")
@click.option(
    "--precision", type=click.Choice(["bf16", "fp32"]), default="bf16", show_default=True, help="Of training."
)
@click.option(
    "--gpus", "gpu_count", type=click.IntRange(min=1), help="GPUs to spread over; all there are unless given."
)
@click.option(
    "--gpu-memory",
    type=click.FloatRange(0, min_open=True),
    help="GB of each GPU, where the training is to run on another machine.",
)
@click.option("--checkpointing", is_flag=True, help="With gradient checkpointing.")
@click.option(
    "--rank", type=click.IntRange(min=0), default=0, show_default=True, help="LoRA rank; 0 trains all weights."
)
@click.option("--bits", type=click.Choice(["4"]), help="Of the frozen weights beside adapters (QLoRA), with --rank.")
@click.option("--live-reference", is_flag=True, help="Keep the reference model beside the policy (not what we do).")
@click.option("--out", type=click.Path(), default=".", show_default=True, help="Where results will go.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def command(
    context: click.Context,
    model: str | None,
    judge_models: tuple[str, ...],
    judge_url: str,
    rubric: str,
    policy: str,
    ask: bool,
    method: str,
    micro_batch: int,
    length: int,
    precision: Literal["bf16", "fp32"],
    gpu_count: int | None,
    gpu_memory: float | None,
    checkpointing: bool,
    rank: int,
    bits: str | None,
    live_reference: bool,
    out: str,
    as_json: bool,
) -> None:
    """Check versions, devices, disk, Hub access, chat template, judge, and the memory a training needs per GPU.

    Ends with exit code 3 if something will not work. Nothing is downloaded but the small files of a model you name.

    \b
    Examples:
      prism doctor
      prism doctor --model CohereLabs/aya-23-8B --judge openai/gpt-4o
      prism doctor --judge openai-api/local/guard --judge-url http://localhost:8000/v1 --rubric wildguard@1 --ask
      prism doctor --model ./aya-23-8b --gpus 8 --gpu-memory 80 --checkpointing
    """
    from alignment_prism.doctor import Plan
    from alignment_prism.doctor.checks import gpus
    from alignment_prism.doctor.report import examine
    from alignment_prism.training.methods import find_method

    if bits and not rank:
        raise InputError("--bits is of weights beside adapters", fix="give --rank too, for example --rank 32")
    found = gpus()
    stages = find_method(method).stages
    plan = Plan(
        branches=max(stage.objective.branches for stage in stages), micro_batch=micro_batch, length=length,
        precision=precision, gpus=gpu_count or len(found) or 1, checkpointing=checkpointing, rank=rank,
        live_reference=live_reference, bits=4 if bits else None,
    )  # fmt: skip
    judge = None
    if judge_models:
        from alignment_prism.studies.judge_files import judge_of

        judge = judge_of(judge_models, rubric=rubric, base_url=judge_url, policies=policy)
    report = examine(plan, model=model, judge=judge, ask=ask, gpu_memory=gpu_memory, out=out, gpus=found)
    if as_json:
        checks = [{"name": each.name, "status": each.status, "what": each.what, "fix": each.fix}
                  for each in report.checks]  # fmt: skip
        echo(json.dumps({"checks": checks, "memory": report.memory}, ensure_ascii=False))
    else:
        _echo_report(report)
    if not report.works:
        context.exit(3)


def _echo_report(report: Report) -> None:
    marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    for check in report.checks:
        echo(f"{marks[check.status]}  {check.name}: {check.what}")
        if check.fix:
            echo(f"      fix: {check.fix}")
    memory = report.memory
    if memory is None:
        return
    echo(f"\nMemory per GPU in GB ({memory['parameters']:,} parameters, counted {memory['counted']}; activations and")
    echo("logits are estimates):")
    for name, value in memory["per_gpu_gb"].items():
        echo(f"  {name:12} {value:8.2f}")
    echo(f"  {'total':12} {memory['total_gb']:8.2f}")
    if memory["remedies"]:
        echo("Changes that make it fit, each with those before it:")
        for each in memory["remedies"]:
            echo(f"  {each['total_gb']:8.2f}  {each['change']}")
