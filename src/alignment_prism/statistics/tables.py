"""All tables of a study at once: rates, changes, means over languages, and intervals that hold together.

For every arm, language, scope and category from one matrix of verdicts. The numbers are those of `rates.py`,
`paired.py`, `multiplicity.py` and `bootstrap.py`, computed for all cells in one pass so that 30 arms in 8 languages
with 10,000 bootstrap replicates take seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import ALL, MACRO, InputError
from alignment_prism.statistics.bootstrap import REPLICATES, joint_criticals, ratio_variance
from alignment_prism.statistics.cell_changes import Changes, effective_or_all, score_test
from alignment_prism.statistics.cells import Cells, table_cells
from alignment_prism.statistics.changes.paired import macro_over_languages
from alignment_prism.statistics.intervals import Floats, Interval, Labels, critical_value
from alignment_prism.statistics.multiplicity import benjamini_yekutieli
from alignment_prism.statistics.rates import MIN_EVENTS, wilson_bounds
from alignment_prism.statistics.score_intervals import ratio_bias, ratio_score_bounds, tango_bounds


@dataclass(frozen=True, slots=True)
class TableRow:
    """One number of the tables.

    Attributes:
        arm: of the study.
        language: code, `all` or `macro`.
        scope: or `all`.
        category: or `all`; categories overlap and do not add up.
        metric: `harm_rate`, `harm_difference` or `harm_relative_change`.
        interval: the estimate, pointwise.
        joint_lower: lower end that holds for all cells of the arm together; NaN where there is none.
        joint_upper: upper end, likewise.
        p_value: of no change against base (score test); NaN for rates.
        q_value: the same, Benjamini-Yekutieli over all cells of the arm.
        insufficient: fewer events (of model and base together, for a change) than declared.
    """

    arm: str
    language: str
    scope: str
    category: str
    metric: str
    interval: Interval
    joint_lower: float = math.nan
    joint_upper: float = math.nan
    p_value: float = math.nan
    q_value: float = math.nan
    insufficient: bool = False


def harm_tables(
    verdicts: npt.ArrayLike,
    arms: Sequence[str],
    base: str,
    languages: Sequence[str],
    *,
    scopes: Sequence[str] | None = None,
    categories: Sequence[Sequence[str]] | None = None,
    clusters: Labels | None = None,
    level: float = 0.95,
    min_events: int = MIN_EVENTS,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[TableRow]:
    """Every cell of language x scope x category for every arm.

    Args:
        verdicts: arms x prompts, 1 harmful, 0 not, NaN no verdict (the prompt then leaves the cell for that arm, and,
            for a change, the pair; see `missing.py` for what that may hide).
        arms: names of the rows.
        base: name of the row that changes are against.
        languages: of each prompt.
        scopes: of each prompt, empty where unknown; None for no table by scope.
        categories: of each prompt, several or none; None for no table by category.
        clusters: of each prompt; None where every prompt stands alone.
        level: coverage.
        min_events: cells with fewer are marked insufficient.
        replicates: of the cluster bootstrap, within languages unless clusters reach over them.
        seed: of the bootstrap.

    Returns:
        Rows by metric, arm and cell, each metric with its means over languages; empty cells are left out.

    Formulas and sources are those of the single functions. Not for several seeds (`crossed.py`), nor for k samples.
    """
    table = np.asarray(verdicts, np.float64)
    names = list(arms)
    if table.shape != (len(names), len(languages)) or base not in names:
        raise InputError(
            f"verdicts of shape {table.shape} for {len(names)} arms and {len(languages)} prompts, base {base!r}",
            fix="pass arms x prompts, with base among the arms",
        )
    cells = table_cells(languages, scopes, categories, clusters)
    rows = _rates(table, names, cells, level, min_events)
    others = [position for position, name in enumerate(names) if name != base]
    if others:
        changes = Changes(table[others], table[names.index(base)], cells)
        kept = [names[position] for position in others]
        rows += _differences(changes, kept, level, min_events, replicates, seed)
        rows += _relatives(changes, kept, level, min_events)
    return rows


def _rates(table: Floats, arms: Sequence[str], cells: Cells, level: float, min_events: int) -> list[TableRow]:
    """Harm rates with Wilson's interval, at the effective size with clusters."""
    known = (~np.isnan(table)).astype(np.float64)
    hits = np.where(known > 0, table, 0.0)
    events, n, number = cells.total(hits), cells.total(known), cells.occupied(known)
    rate = events / np.maximum(n, 1)
    effective = n.copy()
    if not cells.independent:
        for a in range(len(arms)):
            variance = ratio_variance(cells.by_cluster(hits[a]), cells.by_cluster(known[a]), rate[a])
            effective[a] = effective_or_all(rate[a] * (1 - rate[a]), variance, n[a], number[a])
    lower, upper = wilson_bounds(rate * effective, effective, critical=_critical(level, n, number))
    name = "wilson" if cells.independent else "wilson-clustered"
    return _rows("harm_rate", name, arms, cells, (rate, lower, upper), n, number, events < min_events)


