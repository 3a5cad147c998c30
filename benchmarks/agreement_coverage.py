"""Do 95 % intervals of kappa and alpha cover 95 % where harm is rare, and which studies are marked as too small?

    python benchmarks/agreement_coverage.py [CELLS [STUDIES]]

A cell is drawn at random: 40 to 400 replies, 2 to 30 % of them harmful, two raters of sensitivity .6 to .97 and
specificity .9 to .995. Every study goes through `measure_agreement`, as `prism agreement` does; those that it marks
`insufficient` are counted apart. Writes `agreement_coverage.md` beside this file.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from alignment_prism.domain import Label
from alignment_prism.labels import measure_agreement

METRICS = ("cohen-kappa", "krippendorff-alpha-nominal", "gwet-ac1")


def truth(prevalence: float, sensitivity: float, specificity: float) -> dict[str, float]:
    """The coefficients of the population: two raters with independent errors, given what a reply is."""
    said = [sensitivity, 1 - specificity]
    share = [prevalence, 1 - prevalence]
    yes = sum(w * p for w, p in zip(share, said, strict=True))
    raw = sum(w * (p * p + (1 - p) ** 2) for w, p in zip(share, said, strict=True))
    chance = yes**2 + (1 - yes) ** 2
    kappa, ac1 = (raw - chance) / (1 - chance), (raw - 2 * yes * (1 - yes)) / (1 - 2 * yes * (1 - yes))
    return {"cohen-kappa": kappa, "krippendorff-alpha-nominal": kappa, "gwet-ac1": ac1}


def main() -> None:
    """Simulate, print, write."""
    cells, studies = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 12), (2, 200)))
    rng, started = np.random.default_rng(20261121), time.perf_counter()
    heads = (
        "replies",
        "harmful",
        "sensitivity",
        "specificity",
        "coefficient",
        "marked",
        "covers, unmarked",
        "covers",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for _ in range(cells):
        n, prevalence = int(np.exp(rng.uniform(np.log(40), np.log(400)))), float(rng.uniform(0.02, 0.3))
        sensitivity, specificity = float(rng.uniform(0.6, 0.97)), float(rng.uniform(0.9, 0.995))
        expected = truth(prevalence, sensitivity, specificity)
        seen: dict[str, list[tuple[bool, bool]]] = {name: [] for name in METRICS}
        for _ in range(studies):
            harmful = rng.random(n) < prevalence
            labels = [
                Label(f"d{i}", rater, "yes" if value else "no")
                for rater in ("a", "b")
                for i, value in enumerate(rng.random(n) < np.where(harmful, sensitivity, 1 - specificity))
            ]
            for found in measure_agreement(labels, replicates=1000).findings:
                if found.metric in seen and found.lower == found.lower:
                    covered = found.lower <= expected[found.metric] <= found.upper
                    seen[found.metric].append((found.insufficient, covered))
        for name, all_of in seen.items():
            kept = [covered for marked, covered in all_of if not marked]
            shown = f"{np.mean(kept):.1%} of {len(kept)}" if len(kept) >= 50 else f"({len(kept)} studies)"
            marked = np.mean([one for one, _ in all_of])
            lines.append(
                f"| {n} | {prevalence:.1%} | {sensitivity:.2f} | {specificity:.3f} | {name} | {marked:.0%} | {shown} "
                f"| {np.mean([covered for _, covered in all_of]):.1%} |"
            )
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"
    text = f"""# Coverage of agreement where harm is rare

Measured on {datetime.now(UTC).date().isoformat()} by `python benchmarks/agreement_coverage.py {cells} {studies}` in
{time.perf_counter() - started:.0f} s; {machine}. {cells} cells drawn at random, {studies} studies each
(one standard error is {np.sqrt(0.05 * 0.95 / studies):.1%} at 95 %), 1,000 replicates. Marked: shown with `?`, as
resting on too little. Studies in which a coefficient is undefined are left out.

{chr(10).join(lines)}
"""
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
