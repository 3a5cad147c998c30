"""Among many arms over few seeds: how often is one shown that changes nothing, and how many are that do?

    python benchmarks/seed_families.py            # 400 studies a line; five minutes of one core

Each study has arms of several alignment seeds and one base, on the same 240 independent prompts; two arms of three do
what base does, the third does it on 15 of 100 prompts more. A seed moves an arm's rate by a normal number (redrawn
beyond 2.15 standard deviations, so that every rate stays one) of the standard deviation that the line names, the same
for all arms or not. Tables of verdicts in, rows of the product out (`SeedStudy.rows`): an arm is shown where Holm's
p-value over the arms, in the signature, is at most .05. *Own* takes every arm's own variance from seed to seed, as if
it were the only one; the product raises it where it is small by luck (`seed_variance.SeedLaw`). Prints the table of
`seed_families.md`, per cent.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from alignment_prism.domain.findings import ALL, Signature
from alignment_prism.domain.messages import user
from alignment_prism.domain.metric_table import HARM_DIFFERENCE, HARM_RATE
from alignment_prism.domain.records import Prompt, PromptKind
from alignment_prism.domain.text import markdown_table
from alignment_prism.evaluation.seed_rows import SeedStudy, Told
from alignment_prism.statistics.changes.seeds import CrossedDifference, SeedModel
from alignment_prism.statistics.multiplicity import holm

PROMPTS = 240
CHANGE = 0.15
PATTERNS: dict[str, Callable[[int], list[float]]] = {
    "2 each": lambda arms: [0.02] * arms,
    "6 each": lambda arms: [0.06] * arms,
    "12 each": lambda arms: [0.12] * arms,
    "half 2, half 12": lambda arms: [0.12 if arm % 2 == 0 else 0.02 for arm in range(arms)],
    "the first 12, the others 3": lambda arms: [0.12] + [0.03] * (arms - 1),
    "from 12 down to 0": lambda arms: np.linspace(0.12, 0.0, arms).tolist(),
}


def moves(seeds: int, sd: float, rng: np.random.Generator) -> np.ndarray:
    """What each seed adds to an arm's rates."""
    found = rng.normal(0, 1, seeds)
    while (far := np.abs(found) > 2.15).any():
        found[far] = rng.normal(0, 1, far.sum())
    return sd * found[:, None]


def study(seeds: int, sds: list[float], rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Verdicts of every arm, seeds x prompts, and of base."""
    rates = 0.3 + 0.25 * rng.beta(2, 2, PROMPTS)
    arms = {}
    for arm, sd in enumerate(sds):
        of = rates + (CHANGE if arm % 3 == 2 else 0.0) + moves(seeds, sd, rng)
        arms[str(arm)] = (rng.random((seeds, PROMPTS)) < of).astype(float)
    return arms, (rng.random((1, PROMPTS)) < rates).astype(float)


def own(arms: dict[str, np.ndarray], base: np.ndarray) -> dict[str, tuple[float, CrossedDifference]]:
    """Holm's p-values, and changes, with each arm's own variance."""
    found = {arm: SeedModel({arm: table, "base": base}).difference(arm, "base") for arm, table in arms.items()}
    return dict(zip(found, zip(holm([of.p_value for of in found.values()]), found.values(), strict=True), strict=True))


def told(of: SeedStudy, arms: dict[str, np.ndarray], base: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Holm's p-values and intervals as the product tells them."""
    rows = of.rows(Told(HARM_DIFFERENCE, HARM_RATE, arms, base, judge="judge"))
    return {
        row.arm: (float(dict(Signature.parts(row.signature))["holm"]), row.lower, row.upper)
        for row in rows
        if row.language == row.scope == ALL
    }


def line(number: int, seeds: int, sds: list[float], studies: int, rng: np.random.Generator) -> list[str]:
    """One line of the table."""
    prompts = [Prompt(f"p{i}", user(f"p{i}"), "en", PromptKind.HARMFUL) for i in range(PROMPTS)]
    of = SeedStudy(prompts, "study", "base", ())
    wrong, found, holds, first = np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2)
    for _ in range(studies):
        arms, base = study(seeds, sds, rng)
        by_own, by_us = own(arms, base), told(of, arms, base)
        truth = {arm: CHANGE if int(arm) % 3 == 2 else 0.0 for arm in arms}
        p = np.array([[by_own[arm][0], by_us[arm][0]] for arm in arms])
        changes = np.array([truth[arm] > 0 for arm in arms])
        inside = np.array([
            [by_own[arm][1].interval.covers(truth[arm]), by_us[arm][1] <= truth[arm] <= by_us[arm][2]] for arm in arms
        ])  # fmt: skip
        wrong += (p[~changes] <= 0.05).any(axis=0)
        found += (p[changes] <= 0.05).mean(axis=0)
        holds += inside.mean(axis=0)
        first += inside[0]
    shares = [f"{100 * value / studies:.1f}" for pair in (wrong, found, holds, first) for value in pair]
    return [str(number), str(seeds), *shares]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    options = parser.parse_args()
    began, rng = time.process_time(), np.random.default_rng(0)
    rows = []
    for arms, seeds in ((3, 3), (6, 3), (18, 3), (6, 5), (18, 5)):
        for name, pattern in PATTERNS.items():
            arms_line = line(arms, seeds, pattern(arms), options.studies, rng)
            rows.append([*arms_line[:2], name, *arms_line[2:]])
    versions = f"{platform.machine()}, Python {platform.python_version()}, numpy {version('numpy')}"
    print(f"{versions}; {options.studies} studies a line, {time.process_time() - began:.0f} s of a processor\n")
    heads = ["any shown that changes nothing", "changes shown", "intervals hold", "the first arm's holds"]
    columns = [f"{head}: {way}" for head in heads for way in ("own", "ours")]
    print(markdown_table(["arms", "seeds", "points a seed moves", *columns], rows))


if __name__ == "__main__":
    main()
