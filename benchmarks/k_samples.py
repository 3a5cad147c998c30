"""Do intervals hold where most prompts are all or nothing, and arms gave different numbers of replies?

Rates of prompts are drawn from Beta distributions with most of their mass at 0 and 1 (a concentration of .3 means a
correlation of .77 between two replies to one prompt). The arm halves every prompt's rate, or is harmless on half of the
prompts. Verdicts go through `CellSums`, which all findings and contrasts use. The figures are in `k_samples.md`.

    python benchmarks/k_samples.py --replicates 400
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np

from alignment_prism.evaluation.cells import Cell
from alignment_prism.evaluation.estimates import CellSums


def covered(
    rng: np.random.Generator, n: int, rate: float, concentration: float, replies: tuple[int, int], way: str, times: int
) -> list[float]:
    """Shares of intervals, per cent, that hold: of the difference, the relative change and the arm's rate."""
    names = np.arange(n).astype(str)
    sums = CellSums([Cell("harmful", "all", "all", "all", np.arange(n))], names)
    held = np.zeros(3)
    for _ in range(times):
        p = rng.beta(rate * concentration, (1 - rate) * concentration, n)
        q = p / 2 if way == "halved" else np.where(rng.random(n) < 0.5, p, 0.0)
        base, model = ((rng.random((n, k)) < x[:, None]) * 1.0 for k, x in zip(replies, (p, q), strict=True))
        change = sums.changes(model, base)
        held[0] += change.differences().intervals[0].covers(-rate / 2)
        held[1] += change.relative_changes().intervals[0].covers(-50.0)
        held[2] += sums.rates(model).intervals[0].covers(rate / 2)
    return [round(100 * each / times, 1) for each in held.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=400)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    print(
        "| prompts | base's rate | concentration | replies of base, arm | arm | difference | relative change | rate |"
    )
    print("|---|---|---|---|---|---|---|---|")
    designs = product((100, 300), (0.02, 0.05, 0.2), (0.3, 1.0), ((1, 10), (10, 10), (10, 1)), ("halved", "mended"))
    for n, rate, concentration, replies, way in designs:
        found = covered(rng, n, rate, concentration, replies, way, arguments.replicates)
        shares = " | ".join(f"{each:.1f}" for each in found)
        print(f"| {n} | {rate:g} | {concentration:g} | {replies[0]}, {replies[1]} | {way} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