def _differences(
    changes: Changes, arms: Sequence[str], level: float, min_events: int, replicates: int, seed: int
) -> list[TableRow]:
    """Risk differences against base, pointwise and jointly, with p-values."""
    cells, scale = changes.cells, changes.effective / changes.safe
    standard_error = np.where(changes.variance > 0, np.sqrt(changes.variance), np.nan)
    joint = joint_criticals(
        cells.strata(changes.m - changes.b, changes.known),
        np.nan_to_num(changes.estimate),
        standard_error,
        level,
        replicates=replicates,
        seed=seed,
    )

    def ends(critical: npt.ArrayLike) -> tuple[Floats, Floats]:
        return tango_bounds(changes.model_only * scale, changes.base_only * scale, changes.effective, critical)

    pointwise = _critical(level, changes.n, changes.number)
    lower, upper = ends(pointwise)
    p = np.where(changes.n > 0, score_test(changes, scale), np.nan)
    q = np.stack([benjamini_yekutieli(row) for row in p])
    name = "tango" if cells.independent else "tango-clustered"
    few = changes.events < min_events
    # The bootstrap's critical value is of the normal kind; few clusters stretch it as they stretch the pointwise one.
    more = (*ends(joint[:, None] * pointwise / critical_value(level)), p, q)
    return _rows(
        "harm_difference", name, arms, cells, (changes.estimate, lower, upper), changes.n, changes.number, few, more
    )


def _relatives(changes: Changes, arms: Sequence[str], level: float, min_events: int) -> list[TableRow]:
    """Changes in per cent of base's rate."""
    scale = changes.ratio_effective / changes.safe
    lower, upper = ratio_score_bounds(
        changes.both * scale,
        changes.model_only * scale,
        changes.base_only * scale,
        changes.ratio_effective,
        _critical(level, changes.n, changes.number),
    )
    percent = tuple(100 * (values - 1) for values in (changes.ratio, lower, upper))
    bias = 100 * ratio_bias(changes.both, changes.model_only, changes.base_only) / np.where(scale > 0, scale, 1.0)
    name = "ratio-score" if changes.cells.independent else "ratio-score-clustered"
    few = changes.both + changes.base_only < min_events
    return _rows("harm_relative_change", name, arms, changes.cells, percent, changes.n, changes.number, few, bias=bias)


def _rows(
    metric: str,
    name: str,
    arms: Sequence[str],
    cells: Cells,
    values: tuple[Floats, ...],
    n: Floats,
    clusters: Floats,
    few: npt.NDArray[np.bool_],
    more: tuple[Floats, ...] | None = None,
    bias: Floats | None = None,
) -> list[TableRow]:
    """Rows of arms x cells, and after those of each arm its plain means over languages."""
    estimate, lower, upper = values
    blank = np.full(n.shape, np.nan)
    joint_lower, joint_upper, p, q = more or (blank, blank, blank, blank)
    rows = []
    for a, arm in enumerate(arms):
        own = [
            TableRow(
                arm,
                *cells.keys[k],
                metric,
                Interval(
                    float(estimate[a, k]),
                    float(lower[a, k]),
                    float(upper[a, k]),
                    name,
                    int(n[a, k]),
                    int(clusters[a, k]),
                    0.0 if bias is None else float(bias[a, k]),
                ),
                float(joint_lower[a, k]),
                float(joint_upper[a, k]),
                float(p[a, k]),
                float(q[a, k]),
                bool(few[a, k]),
            )
            for k in np.flatnonzero(n[a] > 0)
        ]
        rows += own + _macro(own, 0.0 if cells.independent else 1.0)
    return rows


def _macro(rows: Sequence[TableRow], correlation: float) -> list[TableRow]:
    """Plain means over languages, of every scope and category; shared clusters count as fully correlated.

    Their `clusters` are those of the pooled row, in which a source that several languages share counts once.
    """
    groups: dict[tuple[str, str], list[TableRow]] = {}
    pooled: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.language == ALL:
            pooled[row.scope, row.category] = row.interval.clusters
        else:
            groups.setdefault((row.scope, row.category), []).append(row)
    return [
        TableRow(
            members[0].arm,
            MACRO,
            scope,
            category,
            members[0].metric,
            replace(
                macro_over_languages([row.interval for row in members], correlation), clusters=pooled[scope, category]
            ),
            insufficient=any(row.insufficient for row in members),
        )
        for (scope, category), members in groups.items()
        if len(members) > 1
    ]


def _critical(level: float, n: Floats, clusters: Floats) -> Floats:
    """Normal critical value where every row stands alone, else Student's t by the clusters of the cell.

    One cluster gives all but everything: nothing is known of the variance then.
    """
    normal = np.full(clusters.shape, critical_value(level))
    if np.array_equal(n, clusters):
        return normal
    from scipy.special import stdtrit

    t = np.where(clusters > 1, stdtrit(np.maximum(clusters - 1, 1), 0.5 + level / 2), 1e4)
    return np.asarray(np.where(clusters == n, normal, t), np.float64)


def non_additive(rows: Sequence[TableRow]) -> Iterator[TableRow]:
    """The rows of single categories: they overlap, so they must not be stacked, summed or drawn as shares."""
    return (row for row in rows if row.category != ALL)
