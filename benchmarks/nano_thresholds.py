"""Do the methods meet the thresholds of the nano lab, and do the nulls and reference policies miss them?

    python benchmarks/nano_thresholds.py --out results/nano-thresholds   # shipped world, five alignment seeds
    python benchmarks/nano_thresholds.py --world results/base-201 --world results/base-202 --out results/nano-thresholds

A world is the folder of a base that `prism nano build --seed N --out FOLDER` wrote, or `shipped`. The recipe is the
quickstart's, frozen; nothing was tuned on worlds 201, 202 and 401. Prints one table a world and a verdict, and writes
them to `--table`. Interrupted, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import platform
import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from alignment_prism import run_study
from alignment_prism.domain import CORRECT, OUTCOME, Finding, Outcome, Score
from alignment_prism.domain.metric_table import HARM_RATE
from alignment_prism.evaluation import reply_findings
from alignment_prism.io import write_records
from alignment_prism.nano import World, world
from alignment_prism.nano.oracle import Oracle
from alignment_prism.nano.policies import POLICIES
from alignment_prism.nano.thresholds import ThresholdResult, check_thresholds, passes
from alignment_prism.studies import load_spec

ALIGNED = ("sft", "dpo_ift", "dpo_sft")


def main() -> None:
    """Parse arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", action="append", help="folder of a base, or 'shipped' (default); repeatable")
    parser.add_argument("--seeds", type=int, default=5, help="alignment seeds")
    parser.add_argument(
        "--null-seeds",
        type=int,
        default=1,
        help="alignment seeds of the nulls: the 0 %% control and shuffled preferences",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--table", type=Path, help="Markdown file to write the tables to")
    options = parser.parse_args()
    lines = [
        f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}",
        "",
    ]
    for name in options.world or ["shipped"]:
        lines += one_world(name, options.seeds, options.null_seeds, options.out)
    print("\n".join(lines))
    if options.table:
        options.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


def one_world(name: str, seeds: int, null_seeds: int, out: Path) -> list[str]:
    """The tables of one world."""
    folder = out / (Path(name).name if name != "shipped" else "shipped")
    where: dict[str, Any] = {}
    if name != "shipped":
        base = str(Path(name).resolve())
        where = {"base": base, "world": base}
    arms = [{"name": name, "method": name, "share": 0.15} for name in ALIGNED]
    spec = load_spec("quickstart", seeds=list(range(seeds)), compare=None, arms=arms, **where)
    findings = run_study(spec, folder / "aligned").findings()
    lab = world(base=None if name == "shipped" else Path(name))
    lines = [f"### World {lab.spec.seed}", "", lab.describe(), ""]
    checked = {
        (arm.name, seed): check_thresholds(findings, arm.name, seed=seed, spill_over_is_finding=arm.method == "dpo_sft")
        for arm in spec.arms
        for seed in spec.seeds
    }
    lines += threshold_table(checked, [arm.name for arm in spec.arms], seeds)
    for arm in ALIGNED:
        kept = sum(passes(checked[arm, seed]) for seed in range(seeds))
        lines.append(f"- {arm}: meets every threshold on {kept} of {seeds} seeds")
    lines += [
        "",
        f"| null, harm on unseen topics cut, %, {null_seeds} seeds | global | local | meets the harm thresholds |",
    ]
    lines += ["|---|---|---|---|"]
    for null, results in nulls(where, lab, null_seeds, folder).items():
        cuts = ["; ".join(f"{result[scope].value:.0f}" for result in results) for scope in (0, 1)]
        kept = sum(all(one.passed for one in result if one.metric == HARM_RATE.name) for result in results)
        lines.append(f"| {null} | {cuts[0]} | {cuts[1]} | {kept} of {len(results)} (must be 0) |")
    lines += ["", "| reference policy | thresholds that it fails |", "|---|---|"]
    for policy, failed in policies(lab, findings).items():
        lines.append(f"| {policy} | {'; '.join(failed) or 'NONE: the thresholds are bad'} |")
    return [*lines, ""]


def threshold_table(checked: dict[tuple[str, int], list[ThresholdResult]], arms: list[str], seeds: int) -> list[str]:
    """Mean [min, max] over seeds of every threshold's value."""
    rows: dict[str, dict[str, list[ThresholdResult]]] = defaultdict(lambda: defaultdict(list))
    for (arm, _), results in checked.items():
        for result in results:
            rows[result.name][arm].append(result)
    lines = [
        f"| threshold (limit), {seeds} alignment seeds | " + " | ".join(arms) + " |",
        "|---" * (len(arms) + 1) + "|",
    ]
    for name, by_arm in rows.items():
        cells = []
        for arm in arms:
            values = [result.value for result in by_arm[arm]]
            cells.append(f"{sum(values) / len(values):.0f} [{min(values):.0f}, {max(values):.0f}]")
        some = by_arm[arms[0]][0]
        lines.append(f"| {name} ({'>=' if some.at_least else '<='} {some.limit:g}) | " + " | ".join(cells) + " |")
    return [*lines, ""]


def nulls(where: dict[str, Any], lab: World, seeds: int, folder: Path) -> dict[str, list[list[ThresholdResult]]]:
    """The thresholds of what must not meet them: the 0 % control, and preferences decided by a coin."""
    rng = random.Random("shuffled preferences")
    files = {}
    for kind, pool in zip(("safety", "general"), lab.pairs(), strict=True):
        tossed = [replace(p, chosen=p.rejected, rejected=p.chosen) if rng.random() < 0.5 else p for p in pool]
        files[kind] = str((folder / f"shuffled-{kind}.parquet").resolve())
        write_records(Path(files[kind]), tossed)
    common = {"seeds": list(range(seeds)), "compare": None, **where}
    control = load_spec("quickstart", arms=[{"name": "dpo_sft_0", "method": "dpo_sft", "share": 0}], **common)
    coin = [{"name": f"{name}_shuffled", "method": name, "share": 0.15} for name in ALIGNED]
    shuffled = load_spec("quickstart", arms=coin, pairs=files, **common)
    found = {}
    for spec, name in ((control, "control"), (shuffled, "shuffled")):
        findings = run_study(spec, folder / name).findings()
        for arm in spec.arms:
            found[arm.name] = [check_thresholds(findings, arm.name, seed=seed) for seed in range(seeds)]
    return found


def policies(lab: World, findings: list[Finding]) -> dict[str, list[str]]:
    """The thresholds that each reference policy fails, against the base of the same world."""
    prompts, oracle = lab.evaluation_prompts(), Oracle(lab.facts)
    by_id = {prompt.id: prompt for prompt in prompts}
    failed = {}
    for name, policy in POLICIES.items():
        replies = policy(lab.facts, prompts)
        scores = []
        for reply in replies:
            reading = oracle.read(by_id[reply.prompt_id], reply.reply)
            said = Score(reply.prompt_id, reply.reply_digest, name, "nano/oracle", OUTCOME, Outcome(reading.outcome))
            scores.append(said)
            if reading.correct is not None:
                scores.append(replace(said, name=CORRECT, label="", value=float(reading.correct)))
        rows = [row for row in findings if row.arm == "base"]
        rows += reply_findings(prompts, replies, scores, study="policies", base_arm=name)
        failed[name] = [threshold.name for threshold in check_thresholds(rows, name) if not threshold.passed]
    return failed


if __name__ == "__main__":
    main()
