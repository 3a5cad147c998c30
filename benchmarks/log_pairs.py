"""Pairs of damaged logs, joined: how many replies land at a wrong prompt.

    python benchmarks/log_pairs.py --pairs 10000

A pair is two logs of models on the same prompts in one to three languages, flat or nested, and then damaged: rows
shuffled, missing, doubled, doubled with another verdict, ids numbered anew in another order, ids under other texts,
texts in templates, verdicts missing or unreadable. Every reply and every verdict says in itself which prompt it
belongs to, so that the truth is known and no reader sees it. Some pairs are read with the prompts given, the others
without.

A pair is wrong if any reply or verdict in the records is of another prompt, language, sample or model than it says;
if a verdict that is missing or unreadable became one; if a row is neither in the records nor counted as rejected; or
if, laid side by side by their prompts' ids, the two runs have verdicts on two prompts in one place without that being
refused.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment_prism.contrasts import PairedRuns
from alignment_prism.domain import METRICS, InputError, Prompt, PromptKind, Run, user
from alignment_prism.io import Intake
from alignment_prism.logs import LogColumns, Meaning, read_log

DAMAGE = (
    "shuffle",
    "miss",
    "double",
    "contradict",
    "renumber",
    "swap",
    "template",
    "no verdict",
    "unreadable",
    "no id",
)
WORDS = {"bad": "harmful", "no": "refusal"}


@dataclass
class Result:
    """What came of a pair."""

    damage: set[str] = field(default_factory=set)
    rows: int = 0
    taken: int = 0
    rejected: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


def prompts_of(rng: random.Random) -> list[Prompt]:
    """A few prompts in one to three languages; ids repeat over languages in some sets."""
    languages = rng.sample(["en", "fr", "hi"], rng.randint(1, 3))
    repeat = rng.random() < 0.5
    return [
        Prompt(
            f"{n}" if repeat else f"{code}{n}", user(f"{code} question {n} of {rng.random()}"), code, PromptKind.HARMFUL
        )
        for code in languages
        for n in range(rng.randint(2, 6))
    ]


def rows_of(
    rng: random.Random, prompts: list[Prompt], arm: str, samples: int, damage: set[str]
) -> list[dict[str, Any]]:
    """The rows of a log; `reply` and `raw` name what they truly belong to."""
    rows = []
    for prompt in prompts:
        for sample in range(samples):
            truth = f"{prompt.language}|{prompt.text}|{arm}|{sample}"
            rows.append(
                {
                    "id": prompt.id, "language": prompt.language, "prompt": prompt.text, "model": arm, "sample": sample,
                    "reply": truth, "label": rng.choice(list(WORDS)),
                }
            )  # fmt: skip
    for row in rows:
        row["truth"] = row["label"]
    if "renumber" in damage:
        order = list(range(len(prompts)))
        rng.shuffle(order)
        ids = [prompts[place].id if rng.random() < 0.9 else f"x{place}" for place in order]
        anew = {(prompt.id, prompt.language): id_ for prompt, id_ in zip(prompts, ids, strict=True)}
        for row in rows:
            row["id"] = anew[row["id"], row["language"]]
    if "swap" in damage and len(rows) > 1:
        one, other = rng.sample(rows, 2)
        one["id"] = other["id"]
    for row in rows:
        if "template" in damage:
            row["prompt"] = f"Question: {row['prompt']}\nAnswer:"
        if "no verdict" in damage and rng.random() < 0.3:
            row["label"] = row["truth"] = ""
        if "unreadable" in damage and rng.random() < 0.3:
            row["label"], row["truth"] = "As a judge I cannot", ""
        if "no id" in damage:
            del row["id"]
    if "miss" in damage:
        rows = [row for row in rows if rng.random() < 0.8] or rows[:1]
    for kind in ("double", "contradict"):
        if kind in damage:
            for row in rng.sample(rows, max(1, len(rows) // 4)):
                again = dict(row)
                if kind == "contradict":
                    again["label"] = again["truth"] = "no" if row["label"] == "bad" else "bad"
                rows.append(again)
    if "shuffle" in damage:
        rng.shuffle(rows)
    return rows


def write(rng: random.Random, rows: list[dict[str, Any]], path: Path) -> tuple[Path, LogColumns]:
    """A log in one of the shapes, and how it is read."""
    meaning = Meaning(WORDS)
    rows = [{key: value for key, value in row.items() if key != "truth"} for row in rows]
    if rng.random() < 0.5:
        path = path.with_suffix(".jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path, LogColumns({}, {"kind": "harmful"}, verdict="label", meaning=meaning)
    nested = [
        {
            "doc": {name: row[name] for name in ("id", "language", "prompt") if name in row},
            "out": [row["reply"]],
            "n": row["sample"],
            "m": row["model"],
            "judge": json.dumps({"label": row["label"]}),
        }
        for row in rows
    ]
    path = path.with_suffix(".json")
    path.write_text(json.dumps(nested))
    mapping = {"language": "doc.language", "prompt": "doc.prompt", "reply": "out.0", "sample": "n", "arm": "m"}
    mapping |= {"id": "doc.id"} if "id" in rows[0] else {}
    return path, LogColumns(mapping, {"kind": "harmful"}, verdict="judge.label", meaning=meaning)


def check(run: Run, rows: list[dict[str, Any]], asked: dict[str, Prompt], result: Result) -> None:
    """What of a run is not as its replies say."""
    truths: dict[str, set[str]] = {}
    for row in rows:
        truths.setdefault(row["reply"], set()).add(row["truth"])
    prompts = {prompt.id: prompt for prompt in run.prompts}
    said = {(score.prompt_id, score.sample): score for score in run.scores if score.name == "outcome"}
    if len(said) != len(run.generations):
        result.wrong.append(f"{len(run.generations)} replies have {len(said)} verdicts")
    for reply in run.generations:
        language, text, arm, sample = reply.reply.split("|")
        prompt = prompts[reply.prompt_id]
        own = prompt.text.removeprefix("Question: ").removesuffix("\nAnswer:")
        if (prompt.language, own, reply.arm, str(reply.sample)) != (language, text, arm, sample):
            result.wrong.append(f"a reply of {text} is at {prompt.text}")
        score = said[reply.prompt_id, reply.sample]
        if score.reply_digest != reply.reply_digest:
            result.wrong.append("a verdict is of another reply")
        if {WORDS.get(word, "unjudged") for word in truths[reply.reply]} != {score.label}:
            result.wrong.append(f"a verdict {truths[reply.reply]} became {score.label}")
        if asked and prompt is not asked[prompt.id]:
            result.wrong.append("a prompt is none of those that were given")


def run_pair(seed: int, folder: Path) -> Result:
    """Two logs of one set of prompts, read and laid side by side."""
    rng = random.Random(seed)
    result = Result(set(rng.sample(DAMAGE, rng.randint(0, 4))))
    prompts = prompts_of(rng)
    samples = rng.choice([1, 1, 2, 3])
    given = rng.random() < 0.4 and len({prompt.id for prompt in prompts}) == len(prompts)
    runs: list[Run] = []
    for arm in ("a", "b"):
        damage = result.damage if arm == "b" else result.damage & {"shuffle", "miss", "no id", "template"}
        rows = rows_of(rng, prompts, arm, samples, damage)
        path, columns = write(rng, rows, folder / f"{seed}{arm}")
        intake = Intake(keep_going=True)
        result.rows += len(rows)
        try:
            log = read_log([path], columns=columns, prompts=prompts if given else (), intake=intake)
        except InputError:
            result.refused += 1
            continue
        finally:
            path.unlink()
        if len(log.generations) + intake.rejected != len(rows):
            result.wrong.append(f"{len(rows)} rows, {len(log.generations)} taken, {intake.rejected} rejected")
        result.taken += len(log.generations)
        result.rejected += intake.rejected
        run = log.run(arm)
        check(run, rows, {prompt.id: prompt for prompt in prompts} if given else {}, result)
        runs.append(run)
    if len(runs) == 2:
        beside(runs[0], runs[1], result)
    return result


def beside(one: Run, other: Run, result: Result) -> None:
    """Two runs laid side by side as `prism compare` does it; the numbers in every place must be of its prompt."""
    try:
        paired = PairedRuns([one, other])
    except InputError:
        result.refused += 1
        return
    for run in (one, other):
        table = paired.values(run.name, METRICS["harm_rate"])
        if table is None:
            continue
        prompts = {prompt.id: prompt for prompt in run.prompts}
        truth: dict[tuple[str, str], dict[str, list[float]]] = {}  # a text may stand under several ids
        for score in run.scores:
            if score.label in WORDS.values():
                prompt = prompts[score.prompt_id]
                by_id = truth.setdefault((prompt.language, prompt.text), {})
                by_id.setdefault(prompt.id, []).append(float(score.label == "harmful"))
        for prompt, values in zip(paired.prompts, table, strict=True):
            there = sorted(float(value) for value in values if value == value)
            known = truth.get((prompt.language, prompt.text), {}).values()
            if there and there not in [sorted(said) for said in known]:
                result.wrong.append("numbers side by side are of two prompts")


def main() -> int:
    """Run the pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    table: dict[str, Counter[str]] = {name: Counter() for name in (*DAMAGE, "none", "all")}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.pairs):
            result = run_pair(options.seed + number, Path(folder))
            for name in (*(result.damage or {"none"}), "all"):
                table[name].update(
                    pairs=1, rows=result.rows, taken=result.taken, rejected=result.rejected, refused=result.refused,
                    wrong=bool(result.wrong),
                )  # fmt: skip
            for what in result.wrong:
                print(f"seed {options.seed + number}, {sorted(result.damage)}: {what}", file=sys.stderr)
    columns = ("pairs", "rows", "taken", "rejected", "refused", "wrong")
    print(f"| damage | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, counts in table.items():
        print(f"| {name} | {' | '.join(f'{counts[column]:,}' for column in columns)} |")
    print(f"\n{options.pairs:,} pairs in {time.perf_counter() - began:.0f} s")
    return int(bool(table["all"]["wrong"]))


if __name__ == "__main__":
    sys.exit(main())
