"""Which attention trains faster on a CPU, by the length of a pair: `eager` or `sdpa`.

DPO steps of our engine, each pair in a row of its own, on a small Cohere model with random weights (that of
`preference_step.py`) and log-normal lengths. Both take turns step by step. bfloat16 is autocast, as in
training. It is where the limit comes from below which `attention: auto` takes `eager`.

    python benchmarks/attention_cpu.py --table benchmarks/attention_cpu.md
"""

from __future__ import annotations

import argparse
import platform
import time
from importlib.metadata import version
from pathlib import Path

import preference_step
import torch

from alignment_prism.training.layouts.packing import tree_length

MEDIANS = (8, 12, 16, 24, 48, 96, 192)
PAIRS = 16


def measure(median: int, precision: str, rounds: int) -> tuple[float, dict[str, float]]:
    """Mean tokens of a tree, and pairs a second of each attention."""
    options = argparse.Namespace(
        precision=precision, device=torch.device("cpu"), lora=False, rows=0, shape="small", limit=2048
    )
    preference_step.LENGTHS["here"] = (median, median)
    examples = preference_step.log_normal_examples("here", PAIRS, 4096, options.limit)
    steps = {
        attention: preference_step.packed_step(
            preference_step.make_model("small", attention, options.device), examples, options, PAIRS
        )
        for attention in ("eager", "sdpa")
    }
    rows = list(range(PAIRS))
    spans = dict.fromkeys(steps, 0.0)
    for number in range(rounds + 1):
        for attention, step in steps.items():
            begin = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                step(rows)
            spans[attention] += (time.perf_counter() - begin) * (number > 0)
    mean = sum(map(tree_length, examples)) / PAIRS
    return mean, {attention: rounds * PAIRS / span for attention, span in spans.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, default=None, help="Markdown file to write as well")
    parser.add_argument("--note", default="", help="a line for the table's head: what else was running")
    options = parser.parse_args()
    lines = [
        "# Attention on a CPU", "", "Written by `benchmarks/attention_cpu.py`, whose head says what is compared.", "",
        f"- device: {platform.machine()} CPU, {torch.get_num_threads()} threads",
        f"- versions: torch {version('torch')}, transformers {version('transformers')}",
        *([f"- note: {options.note}"] if options.note else []), "",
        "| precision | mean tokens of a pair's tree | eager, pairs/s | sdpa, pairs/s | sdpa over eager |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for precision in ("fp32", "bf16"):
        for median in MEDIANS:
            mean, rates = measure(median, precision, options.rounds)
            eager, sdpa = rates["eager"], rates["sdpa"]
            lines.append(f"| {precision} | {mean:.0f} | {eager:.1f} | {sdpa:.1f} | {sdpa / eager:.2f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.table is not None:
        options.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
