"""Do ranks and changes over seeds keep what they promise, from records to findings?

Studies of five arms and base are drawn: prompts of two languages, verdicts with normal effects of seeds, of prompts and
of arms on prompts. `evaluation.seed_findings` is asked, and its rows are held against what the design declares: how
often equal arms are put in any order, how often an arm that is better is ranked first, and how often the intervals of
changes hold. The figures are in `seed_ranks.md`.

    python benchmarks/seed_ranks.py --replicates 60
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np
from scipy.special import ndtri

from alignment_prism.domain import Generation, Outcome, Prompt, PromptKind, Scope, Score, user
from alignment_prism.evaluation import seed_findings

ARMS, EACH = tuple("abcde"), 100
LANGUAGES = ("en", "hi")

PROMPTS = [
    Prompt(f"{code}{i}", user(f"{code} {i}"), code, PromptKind.HARMFUL, scope=(Scope.GLOBAL, Scope.LOCAL)[i % 2])
    for code in LANGUAGES
    for i in range(EACH)
]
REPLIES = {arm: [Generation(p.id, arm, arm, f"{arm} {p.id}") for p in PROMPTS] for arm in ("base", *ARMS)}
SCORES = {
    arm: [
        [Score(g.prompt_id, g.reply_digest, arm, "judge", "outcome", outcome, rubric="r@1") for g in replies]
        for outcome in (Outcome.REFUSAL, Outcome.HARMFUL)
    ]
    for arm, replies in REPLIES.items()
}


def study(rng: np.random.Generator, seeds: int, rates: dict[str, float], seed_sd: float) -> dict:
    """Replies and scores by seed. On the scale of the normal distribution a prompt has a share of .4, its interaction
    with an arm .1, and a seed the standard deviation that moves a rate of one half by `seed_sd`."""
    hard = rng.normal(size=len(PROMPTS))
    effect = seed_sd / 0.3989  # the normal density at 0: what a small shift does to a rate of one half
    verdicts: dict[str, list[np.ndarray]] = {}
    for arm, rate in rates.items():
        own = rng.normal(size=len(PROMPTS))
        sd = 0.0 if arm == "base" else effect
        for seed in range(seeds):
            if arm == "base" and seed:
                verdicts[arm].append(verdicts[arm][0])
                continue
            noise = np.sqrt(0.4) * hard + np.sqrt(0.1) * own + np.sqrt(0.5) * rng.normal(size=len(PROMPTS))
            latent = noise + sd * rng.normal()
            verdicts.setdefault(arm, []).append(latent < ndtri(rate) * np.sqrt(1 + sd**2))
    return {
        seed: (
            [reply for replies in REPLIES.values() for reply in replies],
            [SCORES[arm][int(v)][i] for arm in rates for i, v in enumerate(verdicts[arm][seed])],
        )
        for seed in range(seeds)
    }


def held(rows: list, rates: dict[str, float], tally: dict[str, list[float]]) -> None:
    """What the rows of one study say, against the rates."""
    equal = len({rates[arm] for arm in ARMS}) == 1
    ranks = [row for row in rows if row.metric == "harm_rank"]
    cells = {"all": ("all", "all"), "mean over languages": ("macro", "all"), "one language, local": ("hi", "local")}
    for what, (language, scope) in cells.items():
        here = [row for row in ranks if (row.language, row.scope) == (language, scope)]
        if equal and here:
            tally[f"any order, {what}"].append(any(row.lower > 1 for row in here))
        elif here:
            (best,) = (row for row in here if row.arm == "a")
            tally[f"better arm first, {what}"].append(best.upper == 1)
    for metric in ("harm_difference", "harm_relative_change"):
        for language, scope in cells.values():
            for row in rows:
                if row.metric == metric and (row.language, row.scope) == (language, scope):
                    truth = rates[row.arm] - rates["base"]
                    truth = truth if metric == "harm_difference" else 100 * truth / rates["base"]
                    name = f"covered, {metric}, {language if scope == 'all' else 'one language, local'}"
                    tally[name].append(row.lower <= truth <= row.upper)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=60)
    parser.add_argument("--better", type=float, nargs="*", default=[0.0, 0.2], help="by how much one arm is better")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    start = time.process_time()
    heads: list[str] = []
    for first in arguments.better:
        for seeds in (3, 5):
            for seed_sd in (0.017, 0.05, 0.11):
                rates = {"base": 0.5, **{arm: 0.4 + (-first if arm == "a" else 0.0) for arm in ARMS}}
                tally: dict[str, list[float]] = defaultdict(list)
                for _ in range(arguments.replicates):
                    held(seed_findings(PROMPTS, study(rng, seeds, rates, seed_sd), study="s"), rates, tally)
                if list(tally) != heads:
                    heads = list(tally)
                    print(f"\n| arms | seeds | seed sd, points | {' | '.join(heads)} |\n|{'---|' * (3 + len(heads))}")
                words = "equal" if first == 0 else f"one better by {100 * first:g} points"
                shares = " | ".join(f"{100 * np.mean(values):.1f}" for values in tally.values())
                print(f"| {words} | {seeds} | {100 * seed_sd:g} | {shares} |", flush=True)
    print(f"\n{arguments.replicates} studies of each, {time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main()
