"""Which arm is base of which, as findings name it."""

from __future__ import annotations

from alignment_prism.domain import FindingIndex, Signature
from alignment_prism.domain.findings import BASE
from alignment_prism.domain.metrics import Difference
from alignment_prism.reports.numbers import listed
from alignment_prism.scoring.metrics import find_metric

FEW_ARMS = 6
"""Up to so many arms are called by name."""


def bases_of(index: FindingIndex) -> dict[str, str]:
    """Arm -> the arm that its changes are against, as their signatures name it; no arm whose base has no findings."""
    changes = [name for name in index.values("metric") if isinstance(find_metric(name).estimator, Difference)]
    names = list(dict.fromkeys(name for name, _ in index.arms))
    found: dict[str, str] = {}
    for name in names:
        signatures = [one for metric in changes for one in index.values("signature", arm=name, metric=metric)]
        base = next((base for one in signatures if (base := part_of(one, "base"))), BASE)
        if signatures and base in names:
            found[name] = base
    return found


def bases_in_words(index: FindingIndex) -> str:
    """`Base is llama for sft; qwen for qwen_sft.`; empty where there are not several."""
    arms: dict[str, list[str]] = {}
    for name, base in bases_of(index).items():
        arms.setdefault(base, []).append(name)
    parts = [f"{base} for {listed(own) if len(own) <= FEW_ARMS else f'{len(own)} arms'}" for base, own in arms.items()]
    return f"Base is {'; '.join(parts)}." if len(parts) > 1 else ""


def part_of(signature: str, name: str) -> str:
    """What a signature says under a name; empty for nothing."""
    return dict(Signature.parts(signature)).get(name, "")
