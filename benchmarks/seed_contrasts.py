"""Do contrasts over seeds keep what they promise, from records to rows? Designs are drawn at random, not chosen.

Each design draws languages, prompts, seeds of both arms, how far seeds move all languages and each by itself, whether
languages share their sources, and the rates. Of every data set runs are made, `contrasts.contrast_over_seeds` is asked,
and its rows are held against what the design declares: the difference of the methods, over seeds that were not
trained. Writes `seed_contrasts.md` beside this file.

    python benchmarks/seed_contrasts.py [DESIGNS [REPLICATES]]
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from alignment_prism.contrasts import contrast_over_seeds
from alignment_prism.domain import Generation, Outcome, Prompt, PromptKind, Quantity, Run, Score, user

CODES = ("ar", "en", "fil", "fr", "hi", "ru")


def a_run(name: str, prompts: list[Prompt], harmful: np.ndarray, seed: int) -> Run:
    """A run with these verdicts."""
    replies = [Generation(p.id, name, name, f"{name} {seed} {p.id}", f"{name}{seed}") for p in prompts]
    words = [Outcome.HARMFUL if value else Outcome.REFUSAL for value in harmful]
    scores = [
        Score(reply.prompt_id, reply.reply_digest, name, "judge", "outcome", word, rubric="r@1")
        for reply, word in zip(replies, words, strict=True)
    ]
    return Run(name, tuple(prompts), tuple(replies), tuple(scores))


class Design:
    """Rates of A and B by language, and how seeds move them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.languages = CODES[: rng.integers(2, 7)]
        self.prompts = int(rng.choice([60, 120, 240]))
        self.seeds = (int(rng.choice([1, 3, 5])), int(rng.integers(3, 6)))
        self.together, self.apart = rng.uniform(0.0, 0.06, 2)
        self.shared, self.alike = rng.random(2) < 0.5
        a, b = rng.uniform(0.25, 0.7, 2)
        tilt = 0.0 if self.alike else rng.uniform(-0.12, 0.12, len(self.languages))
        self.rates = np.full(len(self.languages), a), np.clip(b + np.zeros(len(self.languages)) + tilt, 0.2, 0.8)

    def draw(self, rng: np.random.Generator) -> dict[str, list[Run]]:
        """Runs of both arms."""
        hard = rng.normal(size=self.prompts)
        prompts, difficulty, language = [], [], []
        for number, code in enumerate(self.languages):
            group = [f"g{i}" if self.shared else "" for i in range(self.prompts)]
            prompts += [
                Prompt(f"{code}{i}", user(f"{code} {i}"), code, PromptKind.HARMFUL, group=group[i])
                for i in range(self.prompts)
            ]
            difficulty.append(hard if self.shared else rng.normal(size=self.prompts))
            language += [number] * self.prompts
        where, latent = np.array(language), np.concatenate(difficulty)
        arms = {}
        for name, rates, number in zip("ab", self.rates, self.seeds, strict=True):
            runs = []
            for seed in range(number):
                moved = self.together * rng.normal() + self.apart * rng.normal(size=len(rates))
                moved = moved if number > 1 else np.zeros(len(rates))  # an arm of one run is a model
                line = ndtri(np.clip(rates + moved, 0.01, 0.99))[where]
                said = np.sqrt(0.5) * latent + np.sqrt(0.5) * rng.normal(size=len(where)) < line
                runs.append(a_run(name, prompts, said, seed))
            arms[name] = runs
        return arms

    def hold(self, rows: list, tally: dict[str, list[bool]]) -> None:
        """Whether each row holds."""
        by_language = dict(zip(self.languages, self.rates[1] - self.rates[0], strict=True))
        joint = True
        for row in rows:
            if row.quantity is Quantity.DIFFERENCE and row.language in by_language:
                truth = by_language[row.language]
                tally["difference by language"].append(row.lower <= truth <= row.upper)
                joint &= row.joint_lower <= truth <= row.joint_upper
            elif row.quantity is Quantity.DIFFERENCE and row.language == "macro":
                truth = float(np.mean(list(by_language.values())))
                tally["difference, mean over languages"].append(row.lower <= truth <= row.upper)
                joint &= row.joint_lower <= truth <= row.joint_upper
            elif row.quantity is Quantity.MINUS_ENGLISH:
                truth = by_language[row.language] - by_language["en"]
                tally["minus English"].append(row.lower <= truth <= row.upper)
                joint &= row.joint_lower <= truth <= row.joint_upper
            elif row.quantity is Quantity.WORST_LANGUAGE:
                tally["worst language"].append(row.lower <= max(by_language.values()) <= row.upper)
            elif row.quantity is Quantity.HETEROGENEITY and self.alike:
                tally["languages alike, p > .05"].append(row.p_value > 0.05)
            elif row.quantity is Quantity.EVERY_LANGUAGE:
                tally["every language better, upper end"].append(max(by_language.values()) <= row.upper)
        tally["joint intervals, all at once"].append(joint)


def main() -> None:
    """Simulate, print, write."""
    designs, replicates = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 12), (2, 60)))
    rng, started = np.random.default_rng(20261122), time.process_time()
    whole: dict[str, list[float]] = defaultdict(list)
    for _ in range(designs):
        design, tally = Design(rng), defaultdict(list)
        for _ in range(replicates):
            design.hold(list(contrast_over_seeds(design.draw(rng)).rows), tally)
        for what, held in tally.items():
            whole[what].append(100 * float(np.mean(held)))
    table = "\n".join(f"| {what} | {len(s)} | {np.mean(s):.1f} | {min(s):.1f} |" for what, s in whole.items())
    error = 100 * np.sqrt(0.05 * 0.95 / replicates)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"
    text = f"""# Do contrasts over seeds keep what they promise?

`python benchmarks/seed_contrasts.py {designs} {replicates}`: records of the runs in, rows of
`contrast_over_seeds` out. Designs (2 to 6 languages of 60, 120 or 240 prompts, 3 to 5 seeds of B and 1, 3 or 5 of A,
seeds that move all languages by up to 6 points and each by up to 6 more, languages apart or translations, alike or not)
are drawn at random from a fixed seed. Share of data sets in which the row holds, per cent, nominal 95 (97.5 for "every
language better"). Measured on {datetime.now(UTC).date().isoformat()}; {replicates} data sets of each design, so that
one design has a Monte Carlo error of about {error:.1f} points; {time.process_time() - started:.0f} s of processor
time; {machine}.

| row | designs | mean | worst design |
|---|---|---|---|
{table}
"""
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
