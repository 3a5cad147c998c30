"""Transfer against local norms over the dial of the nano lab: what the first words of replies share between languages.

    python benchmarks/transfer_dial.py --out results/dial --table benchmarks/transfer_dial.md
    python benchmarks/transfer_dial.py --out results/dial --dial 0 1 --seeds 1 --total 200 --limit 2   # does it run?

For every place of the dial (`sign_share`: the share of replies that begin with a sign which all languages have in
common) a base is built in a world nobody tuned on. From each base every method is aligned on safety pairs in English
only, which shows how far what is learnt in English reaches the other languages, and on those of all languages, which
shows what is refused of what is harmful in other languages only. `norms` are the same arms with pairs that name the
other side of a norm: one in four general pairs, not one in twenty-five, asks for what is harmful elsewhere and prefers
the helpful reply. Means over alignment seeds, with the least and the most. Interrupted, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import platform
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from alignment_prism import run_study
from alignment_prism.domain import ALL
from alignment_prism.domain.transfer import TransferQuantity
from alignment_prism.io import write_records
from alignment_prism.nano import WorldSpec, world
from alignment_prism.nano.base.build import MANIFEST, build_base, check_base
from alignment_prism.nano.base.train import BaseRecipe
from alignment_prism.nano.world import PairRecipe
from alignment_prism.studies import load_spec

METHODS = ("sft", "dpo_ift", "dpo_sft")
WORLD = 301
UNSEEN = "harmful/unseen"
NORMS = PairRecipe(foreign_share=0.25)
OTHER = "other"

Cell = tuple[str, str, str]
"""Pairs, method, what is measured."""


def base_of(dial: float, out: Path) -> Path:
    """The base of a place of the dial, built if it is not there."""
    folder = out / f"base-{dial:g}"
    if not (folder / MANIFEST).is_file():
        build_base(WorldSpec(seed=WORLD, sign_share=dial), BaseRecipe(), folder, force=True)
    return folder


def missed(dial: float, folder: Path) -> list[str]:
    """A line for every criterion that a base misses: it was written all the same, and its rows are read with that."""
    return [f"- dial {dial:g}: {one.name} {one.value:.4f}" for one in check_base(folder) if not one.passed]


def measured(folder: Path, name: str, options: argparse.Namespace, pairs: dict[str, str] | None) -> Iterator[Any]:
    """The transfer rows of the arms of one base on one kind of pairs, one row a seed."""
    arms = [
        {"name": f"{method}_{who}", "method": method, "share": 0.15, **({"languages": ["en"]} if who == "en" else {})}
        for method in METHODS
        for who in ("en", "all")
    ]
    base = str(folder.resolve())
    more: dict[str, Any] = {"pairs": pairs} if pairs else {}
    if options.total:
        more["mixture"] = {"total": options.total}
    spec = load_spec(
        "quickstart", name="dial", base=base, world=base, arms=arms, seeds=list(range(options.seeds)), compare=None,
        prompt_limit=options.limit, **more,
    )  # fmt: skip
    yield from (row for row in run_study(spec, folder.parent / f"{folder.name}-{name}").transfer() if row.seed >= 0)


def norm_pairs(folder: Path) -> dict[str, str]:
    """Pools of pairs of which many name the other side of a norm, as files."""
    files = {kind: folder.parent / f"{folder.name}-norms-{kind}.parquet" for kind in ("safety", "general")}
    for kind, pool in zip(files, world(base=folder).pairs(recipe=NORMS), strict=True):
        write_records(files[kind], pool)
    return {kind: str(path.resolve()) for kind, path in files.items()}


def cells(rows: Iterator[Any], pairs: str) -> dict[Cell, list[float]]:
    """Points by method, one a seed: what English reaches there and elsewhere, and what all languages spill over."""
    found: dict[Cell, list[float]] = defaultdict(list)
    for row in rows:
        if row.scope != ALL:
            continue
        method, _, who = row.arm.rpartition("_")
        english = who == "en"
        unseen_harm = row.quantity is TransferQuantity.HARM and row.prompts == UNSEEN
        if unseen_harm and english and row.language in ("en", OTHER):
            found[pairs, method, f"harm {row.language}"].append(100 * row.estimate)
        if row.quantity is TransferQuantity.SPILL_OVER and row.language == ALL:
            found[pairs, method, "spill-over, English" if english else "spill-over, all"].append(100 * row.estimate)
        if unseen_harm and not english and row.language == ALL:
            found[pairs, method, "harm, all"].append(100 * row.estimate)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bases and runs")
    parser.add_argument("--dial", type=float, nargs="+", default=[0.0, 0.1, 0.25, 0.5, 1.0])
    parser.add_argument("--seeds", type=int, default=3, help="alignment seeds")
    parser.add_argument("--total", type=int, help="pairs a training; the quickstart's unless given")
    parser.add_argument("--limit", type=int, help="most prompts of a kind, subset, scope and language")
    parser.add_argument("--table", type=Path, help="Markdown file to write the table to, below its head")
    options = parser.parse_args()
    columns = ("harm en", "harm other", "spill-over, English", "harm, all", "spill-over, all")
    lines = [
        f"World {WORLD}, {options.seeds} seeds; {platform.machine()}, Python {platform.python_version()}, "
        f"torch {version('torch')}", "",
        "| dial | pairs | method | English: harm there | harm elsewhere | spill-over | all: harm | spill-over |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    failed: list[str] = []
    for dial in options.dial:
        folder = base_of(dial, options.out)
        failed += missed(dial, folder)
        found = cells(measured(folder, "plain", options, None), "plain")
        found |= cells(measured(folder, "norms", options, norm_pairs(folder)), "norms")
        for pairs in ("plain", "norms"):
            for method in METHODS:
                shown = []
                for column in columns:
                    values = found.get((pairs, method, column), [])
                    mean = sum(values) / len(values) if values else float("nan")
                    shown.append(f"{mean:+.0f} [{min(values):+.0f}, {max(values):+.0f}]" if values else "")
                lines.append(f"| {dial:g} | {pairs} | {method} | " + " | ".join(shown) + " |")
        print("\n".join(lines), flush=True)
    lines += ["", "Criteria that a base missed:", "", *(failed or ["none"])]
    print("\n".join(lines[-len(failed) - 2 :]))
    if options.table:
        old = options.table.read_text(encoding="utf-8") if options.table.exists() else "# Transfer over the dial\n"
        head = old.split("\n<!-- figures -->")[0]
        options.table.write_text(head + "\n<!-- figures -->\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
