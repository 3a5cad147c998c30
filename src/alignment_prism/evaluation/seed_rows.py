"""One number of several arms over their alignment seeds: its cells, its models, and p-values adjusted over arms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import ALL, MACRO, Finding, Signature
from alignment_prism.domain.metric_table import HARM_RANK
from alignment_prism.domain.metrics import Metric
from alignment_prism.domain.records import Prompt
from alignment_prism.evaluation.cells import Cell, cells
from alignment_prism.evaluation.estimates import CellSums, Hits, Names, finding
from alignment_prism.evaluation.finding_rows import sampling
from alignment_prism.evaluation.observations import Observations, prompts_label
from alignment_prism.statistics.changes.ranks import rank_arms
from alignment_prism.statistics.changes.seeds import CrossedDifference, SeedModel
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.multiplicity import holm
from alignment_prism.statistics.rates import insufficient

POOLED = -1
"""Seed of rows that are over seeds."""


@dataclass(frozen=True)
class Told:
    """What every seed says of one metric, on P prompts.

    Attributes:
        metric: that rows are of: a change against base, or a win-rate.
        of: what it is a change of; a win-rate is one of itself.
        arms: arm -> S x P values from 0 to 1, one row a seed; NaN where there is none.
        base: S x P likewise; None where the arms are compared already.
        relative: name of the relative change that is given beside it; empty for none.
        judge: who said it; empty where it was a rule.
        rubric: that a judge was asked.
        extra: more of how it was measured, for the signatures.
    """

    metric: Metric
    of: Metric
    arms: Mapping[str, Hits]
    base: Hits | None = None
    relative: str = ""
    judge: str = ""
    rubric: str = ""
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SeedStudy:
    """What all rows over the seeds of a study share.

    Attributes:
        prompts: P of them.
        name: of the study.
        base_arm: which arm the others are compared with.
        copies: seeds that are left out.
        first: what was said in the first seed, as many replies as in each; None where there are tables alone.
    """

    prompts: Sequence[Prompt]
    name: str
    base_arm: str
    copies: Sequence[int]
    first: Observations | None = None

    def rows(self, told: Told) -> list[Finding]:
        """Rows of one metric, of every arm on the prompts that all its seeds, and base, have a value of."""
        parts = list(self._parts(told))
        adjusted = _by_holm(told, parts)
        few: dict[tuple[str, str, str, str], bool] = {}  # of means over languages: whether any language is
        found = []
        for number, part in enumerate(parts):
            for metric, change in part.changes.items():
                of_arm = part.cell.prompts, part.cell.scope, metric, part.arm
                divided_by = part.base_events if metric == told.relative else None
                flag = insufficient(change.interval, seeds=change.seeds, divided_by=divided_by)
                flag = flag or (part.cell.language == MACRO and few.get(of_arm, False))
                few[of_arm] = flag or (part.cell.language != ALL and few.get(of_arm, False))
                found.append(
                    finding(
                        part.cell, change.interval, study=self.name, arm=part.arm, seed=POOLED, metric=metric,
                        insufficient=flag, signature=self._signature(told, part, change, adjusted.get(number)),
                    )
                )  # fmt: skip
        return found

    def ranks(self, told: Told) -> list[Finding]:
        """Ranks of the arms in every cell of the prompts that all have a value of."""
        tables = list(told.arms.values())
        kept = _Kept(self.prompts, np.asarray(~np.isnan(np.concatenate(tables)).any(axis=0)))
        found = []
        for cell, strata, label in kept.cells(told.of):
            signature = Signature("seeds", judge=told.judge, rubric=told.rubric, prompts=label)
            clusters = kept.clusters[cell.rows]
            values = {arm: table[:, kept.known][:, cell.rows] for arm, table in told.arms.items()}
            for rank in rank_arms(values, clusters, strata=strata):
                ends = (rank.best + rank.worst) / 2, rank.best, rank.worst
                interval = Interval(*ends, "holm", len(cell.rows), len(set(clusters)))
                flag = insufficient(interval, seeds=len(tables[0]))
                found.append(
                    finding(
                        cell, interval, study=self.name, arm=rank.arm, seed=POOLED, metric=HARM_RANK.name,
                        insufficient=flag, signature=str(signature),
                    )
                )  # fmt: skip
        return found

    def _parts(self, told: Told) -> Iterator[_Part]:
        """Cell by cell; arms with values of the same prompts together."""
        groups: dict[bytes, list[str]] = {}
        masks: dict[bytes, npt.NDArray[np.bool_]] = {}
        for arm, table in told.arms.items():
            values = table if told.base is None else np.concatenate([table, told.base])
            known = np.asarray(~np.isnan(values).any(axis=0))
            groups.setdefault(known.tobytes(), []).append(arm)
            masks[known.tobytes()] = known
        for key, arms in groups.items():
            kept = _Kept(self.prompts, masks[key])
            if not kept.prompts:
                continue
            base = {} if told.base is None else {self.base_arm: _one_base(told.base[:, kept.known])}
            tables = {arm: told.arms[arm][:, kept.known] for arm in arms}
            whole = SeedModel(tables | base, kept.clusters, alike=False)
            for cell, strata, label in kept.cells(told.of):
                events = float(base[self.base_arm][:, cell.rows].mean(axis=0).sum()) if base else math.nan
                model = whole.subset(cell.rows, strata)
                for arm in arms:
                    yield _Part(cell, arm, self._changes(told, model, arm), label, events)

    def _changes(self, told: Told, model: SeedModel, arm: str) -> dict[str, CrossedDifference]:
        if told.base is None:
            return {told.metric.name: model.win_rate(arm)}
        found = {told.metric.name: model.difference(arm, self.base_arm)}
        if told.relative:
            found[told.relative] = model.relative_change(arm, self.base_arm)
        return found

    def _signature(self, told: Told, part: _Part, change: CrossedDifference, adjusted: float | None) -> str:
        extra = [*told.extra, ("seeds", str(change.seeds)), ("seed_sd", f"{change.seed_sd:.4g}")]
        extra += [("prompt_se", f"{change.prompt_se:.4g}"), ("p", f"{change.p_value:.3g}")]
        extra += [("holm", f"{adjusted:.3g}")] if adjusted is not None else []
        extra += [("copies", ",".join(map(str, self.copies)))] if self.copies else []
        k = 1
        if told.base is not None and self.first is not None:
            k = self.first.outcomes[part.arm].shape[1]
            extra += sampling(self.first, part.arm, self.base_arm)
        return str(Signature("seeds", told.judge, told.rubric, part.label, k, extra=tuple(extra)))


class _Kept:
    """The prompts that some arms have all values of.

    Args:
        prompts: P of them.
        known: of each, whether they have.

    Attributes:
        known: the same.
        prompts: those that are left, to whose positions cells refer.
        clusters: names of theirs.
    """

    def __init__(self, prompts: Sequence[Prompt], known: npt.NDArray[np.bool_]) -> None:
        self.known = known
        self.prompts = [prompt for prompt, there in zip(prompts, known, strict=True) if there]
        self.clusters = np.array([prompt.cluster for prompt in self.prompts], dtype=np.str_)

    def cells(self, of: Metric) -> Iterator[tuple[Cell, Names | None, str]]:
        """Each cell of a metric with the languages that it is the plain mean over, and its prompts as signatures have
        them."""
        if not self.prompts:
            return
        languages = np.array([prompt.language for prompt in self.prompts], dtype=np.str_)
        own = list(cells(self.prompts, of.denominator.kinds, categories=False))
        for cell in CellSums(own, self.clusters).cells:
            label = prompts_label([self.prompts[row] for row in cell.rows.tolist()])
            yield cell, languages[cell.rows] if cell.language == MACRO else None, label


@dataclass(frozen=True)
class _Part:
    """One arm in one cell: its changes by metric, its prompts in the words of signatures, and base's events."""

    cell: Cell
    arm: str
    changes: Mapping[str, CrossedDifference]
    label: str
    base_events: float


def _by_holm(told: Told, parts: Sequence[_Part]) -> dict[int, float]:
    """Holm's p-values of the headlines (language and scope `all`), by their positions: over the arms, and over those
    kinds of prompts that the metric is summed up on, which are read together."""
    together = {kind.value for kind in told.of.headline}
    families: dict[str, list[int]] = {}
    for number, part in enumerate(parts):
        if part.cell.language == part.cell.scope == ALL:
            families.setdefault("" if part.cell.prompts in together else part.cell.prompts, []).append(number)
    return {
        number: p
        for family in families.values()
        for number, p in zip(family, holm([parts[i].changes[told.metric.name].p_value for i in family]), strict=True)
    }


def _one_base(table: Hits) -> Hits:
    """One row where all are the same: the replies of one base, which is no sample of seeds."""
    return table[:1] if (table == table[0]).all() else table
