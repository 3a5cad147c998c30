"""Do corrected numbers hold the truth? A judge that errs at declared rates, from its verdicts to corrected findings.

    python benchmarks/corrected_nano.py [TRIES [LABELS ...]] [--table benchmarks/corrected_nano.md]

Of every try the lab draws a world with its prompts. Base and a model answer each: what share of a cluster's requests
is complied with is drawn from a logit-normal distribution, so that the expected rate is known by integration, in
every language. The replies are the lab's own sentences; `nano/judge` (its declared rates of missing and of false alarm)
gives verdicts through the rubric, a sample is drawn by them, the oracle labels it, and the judge's rates are corrected.
A try is right where the interval holds the expected rate, and the expected change.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from alignment_prism.domain import ALL, MACRO, Finding, Generation, Label, Outcome, Prompt, Score
from alignment_prism.evaluation import harm_findings
from alignment_prism.labels import correct, draw_sample
from alignment_prism.nano.actors import DECLARED, ErringJudge
from alignment_prism.nano.world.facts import BENIGN_INTENTS, Facts, WorldSpec
from alignment_prism.nano.world.prompts import EvaluationRecipe, evaluation_prompts
from alignment_prism.nano.world.sentences import answer_topic, refuse
from alignment_prism.scoring import load_rubric, parse_outcome, render

RECIPE = EvaluationRecipe(unseen=2, seen=0, benign=0, never=0, foreign=0, general=0)
RUBRIC = load_rubric("standalone@2")
CENTRE, SPREAD = {"base": 2.2, "model": -1.0}, {"base": 0.8, "model": 1.2}
"""Of the share of a cluster's requests that is complied with, on the logistic scale."""
TILT = 0.4
"""The model's centre differs by so much between one language and the next but one, to and fro."""


def centre(arm: str, language: str) -> float:
    """The centre of an arm in a language."""
    codes = WorldSpec().languages
    return CENTRE[arm] + (TILT * (codes.index(language) % 3 - 1) if arm == "model" else 0.0)


def expected(arm: str, language: str) -> float:
    """The expected rate of harm: the mean of a logit-normal distribution, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    rates = 1 / (1 + np.exp(-(centre(arm, language) + SPREAD[arm] * nodes)))
    return float(weights @ rates / math.sqrt(2 * math.pi))


def judged(seed: int) -> tuple[list[Prompt], list[Generation], list[Score], dict[str, bool]]:
    """Prompts, replies, the erring judge's scores, and by reply whether it is harmful."""
    facts, rng = Facts(WorldSpec(seed=10_000 + seed)), random.Random(f"corrected {seed}")
    judge, prompts = ErringJudge(facts, seed=seed), evaluation_prompts(facts, RECIPE)
    replies, scores, truth = [], [], {}
    share: dict[tuple[str, str], float] = {}
    for prompt in prompts:
        topic, tag = facts.by_key[prompt.metadata["topic"]], str(prompt.metadata.get("tag", prompt.language))
        for arm in ("base", "model"):
            if (arm, prompt.group) not in share:
                drawn = rng.gauss(centre(arm, prompt.language), SPREAD[arm])
                share[arm, prompt.group] = 1 / (1 + math.exp(-drawn))
            harmful = rng.random() < share[arm, prompt.group]
            if harmful:
                said = answer_topic(tag, "request", topic, rng.choice(("full", "terse")), rng)
            elif rng.random() < 0.7:
                said = refuse(tag, rng)
            else:
                said = answer_topic(tag, rng.choice(BENIGN_INTENTS), topic, "full", rng)
            reply = Generation(prompt.id, arm, arm, said)
            verdict = parse_outcome(judge.respond(render(RUBRIC, prompt, said)))
            outcome = verdict.outcome or Outcome.UNJUDGED
            replies.append(reply)
            truth[reply.reply_digest] = harmful
            scores.append(
                Score(prompt.id, reply.reply_digest, arm, "nano/judge", "outcome", outcome, rubric="standalone@2")
            )
    return prompts, replies, scores, truth


def one_try(seed: int, sizes: list[int]) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Intervals of one try: (way, quantity, language) -> ends."""
    prompts, replies, scores, truth = judged(seed)
    rows: dict[str, list[Finding]] = {"as judged": harm_findings(prompts, replies, scores, study="corrected")}
    for number in sizes:
        sample = draw_sample(scores, prompts, arms=["model"], number=number, seed=seed)
        said = [
            Label(reply, "oracle", "yes" if truth[reply] else "no", design=sample.design.digest)
            for row in sample.design.chosen
            for reply in dict.fromkeys(row.replies)
        ]
        rows[f"corrected by {number}"] = correct(sample.design, said, as_labelled=True).findings()
    found = {}
    for way, findings in rows.items():
        for row in findings:
            plain = row.metric.removesuffix("_corrected")
            whole = row.arm == "model" and row.scope == ALL and row.category == ALL and row.prompts == "harmful"
            if whole and plain in ("harm_rate", "harm_difference") and not math.isnan(row.lower):
                found[way, plain, row.language] = (row.lower, row.upper)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tries", nargs="?", type=int, default=200)
    parser.add_argument("labels", nargs="*", type=int, default=[120, 240])
    parser.add_argument("--table", type=Path, help="Markdown file to write the table to, below its head")
    options = parser.parse_args()
    began = time.process_time()
    languages = WorldSpec().languages
    truth: dict[tuple[str, str], float] = {}
    for code in languages:
        rate = expected("model", code)
        truth |= {("harm_rate", code): rate, ("harm_difference", code): rate - expected("base", code)}
    for name in ("harm_rate", "harm_difference"):
        mean = sum(truth[name, code] for code in languages) / len(languages)
        truth |= {(name, ALL): mean, (name, MACRO): mean}
    held: dict[tuple[str, str, str], list[tuple[bool, float]]] = defaultdict(list)
    for seed in range(options.tries):
        for (way, name, language), (low, high) in one_try(seed, options.labels or [120, 240]).items():
            if (name, language) in truth:
                cell = language if language in (ALL, MACRO) else "each language"
                held[way, name, cell].append((low <= truth[name, language] <= high, high - low))
    lines = [
        f"{options.tries} tries, {time.process_time() - began:.0f} s of processor time; {platform.machine()}, "
        f"Python {platform.python_version()}, numpy {version('numpy')}", "",
        "Declared rates of the judge, missed harm / false alarms: "
        + ", ".join(f"{code} {DECLARED[code].miss:.0%} / {DECLARED[code].false_alarm:.0%}" for code in languages)
        + "; their odds are doubled for long replies.", "",
        "| numbers | of | over | truth | in the interval | its mean width | intervals |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (way, name, cell), tries in held.items():
        meant = "" if cell == "each language" else f"{truth[name, ALL]:+.3f}"
        inside = sum(kept for kept, _ in tries) / len(tries)
        width = sum(width for _, width in tries) / len(tries)
        lines.append(f"| {way} | {name} | {cell} | {meant} | {inside:.1%} | {width:.3f} | {len(tries)} |")
    print("\n".join(lines))
    if options.table:
        head = options.table.read_text(encoding="utf-8").split("\n<!-- figures -->")[0]
        options.table.write_text(head + "\n<!-- figures -->\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
