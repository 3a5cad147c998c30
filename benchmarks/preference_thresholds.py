"""How the thresholds of preference data were chosen, on real prompts and pairs; prints `preference_thresholds.md`.

    PRISM_REALDATA=../shared/data python benchmarks/preference_thresholds.py

* Neighbours: real Aya prompts, each changed as somebody might change it, against the unchanged ones: which share is
  found at which similarity; and what share of different prompts has a neighbour, which is what a low threshold costs.
* Flags: real pairs whose sides are exchanged by lot, so that nothing tells them: the largest lower bound of an AUC, and
  the ratios of lengths; beside them what the real sides give.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from alignment_prism.domain import Pair, Prompt, PromptKind, user
from alignment_prism.domain.text import markdown_table
from alignment_prism.io import Intake
from alignment_prism.preferences import read_pairs
from alignment_prism.preferences.cues import CUES
from alignment_prism.preferences.separation import separations
from alignment_prism.prompts.overlap import PromptIndex, near_duplicates

LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
LIKE = str.maketrans("aeocpxi", "аеосрхі")
CODES = {"English": "en", "French": "fr", "Spanish": "es", "Hindi": "hi"}


def typos(count: int | None, rng: random.Random) -> Callable[[str], str]:
    """So many letters replaced, dropped or doubled; None for one in twenty."""

    def change(text: str) -> str:
        letters = list(text)
        for _ in range(count or max(1, len(text) // 20)):
            place, kind = rng.randrange(len(letters)), rng.choice("rdx")
            if kind == "r":
                letters[place] = rng.choice("abcdefghij")
            elif kind == "d" and len(letters) > 3:
                del letters[place]
            else:
                letters.insert(place, letters[place])
        return "".join(letters)

    return change


def swapped(rng: random.Random) -> Callable[[str], str]:
    """Two neighbouring words exchanged."""

    def change(text: str) -> str:
        words = text.split()
        if len(words) > 1:
            place = rng.randrange(len(words) - 1)
            words[place], words[place + 1] = words[place + 1], words[place]
        return " ".join(words)

    return change


def neighbours(data: Path) -> str:
    """Which share of changed prompts is found, and of different ones taken for neighbours."""
    lines = (data / "aya_redteaming_partial" / "aya_partial_merged.jsonl").read_text("utf-8").splitlines()
    texts: dict[str, Prompt] = {}
    for number, row in enumerate(map(json.loads, lines)):
        if row["language"] in CODES and row["prompt"].strip():
            texts.setdefault(
                row["prompt"], Prompt(str(number), user(row["prompt"]), CODES[row["language"]], PromptKind.HARMFUL)
            )
    prompts, rng = list(texts.values()), random.Random(0)
    changes: dict[str, Callable[[str], str]] = {
        "one letter wrong": typos(1, rng), "two": typos(2, rng), "three": typos(3, rng),
        "one letter in twenty": typos(None, rng), "two words exchanged": swapped(rng),
        "please tell me: ... thank you": lambda text: f"Please tell me: {text} Thank you",
        "invisible marks between letters": "\u200b".join, "capitals": str.upper,
        "Cyrillic letters that look alike": lambda text: text.translate(LIKE),
        "digits for letters": lambda text: text.translate(str.maketrans("eao", "340")),
        "l e t t e r s apart": " ".join,
    }  # fmt: skip
    indexes = {level: PromptIndex(prompts, threshold=level) for level in LEVELS}
    rows = []
    for name, change in changes.items():
        changed = [replace(prompt, id=f"x{prompt.id}", messages=user(change(prompt.text))) for prompt in prompts]
        found = [
            len({match.one for match in indexes[level].matches(changed) if match.one == f"x{match.other}"})
            for level in LEVELS
        ]
        rows.append([name, *(f"{100 * count / len(prompts):.0f}" for count in found)])
    alike = []
    for level in LEVELS:
        touched = {side for match in near_duplicates(prompts, threshold=level) for side in (match.one, match.other)}
        alike.append(f"{100 * len(touched) / len(prompts):.1f}")
    rows.append(["**different prompts with a neighbour**", *alike])
    table = markdown_table(["% of changed prompts found", *(f"at {level}" for level in LEVELS)], rows)
    return f"{len(prompts)} real prompts (English, French, Spanish, Hindi).\n\n{table}"


def real_pairs(data: Path, most: int) -> dict[str, list[Pair]]:
    """Pairs of RTP-LX and hh-rlhf by language."""
    found: dict[str, list[Pair]] = {}
    for code in ("ar", "es", "fr", "hi"):
        pairs = []
        file = data / "rtp_lx" / f"acs_results_benign_{code.upper()}.json"
        for line in file.read_text(encoding="utf-8-sig").splitlines():
            row = json.loads(line)
            sides = row["BenignCompletion"], row["OriginalEntry"]["Completion"]
            if all(side.strip() for side in sides):
                pairs.append(Pair(f"{code}{row['Index']}", user(row["OriginalEntry"]["Prompt"]), *sides, code))
        found[f"RTP-LX, {code}"] = pairs[:most]
    file = data / "hh_rlhf" / "harmless-base.test.jsonl.gz"
    found["hh-rlhf, en"] = read_pairs(file, language="en", intake=Intake(keep_going=True))[:most]
    return found


def by_lot(pairs: Sequence[Pair], rng: random.Random) -> list[Pair]:
    """The pairs with their sides exchanged in half of them."""
    return [replace(p, chosen=p.rejected, rejected=p.chosen) if rng.random() < 0.5 else p for p in pairs]


def of_means(pairs: Sequence[Pair]) -> float:
    """Length of the rejected over that of the chosen reply, geometric mean over pairs."""
    return math.exp(statistics.fmean(math.log(len(pair.rejected) / len(pair.chosen)) for pair in pairs))


def of_medians(pairs: Sequence[Pair]) -> float:
    """Median length of the rejected replies over that of the chosen ones."""
    return statistics.median(len(p.rejected) for p in pairs) / statistics.median(len(p.chosen) for p in pairs)


def flags(data: Path, most: int, draws: int) -> str:
    """AUCs and ratios of lengths where nothing tells the sides, and where something may."""
    rng, cues, rows = random.Random(1), [CUES[name] for name in ("length", "first_token", "characters", "language")], []
    for name, pairs in real_pairs(data, most).items():
        lowers, ratios = [], []
        for _ in range(draws):
            drawn = by_lot(pairs, rng)
            lowers += [one.auc.lower for one in separations(drawn, cues)]
            ratios.append([max(ratio, 1 / ratio) for ratio in (of_means(drawn), of_medians(drawn))])
        real = {one.cue: one.auc for one in separations(pairs, cues)}
        most_told, above = max(auc.lower for auc in real.values()), sum(one > 0.5 for one in lowers)
        most = [f"{max(column):.1f}" for column in zip(*ratios, strict=True)]
        rows.append([name, len(pairs), f"{max(lowers):.2f}", f"{above} of {len(lowers)}", *most,
                     f"{most_told:.2f}", f"{of_means(pairs):.1f}", f"{of_medians(pairs):.1f}"])  # fmt: skip
    return markdown_table(
        ["pairs of", "pairs", "by lot: largest lower bound", "above 0.5", "largest geometric mean ratio",
         "largest ratio of medians", "as they are: largest lower bound", "geometric mean ratio", "ratio of medians"],
        rows,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=400, help="of a language, at most")
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    data = Path(os.environ.get("PRISM_REALDATA", "../shared/data"))
    print("## Neighbours\n")
    print(neighbours(data), "\n\n## Flags\n", sep="", flush=True)
    print(flags(data, options.pairs, options.draws))


if __name__ == "__main__":
    main()
