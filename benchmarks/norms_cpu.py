"""What fused norms save of a training step on a CPU.

DPO steps of our engine on a small Cohere model with random weights (that of `preference_step.py`) and log-normal
lengths, once with the norms as transformers writes them and once with ours. Both take turns step by step, and CPU time
is counted, so that what else runs on the machine falls on both. bfloat16 is autocast, as in training.

    python benchmarks/norms_cpu.py --table benchmarks/norms_cpu.md
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import preference_step
import torch

from alignment_prism.training.layouts.packing import tree_length
from alignment_prism.training.norms import fuse_norms

MEDIANS = (12, 48)
PAIRS = 8


def measure(median: int, precision: str, rounds: int) -> tuple[float, float, float]:
    """Mean tokens of a tree, and median milliseconds of a step without and with fused norms."""
    options = argparse.Namespace(
        precision=precision, device=torch.device("cpu"), lora=False, rows=0, shape="small", limit=2048
    )
    preference_step.LENGTHS["here"] = (median, median)
    examples = preference_step.log_normal_examples("here", PAIRS, 4096, options.limit)
    models = [preference_step.make_model("small", "eager", options.device) for _ in range(2)]
    assert fuse_norms(models[1]) == 5
    steps = [preference_step.packed_step(model, examples, options, PAIRS) for model in models]
    spans: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for step, found in zip(steps, spans, strict=True):
            begin = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                step(list(range(PAIRS)))
            found.append(1000 * (time.process_time() - begin))
    own, fused = (statistics.median(found[1:]) for found in spans)
    return sum(map(tree_length, examples)) / PAIRS, own, fused


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
        "| precision | mean tokens of a pair's tree | own norms, ms a step | fused, ms a step | own over fused |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    native = any(torch.cpu.get_capabilities().get(name) for name in ("amx_bf16", "avx512_bf16"))
    for precision in ("fp32", "bf16") if native else ("fp32",):  # elsewhere nobody would train in bfloat16
        for median in MEDIANS:
            mean, own, fused = measure(median, precision, options.rounds)
            lines.append(f"| {precision} | {mean:.0f} | {own:.0f} | {fused:.0f} | {own / fused:.2f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.table is not None:
        options.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
