"""Evaluation: from prompts, replies and verdicts to findings. Pure: records in, records out.

The members are imported when they are asked for, because they stand on NumPy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignment_prism.evaluation.harm import harm_findings
    from alignment_prism.evaluation.over_refusal import over_refusal_findings
    from alignment_prism.evaluation.reply_analyses import reply_findings
    from alignment_prism.evaluation.score_metrics import score_findings
    from alignment_prism.evaluation.seeds import seed_findings
    from alignment_prism.evaluation.transfer import TrainedOn, transfer_rows
    from alignment_prism.evaluation.win_rate import win_rate_findings

__all__ = [
    "TrainedOn",
    "score_findings",
    "harm_findings",
    "over_refusal_findings",
    "reply_findings",
    "seed_findings",
    "transfer_rows",
    "win_rate_findings",
]

_MODULES = {
    "score_findings": "score_metrics",
    "harm_findings": "harm",
    "over_refusal_findings": "over_refusal",
    "reply_findings": "reply_analyses",
    "seed_findings": "seeds",
    "TrainedOn": "transfer",
    "transfer_rows": "transfer",
    "win_rate_findings": "win_rate",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
