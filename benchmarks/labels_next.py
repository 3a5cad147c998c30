"""How many labels decide a claim in every language: drawn where they decide, against drawn at random.

    python benchmarks/labels_next.py [STUDIES [SCENARIO ...]]

A scenario says how often base and the model harm in each language, how well the judge sees it, and the claim: that harm
fell by so much or more, in each language. Both ways begin with some prompts and go on in steps until every language is
decided: `labels next` from a sample by the judge's verdicts; at random from all prompts alike. Both are corrected
alike. Prints a row a scenario; the figures are in `labels_next.md`.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from alignment_prism.domain import Generation, Label, Outcome, Prompt, PromptKind, Score, user
from alignment_prism.labels import Design, draw_next, draw_sample


@dataclass(frozen=True)
class Scenario:
    """What is true, and what is claimed.

    Attributes:
        base: share of base's replies that are harmful.
        falls: by language, how much less the model's are.
        sensitivity: of the judge.
        specificity: likewise.
        prompts: of each language.
        step: prompts a draw, and at first.
        limit: the claim is that harm changed by at most this much.
    """

    base: float
    falls: dict[str, float]
    sensitivity: float = 0.75
    specificity: float = 0.95
    prompts: int = 400
    step: int = 80
    limit: float = -0.1

    @property
    def holds(self) -> bool:
        """Whether the claim is true in every language."""
        return max(self.falls.values()) <= self.limit


SCENARIOS = {
    "one language is close": Scenario(0.4, {"ar": -0.28, "fr": -0.28, "hi": -0.28, "sr": -0.18}),
    "all languages alike": Scenario(0.4, dict.fromkeys(("ar", "fr", "hi", "sr"), -0.22)),
    "the claim is false in one": Scenario(0.4, {"ar": -0.28, "fr": -0.28, "hi": -0.28, "sr": 0.0}),
    "harm is rare": Scenario(0.12, {"ar": -0.09, "fr": -0.09, "hi": -0.09, "sr": -0.05}, limit=0.0),
    "a judge that sees half": Scenario(
        0.4, {"ar": -0.28, "fr": -0.28, "hi": -0.28, "sr": -0.18}, sensitivity=0.5, specificity=0.9
    ),
}


def study(rng: np.random.Generator, case: Scenario) -> tuple[list[Prompt], list[Score], dict[str, bool]]:
    """Prompts, the judge's scores, and the truth by reply."""
    prompts, scores, truth = [], [], {}
    for language, fall in case.falls.items():
        for i in range(case.prompts):
            prompt = Prompt(f"{language}{i}", user(f"request {i}"), language, PromptKind.HARMFUL)
            prompts.append(prompt)
            for arm, harm in (("base", case.base), ("dpo", case.base + fall)):
                digest = Generation(prompt.id, arm, arm, arm).reply_digest
                truth[digest] = bool(rng.random() < harm)
                seen = rng.random() < (case.sensitivity if truth[digest] else 1 - case.specificity)
                outcome = Outcome.HARMFUL if seen else Outcome.REFUSAL
                scores.append(Score(prompt.id, digest, arm, "gpt", "outcome", outcome))
    return prompts, scores, truth


def labelled(design: Design, truth: dict[str, bool]) -> list[Label]:
    """The labels of everything that was drawn so far."""
    replies = {reply for row in design.chosen for reply in row.replies}
    return [Label(reply, "anna", "yes" if truth[reply] else "no") for reply in sorted(replies)]


def ended(design: Design, truth: dict[str, bool], case: Scenario) -> tuple[int, list[bool], int, bool]:
    """Prompts labelled, which languages' intervals cover, how many are undecided, and whether a verdict is wrong."""
    covers, undecided, wrong = [], 0, False
    for state in draw_next(design, labelled(design, truth), limit=case.limit, number=1).states:
        fall = case.falls[state.language]
        undecided += state.verdict == "undecided"
        covers += [state.lower <= fall <= state.upper] if state.estimate == state.estimate else []
        wrong |= (state.verdict == "shown" and fall > case.limit) or (state.verdict == "refuted" and fall <= case.limit)
    return len(design.chosen), covers, undecided, wrong


def by_next(prompts: list[Prompt], scores: list[Score], truth: dict[str, bool], seed: int, case: Scenario) -> Design:
    """Until `draw_next` has nothing more to draw."""
    design = draw_sample(scores, prompts, arms=["dpo"], number=case.step, seed=seed).design
    while True:
        found = draw_next(design, labelled(design, truth), limit=case.limit, number=case.step, seed=seed)
        if not found.new:
            return found.design
        design = found.design


def at_random(prompts: list[Prompt], scores: list[Score], truth: dict[str, bool], seed: int, case: Scenario) -> Design:
    """Until every language is decided, prompts of all languages alike."""
    design = draw_sample(scores, prompts, arms=["dpo"], number=case.step, by_verdict=False, seed=seed).design
    order = np.random.default_rng(seed).permutation([i for i, row in enumerate(design.rows) if not row.chosen])
    for start in range(0, len(order) + case.step, case.step):
        states = draw_next(design, labelled(design, truth), limit=case.limit, number=1, seed=seed).states
        if all(state.verdict != "undecided" for state in states):
            break
        more = set(order[start : start + case.step].tolist())
        rows = tuple(replace(row, chosen=row.chosen or i in more) for i, row in enumerate(design.rows))
        design = replace(design, rows=rows)
    return design


def main() -> None:
    """Simulate and print."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    chosen = sys.argv[2:] or list(SCENARIOS)
    started = time.process_time()
    heads = (
        "scenario",
        "way",
        "prompts labelled (mean)",
        "median",
        "times",
        "covers, by language",
        "undecided",
        "wrong",
    )
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name in chosen:
        case = SCENARIOS[name]
        results: dict[str, list[tuple[int, list[bool], int, bool]]] = {"labels next": [], "at random": []}
        for seed in range(studies):
            prompts, scores, truth = study(np.random.default_rng(seed), case)
            for way, draws in (("labels next", by_next), ("at random", at_random)):
                results[way].append(ended(draws(prompts, scores, truth, seed, case), truth, case))
        least = np.mean([number for number, *_ in results["labels next"]])
        for way, found in results.items():
            numbers = [number for number, *_ in found]
            covers = np.mean([each for _, held, _, _ in found for each in held])
            undecided = sum(number > 0 for _, _, number, _ in found)
            print(
                f"| {name} | {way} | {np.mean(numbers):.0f} | {np.median(numbers):.0f} "
                f"| {np.mean(numbers) / least:.1f} "
                f"| {covers:.1%} | {undecided} of {studies} | {sum(bad for *_, bad in found)} of {studies} |",
                flush=True,
            )
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"
    print(
        f"\n{datetime.now(UTC).date().isoformat()}, {time.process_time() - started:.0f} s of processor time; {machine}"
    )


if __name__ == "__main__":
    main()
