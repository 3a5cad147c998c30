"""`prism doctor`: what this machine can do, what a model and method need, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from alignment_prism.doctor import Check, ModelShape, Plan


@click.command("doctor")
@click.option("--model", help="Folder or Hub id of the model to be aligned, or nano.")
@click.option("--judge", "judge_model", help="Inspect id of the judge, such as openai/gpt-4o.")
@click.option("--judge-url", default="", help="Address of the judge's server, for one's own server.")
@click.option("--method", type=click.Choice(["sft", "dpo"]), default="dpo", show_default=True, help="Of training.")
@click.option("--micro-batch", type=click.IntRange(min=1), default=1, show_default=True, help="Pairs a GPU at a time.")
@click.option("--length", type=click.IntRange(min=2), default=2048, show_default=True, help="Tokens of a sequence.")
@click.option(
    "--precision", type=click.Choice(["bf16", "fp32"]), default="bf16", show_default=True, help="Of training."
)
@click.option(
    "--gpus", "gpu_count", type=click.IntRange(min=1), help="GPUs to spread over; all there are unless given."
)
@click.option("--gpu-memory", type=float, help="GB of each GPU, where the training is to run on another machine.")
@click.option("--checkpointing", is_flag=True, help="With gradient checkpointing.")
@click.option(
    "--rank", type=click.IntRange(min=0), default=0, show_default=True, help="LoRA rank; 0 trains all weights."
)
@click.option("--live-reference", is_flag=True, help="Keep the reference model beside the policy (not what we do).")
@click.option("--out", type=click.Path(), default=".", show_default=True, help="Where results will go.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def command(
    context: click.Context,
    model: str | None,
    judge_model: str | None,
    judge_url: str,
    method: str,
    micro_batch: int,
    length: int,
    precision: str,
    gpu_count: int | None,
    gpu_memory: float | None,
    checkpointing: bool,
    rank: int,
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
      prism doctor --model ./aya-23-8b --gpus 8 --gpu-memory 80 --checkpointing
    """
    import json
    from pathlib import Path
    from typing import cast

    from alignment_prism.doctor import Plan, checks, judges
    from alignment_prism.doctor.models import model_files
    from alignment_prism.domain import InputError

    found = checks.gpus()
    report = [*checks.versions(), *checks.devices(found), checks.hub_token(), checks.spbleu()]
    count = gpu_count or len(found) or 1
    plan = Plan(
        method=cast(Any, method), micro_batch=micro_batch, length=length, precision=cast(Any, precision), gpus=count,
        checkpointing=checkpointing, rank=rank, live_reference=live_reference,
    )  # fmt: skip
    memory: dict[str, Any] | None = None
    needed = 0.0
    if model:
        files = model_files(model)
        report.append(files.access)
        if files.files:
            report.append(checks.chat_template(files.files))
            try:
                shape = files.shape()
            except InputError as error:
                report.append(checks.Check("memory", "bad", error.what, error.fix or ""))
            else:
                here = [] if gpu_memory else found
                available = gpu_memory * 1e9 if gpu_memory else min((gpu.total for gpu in here), default=0.0)
                free = min((gpu.free for gpu in here), default=available)
                memory, check = _memory(shape, plan, available, free)
                report.append(check)
                needed = 4.0 * shape.count
    report.insert(2, checks.disk(Path(out), needed))
    if judge_model:
        report += judges.judge(judge_model, url=judge_url)
    if as_json:
        entries = [{"name": each.name, "status": each.status, "what": each.what, "fix": each.fix} for each in report]
        click.echo(json.dumps({"checks": entries, "memory": memory}, ensure_ascii=False))
    else:
        _say(report, memory)
    if any(check.status == "bad" for check in report):
        context.exit(3)


def _memory(shape: ModelShape, plan: Plan, available: float, free: float) -> tuple[dict[str, Any], Check]:
    """What the plan needs per GPU, whether that is there, and whether it is free."""
    from alignment_prism.doctor import Check, memory_need
    from alignment_prism.doctor.memory import remedies

    need = memory_need(shape, plan)
    report: dict[str, Any] = {
        "parameters": shape.count,
        "counted": "in the files" if shape.parameters else "from config.json",
        "gpus": plan.gpus,
        "per_gpu_gb": {name: round(value / 1e9, 2) for name, value in need.parts().items()},
        "total_gb": round(need.total / 1e9, 2),
        "available_gb": round(available / 1e9, 2),
        "free_gb": round(free / 1e9, 2),
        "remedies": [],
    }
    size = f"{shape.count / 1e9:.2f} B parameters need about {need.total / 1e9:.0f} GB on each of {plan.gpus} GPU(s)"
    if not available:
        return report, Check("memory", "note", f"{size}; no GPU here to compare with (--gpu-memory GB)")
    if free < need.total <= available:
        what = f"{size}; {available / 1e9:.0f} GB are there, but only {free / 1e9:.0f} GB are free now"
        return report, Check(
            "memory", "bad", what, "end what else runs on the GPU (nvidia-smi names it), or wait for it"
        )
    if need.total <= available:
        return report, Check("memory", "ok", f"{size}; {available / 1e9:.0f} GB are there")
    options = remedies(shape, plan, available)
    report["remedies"] = [{"change": words, "total_gb": round(each.total / 1e9, 2)} for words, _, each in options]
    first = f"{options[0][0]}: {options[0][2].total / 1e9:.0f} GB" if options else "a larger GPU, or a smaller model"
    return report, Check("memory", "bad", f"{size}; only {available / 1e9:.0f} GB are there", first)


def _say(report: list[Check], memory: dict[str, Any] | None) -> None:
    marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    for check in report:
        click.echo(f"{marks[check.status]}  {check.name}: {check.what}")
        if check.fix:
            click.echo(f"      fix: {check.fix}")
    if memory is None:
        return
    click.echo(
        f"\nMemory per GPU in GB ({memory['parameters']:,} parameters, counted {memory['counted']}; activations and"
    )
    click.echo("logits are estimates):")
    for name, value in memory["per_gpu_gb"].items():
        click.echo(f"  {name:12} {value:8.2f}")
    click.echo(f"  {'total':12} {memory['total_gb']:8.2f}")
    if memory["remedies"]:
        click.echo("Changes that make it fit, each with those before it:")
        for each in memory["remedies"]:
            click.echo(f"  {each['total_gb']:8.2f}  {each['change']}")
