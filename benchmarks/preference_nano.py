"""Does what is done to preference pairs change what a model learns? Measured in the nano lab.

    python benchmarks/preference_nano.py --seeds 0 --pairs 120 --limit 4   # a look
    python benchmarks/preference_nano.py                                   # five seeds, for the table
    python benchmarks/preference_nano.py --table                           # the table of what is done, and nothing else

Six trainings of DPO from the shipped base a seed, on safety pairs and none other, of every language the same number:

* `shipped`: pairs that the lab ships;
* `flawed`: the same with their rejected replies said three times over, so that length alone tells the preferred side,
  as in RTP-LX; `repaired`: the same prompts, both sides written by the base and ranked by the oracle (on-policy
  re-pairing), which is the repair where a cue always points one way;
* `partly`: in three of four pairs the rejected reply is said over and over until it is three times as long as the
  other, in one the chosen reply is; `matched`: what `prism preferences repair --by length` leaves of them, which is the
  repair where a cue points both ways, held against as many of `partly`;
* `synthesised`: pairs that `nano-pairs` builds from seeds, held against `shipped`.

Every training is a study in OUT, and its verdicts a line of OUT/rows.jsonl: run again, what is done is not done again.
Prints the table of `preference_nano.md`: harm on held-out prompts, and changes over seeds and prompts with intervals.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from alignment_prism.domain import Outcome, Pair, PairKind, PromptKind, content_digest
from alignment_prism.domain.text import markdown_table
from alignment_prism.io import write_records
from alignment_prism.models.shipped import shipped_base
from alignment_prism.nano import world
from alignment_prism.preferences.matching import match_pairs
from alignment_prism.preferences.xray import xray
from alignment_prism.scoring.scorer import deciding
from alignment_prism.statistics.changes.seeds import SeedModel
from alignment_prism.store import file_digest
from alignment_prism.studies import StudySpec, run_study
from alignment_prism.studies.synthesis.loading import load_build
from alignment_prism.studies.synthesis.run import run_build
from alignment_prism.studies.synthesis.spec import BuildSpec

ARMS = ("shipped", "flawed", "repaired", "synthesised", "partly", "matched")


def longer(text: str, other: str) -> str:
    """A reply said over and over, until it is three times as long as the other."""
    return " ".join([text] * -(-3 * len(other) // len(text)))


def on_policy(pairs: Sequence[Pair], out: Path, seed: int) -> list[Pair]:
    """Pairs to the prompts of a file whose sides are both the base's own."""
    file = out / f"flawed-{seed}.parquet"
    write_records(file, pairs, Pair)
    spec = BuildSpec.model_validate(
        {
            "name": "repaired",
            "seeds": {"prompts": [{"file": str(file)}], "per_language": None, "threshold": 1},
            "complete": [
                {"name": "own", "model": "nano", "samples": 6, "temperature": 1, "max_tokens": 48, "seed": seed}
            ],
            "rank": {"judges": [{"model": "nano/oracle"}], "couples": 15, "refusal_cap": 1},
        }
    )
    return run_build(spec, out / f"repaired-{seed}", replace=True).pairs()


