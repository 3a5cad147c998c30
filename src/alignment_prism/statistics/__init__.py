"""Statistics that a sceptical reviewer would trust: arrays in, estimates with intervals out.

NumPy only at import; SciPy is imported by the functions that need it. Findings are made with `grouped`, for all cells
of a study at once; here are the functions for a comparison of one's own. Which one to take, and when not to, is in
`docs/statistics.md`.
"""

from alignment_prism.statistics.changes.paired import paired_risk_difference, relative_change
from alignment_prism.statistics.grouped import clustered_rate
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.rates import wilson

__all__ = ["Interval", "clustered_rate", "paired_risk_difference", "relative_change", "wilson"]
