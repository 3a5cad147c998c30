"""How long the findings of a study take, records in, findings out: a large one (100,000 scores, 30 arms x 8 languages)
and one of the nano lab's size.

    python benchmarks/statistics_speed.py

Prints a table and writes it to `statistics_speed.md` beside this file.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import scipy

from alignment_prism.domain import (
    AYA_CATEGORIES,
    CORRECT,
    OUTCOME,
    Generation,
    Outcome,
    Prompt,
    PromptKind,
    Scope,
    Score,
    user,
)
from alignment_prism.evaluation import reply_findings

ARMS, LANGUAGES, REPLIES = 30, 8, 100_000


def large_study(translated: bool, seed: int = 0) -> tuple[list[Prompt], list[Generation], list[Score]]:
    """Prompts of up to three categories in two scopes; if translated, each is a translation of one of 417 sources."""
    rng = np.random.default_rng(seed)
    per_language = -(-REPLIES // (ARMS * LANGUAGES))
    hard = rng.normal(0, 1, per_language)
    prompts = [
        Prompt(
            f"p{number}",
            user(f"text {number}"),
            f"l{number // per_language}",
            PromptKind.HARMFUL,
            scope=(Scope.GLOBAL, Scope.LOCAL)[int(rng.random() < 0.34)],
            categories=tuple(rng.choice(AYA_CATEGORIES, rng.integers(1, 4), replace=False)),
            group=f"s{number % per_language}" if translated else "",
        )
        for number in range(per_language * LANGUAGES)
    ]
    generations, scores = [], []
    for arm in range(ARMS):
        level = 0.4 if arm == 0 else 0.4 + rng.uniform(0.5, 2.5)
        for number, prompt in enumerate(prompts):
            reply = Generation(prompt.id, f"arm{arm}", "m", f"{arm} {prompt.id}")
            harmful = rng.random() < 1 / (1 + np.exp(level - hard[number % per_language]))
            outcome = Outcome.HARMFUL if harmful else Outcome.REFUSAL
            generations.append(reply)
            scores.append(Score(prompt.id, reply.reply_digest, reply.arm, "j", OUTCOME, outcome))
    return prompts, generations, scores


def nano_study(seed: int = 0) -> tuple[list[Prompt], list[Generation], list[Score]]:
    """1,300 prompts in six languages, three kinds, three subsets; six arms, 2 % of replies unjudged."""
    rng = np.random.default_rng(seed)
    kinds = (PromptKind.HARMFUL, PromptKind.GENERAL, PromptKind.BENIGN_MENTION)
    prompts = []
    for number in range(1_300):
        kind = kinds[number % 3]
        harmful = kind is PromptKind.HARMFUL
        prompts.append(
            Prompt(
                f"p{number}",
                user(f"text {number}"),
                ("ar", "en", "es", "fr", "hi", "ru")[number % 6],
                kind=kind,
                scope=(Scope.GLOBAL, Scope.LOCAL)[number % 2] if harmful else None,
                categories=tuple(rng.choice(AYA_CATEGORIES, 2, replace=False)) if harmful else (),
                subset=("seen", "unseen", "transfer")[number // 3 % 3],
                group=f"g{number // 6}",
                reference="x" if kind is PromptKind.GENERAL else "",
            )
        )
    generations, scores = [], []
    outcomes = list(Outcome)
    for arm in ("base", "a", "b", "c", "d", "e"):
        for prompt in prompts:
            reply = Generation(prompt.id, arm, "m", f"{arm} {prompt.id}")
            outcome = outcomes[rng.choice(6, p=[0.2, 0.3, 0.38, 0.05, 0.05, 0.02])]
            right = bool(rng.random() < 0.5) if prompt.reference else None
            generations.append(reply)
            said = Score(prompt.id, reply.reply_digest, arm, "j", OUTCOME, outcome)
            scores += [said] if right is None else [said, replace(said, name=CORRECT, label="", value=float(right))]
    return prompts, generations, scores


def timed(what: str, scores: int, work: Callable[[], list[object]]) -> str:
    """A row of the table: wall time and processor time of one call."""
    start, processor = time.perf_counter(), time.process_time()
    rows = work()
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    return f"| {what} | {scores:,} | {len(rows):,} | {seconds:.1f} | {processor:.1f} |"


def main() -> None:
    """Time them, print, write."""
    lines = ["| what | scores | rows | seconds | processor seconds |", "|---|---|---|---|---|"]
    for translated in (False, True):
        records = large_study(translated)
        kind = "large study, translated, clustered by source" if translated else "large study, native, independent"
        work = partial(reply_findings, *records, study="s", base_arm="arm0")
        lines.append(timed(kind, len(records[2]), work))
    records = nano_study()
    lines.append(timed("findings of a nano study", len(records[2]), partial(reply_findings, *records, study="s")))
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
    machine += f"numpy {np.__version__}, scipy {scipy.__version__}"
    text = f"""# Time of the findings

Measured on {datetime.now(UTC).date().isoformat()} by `python benchmarks/statistics_speed.py`; {machine}.

Records in, findings out. The large study has {REPLIES:,} outcomes (at least), {ARMS} arms x {LANGUAGES} languages.

{chr(10).join(lines)}
"""
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
