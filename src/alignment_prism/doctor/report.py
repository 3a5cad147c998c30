"""Everything the doctor looks at, in one report: the machine, a model, the memory its training needs, a judge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_prism.doctor import checks, judges
from alignment_prism.doctor.checks import Check, Gpu
from alignment_prism.doctor.memory import ModelShape, Plan, memory_need, remedies
from alignment_prism.doctor.models import model_files
from alignment_prism.domain import InputError
from alignment_prism.studies.judges import JudgeSpec


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        checks: one a thing that was looked at.
        memory: what the training needs per GPU, in GB, as plain values; None where no model was named.
    """

    checks: tuple[Check, ...]
    memory: dict[str, Any] | None = None

    @property
    def works(self) -> bool:
        """Whether nothing was found that will not work."""
        return all(check.status != "bad" for check in self.checks)


def examine(
    plan: Plan,
    *,
    model: str | None = None,
    judge: JudgeSpec | None = None,
    ask: bool = False,
    gpu_memory: float | None = None,
    out: str | Path = ".",
    gpus: list[Gpu] | None = None,
) -> Report:
    """Look at this machine, and at what is named; nothing is downloaded but the small files of a model.

    Args:
        plan: of the training.
        model: folder or Hub id of the model that is to be aligned.
        judge: who judges: one, a guard model, or a panel.
        ask: whether each judge judges a greeting of ours.
        gpu_memory: GB of each GPU, where the training is to run on another machine.
        out: where results will go.
        gpus: of this machine; found unless given.
    """
    gpus = checks.gpus() if gpus is None else gpus
    found = [*checks.versions(), *checks.devices(gpus), checks.hub_token(), checks.spbleu()]
    if plan.bits:
        found.append(checks.four_bits(elsewhere=gpu_memory is not None))
    memory, needed = None, 0.0
    if model:
        files = model_files(model)
        found.append(files.access)
        if files.files:
            found.append(checks.chat_template(files.files))
            try:
                shape = files.shape()
            except InputError as error:
                found.append(Check("memory", "bad", error.what, error.fix or ""))
            else:
                memory, check = _memory(shape, plan, [] if gpu_memory else gpus, gpu_memory)
                found.append(check)
                needed = 4.0 * shape.count
    found.insert(2, checks.disk(Path(out), needed))
    if judge is not None:
        found += judges.panel(judge, ask=ask)
    return Report(tuple(found), memory)


def _memory(shape: ModelShape, plan: Plan, gpus: list[Gpu], gpu_memory: float | None) -> tuple[dict[str, Any], Check]:
    """What the plan needs per GPU, whether that is there, and whether it is free."""
    available = gpu_memory * 1e9 if gpu_memory else min((gpu.total for gpu in gpus), default=0.0)
    free = min((gpu.free for gpu in gpus), default=available)
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
        fix = "say how much memory each has, to compare with GPUs of another machine"
        return report, Check("memory", "note", f"{size}; there is no GPU here to compare with", fix)
    if free < need.total <= available:
        what = f"{size}; {available / 1e9:.0f} GB are there, but only {free / 1e9:.0f} GB are free now"
        fix = "end what else runs on the GPU (nvidia-smi names it), or wait for it"
        return report, Check("memory", "bad", what, fix)
    if need.total <= available:
        return report, Check("memory", "ok", f"{size}; {available / 1e9:.0f} GB are there")
    options = remedies(shape, plan, available)
    report["remedies"] = [{"change": words, "total_gb": round(each.total / 1e9, 2)} for words, _, each in options]
    first = f"{options[0][0]}: {options[0][2].total / 1e9:.0f} GB" if options else "a larger GPU, or a smaller model"
    return report, Check("memory", "bad", f"{size}; only {available / 1e9:.0f} GB are there", first)
