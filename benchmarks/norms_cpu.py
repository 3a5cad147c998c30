"""What fused norms save of a training step on a CPU, and what a rotary embedding in one operation would save beside it.

DPO steps of our engine on a small Cohere model with random weights (that of `preference_step.py`) and log-normal
lengths: with the norms as transformers writes them, with ours, and with ours and the rotary embedding as one product of
complex numbers, which trainings do not have. They take turns step by step, and CPU time is counted, so that what else
runs on the machine falls on all. bfloat16 is autocast, as in training, where the CPU has it.

    python benchmarks/norms_cpu.py --table benchmarks/norms_cpu.md
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any

import preference_step
import torch
from torch import Tensor
from transformers.models.cohere import modeling_cohere

from alignment_prism.training.layouts.packing import tree_length
from alignment_prism.training.norms import fuse_norms

MEDIANS = (12, 48)
PAIRS = 8


def rotate(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1) -> tuple[Tensor, Tensor]:
    """Cohere's rotary embedding: neighbours are one complex number, which is turned by its angle."""
    angles = torch.complex(cos[..., ::2].float(), sin[..., ::2].float()).unsqueeze(unsqueeze_dim)

    def turned(states: Tensor) -> Tensor:
        pairs = torch.view_as_complex(states.float().unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * angles).flatten(-2).to(states.dtype)

    return turned(q), turned(k)


def fuse_rotary(model: Any) -> int:
    """Let the attention of a Cohere model turn by `rotate`, which does what its own code does; how many layers do."""
    q, k, angles = torch.randn(2, 6, 5, 32), torch.randn(2, 6, 5, 32), torch.randn(2, 5, 16).repeat_interleave(2, -1)
    theirs = modeling_cohere.apply_rotary_pos_emb(q, k, angles.cos(), angles.sin())
    for own, ours in zip(theirs, rotate(q, k, angles.cos(), angles.sin()), strict=True):
        assert torch.allclose(own, ours, atol=1e-6)
    layers = [module for module in model.modules() if isinstance(module, modeling_cohere.CohereAttention)]
    own = modeling_cohere.CohereAttention.forward
    known = {**own.__globals__, "apply_rotary_pos_emb": rotate}
    fused = types.FunctionType(own.__code__, known, own.__name__, own.__defaults__, own.__closure__)
    for layer in layers:
        layer.forward = types.MethodType(fused, layer)
    return len(layers)


def measure(median: int, precision: str, rounds: int) -> tuple[float, list[float]]:
    """Mean tokens of a tree, and median milliseconds of a step: the model's own, fused norms, fused rotary as well."""
    options = argparse.Namespace(
        precision=precision, device=torch.device("cpu"), lora=False, rows=0, shape="small", limit=2048
    )
    preference_step.LENGTHS["here"] = (median, median)
    examples = preference_step.log_normal_examples("here", PAIRS, 4096, options.limit)
    models = [preference_step.make_model("small", "eager", options.device) for _ in range(3)]
    assert fuse_norms(models[1]) == fuse_norms(models[2]) == 5 and fuse_rotary(models[2]) == 4
    steps = [preference_step.packed_step(model, examples, options, PAIRS) for model in models]
    spans: tuple[list[float], ...] = ([], [], [])
    for _ in range(rounds + 1):
        for step, found in zip(steps, spans, strict=True):
            begin = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                step(list(range(PAIRS)))
            found.append(1000 * (time.process_time() - begin))
    return sum(map(tree_length, examples)) / PAIRS, [statistics.median(found[1:]) for found in spans]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--table", type=Path, default=None, help="Markdown file to write as well")
    parser.add_argument("--note", default="", help="a line for the table's head: what else was running")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Norms on a CPU", "", "Written by `benchmarks/norms_cpu.py`, whose head says what is compared.", "",
        f"- device: {platform.machine()} CPU, 1 thread",
        f"- versions: torch {version('torch')}, transformers {version('transformers')}",
        *([f"- note: {options.note}"] if options.note else []), "",
        "| precision | mean tokens of a pair's tree | own norms, ms a step | fused norms | own over fused | "
        "fused norms and rotary | own over both |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    native = any(torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16"))
    for precision in ("fp32", "bf16") if native else ("fp32",):  # elsewhere nobody would train in bfloat16
        for median in MEDIANS:
            mean, (own, norms, both) = measure(median, precision, options.rounds)
            lines.append(
                f"| {precision} | {mean:.0f} | {own:.0f} | {norms:.0f} | {own / norms:.2f} | {both:.0f} | "
                f"{own / both:.2f} |"
            )
    text = "\n".join(lines) + "\n"
    print(text)
    if options.table is not None:
        options.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
