"""How long all tables of a large study take: 100,000 scores, 30 arms x 8 languages, 10,000 replicates.

    python benchmarks/statistics_speed.py

Prints a table and writes it to `statistics_speed.md` beside this file. Its last row is the evaluation of a nano study
(records in, findings out; no bootstrap).
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
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
from alignment_prism.statistics.tables import harm_tables

ARMS, LANGUAGES, REPLIES, REPLICATES = 30, 8, 100_000, 10_000


def study(clustered: bool, seed: int = 0) -> dict[str, object]:
    """Verdicts of a made-up study; with clusters, every prompt is a translation of one of 417 sources."""
    rng = np.random.default_rng(seed)
    per_language = -(-REPLIES // (ARMS * LANGUAGES))
    prompts = per_language * LANGUAGES
    hard = rng.normal(0, 1, per_language)[np.arange(prompts) % per_language]
    level = np.concatenate([[0.0], rng.uniform(-2.5, -0.5, ARMS - 1)])
    rates = 1 / (1 + np.exp(-(level[:, None] + hard - 0.4)))
    return {
        "verdicts": (rng.random((ARMS, prompts)) < rates).astype(float),
        "arms": [f"arm{number}" for number in range(ARMS)],
        "base": "arm0",
        "languages": [f"l{number // per_language}" for number in range(prompts)],
        "scopes": rng.choice(["global", "local"], prompts, p=[0.66, 0.34]).tolist(),
        "categories": [
            list(rng.choice(AYA_CATEGORIES, size=rng.integers(1, 4), replace=False)) for _ in range(prompts)
        ],
        "clusters": [f"s{number % per_language}" for number in range(prompts)] if clustered else None,
    }


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
    for clustered in (False, True):
        data = study(clustered)
        kind = "all tables, translated, clustered by source" if clustered else "all tables, native, independent"
        size = int(np.asarray(data["verdicts"]).size)
        lines.append(timed(kind, size, lambda data=data: harm_tables(**data, replicates=REPLICATES)))  # type: ignore
    records = nano_study()
    lines.append(timed("findings of a nano study", len(records[2]), lambda: reply_findings(*records, study="s")))
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
    machine += f"numpy {np.__version__}, scipy {scipy.__version__}"
    text = f"""# Time of the tables

Measured on {datetime.now(UTC).date().isoformat()} by `python benchmarks/statistics_speed.py`; {machine}.

{REPLIES:,} outcomes (at least), {ARMS} arms x {LANGUAGES} languages, every cell of language x scope x category,
joint intervals from {REPLICATES:,} bootstrap replicates. Aim: 10 seconds.

{chr(10).join(lines)}
"""
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
