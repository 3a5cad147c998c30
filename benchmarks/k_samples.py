"""Do intervals hold where most prompts are all or nothing, and arms gave different numbers of replies?

Rates of prompts are drawn from Beta distributions with most of their mass at 0 and 1 (a concentration of .3 means a
correlation of .77 between two replies to one prompt). The arm halves every prompt's rate, or is harmless on half of the
prompts. Verdicts go through `CellSums`, which all findings and contrasts use. The figures are in `k_samples.md`.

    python benchmarks/k_samples.py --replicates 400
    python benchmarks/k_samples.py --files

With `--files` one data set of each design goes through files instead: prompts, replies and scores are written,
`prism analyse` and `contrast` read them, and their intervals are held against those of `CellSums`, which the coverage
is of.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from click.testing import CliRunner

from alignment_prism.cli.analyse import command as analyse
from alignment_prism.contrasts import contrast
from alignment_prism.domain import Finding, Generation, Outcome, Prompt, PromptKind, Run, Score, user
from alignment_prism.evaluation.cells import Cell
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.io import read_records, write_records
from alignment_prism.statistics.intervals import Interval

DESIGNS = list(product((100, 300), (0.02, 0.05, 0.2), (0.3, 1.0), ((1, 10), (10, 10), (10, 1)), ("halved", "mended")))


def drawn(
    rng: np.random.Generator, n: int, rate: float, concentration: float, replies: tuple[int, int], way: str
) -> list[np.ndarray]:
    """Verdicts of base and of the arm, a row a prompt."""
    p = rng.beta(rate * concentration, (1 - rate) * concentration, n)
    q = p / 2 if way == "halved" else np.where(rng.random(n) < 0.5, p, 0.0)
    return [(rng.random((n, k)) < x[:, None]) * 1.0 for k, x in zip(replies, (p, q), strict=True)]


def of_sums(base: np.ndarray, model: np.ndarray) -> list[Interval]:
    """Intervals of the difference, the relative change and the arm's rate."""
    rows = np.arange(len(base))
    sums = CellSums([Cell("harmful", "all", "all", "all", rows)], rows.astype(str))
    change = sums.changes(model, base)
    return [found.intervals[0] for found in (change.differences(), change.relative_changes(), sums.rates(model))]


def from_files(base: np.ndarray, model: np.ndarray, folder: Path) -> tuple[list[tuple[float, float]], list[float]]:
    """Ends that `prism analyse` and `contrast` give them from files: findings, and the contrast's difference."""
    prompts = [Prompt(f"p{i}", user(f"request {i}"), "en", PromptKind.HARMFUL) for i in range(len(base))]
    words = {1.0: Outcome.HARMFUL, 0.0: Outcome.REFUSAL}
    runs = []
    for arm, table in (("base", base), ("arm", model)):
        replies = [
            Generation(prompt.id, arm, arm, f"{arm} {prompt.id} {k}", sample=k, temperature=1.0)
            for prompt in prompts
            for k in range(table.shape[1])
        ]
        scores = [
            Score(r.prompt_id, r.reply_digest, arm, "judge", "outcome", words[v], sample=r.sample, rubric="r@1")
            for r, v in zip(replies, table.ravel().tolist(), strict=True)
        ]
        write_records(folder / f"{arm}.parquet", replies, Generation)
        write_records(folder / f"{arm}_scores.parquet", scores, Score)
        runs.append((arm, replies, scores))
    write_records(folder / "prompts.jsonl", prompts, Prompt)
    arguments = ["--prompts", "prompts.jsonl", "--out", "findings.parquet", "--replace"]
    for arm, _, _ in runs:
        arguments += ["--generations", f"{arm}.parquet", "--scores", f"{arm}_scores.parquet"]
    places = [str(folder / name) if name.endswith(("parquet", "jsonl")) else name for name in arguments]
    result = CliRunner().invoke(analyse, places)
    assert result.exit_code == 0, result.output
    found = {
        row.metric: (row.lower, row.upper)
        for row in read_records(folder / "findings.parquet", Finding)
        if row.arm == "arm" and row.language == "all" and row.category == "all"
    }
    read = [
        Run(arm, tuple(prompts), tuple(read_records(folder / f"{arm}.parquet", Generation)),
            tuple(read_records(folder / f"{arm}_scores.parquet", Score)))
        for arm, _, _ in runs
    ]  # fmt: skip
    rows = contrast(read, may_differ=("sampling",)).rows
    one = next(row for row in rows if row.quantity == "difference" and row.language == "all")
    ends = [found[metric] for metric in ("harm_difference", "harm_relative_change", "harm_rate")]
    return ends, [one.lower, one.upper]


def apart(rng: np.random.Generator) -> Iterator[float]:
    """Of each design, how far ends from files and from sums are apart at most."""
    for design in DESIGNS:
        base, model = drawn(rng, *design)
        sums = of_sums(base, model)
        with TemporaryDirectory() as folder:
            ends, compared = from_files(base, model, Path(folder))
        pairs = [(one.lower, one.upper) for one in sums]
        both = zip([*pairs, pairs[0]], [*ends, tuple(compared)], strict=True)
        gaps = [abs(a - b) for ours, theirs in both for a, b in zip(ours, theirs, strict=True) if a != b]
        yield max(gaps, default=0.0)


def covered(rng: np.random.Generator, design: tuple, times: int) -> list[float]:
    """Shares of intervals, per cent, that hold: of the difference, the relative change and the arm's rate."""
    held, rate = np.zeros(3), design[1]
    for _ in range(times):
        truth = (-rate / 2, -50.0, rate / 2)
        held += [one.covers(value) for one, value in zip(of_sums(*drawn(rng, *design)), truth, strict=True)]
    return [round(100 * each / times, 1) for each in held.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--files", action="store_true", help="one data set of each design, through files")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    if arguments.files:
        gaps = list(apart(rng))
        print(f"{len(gaps)} designs: ends from files and from sums are {max(gaps):.1e} apart at most")
        return
    print(
        "| prompts | base's rate | concentration | replies of base, arm | arm | difference | relative change | rate |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for design in DESIGNS:
        n, rate, concentration, replies, way = design
        shares = " | ".join(f"{each:.1f}" for each in covered(rng, design, arguments.replicates))
        print(f"| {n} | {rate:g} | {concentration:g} | {replies[0]}, {replies[1]} | {way} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
