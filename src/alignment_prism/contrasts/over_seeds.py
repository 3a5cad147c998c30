"""Contrasts of arms over several alignment seeds: one row over seeds and prompts, in place of one a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alignment_prism.contrasts.declared import (
    LEVEL,
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
from alignment_prism.contrasts.pairing import PairedRuns
from alignment_prism.contrasts.seed_changes import SeedChanges
from alignment_prism.domain import Metric, PromptKind, Run
from alignment_prism.domain.contrasts import Quantity
from alignment_prism.evaluation.cells import cells
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.statistics.changes.seeds import SeedModel
from alignment_prism.statistics.clustered import cluster_index
from alignment_prism.statistics.grouped_means import prompt_means
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.rates import insufficient

POOLED = -1
"""Seed of rows that are over seeds."""


def contrast_over_seeds(
    arms: Mapping[str, Sequence[Run]],
    declared: Sequence[Declared] | None = None,
    *,
    metrics: Sequence[str] = (),
    may_differ: Sequence[str] = (),
    judge_error: JudgeError | None = None,
    study: str = "",
) -> Contrasts:
    """Compare arms of which each run is one alignment seed, on the prompts that all runs answered.

    Seeds are nested in arms and prompts crossed with both (`statistics.changes.seeds.SeedModel`): the variance from
    seed to seed is pooled over the arms that are given, and an arm of one run is a model, no sample of seeds. Rows
    are those of `contrast`, without bounds for missing verdicts. A handful of seeds does not tell how cells vary
    together: joint intervals and that of the worst language take seeds to move every cell by itself, which makes them
    wide, and whether languages are alike is asked of each language against the mean of all, by Student's t with
    Bonferroni's adjustment, in place of Cochran's Q.

    Args:
        arms: the runs of each.
        declared: what is compared, by names of arms; each with the first, unless given.
        metrics: by name, of shares; see `contrast`.
        may_differ: facts in which runs may differ.
        judge_error: as in `contrast`.
        study: its name, for the rows.

    A run with the weights of an earlier one of its arm is a copy and left out, which is noted; so are prompts that lack
    a verdict of any run.

    Raises:
        InputError: as `contrast`; or a metric is no share.
    """
    check_may_differ(may_differ)
    kept, said = _without_copies(arms)
    pairs = PairedRuns([replace(run, name=_name(arm, i)) for arm, runs in kept.items() for i, run in enumerate(runs)])
    wanted = named_runs(list(kept), declared)
    named = list(dict.fromkeys(name for one in wanted for name in (one.a, one.b)))
    single = [
        Declared(one.name, _name(one.a, i), _name(one.b, j))
        for one in wanted
        for i in range(len(kept[one.a]))
        for j in range(len(kept[one.b]))
    ]
    every = [note for one in single for note in notes(pairs, one, may_differ) if " prompts " not in note]
    said += list(dict.fromkeys(every))
    for name in dict.fromkeys(name for one in single for name in (one.a, one.b)):
        if judge_error is not None:
            judge_error.require(pairs.facts(name), name)
    index, whole = cluster_index(pairs.clusters)
    families: list[Family] = []
    for metric, kinds in chosen_metrics(pairs, metrics, single):
        of = _Seeds(pairs, {arm: len(kept[arm]) for arm in named}, metric, kinds, index, whole)
        said.append(of.note)
        families += [_OverSeeds(of, one, metric, study) for one in wanted if of.prompts]
    found = rows_of(families, whole, [judge_error] if judge_error is not None else [])
    return Contrasts(tuple(found), tuple(said))


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


class _Seeds:
    """One metric of the arms, on the prompts that all runs have a verdict of.

    Attributes:
        prompts: that count.
        note: how many they are, in words.
    """

    def __init__(
        self, pairs: PairedRuns, seeds: Mapping[str, int], metric: Metric, kinds: tuple[PromptKind, ...],
        index: npt.NDArray[np.intp], whole: int,
    ) -> None:  # fmt: skip
        self.pairs, self.whole = pairs, whole
        tables = {}
        for arm, number in seeds.items():
            values = [pairs.values(_name(arm, i), metric) for i in range(number)]
            tables[arm] = np.stack([prompt_means(value) for value in values if value is not None])
        counted = np.array([prompt.kind in kinds for prompt in pairs.prompts])
        known = counted & ~np.isnan(np.concatenate(list(tables.values()))).any(axis=0)
        self.prompts = [prompt for prompt, there in zip(pairs.prompts, known, strict=True) if there]
        of = f"{len(self.prompts)} of {int(counted.sum())} prompts have a verdict of each of"
        self.note = f"{metric.name}: {of} {sum(seeds.values())} runs"
        self.clusters = index[known]
        if self.prompts:
            names = pairs.clusters[known]
            self.model = SeedModel({arm: table[:, known] for arm, table in tables.items()}, names)
            self.sums = CellSums(list(cells(self.prompts, kinds, categories=False)), names)
            self.labels = prompt_sets(self.prompts, self.sums.cells)


class _OverSeeds(Family):
    """One metric of one contrast over seeds."""

    plans = False  # more prompts alone do not decide what seeds leave open

    def __init__(self, of: _Seeds, one: Declared, metric: Metric, study: str) -> None:
        super().__init__(one, metric, of.sums.cells, of.sums.macros, study=study, seed=POOLED)
        self._of = of
        self._found: dict[tuple[float, bool], SeedChanges] = {}

    def differences(self, level: float) -> SeedChanges:
        """Tango's intervals at the effective size of seeds and prompts."""
        return self._at(level, relative=False)

    def relative_changes(self, level: float) -> SeedChanges:
        """Score intervals of the ratio likewise."""
        return self._at(level, relative=True)

    def _at(self, level: float, *, relative: bool) -> SeedChanges:
        key = (level, relative)
        if key not in self._found:
            rows = [cell.rows for cell in self.cells]
            self._found[key] = SeedChanges(
                self._of.model, self.one.b, self.one.a, rows, self._of.clusters, self._of.whole, level,
                relative=relative,
            )  # fmt: skip
        return self._found[key]

    def base_events(self) -> Sequence[float]:
        """On how many prompts a seed of A is 1, in the mean."""
        table = self._of.model.tables[self.one.a].mean(axis=0)
        return [float(table[cell.rows].sum()) for cell in self.cells]

    def counts(self, number: int) -> Counts | None:
        """Expected of one seed of each."""
        return self._of.model.subset(self.every[number].rows).expected(self.one.b, self.one.a)

    def few(self, interval: Interval, divided_by: float | None = None) -> bool:
        """One seed is too little too."""
        return insufficient(interval, divided_by=divided_by, seeds=self._of.model.seeds(self.one.b, self.one.a))

    def signature(self, number: int, quantity: Quantity, interval: Interval) -> str:
        """Judge, prompts, seeds, and the parts of the variance of changes."""
        extra = [("seeds", str(self._of.model.seeds(self.one.b, self.one.a)))]
        if quantity in (Quantity.DIFFERENCE, Quantity.RELATIVE_CHANGE):
            found = self._at(LEVEL, relative=quantity is Quantity.RELATIVE_CHANGE)
            inside = number - len(self.cells)
            part = found.found[number] if inside < 0 else found.of_mean(self.macros[inside])
            extra += [("seed_sd", f"{part.seed_sd:.4g}"), ("prompt_se", f"{part.prompt_se:.4g}")]
        facts = self._of.pairs.facts(_name(self.one.b, 0))
        return signature_of(facts, self._of.labels[self.every[number].prompts], interval, extra)
