"""All metrics together: those of outcomes and comparisons, and those that come with a rule."""

from __future__ import annotations

from difflib import get_close_matches

from alignment_prism.domain.metric_table import METRICS
from alignment_prism.domain.metrics import Metric, undescribed
from alignment_prism.scoring.rules import RULES


def all_metrics() -> dict[str, Metric]:
    """Every metric by name, in the order in which tables show them."""
    return METRICS | {metric.name: metric for rule in RULES.values() for metric in rule.metrics}


def find_metric(name: str) -> Metric:
    """The metric of a name; one without words, unit and direction where no table has it."""
    return all_metrics().get(name) or undescribed(name)


def near_metric(name: str) -> str:
    """The metric that a misspelt name may have meant; empty for one that there is, and where none is like it."""
    known = all_metrics()
    return "" if name in known else next(iter(get_close_matches(name, known, n=1)), "")
