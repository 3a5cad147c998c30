"""Contrasts of runs: differences by cell, and what is said of the differences of all languages together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from alignment_prism.contrasts.cell_changes import PairedChanges
from alignment_prism.contrasts.declared import (
    Contrasts,
    Declared,
    check_may_differ,
    chosen_metrics,
    named_runs,
    notes,
    prompt_sets,
    signature_of,
)
from alignment_prism.contrasts.family import Counts, Family, rows_of
from alignment_prism.contrasts.judge_error import JudgeError
from alignment_prism.contrasts.pairing import PairedRuns, Table, changes
from alignment_prism.domain import InputError, Metric, PromptKind, Run
from alignment_prism.domain.contrasts import Quantity
from alignment_prism.domain.metrics import AnyReply, Preference, Share
from alignment_prism.domain.records import CORRECT, OUTCOME
from alignment_prism.evaluation.cells import cells
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.statistics.grouped import GroupedChanges
from alignment_prism.statistics.grouped_means import prompt_means
from alignment_prism.statistics.intervals import Interval


def contrast(
    runs: Sequence[Run],
    declared: Sequence[Declared] | None = None,
    *,
    metrics: Sequence[str] = (),
    may_differ: Sequence[str] = (),
    judge_error: JudgeError | None = None,
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
    scopes) of all contrasts and metrics. Differences without the judge's errors are rows of their own metric
    (`harm_rate_corrected`), and families of their own.

    Args:
        runs: at least two, of one arm each.
        declared: what is compared; each run with the first, unless given.
        metrics: by name; where there are none, harm on harmful prompts, refusal on harmless ones and right answers,
            and where the runs have no outcomes whatever scores they have.
        may_differ: facts in which runs may differ though the comparison is then not of the models alone.
        judge_error: what is known of the judge's errors, as `labels.judge_error` makes it of a passport.
        study: its name, for the rows.
        seed: of the alignment, for the rows.

    Raises:
        InputError: fewer than two runs; a contrast of runs that are not there; runs that are not on the same prompts
            (`PairedRuns`), were measured otherwise, or have no metric in common; the judge is another one; or what may
            differ is no fact in which runs must agree.
    """
    check_may_differ(may_differ)
    if len(runs) < 2:
        raise InputError(f"{len(runs)} run{'' if len(runs) == 1 else 's'} to compare", fix="give at least two")
    pairs = PairedRuns(runs)
    wanted = named_runs(pairs.names, declared)
    said = dict.fromkeys(note for one in wanted for note in notes(pairs, one, may_differ))
    chosen = chosen_metrics(pairs, metrics, wanted)
    for name in dict.fromkeys(name for one in wanted for name in (one.a, one.b)):
        if judge_error is not None:
            judge_error.require(pairs.facts(name), name)
    families = [_OfRuns(pairs, one, metric, kinds, study, seed) for one in wanted for metric, kinds in chosen]
    found = rows_of(families, len(set(pairs.clusters.tolist())), [judge_error] if judge_error is not None else [])
    return Contrasts(tuple(found), tuple(said))


class _OfRuns(Family):
    """One metric of one contrast of two runs."""

    def __init__(
        self, pairs: PairedRuns, one: Declared, metric: Metric, kinds: tuple[PromptKind, ...], study: str, seed: int
    ) -> None:
        a, b = pairs.values(one.a, metric), pairs.values(one.b, metric)
        assert a is not None and b is not None
        self._pairs, self._a, self._b = pairs, a, b
        known_both = np.asarray((~np.isnan(a)).any(axis=1) & (~np.isnan(b)).any(axis=1))
        shared = pairs.shared(one.a, one.b)
        if metric.denominator.checkable:
            shared = shared * np.array([bool(prompt.reference) for prompt in pairs.prompts])
        # Cells of prompts that neither or only one run answered are no cells of this contrast.
        every = [
            replace(cell, rows=cell.rows[shared[cell.rows]]) for cell in cells(pairs.prompts, kinds, categories=False)
        ]
        self._sums = CellSums([cell for cell in every if known_both[cell.rows].any()], pairs.clusters)
        super().__init__(one, metric, self._sums.cells, self._sums.macros, study=study, seed=seed)
        values = np.concatenate([a.ravel(), b.ravel()])
        values = values[~np.isnan(values)]
        # Of a metric that is a share of ones prompts can be counted.
        self._is_share = isinstance(metric.estimator, (Share, AnyReply, Preference)) or bool(
            np.isin(values, (0.0, 1.0)).all()
        )
        self._changes = self._sums.changes(b, a) if self._is_share else None
        self._labels = prompt_sets(pairs.prompts, self.cells)
        self._found: dict[float, PairedChanges] = {}

    def differences(self, level: float) -> PairedChanges:
        """Tango's intervals, of numbers the paired t."""
        if level not in self._found:
            found = (
                self._sums.mean_changes(self._b, self._a, level) if not self._is_share
                else changes(self._sums, self.metric, self._b, self._a).differences(level)
            )  # fmt: skip
            self._found[level] = PairedChanges(found)
        return self._found[level]

    def relative_changes(self, level: float) -> PairedChanges | None:
        """Score intervals of the ratio; the test of no change is that of the difference."""
        if self._changes is None:
            return None
        return PairedChanges(self._changes.relative_changes(level), [p for _, p in self.differences(level).tested])

    def bounds(self) -> Iterable[tuple[Quantity, PairedChanges]]:
        """The difference at both extremes of what replies without a verdict may be."""
        rows = np.unique(np.concatenate([cell.rows for cell in self.cells]))
        is_judged = isinstance(self.metric.estimator, Share) and self.metric.estimator.score in (OUTCOME, CORRECT)
        if not is_judged or not (np.isnan(self._a[rows]).any() or np.isnan(self._b[rows]).any()):
            return
        for quantity, fill in ((Quantity.LOWEST, 0.0), (Quantity.HIGHEST, 1.0)):
            found = extreme_changes(self._sums, self._a, self._b, fill).differences()
            yield quantity, PairedChanges(found)

    def base_events(self) -> Sequence[float]:
        """Prompts on which A is 1."""
        assert self._changes is not None
        return self._changes.base_events.tolist()  # type: ignore[no-any-return]

    def counts(self, number: int) -> Counts | None:
        """Of verdicts; of shares the expected number."""
        if not self._is_share:
            return None
        rows = self.every[number].rows
        with np.errstate(invalid="ignore"):
            a, b = (prompt_means(table[rows]) for table in (self._a, self._b))
        known = ~(np.isnan(a) | np.isnan(b))
        a, b = a[known], b[known]
        parts = (a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b))
        return tuple(round(float(part.sum()), 9) for part in parts)  # type: ignore[return-value]

    def signature(self, number: int, quantity: Quantity, interval: Interval) -> str:
        """Judge, prompts, and in what the runs differ."""
        extra = [("differs", fact) for fact in self._pairs.differences(self.one.a, self.one.b)]
        k = max(self._a.shape[1], self._b.shape[1])
        prompts = self._labels[self.every[number].prompts]
        return signature_of(self._pairs.facts(self.one.b), prompts, interval, extra, k=k)


def extreme_changes(sums: CellSums, a: Table, b: Table, fill: float) -> GroupedChanges:
    """Changes of all cells if every reply of B without a verdict were `fill`, and of A the opposite."""
    return sums.changes(np.where(np.isnan(b), fill, b), np.where(np.isnan(a), 1.0 - fill, a))
