"""Published numbers of the paper's line of work, beside ours where an arm is of the same method and mixture.

From a follow-up of arXiv 2406.18682 with the same languages and mixtures (arXiv 2410.10801, as docs/paper.md has them).
"""

from __future__ import annotations

from collections.abc import Iterator

from alignment_prism.reports.layout import Sheet
from alignment_prism.reports.numbers import as_text
from alignment_prism.reports.results import ArmSeed, Results

PUBLISHED = {
    ("SFT", 0.0): (-41.4, 70.0),
    ("SFT", 0.15): (-56.6, 67.4),
    ("SFT", 1.0): (-64.4, 64.8),
    ("DPO", 0.0): (-39.2, 70.7),
    ("DPO", 0.15): (-54.7, 71.0),
    ("DPO", 1.0): (-68.2, 75.0),
}
"""Method and share of safety pairs -> harm in per cent of base, and win-rate in per cent; without intervals."""

FAMILIES = {"SFT-Preferred": "SFT", "DPO(SFT)": "DPO", "DPO(IFT)": "DPO"}

OURS = (("harm_relative_change", ""), ("win_rate", "general"))
"""Our numbers beside them, each a metric and its prompts (those of the summary unless named)."""

CAPTION = (
    "Harm in per cent of base (negative is less) and prompts won in per cent. The published numbers are of an "
    "8-billion model with another judge and other prompts, without intervals: they say what was claimed, and are not "
    "what these arms should reach. ? = too few to rely on."
)


def published_table(results: Results) -> Sheet | None:
    """An arm a row; None where no arm is of a method and mixture that was published."""
    rows = []
    for arm in _shown(results):
        method, share = results.recipes[arm[0]]
        harm, wins = PUBLISHED[FAMILIES[method], share]
        change, won = (results.find(arm, metric, prompts=prompts) for metric, prompts in OURS)
        recipe = f"{method}, {100 * share:g} % safety"
        rows.append(((results.title(arm), recipe), (as_text(change), f"{harm:+.1f}", as_text(won), f"{wins:.1f}")))
    heads = ("harm, here", "harm, published", "wins, here", "wins, published")
    return Sheet(("arm", "recipe"), heads, tuple(rows), CAPTION) if rows else None


def _shown(results: Results) -> Iterator[ArmSeed]:
    """Arms of methods and mixtures that were published: over their seeds where these tell both numbers together."""
    for name in dict.fromkeys(name for name, _ in results.arms):
        method, share = results.recipes.get(name, ("", -1.0))
        if (FAMILIES.get(method, ""), share) in PUBLISHED and name in results.whole_mixtures:
            told = [results.told(name, metric, prompts) for metric, prompts in OURS]
            together = all(arms == [(name, -1)] or not any(results.find(arm, metric, prompts=prompts) for arm in arms)
                           for arms, (metric, prompts) in zip(told, OURS, strict=True))  # fmt: skip
            yield from [(name, -1)] if together else results.seeds_of(name)
