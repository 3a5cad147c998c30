"""Are small p-values over few alignment seeds as small as they say where nothing changes, and what would cure cost?

    python benchmarks/seed_tails.py               # 20,000 studies a line; three minutes of one core

Base and an arm have one rate, 30 %, on the same independent prompts, or the arm's is 15 points higher; a seed moves the
arm's rate by a normal number of the standard deviation that the line names. Verdicts of a prompt differ from seed to
seed. `SeedModel.p_value` is what Holm over arms is taken of. Beside it stands a generalised p-value (Tsui & Weerahandi,
1989, J. Am. Stat. Assoc. 84): the seeds' part of the variance is not put in at its estimate but averaged over what it
may be, given its degrees of freedom. Prints the table of `seed_tails.md`: of a line's studies the share with p at most
.05, .01 and .0028 (which is .05 over 18 arms), in per cent.
"""

from __future__ import annotations

import argparse
import platform
import time
from functools import cache
from importlib.metadata import version

import numpy as np
from scipy.special import stdtr
from scipy.stats import chi2

from alignment_prism.domain.text import markdown_table
from alignment_prism.statistics.changes.seeds import SeedModel

RATE = 0.3
CHANGE = 0.15
LEVELS = (0.05, 0.01, 0.0028)


@cache
def nodes(freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of f / chi-squared with f degrees of freedom, dense where it is large, and their weights."""
    points, weights = np.polynomial.legendre.leggauss(64)
    of = (points + 1) / 2
    return freedom / chi2.ppf(of**3, freedom), weights / 2 * 3 * of**2


def generalised(model: SeedModel, freedom: int) -> float:
    """The p-value where the seeds' variance is averaged over its fiducial distribution."""
    found, clusters = model.variance("arm", "base", model._w, model._w), model.clusters - 1
    factors, weights = nodes(freedom)
    seed = found.seed * factors
    whole = np.maximum(seed + found.cluster - found.both, np.maximum(seed, found.cluster))
    df = whole**2 / (found.cluster**2 / clusters + found.both**2 / (freedom * clusters))
    estimate = abs(model.rate("arm") - model.rate("base"))
    return float(weights @ (2 * stdtr(df, -estimate / np.sqrt(whole))))


def p_values(
    seeds: int, prompts: int, sd: float, change: float, studies: int, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Ours and the generalised one of so many studies."""
    found = []
    for _ in range(studies):
        hard = rng.beta(2, 2 * (1 - RATE) / RATE, prompts)  # rates of the prompts, whose mean is RATE
        moved = np.clip(hard + change + rng.normal(0, sd, seeds)[:, None], 0, 1)
        arm = (rng.random((seeds, prompts)) < moved).astype(float)
        base = (rng.random((1, prompts)) < hard).astype(float)
        model = SeedModel({"arm": arm, "base": base})
        found.append((model.p_value("arm", "base"), generalised(model, seeds - 1)))
    return found


def table(change: float, studies: int, rng: np.random.Generator) -> str:
    """Of all designs."""
    rows = []
    for seeds in (3, 5):
        for prompts in (60, 240):
            for sd in (0.0, 0.03, 0.06, 0.12):
                found = np.array(p_values(seeds, prompts, sd, change, studies, rng))
                shares = [f"{100 * float((of <= level).mean()):.2f}" for of in found.T for level in LEVELS]
                rows.append([str(seeds), str(prompts), f"{100 * sd:.0f}", *shares])
    heads = [f"{of}p <= {level}" for of in ("", "generalised ") for level in LEVELS]
    return markdown_table(["seeds", "prompts", "points a seed moves", *heads], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20_000)
    options = parser.parse_args()
    began, rng = time.process_time(), np.random.default_rng(0)
    without, with_change = table(0.0, options.studies, rng), table(CHANGE, options.studies // 5, rng)
    versions = f"{platform.machine()}, Python {platform.python_version()}, numpy {version('numpy')}"
    print(f"{versions}; {options.studies} studies a line, {time.process_time() - began:.0f} s of a processor\n")
    print(f"{without}\n\nWhere the arm's rate is {100 * CHANGE:.0f} points higher ({options.studies // 5} studies):\n")
    print(with_change)


if __name__ == "__main__":
    main()
