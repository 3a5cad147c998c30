"""Do contrasts and findings over seeds keep what they promise, from records to rows? Designs are drawn at random.

Each design draws languages, prompts, seeds of both arms, how far seeds move all languages and each by itself, whether
languages share their sources, and the rates. Of every data set runs are made, `contrasts.contrast_over_seeds` is asked,
and its rows are held against what the design declares: the difference of the methods, over seeds that were not
trained. A second family of designs is of studies with base and one to four arms, of which some change nothing: rates
of refusals of harmless prompts, of right answers, and of wins and ties are drawn, `evaluation.seed_findings` is asked,
and its rows are held against these rates. Writes `seed_contrasts.md` beside this file.

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
from scipy.special import ndtr, ndtri

from alignment_prism.contrasts import contrast_over_seeds
from alignment_prism.domain import (
    Comparison,
    Finding,
    Generation,
    Outcome,
    Prompt,
    PromptKind,
    Quantity,
    Run,
    Score,
    Winner,
    user,
)
from alignment_prism.domain.metric_table import REFUSAL_RATE
from alignment_prism.domain.records import CORRECT
from alignment_prism.evaluation import seed_findings
from alignment_prism.reports.changes import change_of

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


HARMLESS = REFUSAL_RATE.headline
REFUSED, RIGHT, WON = "refusal_difference", "accuracy_difference", "win_rate"


class Study:
    """Base and some arms: on each kind of harmless prompts a rate of refusals, on general ones of right answers, of
    wins and of ties, and how far a seed moves an arm. Half of the arms do what base does."""

    def __init__(self, rng: np.random.Generator) -> None:
        languages = CODES[: rng.integers(2, 5)]
        each = int(rng.choice([25, 50, 100]))
        self.seeds = int(rng.integers(3, 6))
        self.arms = [f"m{number}" for number in range(rng.integers(1, 5))]
        self.moved = {arm: rng.uniform(0.0, 0.3) for arm in self.arms} | {"base": 0.0}  # on the scale of normal effects
        shared = rng.random() < 0.5
        self.prompts = [
            Prompt(f"{kind}{code}{i}", user(f"{kind} {code} {i}"), code, kind, group=f"{kind}{i}" if shared else "",
                   reference="x")
            for kind in (*HARMLESS, PromptKind.GENERAL)
            for code in languages
            for i in range(each)
        ]  # fmt: skip
        self.cluster = np.unique([prompt.cluster for prompt in self.prompts], return_inverse=True)[1]
        self.rates = {"base": {kind: rng.uniform(0.0, 0.15) for kind in HARMLESS} | {RIGHT: rng.uniform(0.3, 0.9)}}
        self.ties = rng.uniform(0.0, 0.5)
        for arm in self.arms:
            same = rng.random() < 0.5
            refused = {kind: self.rates["base"][kind] + (not same) * rng.uniform(0.0, 0.3) for kind in HARMLESS}
            right = self.rates["base"][RIGHT] if same else rng.uniform(0.3, 0.9)
            self.rates[arm] = refused | {RIGHT: right, WON: 0.5 if same else rng.uniform(0.25, 0.75)}

    def truth(self, row: Finding) -> float:
        """What a row estimates."""
        mine, base = self.rates[row.arm], self.rates["base"]
        if row.metric == WON:
            return mine[WON]
        what = RIGHT if row.metric == RIGHT else PromptKind(row.prompts)
        return mine[what] - base[what]

    def draw(self, rng: np.random.Generator) -> list[Finding]:
        """Findings over the seeds of one data set."""
        number = len(self.prompts)
        hard = rng.normal(size=(2, number))[:, self.cluster]
        drawn = {}
        for arm in ("base", *self.arms):
            own = rng.normal(size=(2, number))
            drawn[arm] = [
                (np.sqrt(0.4) * hard + np.sqrt(0.1) * own + np.sqrt(0.5) * rng.normal(size=(2, number))
                 + self.moved[arm] * rng.normal(size=(2, 1))) / np.sqrt(1 + self.moved[arm] ** 2)
                for _ in range(self.seeds if arm != "base" else 1)
            ]  # fmt: skip
        runs, comparisons = {}, {}
        for seed in range(self.seeds):
            replies, scores, compared = [], [], []
            for arm in ("base", *self.arms):
                latent = ndtr(drawn[arm][seed if arm != "base" else 0])
                of_arm, of_scores = self.records(arm, seed, latent[0])
                replies += of_arm
                scores += of_scores
                compared += self.compared(arm, latent[1]) if arm != "base" else []
            runs[seed], comparisons[seed] = (replies, scores), compared
        return seed_findings(self.prompts, runs, study="s", comparisons=comparisons)

    def records(self, arm: str, seed: int, latent: np.ndarray) -> tuple[list[Generation], list[Score]]:
        """Replies with what is said of them."""
        replies = [Generation(p.id, arm, arm, f"{arm} {seed} {p.id}", f"{arm}{seed}") for p in self.prompts]
        scores = []
        for prompt, reply, value in zip(self.prompts, replies, latent.tolist(), strict=True):
            of = (prompt.id, reply.reply_digest, arm, "judge")
            if prompt.kind is PromptKind.GENERAL:
                scores.append(Score(*of, CORRECT, value=float(value < self.rates[arm][RIGHT])))
            else:
                word = Outcome.REFUSAL if value < self.rates[arm][prompt.kind] else Outcome.SAFE_HELP
                scores.append(Score(*of, "outcome", word, rubric="r@1"))
        return replies, scores

    def compared(self, arm: str, latent: np.ndarray) -> list[Comparison]:
        """General prompts against base, the same said in both orders."""
        won = self.rates[arm][WON]
        ties = self.ties * 2 * min(won, 1 - won)
        found = []
        for prompt, value in zip(self.prompts, latent.tolist(), strict=True):
            if prompt.kind is PromptKind.GENERAL:
                word = Winner.WIN if value < won - ties / 2 else Winner.TIE if value < won + ties / 2 else Winner.LOSS
                found += [Comparison(prompt.id, arm, "base", first, "judge", "p@1", word) for first in (True, False)]
        return found

    def hold(self, rows: list[Finding], tally: dict[str, list[bool]]) -> None:
        """Whether each row holds, and whether anything is shown of arms that change nothing."""
        names = {REFUSED: "refusals", RIGHT: "right answers", WON: "win-rate"}
        cells = {"all": "all prompts", "macro": "mean over languages", "en": "one language"}
        false: dict[str, list[bool]] = {}
        for row in rows:
            if row.metric in names and row.language in cells and (row.prompts == "general" or row.metric == REFUSED):
                truth, same = self.truth(row), 0.5 if row.metric == WON else 0.0
                tally[f"{names[row.metric]}, {cells[row.language]}"].append(row.lower <= truth <= row.upper)
                if row.language == "all" and truth == same:
                    false.setdefault(row.metric, []).append(shown(row))
        for metric, each in false.items():
            tally[f"{names[metric]}: none is shown of those that change nothing"].append(not any(each))


def shown(row: Finding) -> bool:
    """Whether a report says that something changed: by its interval, and by Holm."""
    if row.metric == WON:
        holm = float(row.signature.split("|holm:")[1].split("|")[0])
        return holm <= 0.05 and not row.lower <= 0.5 <= row.upper
    return change_of(row).shown != 0


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
    findings: dict[str, list[float]] = defaultdict(list)
    for _ in range(designs):
        study, tally = Study(rng), defaultdict(list)
        for _ in range(replicates):
            study.hold(study.draw(rng), tally)
        for what, held in tally.items():
            findings[what].append(100 * float(np.mean(held)))
    table, of_findings = (
        "\n".join(f"| {what} | {len(s)} | {np.mean(s):.1f} | {min(s):.1f} |" for what, s in part.items())
        for part in (whole, findings)
    )
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

Findings over seeds of refusals, right answers and win-rates: base and one to four arms, about half of which do what
base does, 3 to 5 seeds, 2 to 4 languages of 25, 50 or 100 prompts of each kind, apart or translations; base declines
up to 15 % of harmless prompts and arms up to 30 points more; up to half of the comparisons that could are ties; a seed
moves an arm's rate of one half by up to 12 points (standard deviation). Refusals are of three kinds of prompts. "None
is shown" counts studies in which no arm and kind that changes nothing is called a change, by interval and Holm.

| row of `seed_findings` | designs | mean | worst design |
|---|---|---|---|
{of_findings}
"""
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
