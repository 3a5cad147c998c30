"""Contrasts of arms over several alignment seeds: one row over seeds and prompts, in place of one a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

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
from alignment_prism.contrasts.pairing import PairedRuns
from alignment_prism.domain import ALL, MACRO, InputError, Metric, PromptKind, Run, Signature
from alignment_prism.domain.contrasts import Contrast, Quantity
from alignment_prism.evaluation.cells import Cell, cells
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.evaluation.observations import prompts_label
from alignment_prism.statistics.changes.seeds import CrossedDifference, SeedModel
from alignment_prism.statistics.grouped_means import prompt_means
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.rates import MIN_EVENTS
from alignment_prism.statistics.simultaneous import p_value

POOLED = -1
"""Seed of rows that are over seeds."""


def contrast_over_seeds(
    arms: Mapping[str, Sequence[Run]],
    declared: Sequence[Declared] | None = None,
    *,
    metrics: Sequence[str] = (),
    may_differ: Sequence[str] = (),
    study: str = "",
) -> Contrasts:
    """Compare arms of which each run is one alignment seed, on the prompts that all runs answered.

    Seeds are nested in arms and prompts crossed with both (`statistics.changes.seeds.SeedModel`): the variance from
    seed to seed is pooled over the arms that are given, and an arm of one run is a model, no sample of seeds. Rows by
    language, scope and as mean over languages of the difference and the relative change; local minus global, each
    language minus English, and whether B is better in every language. There are no joint intervals over seeds, no
    heterogeneity and no worst language: with a handful of seeds they would rest on nothing.

    Args:
        arms: the runs of each.
        declared: what is compared, by names of arms; each with the first, unless given.
        metrics: by name, of shares; see `contrast`.
        may_differ: facts in which runs may differ.
        study: its name, for the rows.

    A run with the weights of an earlier one of its arm is a copy and left out, which is noted; so are prompts that lack
    a verdict of any run.

    Raises:
        InputError: as `contrast`; or a metric is no share.
    """
    kept, said = _without_copies(arms)
    pairs = PairedRuns([replace(run, name=_name(arm, i)) for arm, runs in kept.items() for i, run in enumerate(runs)])
    first = next(iter(kept))
    wanted = declared or [Declared(f"{name} vs {first}", first, name) for name in list(kept)[1:]]
    named = list(dict.fromkeys(name for one in wanted for name in (one.a, one.b)))
    if lacking := [name for name in named if name not in kept]:
        raise InputError(f"no arm is called {lacking[0]!r}", fix=f"name two of {', '.join(kept)}")
    single = [
        Declared(one.name, _name(one.a, i), _name(one.b, j))
        for one in wanted
        for i in range(len(kept[one.a]))
        for j in range(len(kept[one.b]))
    ]
    every = [note for one in single for note in notes(pairs, one, may_differ) if " prompts " not in note]
    said += list(dict.fromkeys(every))
    rows: list[Contrast] = []
    for metric, kinds in measured(pairs, metrics, single):
        numbers = {arm: len(kept[arm]) for arm in named}
        found, note = _of_metric(pairs, wanted, numbers, metric, kinds, study)
        rows += found
        said.append(note)
    if not rows:
        raise InputError("the runs have no scores of one name, so there is nothing to compare", fix="judge all runs")
    return Contrasts(tuple(adjusted(rows)), tuple(said))


def _name(arm: str, number: int) -> str:
    return f"{arm}:{number}"


def _without_copies(arms: Mapping[str, Sequence[Run]]) -> tuple[dict[str, list[Run]], list[str]]:
    kept: dict[str, list[Run]] = {}
    said = []
    for arm, runs in arms.items():
        known: set[str] = set()
        kept[arm] = []
        for run in runs:
            weights = {reply.weights for reply in run.generations} - {""}
            if weights & known:
                said.append(f"one run of {arm} is of the weights of another: it is a copy and no further seed")
                continue
            known |= weights
            kept[arm].append(run)
    return kept, said


def _of_metric(
    pairs: PairedRuns,
    wanted: Sequence[Declared],
    seeds: Mapping[str, int],
    metric: Metric,
    kinds: tuple[PromptKind, ...],
    study: str,
) -> tuple[list[Contrast], str]:
    """Rows of one metric, and how many prompts they are on."""
    tables = {}
    for arm, number in seeds.items():
        values = [pairs.values(_name(arm, i), metric) for i in range(number)]
        tables[arm] = np.stack([prompt_means(value) for value in values if value is not None])
    counted = np.array([prompt.kind in kinds for prompt in pairs.prompts])
    known = counted & ~np.isnan(np.concatenate(list(tables.values()))).any(axis=0)
    prompts = [prompt for prompt, there in zip(pairs.prompts, known, strict=True) if there]
    runs = sum(seeds.values())
    note = f"{metric.name}: {len(prompts)} of {int(counted.sum())} prompts have a verdict of each of {runs} runs"
    if not prompts:
        return [], note
    clusters = pairs.clusters[known]
    model = SeedModel({arm: table[:, known] for arm, table in tables.items()}, clusters)
    languages = np.array([prompt.language for prompt in prompts])
    parts = CellSums(list(cells(prompts, kinds, categories=False)), clusters).cells
    labels = {
        cell.prompts: prompts_label([prompts[row] for row in cell.rows])
        for cell in parts
        if (cell.language, cell.scope) == (ALL, ALL)
    }
    found = [
        row
        for one in wanted
        for row in _Rows(one, metric, study, pairs.facts(_name(one.b, 0)), model, languages, parts, labels).rows()
    ]
    return found, note


class _Rows:
    """Rows of one contrast and one metric.

    Args:
        one: the contrast.
        metric: a share.
        study: its name.
        facts: how b was measured.
        model: of all arms on the prompts that count.
        languages: of those prompts.
        parts: cells of those prompts, means over languages last.
        labels: name and digest of each set of prompts.
    """

    def __init__(
        self,
        one: Declared,
        metric: Metric,
        study: str,
        facts: Mapping[str, str],
        model: SeedModel,
        languages: npt.NDArray[np.str_],
        parts: Sequence[Cell],
        labels: Mapping[str, str],
    ) -> None:
        self._one, self._metric, self._study, self._facts, self._model = one, metric, study, facts, model
        self._languages, self._parts, self._labels = languages, parts, labels
        self._changes: dict[tuple[str, str, str], tuple[Cell, CrossedDifference]] = {}

    def rows(self) -> Iterator[Contrast]:
        """All rows."""
        a, b = self._one.a, self._one.b
        for cell in self._parts:
            model = self._model.subset(cell.rows, self._languages[cell.rows] if cell.language == MACRO else None)
            counts = model.expected(b, a)
            change, relative = model.difference(b, a, LEVEL), model.relative_change(b, a, LEVEL)
            self._changes[cell.prompts, cell.language, cell.scope] = cell, change
            events = self._least(cell, lambda rows: float(self._model.subset(rows).tables[a].mean(axis=0).sum()))
            yield self._row(Quantity.DIFFERENCE, cell, change.interval, change, self._few(cell), counts)
            few = self._few(cell) or events < MIN_EVENTS
            yield self._row(Quantity.RELATIVE_CHANGE, cell, relative.interval, relative, few, counts)
        yield from self._gaps()
        yield from self._every_language()

    def _least(self, cell: Cell, of: Callable[[npt.NDArray[np.intp]], float]) -> float:
        """A number of the cell; of a mean over languages the least of theirs."""
        if cell.language != MACRO:
            return of(cell.rows)
        codes = self._languages[cell.rows]
        return min(of(cell.rows[codes == code]) for code in np.unique(codes))

    def _few(self, cell: Cell) -> bool:
        seeds = self._model.seeds(self._one.b, self._one.a)
        clusters = self._least(cell, lambda rows: self._model.subset(rows).clusters)
        return clusters < 2 * MIN_EVENTS or seeds < 2

    def _gaps(self) -> Iterator[Contrast]:
        for (prompts, language, scope), (cell, change) in self._changes.items():
            others = []
            if language != MACRO and scope == LOCAL:
                others.append((Quantity.LOCAL_MINUS_GLOBAL, (prompts, language, GLOBAL)))
            if scope == ALL and language not in (ALL, MACRO, ENGLISH):
                others.append((Quantity.MINUS_ENGLISH, (prompts, ENGLISH, ALL)))
            for quantity, key in others:
                if key in self._changes:
                    other = self._changes[key][0]
                    gap = self._model.gap(self._one.b, self._one.a, cell.rows, other.rows, LEVEL)
                    few = self._few(cell) or self._few(other)
                    yield self._row(quantity, cell, gap, change, few, p=p_value(gap))

    def _every_language(self) -> Iterator[Contrast]:
        """Whether B is better in every language: the largest one-sided p-value (Berger 1982, Technometrics 24)."""
        for prompts in self._labels:
            better = better_way(self._metric, prompts)
            found = [each for (p, code, s), each in self._changes.items() if (p, s) == (prompts, ALL)
                     and code not in (ALL, MACRO)]  # fmt: skip
            if better is None or len(found) < 2 or self._model.seeds(self._one.b, self._one.a) < 2:
                continue
            sign = 1.0 if better == "lower" else -1.0
            sided = [
                change.p_value / 2 if sign * change.interval.estimate < 0 else 1 - change.p_value / 2
                for _, change in found
            ]
            cell, worst = max(found, key=lambda each: sign * each[1].interval.estimate)
            ends = [change.interval.upper if sign > 0 else change.interval.lower for _, change in found]
            bounds = (-math.inf, max(ends)) if sign > 0 else (min(ends), math.inf)
            n = sum(change.interval.n for _, change in found)
            interval = replace(
                worst.interval, lower=bounds[0], upper=bounds[1], method="intersection-union", n=n,
                level=0.5 + LEVEL / 2,
            )  # fmt: skip
            few = any(self._few(each) for each, _ in found)
            yield self._row(Quantity.EVERY_LANGUAGE, replace(cell, language=ALL), interval, worst, few, p=max(sided))

    def _row(
        self,
        quantity: Quantity,
        cell: Cell,
        interval: Interval,
        change: CrossedDifference,
        few: bool,
        counts: tuple[float, float, float, float] | None = None,
        p: float | None = None,
    ) -> Contrast:
        both, only_a, only_b, neither = counts or (math.nan,) * 4
        extra = [("seeds", str(change.seeds))]
        if counts is not None:
            extra += [("seed_sd", f"{change.seed_sd:.4g}"), ("prompt_se", f"{change.prompt_se:.4g}")]
        signature = Signature(
            "contrast", judge=self._facts.get("judge", ""), rubric=self._facts.get("rubric", ""),
            prompts=self._labels[cell.prompts], ci=interval.name, extra=tuple(extra),
        )  # fmt: skip
        return Contrast(
            study=self._study, contrast=self._one.name, a=self._one.a, b=self._one.b, seed=POOLED, quantity=quantity,
            metric=self._metric.name, prompts=cell.prompts, language=cell.language, scope=cell.scope,
            estimate=interval.estimate, lower=interval.lower, upper=interval.upper, interval=interval.name,
            level=interval.level, p_value=change.p_value if p is None else p, n=interval.n,
            clusters=interval.clusters, both=both, only_a=only_a, only_b=only_b, neither=neither, insufficient=few,
            signature=str(signature),
        )  # fmt: skip
