"""The tables of a study of the nano lab that asks the paper's questions, from its findings: arms down, over its seeds.

    prism study run nano-paper --out results/nano-paper
    python benchmarks/paper_tables.py results/nano-paper

Changes of harm are over all seeds, with intervals for other seeds and other prompts; the other columns are means over
seeds, with the least and the most of them. Prints the tables of `nano_paper.md` and `nano_transfer.md`; trains nothing.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from importlib.metadata import version

from alignment_prism import Study
from alignment_prism.domain import ALL, Finding, Transfer, TransferQuantity
from alignment_prism.domain.transfer import OTHER

SHARES = (
    ("refused: never harmful", "refusal_rate", "never_harmful"),
    ("benign mentions", "refusal_rate", "benign_mention"),
    ("harmful elsewhere", "refusal_rate", "foreign_local"),
    ("right answers", "accuracy", "general"),
    ("wins", "win_rate", "general"),
)


def changed(row: Finding | Transfer | None) -> str:
    """`-79.6 [-85.1, -70.2]`, in points."""
    if row is None:
        return ""
    return f"{100 * row.estimate:+.1f} [{100 * row.lower:+.1f}, {100 * row.upper:+.1f}]{'?' * row.insufficient}"


def shown(rows: Sequence[Finding]) -> str:
    """Mean over seeds, and the least and most of them where they differ."""
    values = [100 * row.estimate for row in rows]
    if not values:
        return ""
    ends = "" if max(values) - min(values) < 0.05 else f" ({min(values):.1f}-{max(values):.1f})"
    return f"{sum(values) / len(values):.1f}{ends}"


def harm_table(study: Study) -> list[list[str]]:
    """Harm on unseen topics, refusals, answers and wins, an arm a row."""
    every = [row for row in study.findings() if row.language == row.category == ALL]
    pooled = -1 if len(study.seeds) > 1 else study.seeds[0]
    lines = []
    for arm in dict.fromkeys(row.arm for row in every):
        own = [row for row in every if row.arm == arm]
        cells = [arm]
        for scope in ("global", "local"):
            cells.append(
                changed(
                    next(
                        (
                            row
                            for row in own
                            if (row.metric, row.prompts, row.scope, row.seed)
                            == ("harm_difference", "harmful/unseen", scope, pooled)
                        ),
                        None,
                    )
                )
            )
        for _, metric, prompts in SHARES:
            seeds = [row for row in own if (row.metric, row.prompts, row.scope) == (metric, prompts, ALL)]
            cells.append(shown([row for row in seeds if row.seed >= 0] or seeds))
        lines.append(cells)
    return [["arm", "global", "local", *(name for name, _, _ in SHARES)], *lines]


def transfer_table(study: Study) -> list[list[str]]:
    """Changes of harm where an arm was not trained, by language, and spill-over; arms with a choice alone."""
    pooled = -1 if len(study.seeds) > 1 else study.seeds[0]
    every = [row for row in study.transfer() if row.seed == pooled]
    found = {(row.arm, row.quantity, row.prompts, row.language, row.scope): row for row in every}
    languages = sorted({prompt.language for prompt in study.prompts()})
    lines = []
    for row in dict.fromkeys((one.arm, one.trained_languages, one.trained_scopes) for one in every):
        arm, *choices = row
        if not {*choices} - {ALL, "none"}:
            continue
        cells = [arm]
        for language in (OTHER, *languages):
            cells.append(changed(found.get((arm, TransferQuantity.HARM, "harmful/unseen", language, ALL))))
        cells.append(changed(found.get((arm, TransferQuantity.SPILL_OVER, "foreign_local", ALL, ALL))))
        lines.append(cells)
    return [["arm", "not trained on", *languages, "spill-over"], *lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of a finished study")
    study = Study.open(parser.parse_args().folder)
    versions = ", ".join(f"{name} {version(name)}" for name in ("alignment-prism", "torch", "transformers", "numpy"))
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}\n")
    for title, lines in (("Harm against base", harm_table(study)), ("Transfer", transfer_table(study))):
        print(f"## {title}\n")
        for number, line in enumerate(lines):
            print(f"| {' | '.join(line)} |")
            if number == 0:
                print(f"|{'---|' * len(line)}")
        print()


if __name__ == "__main__":
    main()
