"""Contrasts of runs: differences by cell, and what is said of the differences of all languages together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from alignment_prism.contrasts.declared import (
    ENGLISH,
    GLOBAL,
    LEVEL,
    LOCAL,
    Contrasts,
    Declared,
    adjusted,
    better_way,
    measured,
    notes,
)
from alignment_prism.contrasts.pairing import PairedRuns, Table, changes
from alignment_prism.domain import ALL, MACRO, InputError, Metric, PromptKind, Run, Signature
from alignment_prism.domain.contrasts import Contrast, Quantity
from alignment_prism.domain.metrics import AnyReply, Preference, Share
from alignment_prism.domain.records import CORRECT, OUTCOME
from alignment_prism.evaluation.cells import Cell, cells
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.evaluation.observations import prompts_label
from alignment_prism.statistics.grouped import Estimates, GroupedChanges
from alignment_prism.statistics.grouped_means import prompt_means
from alignment_prism.statistics.intervals import Floats, Interval
from alignment_prism.statistics.planning.further import further_prompts
from alignment_prism.statistics.rates import insufficient
from alignment_prism.statistics.simultaneous import joint_level, p_value


def contrast(
    runs: Sequence[Run],
    declared: Sequence[Declared] | None = None,
    *,
    metrics: Sequence[str] = (),
    may_differ: Sequence[str] = (),
    study: str = "",
    seed: int = -1,
) -> Contrasts:
    """Compare runs on the prompts that they share, prompt by prompt.

    For every declared contrast and every cell of language and scope: the difference B minus A with Tango's interval
    (clustered where prompts have a common source, over the shares of the prompts where there are several replies), the
    relative change with a score interval, and on how many prompts both, one or neither is 1. Each also as the plain
    mean over languages. Of the differences: local minus global by language, each language minus English, whether all
    languages have one and the same (Cochran's Q), the worst language, and whether B is better in every language.

    Joint intervals hold for all cells and all contrasts of the call at once, those of differences and their differences
    as one family, those of relative changes as another. Holm's p-values are over the headlines (all languages, all
    scopes) of all contrasts and metrics.

    Args:
        runs: at least two, of one arm each.
        declared: what is compared; each run with the first, unless given.
        metrics: by name; where there are none, harm on harmful prompts, refusal on harmless ones and right answers,
            and where the runs have no outcomes whatever scores they have.
        may_differ: facts in which runs may differ though the comparison is then not of the models alone.
        study: its name, for the rows.
        seed: of the alignment, for the rows.

    Raises:
        InputError: fewer than two runs; a contrast of runs that are not there; runs that are not on the same prompts
            (`PairedRuns`), were measured otherwise, or have no metric in common.
    """
    if len(runs) < 2:
        raise InputError(f"{len(runs)} run{'' if len(runs) == 1 else 's'} to compare", fix="give at least two")
    pairs = PairedRuns(runs)
    first = pairs.names[0]
    wanted = [Declared(f"{name} vs {first}", first, name) for name in pairs.names[1:]] if declared is None else declared
    for one in wanted:
        lacking = [name for name in (one.a, one.b) if name not in pairs.names]
        if lacking or one.a == one.b:
            what = f"contrast {one.name!r} is of {one.a!r} and {one.b!r}"
            raise InputError(what, fix=f"name two of the runs: {', '.join(pairs.names)}")
    said = dict.fromkeys(note for one in wanted for note in notes(pairs, one, may_differ))
    chosen = list(measured(pairs, metrics, wanted))
    if not chosen:
        raise InputError(
            "the runs have no scores of one name, so there is nothing to compare",
            fix="judge both, or let the same rule score both, or name a metric that both have scores for",
        )
    families = [_Family(pairs, one, metric, kinds, study, seed) for one in wanted for metric, kinds in chosen]
    families = [family for family in families if family.sums.cells]
    levels = (
        joint_level([family.errors() for family in families], LEVEL),
        joint_level([family.relative_errors() for family in families if family.is_share], LEVEL),
    )
    return Contrasts(tuple(adjusted([row for family in families for row in family.rows(*levels)])), tuple(said))


class _Family:
    """One metric of one contrast, in all cells.

    Attributes:
        sums: cells and means over languages.
        is_share: whether the metric is a share of ones, so that prompts can be counted by it.
    """

    def __init__(
        self, pairs: PairedRuns, one: Declared, metric: Metric, kinds: tuple[PromptKind, ...], study: str, seed: int
    ) -> None:
        self._pairs, self._one, self._metric, self._study, self._seed = pairs, one, metric, study, seed
        a, b = pairs.values(one.a, metric), pairs.values(one.b, metric)
        assert a is not None and b is not None
        self._a, self._b = a, b
        known_both = np.asarray((~np.isnan(a)).any(axis=1) & (~np.isnan(b)).any(axis=1))
        shared = pairs.shared(one.a, one.b)
        if metric.denominator.checkable:
            shared = shared * np.array([bool(prompt.reference) for prompt in pairs.prompts])
        # Cells of prompts that neither or only one run answered are no cells of this contrast.
        every = [
            replace(cell, rows=cell.rows[shared[cell.rows]]) for cell in cells(pairs.prompts, kinds, categories=False)
        ]
        self._cells = [cell for cell in every if known_both[cell.rows].any()]
        self.sums = CellSums(self._cells, pairs.clusters)
        values = np.concatenate([a.ravel(), b.ravel()])
        values = values[~np.isnan(values)]
        self.is_share = isinstance(metric.estimator, (Share, AnyReply, Preference)) or bool(
            np.isin(values, (0.0, 1.0)).all()
        )
        self._labels = {
            name: prompts_label([pairs.prompts[row] for row in self._rows_of(name)])
            for name in dict.fromkeys(cell.prompts for cell in self._cells)
        }
        self._k = max(a.shape[1], b.shape[1])
        self._changes = self.sums.changes(b, a) if self.is_share else None
        self._found = self._differences(LEVEL)
        self._gaps = list(self._pairs_of_cells())

    def _rows_of(self, prompts: str) -> list[int]:
        rows = [cell.rows for cell in self._cells if cell.prompts == prompts]
        return np.unique(np.concatenate(rows)).tolist()  # type: ignore[no-any-return]

    def _differences(self, level: float) -> Estimates:
        if self._changes is not None:
            return changes(self.sums, self._metric, self._b, self._a).differences(level)
        return self.sums.mean_changes(self._b, self._a, level)

    def _pairs_of_cells(self) -> Iterator[tuple[Quantity, int, int]]:
        """Cells whose differences are subtracted."""
        at = {(cell.prompts, cell.language, cell.scope): number for number, cell in enumerate(self._cells)}
        for (prompts, language, scope), number in at.items():
            if scope == LOCAL and (prompts, language, GLOBAL) in at:
                yield Quantity.LOCAL_MINUS_GLOBAL, number, at[prompts, language, GLOBAL]
            if scope == ALL and language not in (ALL, ENGLISH) and (prompts, ENGLISH, ALL) in at:
                yield Quantity.MINUS_ENGLISH, number, at[prompts, ENGLISH, ALL]

    def _languages(self) -> Iterator[list[int]]:
        """Cells of every language of a prompt set, all scopes."""
        for prompts in self._labels:
            found = [
                number
                for number, cell in enumerate(self._cells)
                if cell.prompts == prompts and cell.scope == ALL and cell.language != ALL
            ]
            if len(found) > 1:
                yield found

    def errors(self) -> Floats:
        """What each cluster adds to the error of every difference, and of every difference of two."""
        table = self._found.errors(self.sums.macros)
        gaps = [table[:, one] - table[:, other] for _, one, other in self._gaps]
        return np.column_stack([table, *gaps])

    def relative_errors(self) -> Floats:
        """The same of relative changes."""
        assert self._changes is not None
        return self._changes.relative_changes(LEVEL).errors(self.sums.macros)

    def rows(self, level: float, relative_level: float) -> Iterator[Contrast]:
        """All rows.

        Args:
            level: of single intervals at which those of all differences hold together.
            relative_level: likewise of relative changes.
        """
        joint = self._differences(level)
        found = self.sums.intervals(self._found)
        p_values = [*self._found.p_values.tolist(), *(p_value(one) for one in found[len(self._cells) :])]
        few = self.sums.with_means([insufficient(one) for one in self._found.intervals])
        for cell, one, wide, p, flag in zip(
            self.sums.cells, found, self.sums.intervals(joint), p_values, few, strict=True
        ):
            yield self._row(Quantity.DIFFERENCE, cell, one, wide, p, flag, self._counts(cell))
        if self._changes is not None:
            yield from self._relative(relative_level, p_values)
        yield from self._bounds()
        for quantity, left, right in self._gaps:
            narrow, wider = self._found.gap(left, right), joint.gap(left, right)
            few_either = few[left] or few[right]
            yield self._row(quantity, self._cells[left], narrow, wider, p_value(narrow), few_either)
        for languages in self._languages():
            yield from self._of_languages(languages, any(few[number] for number in languages))

    def _relative(self, level: float, p_values: Sequence[float]) -> Iterator[Contrast]:
        assert self._changes is not None
        found, joint = self._changes.relative_changes(LEVEL), self._changes.relative_changes(level)
        events = self._changes.base_events.tolist()
        few = [insufficient(one, divided_by=n) for one, n in zip(found.intervals, events, strict=True)]
        rows = zip(
            self.sums.cells, self.sums.intervals(found), self.sums.intervals(joint), p_values,
            self.sums.with_means(few), strict=True,
        )  # fmt: skip
        for cell, one, wide, p, flag in rows:
            p = p if cell.language != MACRO else p_value(one)
            yield self._row(Quantity.RELATIVE_CHANGE, cell, one, wide, p, flag, self._counts(cell))

    def _bounds(self) -> Iterator[Contrast]:
        """The difference at both extremes of what replies without a verdict may be."""
        rows = np.unique(np.concatenate([cell.rows for cell in self._cells])) if self._cells else np.zeros(0, np.intp)
        is_judged = isinstance(self._metric.estimator, Share) and self._metric.estimator.score in (OUTCOME, CORRECT)
        if not is_judged or not (np.isnan(self._a[rows]).any() or np.isnan(self._b[rows]).any()):
            return
        for quantity, fill in ((Quantity.LOWEST, 0.0), (Quantity.HIGHEST, 1.0)):
            found = extreme_changes(self.sums, self._a, self._b, fill).differences(LEVEL)
            for cell, one in zip(self.sums.cells, self.sums.intervals(found), strict=True):
                yield self._row(quantity, cell, one, None, math.nan, insufficient(one))

    def _of_languages(self, languages: list[int], few: bool) -> Iterator[Contrast]:
        """Heterogeneity, the worst language, and whether B is better in every one."""
        parts = [self._found.intervals[number] for number in languages]
        whole = replace(self._cells[languages[0]], language=ALL)
        q, p = self._found.heterogeneity(languages)
        n, clusters = sum(part.n for part in parts), max(part.clusters for part in parts)
        yield self._row(Quantity.HETEROGENEITY, whole, Interval(q, math.nan, math.nan, "", n, clusters), None, p, few)
        better = better_way(self._metric, whole.prompts)
        if better is None or any(math.isnan(part.estimate) for part in parts):
            return
        sign = 1.0 if better == "lower" else -1.0
        worst = max(range(len(parts)), key=lambda number: sign * parts[number].estimate)
        level = joint_level([self._found.errors([])[:, languages]], LEVEL)
        together = [self._differences(level).intervals[number] for number in languages]
        end = max if sign > 0 else min
        estimate, cell = parts[worst].estimate, self._cells[languages[worst]]
        # The worst true difference lies between the worst of the lower and the worst of the upper ends, if all hold.
        selected = replace(
            parts[worst], lower=end(one.lower for one in together), upper=end(one.upper for one in together),
            method="worst-language",
        )  # fmt: skip
        yield self._row(Quantity.WORST_LANGUAGE, cell, selected, None, math.nan, few)
        # Each language at its own one-sided level: an intersection-union test (Berger 1982, Technometrics 24).
        sided = [p_value(part) / 2 if sign * part.estimate < 0 else 1 - p_value(part) / 2 for part in parts]
        outer = end(part.upper if sign > 0 else part.lower for part in parts)
        ends = (-math.inf, outer) if sign > 0 else (outer, math.inf)
        every = Interval(estimate, *ends, "intersection-union", n, clusters, level=0.5 + LEVEL / 2)
        yield self._row(Quantity.EVERY_LANGUAGE, whole, every, None, max(sided), few)

    def _counts(self, cell: Cell) -> tuple[float, float, float, float] | None:
        """On how many prompts both, only A, only B and neither is 1."""
        if not self.is_share:
            return None
        with np.errstate(invalid="ignore"):
            a, b = (prompt_means(table[cell.rows]) for table in (self._a, self._b))
        known = ~(np.isnan(a) | np.isnan(b))
        a, b = a[known], b[known]
        parts = (a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b))
        return tuple(round(float(part.sum()), 9) for part in parts)  # type: ignore[return-value]

    def _row(
        self,
        quantity: Quantity,
        cell: Cell,
        interval: Interval,
        joint: Interval | None,
        p: float,
        few: bool,
        counts: tuple[float, float, float, float] | None = None,
    ) -> Contrast:
        both, only_a, only_b, neither = counts or (math.nan,) * 4
        facts, one = self._pairs.facts(self._one.b), self._one
        differs = self._pairs.differences(one.a, one.b)
        signature = Signature(
            "contrast", judge=facts.get("judge", ""), rubric=facts.get("rubric", ""),
            prompts=self._labels[cell.prompts], k=self._k, ci=interval.name if interval.method else "",
            extra=tuple(("differs", fact) for fact in differs),
        )  # fmt: skip
        has_null = quantity not in (Quantity.HETEROGENEITY, Quantity.LOWEST, Quantity.HIGHEST)
        two_sided = math.isfinite(interval.lower) and math.isfinite(interval.upper)
        return Contrast(
            study=self._study, contrast=one.name, a=one.a, b=one.b, seed=self._seed, quantity=quantity,
            metric=self._metric.name, prompts=cell.prompts, language=cell.language, scope=cell.scope,
            estimate=interval.estimate, lower=interval.lower, upper=interval.upper,
            interval=interval.name if interval.method else "", level=interval.level,
            joint_lower=math.nan if joint is None else joint.lower,
            joint_upper=math.nan if joint is None else joint.upper,
            p_value=p, n=interval.n, clusters=interval.clusters,
            both=both, only_a=only_a, only_b=only_b, neither=neither,
            further=further_prompts(interval) if has_null and two_sided else math.nan,
            insufficient=few, signature=str(signature),
        )  # fmt: skip


def extreme_changes(sums: CellSums, a: Table, b: Table, fill: float) -> GroupedChanges:
    """Changes of all cells if every reply of B without a verdict were `fill`, and of A the opposite."""
    return sums.changes(np.where(np.isnan(b), fill, b), np.where(np.isnan(a), 1.0 - fill, a))
