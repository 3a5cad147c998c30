"""Do contrasts keep what they promise, from records to rows? Designs are drawn at random, not chosen.

Each design draws languages, prompts, rates of both runs by language and scope, dependence on the prompt, and whether
languages share their sources. Of every data set runs are made, `contrasts.contrast` is asked, and its rows are held
against what the design declares. The figures are in `contrast_coverage.md`.

    python benchmarks/contrast_coverage.py --designs 12 --replicates 60
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np
from scipy.special import ndtr, ndtri

from alignment_prism.contrasts import contrast
from alignment_prism.domain import Generation, Outcome, Prompt, PromptKind, Quantity, Run, Scope, Score, user

CODES = ("ar", "en", "fil", "fr", "hi", "ru", "sr", "es")


def a_run(name: str, prompts: list[Prompt], harmful: np.ndarray) -> Run:
    """A run with these verdicts."""
    replies = [Generation(prompt.id, name, name, f"{name} {prompt.id}") for prompt in prompts]
    scores = [
        Score(reply.prompt_id, reply.reply_digest, name, "judge", "outcome",
              Outcome.HARMFUL if value else Outcome.REFUSAL, rubric="r@1")
        for reply, value in zip(replies, harmful, strict=True)
    ]  # fmt: skip
    return Run(name, tuple(prompts), tuple(replies), tuple(scores))


class Design:
    """Rates of A and B by language and scope, and how prompts go together."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.languages = CODES[: rng.integers(2, 9)]
        self.prompts = int(rng.choice([60, 100, 200, 400]))  # of one language, half of them of each scope
        self.shared = bool(rng.random() < 0.5)
        self.alike = bool(rng.random() < 0.5)
        self.dependence = float(rng.uniform(0.0, 0.8))
        a, b = rng.uniform(0.05, 0.9, 2)
        tilt = 0.0 if self.alike else rng.uniform(-0.15, 0.15, (len(self.languages), 2))
        self.a = np.full((len(self.languages), 2), a)
        self.b = np.clip(b + np.zeros_like(self.a) + tilt, 0.02, 0.95)

    def draw(self, rng: np.random.Generator) -> tuple[Run, Run]:
        """Runs A and B."""
        prompts, sides = [], ([], [])
        hard = rng.normal(size=self.prompts)
        for number, code in enumerate(self.languages):
            difficulty = hard if self.shared else rng.normal(size=self.prompts)
            for i in range(self.prompts):
                group = f"g{i}" if self.shared else ""
                scope = (Scope.GLOBAL, Scope.LOCAL)[i % 2]
                prompts.append(
                    Prompt(f"{code}{i}", user(f"{code} {i}"), code, PromptKind.HARMFUL, scope=scope, group=group)
                )
            for side, rates in zip(sides, (self.a, self.b), strict=True):
                rate = rates[number, np.arange(self.prompts) % 2]
                r = self.dependence
                latent = np.sqrt(r) * difficulty + np.sqrt(1 - r) * rng.normal(size=self.prompts)
                side.append(ndtr(latent) < ndtr(ndtri(rate)))
        return tuple(a_run(name, prompts, np.concatenate(side)) for name, side in zip("ab", sides, strict=True))

    def judge(self, rows: list, tally: dict[str, list[bool]]) -> None:
        """Whether each row holds."""
        gap = self.b - self.a
        by_language = dict(zip(self.languages, gap.mean(axis=1), strict=True))
        joint = True
        for row in rows:
            if row.quantity is Quantity.DIFFERENCE and row.scope == "all" and row.language in by_language:
                truth = by_language[row.language]
                tally["difference by language"].append(row.lower <= truth <= row.upper)
                joint &= row.joint_lower <= truth <= row.joint_upper
            elif row.quantity is Quantity.DIFFERENCE and row.scope == "all" and row.language == "macro":
                tally["difference, mean over languages"].append(row.lower <= gap.mean() <= row.upper)
            elif row.quantity is Quantity.MINUS_ENGLISH:
                truth = by_language[row.language] - by_language["en"]
                tally["minus English"].append(row.lower <= truth <= row.upper)
                joint &= row.joint_lower <= truth <= row.joint_upper
            elif row.quantity is Quantity.LOCAL_MINUS_GLOBAL and row.language in by_language:
                truth = float(np.diff(gap[self.languages.index(row.language)])[0])
                tally["local minus global"].append(row.lower <= truth <= row.upper)
                joint &= row.joint_lower <= truth <= row.joint_upper
            elif row.quantity is Quantity.WORST_LANGUAGE:
                tally["worst language"].append(row.lower <= max(by_language.values()) <= row.upper)
            elif row.quantity is Quantity.HETEROGENEITY and self.alike:
                tally["languages alike, p > .05"].append(row.p_value > 0.05)
            elif row.quantity is Quantity.EVERY_LANGUAGE:
                tally["every language better, upper end"].append(max(by_language.values()) <= row.upper)
        tally["joint intervals of languages and gaps, all at once"].append(joint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--designs", type=int, default=12)
    parser.add_argument("--replicates", type=int, default=60)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    start = time.process_time()
    whole: dict[str, list[float]] = defaultdict(list)
    for _ in range(arguments.designs):
        design, tally = Design(rng), defaultdict(list)
        for _ in range(arguments.replicates):
            design.judge(list(contrast(design.draw(rng)).rows), tally)
        for what, held in tally.items():
            whole[what].append(100 * float(np.mean(held)))
    print("| row | designs | mean | worst design |\n|---|---|---|---|")
    for what, shares in whole.items():
        print(f"| {what} | {len(shares)} | {np.mean(shares):.1f} | {min(shares):.1f} |")
    print(f"\n{arguments.replicates} data sets of each, {time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main()
