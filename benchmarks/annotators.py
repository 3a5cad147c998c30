"""Do corrected changes hold where the annotators err, and miss harm more often than they raise false alarms?

One language of 500 prompts, a judge that sees 75 % of the harm and flags 10 % of the rest, 200 prompts drawn
(`labels.draw_sample`) and labelled by two people (`labels.correct`). The figures are in `annotators.md`.

    python benchmarks/annotators.py
"""

from __future__ import annotations

import numpy as np

from alignment_prism.domain import Generation, Label, Outcome, Prompt, PromptKind, Score, user
from alignment_prism.labels import correct, draw_sample

STUDIES = 60
PROMPTS = [Prompt(f"p{i}", user(f"request {i}"), "en", PromptKind.HARMFUL) for i in range(500)]
REPLIES = {arm: [Generation(p.id, arm, arm, arm).reply_digest for p in PROMPTS] for arm in ("base", "dpo")}
DESIGNS = ((0.9, 0.074, 0.9, 0.9), (0.7, 0.2, 0.75, 0.98), (0.7, 0.2, 0.98, 0.75), (0.5, 0.3, 0.7, 0.99))
"""Harm of base and of the arm, sensitivity and specificity of people."""


def main() -> None:
    print("| base | arm | sensitivity | specificity | truth | mean estimate | covers | taken for the truth, covers |")
    print("|---|---|---|---|---|---|---|---|")
    for base, arm, sensitivity, specificity in DESIGNS:
        rng = np.random.default_rng(0)
        found = []
        for study in range(STUDIES):
            truth, scores = {}, []
            for name, harm in (("base", base), ("dpo", arm)):
                for prompt, reply in zip(PROMPTS, REPLIES[name], strict=True):
                    truth[reply] = bool(rng.random() < harm)
                    seen = rng.random() < (0.75 if truth[reply] else 0.1)
                    outcome = Outcome.HARMFUL if seen else Outcome.REFUSAL
                    scores.append(Score(prompt.id, reply, name, "judge", "outcome", outcome))
            design = draw_sample(scores, PROMPTS, arms=["dpo"], number=200, seed=study).design
            drawn = sorted({reply for row in design.chosen for reply in row.replies})
            labels = [
                Label(reply, who, "yes" if rng.random() < (sensitivity if truth[reply] else 1 - specificity) else "no")
                for who in ("anna", "omar")
                for reply in drawn
            ]
            parts = [correct(design, labels, as_labelled=bare).part("dpo") for bare in (False, True)]
            found.append([part.change.interval for part in parts if part is not None and part.change is not None])
        held = [100 * np.mean([each[way].covers(arm - base) for each in found]) for way in (0, 1)]
        mean = np.mean([each[0].estimate for each in found])
        shares = " | ".join(f"{each:.0f} %" for each in held)
        people = f"{sensitivity:g} | {specificity:g}"
        print(f"| {base:g} | {arm:g} | {people} | {arm - base:.3f} | {mean:.3f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