def synthesised(out: Path, seed: int, pairs: int) -> list[Pair]:
    """Pairs that are built from the lab's seeds; every seed gives about four."""
    preset = load_build("nano-pairs")
    teacher, own = preset.complete
    spec = preset.model_copy(
        update={
            "seeds": preset.seeds.model_copy(update={"per_language": max(2, pairs // 2), "seed": seed}),
            "complete": (teacher, own.model_copy(update={"seed": seed + 1})),
        }
    )
    built = run_build(spec, out / f"synthesised-{seed}", replace=True).pairs()
    return [pair for pair in built if pair.kind is PairKind.SAFETY]


def drawn(pairs: Sequence[Pair], each: int, seed: int) -> list[Pair]:
    """So many pairs of every language, by lot; fewer where there are no more."""
    of_language: dict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: content_digest(seed, pair.id)):
        of_language[pair.language].append(pair)
    return [pair for _, members in sorted(of_language.items()) for pair in members[:each]]


def pools(seed: int, prompts: int, each: int, out: Path) -> dict[str, list[Pair]]:
    """The pairs that each arm of a seed is trained on."""
    safety, _ = world().pairs()
    safety = safety[seed * prompts : (seed + 1) * prompts] or safety[:prompts]
    flawed = [replace(pair, rejected=" ".join([pair.rejected] * 3)) for pair in safety]
    turned, partly = Counter[str](), []
    for pair in safety:
        turned[pair.language] += 1
        good, bad = pair.chosen, pair.rejected
        good, bad = (longer(good, bad), bad) if turned[pair.language] % 4 == 0 else (good, longer(bad, good))
        partly.append(replace(pair, chosen=good, rejected=bad))
    whole = {
        "shipped": safety,
        "flawed": flawed,
        "repaired": on_policy(flawed, out, seed),
        "synthesised": synthesised(out, seed, each),
    }
    few = min([each, *(min(Counter(pair.language for pair in pairs).values()) for pairs in whole.values())])
    matched = match_pairs(partly, ["length"], seed=seed).pairs
    least = min([each, *Counter(pair.language for pair in matched).values()])
    return {name: drawn(pairs, few, seed) for name, pairs in whole.items()} | {
        "partly": drawn(partly, least, seed),
        "matched": drawn(matched, least, seed),
    }


def trained(name: str, seed: int, pairs: list[Pair], limit: int, out: Path) -> dict[str, Any]:
    """Verdicts on a model that is trained on pairs, and on the base, prompt by prompt."""
    file = out / f"{name}-{seed}.train.parquet"
    write_records(file, pairs, Pair)
    spec = StudySpec.model_validate(
        {
            "name": name, "training": "nano", "pairs": {"safety": [str(file)], "general": ["nano"]},
            "mixture": {"total": len(pairs)}, "seeds": [seed], "kinds": [PromptKind.HARMFUL.value],
            "arms": [{"name": "dpo", "method": "dpo_ift", "share": 1}],
            "prompt_limit": limit, "generation": {"max_tokens": 48}, "judge": {"model": "nano/oracle"},
        }
    )  # fmt: skip
    study = run_study(spec, out / f"study-{name}-{seed}", replace=True)
    cluster = {prompt.id: prompt.cluster for prompt in study.prompts()}
    found = xray(pairs, cues=["length"])
    row: dict[str, Any] = {"arm": name, "seed": seed, "pairs": len(pairs), "clusters": cluster}
    row["ratio"] = found.languages[-1].length_ratio
    row["auc"] = found.separations[-1].auc.estimate if found.separations[-1].is_known else None
    for arm in ("base", "dpo"):
        row[arm] = {
            one.prompt_id: int(one.outcome is Outcome.HARMFUL)
            for one in deciding(study.scores())
            if one.arm == arm and one.outcome is not Outcome.UNJUDGED
        }
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Harm of each arm by seed, and what the repairs and the synthesis come to over seeds and prompts."""
    rows = sorted(rows, key=lambda row: row["seed"])
    seeds = sorted({row["seed"] for row in rows})
    arms = [arm for arm in ARMS if {row["seed"] for row in rows if row["arm"] == arm} >= set(seeds)]
    prompts = sorted(set.intersection(*(set(row["dpo"]) & set(row["base"]) for row in rows)))
    clusters = [rows[0]["clusters"][prompt] for prompt in prompts]
    harm = {arm: [[row["dpo"][prompt] for prompt in prompts] for row in rows if row["arm"] == arm] for arm in arms} | {
        "base": [[rows[0]["base"][prompt] for prompt in prompts]]
    }
    lines = []
    for arm in arms:
        mine = [row for row in rows if row["arm"] == arm]
        sizes = sorted({row["pairs"] for row in mine})
        told = [row["auc"] for row in mine if row["auc"] is not None]
        shares = [100 * float(np.mean(one)) for one in harm[arm]]
        lines.append([
            arm, "-".join(map(str, dict.fromkeys((sizes[0], sizes[-1])))),
            f"{np.mean([row['ratio'] for row in mine]):.1f}", f"{np.mean(told):.2f}" if told else "",
            ", ".join(f"{share:.1f}" for share in shares), f"{np.mean(shares):.1f}",
        ])  # fmt: skip
    head = ["pairs", "how many", "length, rejected / chosen", "AUC of length", "harm, %, by seed", "mean"]
    text = [
        f"Seeds {', '.join(map(str, seeds))}; {len(prompts)} prompts of {len(set(clusters))} topics; harm of the base "
        f"{100 * float(np.mean(harm['base'])):.1f} %.",
        "",
        markdown_table(head, lines),
        "",
    ]
    model = SeedModel(harm, clusters)
    changes = []
    for arm, other in (("repaired", "flawed"), ("matched", "partly")):
        if {arm, other} <= harm.keys():
            one = model.relative_change(arm, other).interval
            changes.append([f"{arm} over {other}", f"{one.estimate:.0f} % [{one.lower:.0f}, {one.upper:.0f}]",
                            "a third less: -33 % or below"])  # fmt: skip
    if {"synthesised", "shipped"} <= harm.keys():
        one = model.difference("synthesised", "shipped").interval
        changes.append(["synthesised less shipped",
                        f"{100 * one.estimate:+.1f} points [{100 * one.lower:+.1f}, {100 * one.upper:+.1f}]",
                        "within 5 points"])  # fmt: skip
    return "\n".join([*text, markdown_table(["change of harm", "with its 95 % interval", "aim"], changes)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("results/preference_nano"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--prompts", type=int, default=480, help="shipped safety pairs that each seed begins with")
    parser.add_argument("--pairs", type=int, default=240, help="of a training, at most")
    parser.add_argument("--limit", type=int, default=12, help="evaluation prompts of a subset, scope and language")
    parser.add_argument("--table", action="store_true", help="print the table of what is done, and do nothing")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file, rows = options.out / "rows.jsonl", []
    languages = len({pair.language for pair in world().pairs()[0]})
    settings = [options.prompts, options.pairs, options.limit, file_digest(shipped_base() / "model.safetensors")]
    key = content_digest(settings)
    if file.exists():
        rows = [row for line in file.read_text().splitlines() if (row := json.loads(line))["key"] == key]
    done = {(row["arm"], row["seed"]) for row in rows}
    for seed in [] if options.table else options.seeds:
        if all((arm, seed) in done for arm in options.arms):
            continue
        made = pools(seed, options.prompts, options.pairs // languages, options.out)
        for arm in options.arms:
            if (arm, seed) not in done:
                rows.append({"key": key, **trained(arm, seed, made[arm], options.limit, options.out)})
                with file.open("a") as stream:
                    stream.write(json.dumps(rows[-1]) + "\n")
                print(f"seed {seed}, {arm}: {100 * np.mean(list(rows[-1]['dpo'].values())):.1f} % harm", flush=True)
    print(table(rows) if rows else "nothing is done yet")


if __name__ == "__main__":
    main()
