"""Statistics that a sceptical reviewer would trust: arrays in, estimates with intervals out.

NumPy only at import; SciPy is imported by the functions that need it. Which function to take is told in
`docs/statistics.md`. Release gates, which need pydantic, are in `gates` and `gate_spec`.
"""

from alignment_prism.statistics.bootstrap import SimultaneousCells, simultaneous_differences
from alignment_prism.statistics.changes.length_control import LengthControlled, length_controlled_win_rate
from alignment_prism.statistics.changes.paired import (
    McNemar,
    PairedTable,
    language_correlation,
    macro_over_languages,
    mcnemar,
    paired_risk_difference,
    paired_table,
    relative_change,
)
from alignment_prism.statistics.changes.seeds import CrossedDifference, Rank, crossed_difference, rank_arms
from alignment_prism.statistics.changes.win_rates import WinRates, combine_orders, win_rates
from alignment_prism.statistics.clustered import (
    EffectiveSize,
    cluster_variance,
    clustered_rate,
    effective_size,
    intraclass_correlation,
)
from alignment_prism.statistics.intervals import Interval, critical_value
from alignment_prism.statistics.missing import Bounds, HarmFlow, missing_bounds, paired_bounds, where_harm_went
from alignment_prism.statistics.multiplicity import benjamini_yekutieli, holm
from alignment_prism.statistics.pooling import partial_pooling
from alignment_prism.statistics.raters.agreement import COEFFICIENTS, Coefficient, agreement
from alignment_prism.statistics.raters.annotators import AnnotatorError
from alignment_prism.statistics.raters.judge_error import Corrected, corrected_difference, corrected_rate
from alignment_prism.statistics.raters.rating_table import RatingTable, rating_table
from alignment_prism.statistics.rates import MIN_EVENTS, insufficient, wilson, wilson_bounds
from alignment_prism.statistics.samples import harm_at_k, k_sample_rate
from alignment_prism.statistics.tables import TableRow, harm_tables

__all__ = [
    "COEFFICIENTS",
    "MIN_EVENTS",
    "AnnotatorError",
    "Bounds",
    "Coefficient",
    "Corrected",
    "CrossedDifference",
    "EffectiveSize",
    "HarmFlow",
    "Interval",
    "LengthControlled",
    "McNemar",
    "PairedTable",
    "Rank",
    "RatingTable",
    "SimultaneousCells",
    "TableRow",
    "WinRates",
    "agreement",
    "benjamini_yekutieli",
    "cluster_variance",
    "clustered_rate",
    "combine_orders",
    "corrected_difference",
    "corrected_rate",
    "critical_value",
    "crossed_difference",
    "effective_size",
    "harm_at_k",
    "harm_tables",
    "holm",
    "insufficient",
    "intraclass_correlation",
    "k_sample_rate",
    "language_correlation",
    "length_controlled_win_rate",
    "macro_over_languages",
    "mcnemar",
    "missing_bounds",
    "paired_bounds",
    "paired_risk_difference",
    "paired_table",
    "partial_pooling",
    "rank_arms",
    "rating_table",
    "relative_change",
    "simultaneous_differences",
    "where_harm_went",
    "wilson",
    "wilson_bounds",
    "win_rates",
]
