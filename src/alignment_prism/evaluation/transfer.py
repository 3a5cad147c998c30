"""Transfer and spill-over: what an arm does in languages and scopes that it was not trained on, and at what cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.findings import ALL, BASE, MACRO, Signature
from alignment_prism.domain.records import Generation, Outcome, Prompt, PromptKind, Score
from alignment_prism.domain.taxonomy import Scope
from alignment_prism.domain.transfer import OTHER, Reach, Transfer, TransferQuantity
from alignment_prism.evaluation.cells import Cell, cells, parts
from alignment_prism.evaluation.estimates import CellSums
from alignment_prism.evaluation.observations import Observations, observe, prompts_label
from alignment_prism.evaluation.seed_rows import POOLED
from alignment_prism.evaluation.seeds import copied_seeds
from alignment_prism.statistics.changes.crossed_cells import CrossedChanges, correlation
from alignment_prism.statistics.changes.ratios import ratio_of_estimates
from alignment_prism.statistics.grouped_means import prompt_means
from alignment_prism.statistics.intervals import Floats, Interval
from alignment_prism.statistics.language_means import combination
from alignment_prism.statistics.rates import insufficient
from alignment_prism.statistics.simultaneous import joint_level

LEVEL = 0.95
"""Coverage of the intervals, single and joint."""

FOREIGN, NEVER = PromptKind.FOREIGN_LOCAL.value, PromptKind.NEVER_HARMFUL.value


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """What an arm was trained on.

    Attributes:
        method: that aligned it.
        share: of safety pairs.
        languages: of its safety pairs; None for all.
        scopes: of its safety pairs; None for all.
    """

    method: str
    share: float
    languages: tuple[str, ...] | None = None
    scopes: tuple[Scope, ...] | None = None

    def excludes(self, prompt: Prompt) -> bool:
        """Whether the prompt is of a language or a scope that it was not trained on."""
        other_language = self.languages is not None and prompt.language not in self.languages
        other_scope = self.scopes is not None and prompt.scope is not None and prompt.scope not in self.scopes
        return not self.share or other_language or other_scope

    def named(self, chosen: Sequence[str] | None) -> str:
        """A choice of languages or scopes, as rows have it."""
        if not self.share:
            return "none"
        return ALL if chosen is None else "+".join(sorted(chosen))


def transfer_rows(
    prompts: Sequence[Prompt],
    runs: Mapping[int, tuple[Sequence[Generation], Sequence[Score]]],
    trained: Mapping[str, TrainedOn],
    *,
    study: str,
    base_arm: str = "base",
) -> list[Transfer]:
    """What arms that were trained on some safety data do in every language and scope, by seed and over all seeds.

    Rows of `harm_difference` are the matrices of what was trained on and what is tested: for every arm and cell of
    harmful prompts (language x scope, pooled, and as mean over languages) the change of harm against base, and for arms
    with a choice of languages or scopes one of language `other`, over all prompts that they were not trained on.

    Rows of `spill_over` are the change of refusals of `foreign_local` prompts minus that of `never_harmful` ones, by
    language and over all: how much more an arm refuses what is harmful elsewhere only than it refuses everything more.
    Rows of `harm_prevented_per_spill_over` divide the fall of harm (over all prompts, and over `other`) by it.
    Where the spill-over is not apart from zero, or is below it, that is undefined, and the signature says so.

    Of one seed the intervals are over prompts: Tango's, and MOVER's for what is put together from them; differences are
    those of the findings. Over seeds they are for other seeds and other prompts (`crossed_difference`), from the
    prompts that have verdicts in every seed, with each arm's own variance from seed to seed: `seed_findings` raises
    that where it is small by luck. Joint intervals hold for all arms and cells of a quantity and seed. A seed whose
    weights are those of another counts once.

    Args:
        prompts: of any kinds.
        runs: replies and verdicts by alignment seed, base in each.
        trained: what arms were trained on, by their names. Of other arms there are rows only if there is spill-over.
        study: its name.
        base_arm: which arm the others are compared with.

    Raises:
        InputError: records that do not fit together.
    """
    copies = copied_seeds(runs, base_arm)
    seen = {seed: observe(prompts, *records) for seed, records in runs.items()}
    found: list[Transfer] = []
    for seed, one in seen.items():
        found += _Family([one], trained, base_arm, study, seed).rows()
    kept = [one for seed, one in seen.items() if seed not in copies]
    if len(kept) > 1:
        found += _Family(kept, trained, base_arm, study, POOLED).rows()
    return found


class _Changes:
    """An arm's changes of one outcome against base in some cells, from one seed or over several.

    Attributes:
        cells: with a known prompt, and after them the means over languages.
    """

    def __init__(self, seeds: Sequence[Observations], arm: str, base: str, outcome: Outcome, wanted: list[Cell]):
        self._seeds = len(seeds)
        self._known: dict[float, list[Interval]] = {}
        hits = [(one.hits(arm, outcome), one.hits(base, outcome)) for one in seeds]
        clusters = seeds[0].clusters
        if self._seeds == 1:
            known = np.logical_and(*(np.asarray((~np.isnan(side)).any(axis=1)) for side in hits[0]))
        else:
            model, base_hits = (np.stack([prompt_means(pair[side]) for pair in hits]) for side in (0, 1))
            known = np.asarray(~np.isnan(np.concatenate([model, base_hits])).any(axis=0))
        there = [replace(cell, rows=cell.rows[known[cell.rows]]) for cell in wanted]
        self._sums = CellSums([cell for cell in there if len(cell.rows)], clusters)
        self.cells = self._sums.cells
        if self._seeds == 1:
            self._single = self._sums.changes(*hits[0])
        else:
            strata = [_languages(cell, seeds[0].prompts) for cell in self.cells]
            rows = [cell.rows for cell in self.cells]
            self._crossed = CrossedChanges(model, base_hits, clusters, rows, strata)

    def intervals(self, level: float) -> list[Interval]:
        """One a cell."""
        if level not in self._known:
            if self._seeds == 1:
                self._known[level] = self._sums.intervals(self._single.differences(level))
            else:
                self._known[level] = [one.interval for one in self._crossed.differences(level)]
        return self._known[level]

    def errors(self) -> Floats:
        """What each cluster, and each seed, adds to the error of each cell."""
        if self._seeds == 1:
            return self._single.differences(LEVEL).errors(self._sums.macros)
        return self._crossed.errors()

    def few(self) -> list[bool]:
        """Of each cell, whether it rests on too little."""
        seeds = None if self._seeds == 1 else self._seeds
        parts = self.intervals(LEVEL)[: len(self.cells) - len(self._sums.macros)]
        return self._sums.with_means([insufficient(part, seeds=seeds) for part in parts])


def _languages(cell: Cell, prompts: Sequence[Prompt]) -> list[str] | None:
    """Languages of the rows of a mean over languages; None for other cells."""
    return [prompts[row].language for row in cell.rows] if cell.language == MACRO else None


@dataclass(frozen=True)
class _Numbers:
    """Numbers of one quantity and arm.

    Attributes:
        quantity: of all of them.
        cells: of each what it is about.
        narrow: interval of each.
        errors: what each cluster and seed adds to the error of each; a column a number.
        few: of each whether it rests on too little.
        notes: of each what its signature says besides.
    """

    quantity: TransferQuantity
    cells: list[Cell]
    narrow: list[Interval]
    errors: Floats
    few: list[bool]
    notes: list[str]


class _Arm:
    """All numbers of one arm, at any level."""

    def __init__(self, seeds: Sequence[Observations], arm: str, base: str, trained: TrainedOn | None) -> None:
        prompts = seeds[0].prompts
        harmful = list(cells(prompts, [PromptKind.HARMFUL], categories=False))
        excluded = np.array([trained is not None and trained.excludes(prompt) for prompt in prompts])
        self.name, self.trained, self._excluded = arm, trained, excluded
        chooses = trained is not None and trained.scopes is not None
        self._unknown = ~excluded & np.array([chooses and prompt.scope is None for prompt in prompts])
        self._harm = _Changes(seeds, arm, base, Outcome.HARMFUL, harmful)
        self._other = _Changes(seeds, arm, base, Outcome.HARMFUL, list(_elsewhere(harmful, excluded)))
        kinds = [PromptKind.FOREIGN_LOCAL, PromptKind.NEVER_HARMFUL]
        tells = all(one.tells(Outcome.REFUSAL) for one in seeds)
        harmless = [cell for cell in cells(prompts, kinds, categories=False) if cell.scope == ALL] if tells else []
        self._refused = _Changes(seeds, arm, base, Outcome.REFUSAL, harmless)
        at = {(cell.prompts, cell.language): number for number, cell in enumerate(self._refused.cells)}
        self._spilt = [
            (number, at[NEVER + prompts[len(FOREIGN) :], language])
            for (prompts, language), number in at.items()
            if prompts.startswith(FOREIGN) and language != MACRO and (NEVER + prompts[len(FOREIGN) :], language) in at
        ]

    @property
    def spills(self) -> bool:
        """Whether its spill-over can be told."""
        return bool(self._spilt)

    def reach(self, cell: Cell) -> Reach:
        """Whether the arm was trained on such prompts."""
        if self.trained is None or not cell.prompts.startswith(PromptKind.HARMFUL.value):
            return Reach.UNKNOWN
        excluded = self._excluded[cell.rows]
        if self._unknown[cell.rows].any():
            return Reach.UNKNOWN
        return Reach.OTHER if excluded.all() else Reach.MIXED if excluded.any() else Reach.TRAINED

    def harm(self, level: float) -> _Numbers:
        """Changes of harm, of the cells and of what the arm was not trained on."""
        parts = (self._harm, self._other)
        found = [*self._harm.cells, *self._other.cells]
        narrow = [interval for part in parts for interval in part.intervals(level)]
        errors = np.concatenate([part.errors() for part in parts], axis=1)
        few = [flag for part in parts for flag in part.few()]
        return _Numbers(TransferQuantity.HARM, found, narrow, errors, few, [""] * len(found))

    def spill_over(self, level: float) -> _Numbers:
        """Changes of refusals of what is harmful elsewhere, minus those of what is harmful nowhere."""
        every, errors, few = self._refused.intervals(level), self._refused.errors(), self._refused.few()
        narrow = [
            combination([every[one], every[two]], (1.0, -1.0), correlation(errors[:, one], errors[:, two]))
            for one, two in self._spilt
        ]
        columns = [errors[:, one] - errors[:, two] for one, two in self._spilt]
        table = np.column_stack(columns) if columns else np.zeros((len(errors), 0))
        found = [self._refused.cells[one] for one, _ in self._spilt]
        flags = [few[one] or few[two] for one, two in self._spilt]
        return _Numbers(TransferQuantity.SPILL_OVER, found, narrow, table, flags, [""] * len(found))

    def ratios(self, level: float) -> _Numbers:
        """Fall of harm for each unit of spill-over over all languages."""
        harm, spilt = self.harm(level), self.spill_over(level)
        place = next(n for n, cell in enumerate(spilt.cells) if (cell.prompts, cell.language) == (FOREIGN, ALL))
        wanted = [number for number, cell in enumerate(harm.cells) if cell.language in (ALL, OTHER)]
        narrow, columns, notes = [], [], []
        for number in wanted:
            fall, column = harm.narrow[number].scaled(-1.0), -harm.errors[:, number]
            found = ratio_of_estimates(fall, spilt.narrow[place], correlation(column, spilt.errors[:, place]))
            narrow.append(found)
            columns.append(column - np.nan_to_num(found.estimate) * spilt.errors[:, place])
            notes.append("spill-over not above zero" if np.isnan(found.estimate) else "")
        few = [harm.few[number] or spilt.few[place] for number in wanted]
        table = np.column_stack(columns) if columns else np.zeros((len(harm.errors), 0))
        return _Numbers(TransferQuantity.RATIO, [harm.cells[number] for number in wanted], narrow, table, few, notes)


def _elsewhere(harmful: Sequence[Cell], excluded: npt.NDArray[np.bool_]) -> Iterator[Cell]:
    """Of every set of prompts, those that the arm was not trained on, if it was trained on others of them."""
    for cell in harmful:
        if cell.language == ALL and cell.scope == ALL:
            rows = cell.rows[excluded[cell.rows]]
            if 0 < len(rows) < len(cell.rows):
                yield replace(cell, language=OTHER, rows=rows)


class _Family:
    """All arms of one seed, or over seeds: the numbers whose joint intervals hold together."""

    def __init__(
        self, seeds: Sequence[Observations], trained: Mapping[str, TrainedOn], base: str, study: str, seed: int
    ) -> None:
        self._seeds, self._base, self._study, self._seed = seeds, base, study, seed
        self._labels: dict[str, str] = {}
        names = [name for name in seeds[0].outcomes if name != base and all(name in one.outcomes for one in seeds)]
        is_there = bool(seeds[0].scorer) and all(base in one.outcomes for one in seeds)
        arms = [_Arm(seeds, name, base, trained.get(name)) for name in names] if is_there else []
        self._arms = [arm for arm in arms if arm.trained is not None or arm.spills]

    def rows(self) -> Iterator[Transfer]:
        """Of every quantity and arm."""
        spilling = [arm for arm in self._arms if arm.spills]
        for arms, numbers in ((self._arms, _Arm.harm), (spilling, _Arm.spill_over), (spilling, _Arm.ratios)):
            found = [numbers(arm, LEVEL) for arm in arms]
            level = joint_level(self._apart([one.errors for one in found]), LEVEL)
            for arm, one in zip(arms, found, strict=True):
                wide = numbers(arm, level).narrow
                for place, cell in enumerate(one.cells):
                    yield self._row(arm, one, place, wide[place], cell)

    def _apart(self, tables: Sequence[Floats]) -> list[Floats]:
        """Tables of errors with rows for the seeds of each arm: two arms' seeds have nothing in common.

        Two seeds have one difference, in which all cells of an arm seem to move together, and so nothing is known of
        how they do: there every cell has a seed of its own, which is the careful way.
        """
        number = len(self._seeds)
        if number == 1:
            return list(tables)
        if number == 2:
            widths = [table.shape[1] for table in tables]
            ends = np.cumsum([0, *widths])
            found = []
            for table, start in zip(tables, ends, strict=False):
                own = np.zeros((ends[-1], table.shape[1]))
                own[start : start + table.shape[1]] = np.diag(np.sqrt((table[-number:] ** 2).sum(axis=0)))
                found.append(np.concatenate([table[:-number], own]))
            return found
        found = []
        for place, table in enumerate(tables):
            own = np.zeros((len(tables) * number, table.shape[1]))
            own[place * number : (place + 1) * number] = table[-number:]
            found.append(np.concatenate([table[:-number], own]))
        return found

    def _row(self, arm: _Arm, numbers: _Numbers, place: int, wide: Interval, cell: Cell) -> Transfer:
        interval, one, trained = numbers.narrow[place], self._seeds[0], arm.trained
        extra = [("base", self._base)] if self._base != BASE else []
        extra += [("seeds", str(len(self._seeds)))] if len(self._seeds) > 1 else []
        extra += [("undefined", numbers.notes[place])] if numbers.notes[place] else []
        signature = Signature(
            "transfer", judge=one.scorer, rubric=one.rubric, prompts=self._label(cell), ci=interval.name,
            k=one.outcomes[arm.name].shape[1], extra=tuple(extra),
        )  # fmt: skip
        return Transfer(
            study=self._study, arm=arm.name, seed=self._seed, quantity=numbers.quantity,
            method="" if trained is None else trained.method, share=np.nan if trained is None else trained.share,
            trained_languages="" if trained is None else trained.named(trained.languages),
            trained_scopes="" if trained is None else trained.named(trained.scopes),
            prompts=cell.prompts, language=cell.language, scope=cell.scope, reach=arm.reach(cell),
            estimate=interval.estimate, lower=interval.lower, upper=interval.upper, interval=interval.name,
            level=interval.level, joint_lower=wide.lower, joint_upper=wide.upper, n=interval.n,
            clusters=interval.clusters, insufficient=numbers.few[place], signature=str(signature),
        )  # fmt: skip

    def _label(self, cell: Cell) -> str:
        """Digest of all prompts of the set, which is that of all cells of it."""
        if cell.prompts not in self._labels:
            kind, _, subset = cell.prompts.partition("/")
            every = self._seeds[0].prompts
            rows = np.flatnonzero([prompt.kind == kind for prompt in every])
            self._labels[cell.prompts] = prompts_label([every[row] for row in parts(every, rows)[subset]])
        return self._labels[cell.prompts]
