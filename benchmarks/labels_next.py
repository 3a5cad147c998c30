"""How many labels decide a claim in every language: drawn where they decide, against drawn at random.

    python benchmarks/labels_next.py [STUDIES]

Four languages of 400 prompts. Base harms in 40 %, the model in 12 % (in one language 22 %); the judge sees 75 % of the
harm and flags 5 % of the rest. The claim is that harm fell by 10 points or more, in each language. Both begin with 80
prompts and go on in steps of 80 until every language is decided: `labels next` from a sample by the judge's verdicts;
at random from all prompts alike. Both are corrected alike. Writes `labels_next.md` beside this file.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from alignment_prism.domain import Generation, Label, Outcome, Prompt, Score, user
from alignment_prism.labels import Design, correct, draw_next, draw_sample

FALLS = {"ar": -0.28, "fr": -0.28, "hi": -0.28, "sr": -0.18}
PROMPTS, FIRST, STEP, LIMIT = 400, 80, 80, -0.1


def study(rng: np.random.Generator) -> tuple[list[Prompt], list[Score], dict[str, bool]]:
    """Prompts, the judge's scores, and the truth by reply."""
    prompts, scores, truth = [], [], {}
    for language, fall in FALLS.items():
        for i in range(PROMPTS):
            prompt = Prompt(f"{language}{i}", user(f"request {i}"), language)
            prompts.append(prompt)
            for arm, harm in (("base", 0.4), ("dpo", 0.4 + fall)):
                digest = Generation(prompt.id, arm, arm, arm).reply_digest
                truth[digest] = bool(rng.random() < harm)
                seen = rng.random() < (0.75 if truth[digest] else 0.05)
                outcome = Outcome.HARMFUL if seen else Outcome.REFUSAL
                scores.append(Score(prompt.id, digest, arm, "gpt", "outcome", outcome))
    return prompts, scores, truth


def labelled(design: Design, truth: dict[str, bool]) -> list[Label]:
    """The labels of everything that was drawn so far."""
    replies = {reply for row in design.chosen for reply in row.replies}
    return [Label(reply, "anna", "yes" if truth[reply] else "no") for reply in sorted(replies)]


def ended(design: Design, truth: dict[str, bool]) -> tuple[int, list[bool], bool]:
    """Prompts labelled, whether each language's interval covers, and whether any verdict is wrong."""
    found = correct(design, labelled(design, truth))
    parts = {language: found.part("dpo", language) for language in FALLS}
    covers = [
        part is not None and part.change is not None and part.change.interval.covers(FALLS[language])
        for language, part in parts.items()
    ]
    wrong = any(part is None or part.change is None or part.change.interval.lower > LIMIT for part in parts.values())
    return len(design.chosen), covers, wrong


def by_next(prompts: list[Prompt], scores: list[Score], truth: dict[str, bool], seed: int) -> Design:
    """Until `draw_next` has nothing more to draw."""
    design = draw_sample(scores, prompts, arms=["dpo"], number=FIRST, seed=seed).design
    while True:
        found = draw_next(design, labelled(design, truth), limit=LIMIT, number=STEP, seed=seed)
        if not found.new:
            return found.design
        design = found.design


def at_random(prompts: list[Prompt], scores: list[Score], truth: dict[str, bool], seed: int) -> Design:
    """Until every language is decided, prompts of all languages alike."""
    design = draw_sample(scores, prompts, arms=["dpo"], number=FIRST, by_verdict=False, seed=seed).design
    order = np.random.default_rng(seed).permutation([i for i, row in enumerate(design.rows) if not row.chosen])
    for start in range(0, len(order) + STEP, STEP):
        states = draw_next(design, labelled(design, truth), limit=LIMIT, number=1, seed=seed).states
        if all(state.verdict != "undecided" for state in states):
            break
        more = set(order[start : start + STEP].tolist())
        rows = tuple(replace(row, chosen=row.chosen or i in more) for i, row in enumerate(design.rows))
        design = replace(design, rows=rows)
    return design


def main() -> None:
    """Simulate, print, write."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    started = time.perf_counter()
    results: dict[str, list[tuple[int, list[bool], bool]]] = {"labels next": [], "at random": []}
    for seed in range(studies):
        prompts, scores, truth = study(np.random.default_rng(seed))
        for name, way in (("labels next", by_next), ("at random", at_random)):
            results[name].append(ended(way(prompts, scores, truth, seed), truth))
    lines = [
        "| way | prompts labelled (mean) | median | covers, by language | wrong verdicts |",
        "|---|---|---|---|---|",
    ]
    for name, found in results.items():
        numbers = [number for number, _, _ in found]
        lines.append(
            f"| {name} | {np.mean(numbers):.0f} | {np.median(numbers):.0f} "
            f"| {np.mean([covers for _, covers, _ in found]):.1%} "
            f"| {sum(wrong for _, _, wrong in found)} of {studies} |"
        )
    ratio = np.mean([n for n, _, _ in results["at random"]]) / np.mean([n for n, _, _ in results["labels next"]])
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"
    table = chr(10).join(lines)
    text = f"""# Labels that decide a claim

Measured on {datetime.now(UTC).date().isoformat()} by `python benchmarks/labels_next.py {studies}` in
{time.perf_counter() - started:.0f} s; {machine}; {studies} studies. Four languages of {PROMPTS} prompts; the claim,
true in all, is that harm fell by 10 points or more in each. Intervals are looked at after every step of {STEP} prompts.

{table}

At random takes {ratio:.1f} times as many labels.
"""
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
