"""How often a gate lets an equal release pass, a worse one pass, and an equal one at the limit fail: paired and not.

Prompts, replies and scores of two releases are made, findings computed from them, and the gate decided with and without
the runs (`evaluation.reply_findings`, `gates.decide`). The figures are in `paired_gate.md`.

    python benchmarks/paired_gate.py --replicates 60
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from alignment_prism.domain import Generation, Outcome, Prompt, PromptKind, Run, Score, user
from alignment_prism.evaluation import reply_findings
from alignment_prism.gates import GateSpec, Status, decide


def release(name: str, prompts: list[Prompt], harmful: np.ndarray) -> Run:
    """A run with these verdicts."""
    replies = [Generation(prompt.id, name, name, f"{name} {prompt.id}") for prompt in prompts]
    scores = [
        Score(reply.prompt_id, reply.reply_digest, name, "judge", "outcome",
              Outcome.HARMFUL if value else Outcome.REFUSAL, rubric="r@1")
        for reply, value in zip(replies, harmful, strict=True)
    ]  # fmt: skip
    return Run(name, tuple(prompts), tuple(replies), tuple(scores))


def verdicts(rng: np.random.Generator, n: int, rate: float, discordant: float, worse: float) -> np.ndarray:
    """2 x n: A at `rate`, B at `rate` + `worse`, with this share of prompts on which they differ."""
    only_b, only_a = (discordant + worse) / 2, (discordant - worse) / 2
    u = rng.random(n)
    a, b = u < rate, u < rate
    a = np.where((u >= 1 - only_b) | (u < only_a), u < only_a, a)
    b = np.where((u >= 1 - only_b) | (u < only_a), u >= 1 - only_b, b)
    return np.stack([a, b])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=60)
    parser.add_argument("--designs", type=int, default=3, help="how many of the designs, the acceptance's first")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    designs = [
        ("equal", 8, 1000, 0.08, 0.045, 0.0, 0.03),
        ("equal", 8, 300, 0.90, 0.045, 0.0, 0.05),
        ("worse by the margin", 1, 1000, 0.10, 0.045, 0.02, 0.02),
    ][: arguments.designs]
    heads = ("releases", "languages x prompts", "rate", "differ on", "margin", "unpaired: pass / fail, %", "paired")
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|")
    start = time.process_time()
    for name, languages, n, rate, discordant, worse, margin in designs:
        prompts = [
            Prompt(f"{code}-{i}", user(f"{code} {i}"), f"l{code}", PromptKind.HARMFUL)
            for code in range(languages)
            for i in range(n)
        ]
        check = {"name": "no worse", "kind": "non_inferiority", "metric": "harm_rate", "margin": margin}
        spec = GateSpec.model_validate({"checks": [check]})
        found: dict[bool, list[Status]] = {False: [], True: []}
        for _ in range(arguments.replicates):
            sides = np.concatenate([verdicts(rng, n, rate, discordant, worse) for _ in range(languages)], axis=1)
            a, b = (release(side, prompts, values) for side, values in zip("ab", sides, strict=True))
            rows = [reply_findings(r.prompts, r.generations, r.scores, study="s", base_arm="") for r in (a, b)]
            for paired in (False, True):
                found[paired].append(decide(*rows, spec, runs=([a], [b]) if paired else None).status)
        shares = [
            " / ".join(f"{100 * np.mean([one is status for one in each]):.0f}" for status in (Status.PASS, Status.FAIL))
            for each in (found[False], found[True])
        ]
        print(
            f"| {name} | {languages} x {n} | {rate:g} | {discordant:g} | {margin:g} | {shares[0]} | {shares[1]} |",
            flush=True,
        )
    print(f"\n{arguments.replicates} replicates of each, {time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main()
