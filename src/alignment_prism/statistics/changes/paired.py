"""Change against base, paired by prompt: the same prompts were put to both models.

Pairing removes what makes a prompt hard from the comparison. The risk difference comes first, because it is defined
for every base rate; the relative change of the paper (arXiv 2406.18682) comes with an interval that
knows when it is unbounded. One comparison of two arrays at a time; `grouped.py` does the work, for hundreds at once.
"""

from __future__ import annotations

import numpy as np

from alignment_prism.statistics.grouped import GroupedChanges, Grouping
from alignment_prism.statistics.intervals import GroupNames, Interval, as_binary, same_length
from alignment_prism.statistics.shares import Shares


def paired_risk_difference(
    model: object, base: object, clusters: GroupNames | None = None, level: float = 0.95
) -> Interval:
    """Rate of the model minus rate of base on the same prompts, with Tango's score interval.

    The interval holds every difference d that the score test keeps: |b - c - n d| <= z sqrt(n (2 q + d (1 - d))),
    b and c being the prompts where only the model and only base are 1, and q the constrained estimate of the
    share of c (`score_intervals.tango_bounds`). With clusters the counts are scaled to the effective sample size of the
    differences and z becomes Student's t (see `clustered.py`).

    Args:
        model: n verdicts, 0 or 1.
        base: n verdicts on the same prompts in the same order.
        clusters: n names of independent clusters (source prompts); None where every prompt stands alone.
        level: coverage.

    Source: Tango (1998), Statistics in Medicine 17; compared in Fagerland, Lydersen & Laake (2014), Statistics in
    Medicine 33. Degenerate cases: no prompts gives NaN in [-1, 1]; no discordant prompts gives 0 with
    z^2 / (n + z^2) to both sides, not a width of zero; one cluster gives [-1, 1]. Not for unpaired samples.

    Example:
        >>> found = paired_risk_difference([0, 0, 0, 1, 0, 0], [1, 1, 0, 1, 0, 1])
        >>> found.estimate, found.name
        (-0.5, 'tango95')
    """
    return _one_cell(model, base, clusters).differences(level).intervals[0]


def relative_change(model: object, base: object, clusters: GroupNames | None = None, level: float = 0.95) -> Interval:
    """Change of a rate in per cent of base's: 100 (h_model - h_base) / h_base, with a score interval.

    The interval holds every ratio t of the two rates that the score test keeps, with variances from the estimate
    constrained to that ratio (`score_intervals.ratio_score_bounds`). With clusters as in `paired_risk_difference`, the
    influence values being m - t b.

    Args:
        model: n verdicts, 0 or 1.
        base: n verdicts on the same prompts in the same order.
        clusters: n names of independent clusters; None where every prompt stands alone.
        level: coverage.

    Returns:
        Per cent: -100 is no harm left, 0 no change, 100 twice the harm.

    Source: Tang, Tang & Chan (2003) and Nam & Blackwelder (2002), both Statistics in Medicine. Degenerate cases: a
    base without events gives a NaN estimate, an upper end of inf, and a lower end above -100 only if the model has
    events; a model without events gives -100 with a finite upper end; no prompts gives NaN in [-100, inf].
    Not for base rates of a few events: read the risk difference there.

    Example:
        >>> relative_change([1, 0, 0, 0, 0], [1, 1, 1, 1, 0]).estimate
        -75.0
    """
    return _one_cell(model, base, clusters).relative_changes(level).intervals[0]


def _one_cell(model: object, base: object, clusters: GroupNames | None) -> GroupedChanges:
    m, b = as_binary(model, "verdicts of the model"), as_binary(base, "verdicts of base")
    prompts = np.arange(same_length(model=m, base=b, clusters=clusters))
    groups = Grouping([prompts], prompts if clusters is None else clusters)
    return GroupedChanges(Shares.of(m[:, None]), Shares.of(b[:, None]), groups)
