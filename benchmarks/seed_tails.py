"""Are small p-values over few alignment seeds as small as they say, where nothing changes?

    python benchmarks/seed_tails.py               # 20,000 studies a line; two minutes of one core

Base and an arm have one rate, 30 %, on the same independent prompts; a seed moves the arm's rate by a normal number of
the standard deviation that the line names. Verdicts of a prompt differ from seed to seed. `SeedModel.p_value` is what
Holm over arms is taken of. Prints the table of `seed_tails.md`: of a line's studies the share with p at most .05, .01
and .0028 (which is .05 over 18 arms), in per cent.
"""

from __future__ import annotations

import argparse
import platform
import time
from importlib.metadata import version

import numpy as np

from alignment_prism.domain.text import markdown_table
from alignment_prism.statistics.changes.seeds import SeedModel

RATE = 0.3
LEVELS = (0.05, 0.01, 0.0028)


def p_values(seeds: int, prompts: int, sd: float, studies: int, rng: np.random.Generator) -> list[float]:
    """Of so many studies in which nothing changes."""
    found = []
    for _ in range(studies):
        hard = rng.beta(2, 2 * (1 - RATE) / RATE, prompts)  # rates of the prompts, whose mean is RATE
        moved = np.clip(hard + rng.normal(0, sd, seeds)[:, None], 0, 1)
        arm = (rng.random((seeds, prompts)) < moved).astype(float)
        base = (rng.random((1, prompts)) < hard).astype(float)
        found.append(SeedModel({"arm": arm, "base": base}).p_value("arm", "base"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20_000)
    options = parser.parse_args()
    began, rng = time.process_time(), np.random.default_rng(0)
    rows = []
    for seeds in (3, 5):
        for prompts in (60, 240):
            for sd in (0.0, 0.03, 0.06, 0.12):
                found = np.array(p_values(seeds, prompts, sd, options.studies, rng))
                shares = [f"{100 * float((found <= level).mean()):.2f}" for level in LEVELS]
                rows.append([str(seeds), str(prompts), f"{100 * sd:.0f}", *shares])
    versions = f"{platform.machine()}, Python {platform.python_version()}, numpy {version('numpy')}"
    print(f"{versions}; {options.studies} studies a line, {time.process_time() - began:.0f} s of a processor\n")
    print(markdown_table(["seeds", "prompts", "points a seed moves", *(f"p <= {level}" for level in LEVELS)], rows))


if __name__ == "__main__":
    main()
