"""Which prompts each cell of a table holds, and sums over cells: for all arms at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import ALL
from alignment_prism.statistics.bootstrap import Stratum, cluster_sums
from alignment_prism.statistics.clustered import cluster_index
from alignment_prism.statistics.intervals import Floats, Labels


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of language x scope x category, `all` included in each.

    Attributes:
        keys: (language, scope, category) of each of K cells.
        member: P x K, 1 where a prompt belongs to a cell.
        index: P numbers 0 .. G-1, the cluster of each prompt.
        clusters: G.
    """

    keys: tuple[tuple[str, str, str], ...]
    member: Floats
    index: npt.NDArray[np.int64]
    clusters: int

    @property
    def independent(self) -> bool:
        """Whether every prompt is a cluster of its own."""
        return self.clusters == len(self.index)

    def total(self, values: Floats) -> Floats:
        """Arms x P values, summed over the prompts of each cell: arms x K."""
        return np.asarray(values @ self.member, np.float64)

    def by_cluster(self, values: Floats) -> Floats:
        """P values, summed by cluster and cell: G x K."""
        return cluster_sums(self.member * values[:, None], self.index, self.clusters)

    def occupied(self, known: Floats) -> Floats:
        """Arms x P zeros and ones: the clusters with a known prompt, by cell: arms x K."""
        if self.independent:
            return self.total(known)
        first = {row.tobytes(): row for row in known}
        found = {key: (self.by_cluster(row) > 0).sum(axis=0) for key, row in first.items()}
        return np.stack([found[row.tobytes()] for row in known]).astype(np.float64)

    def strata(self, difference: Floats, known: Floats) -> list[Stratum]:
        """What the bootstrap resamples: clusters within languages, or all together where one reaches over them.

        Args:
            difference: arms x P, 0 where unknown.
            known: arms x P, 1 where there is a difference.

        What a language's clusters say is added to its own cells and to those that pool the languages.
        """
        names = list(dict.fromkeys(key[0] for key in self.keys))
        run = len(self.keys) // len(names)  # cells of one language lie side by side, those of all languages first
        own = [slice(start, start + run) for start in range(run, len(self.keys), run)]
        rows = [np.flatnonzero(self.member[:, columns.start]) for columns in own]
        pooled = slice(0, run)
        if sum(len(np.unique(self.index[part])) for part in rows) == self.clusters:
            return [
                self._stratum(difference, known, part, columns, (columns, pooled))
                for part, columns in zip(rows, own, strict=True)
            ]
        everything = slice(0, len(self.keys))
        return [self._stratum(difference, known, np.arange(len(self.index)), everything, (everything,))]

    def _stratum(
        self,
        difference: Floats,
        known: Floats,
        inside: npt.NDArray[np.int64],
        columns: slice,
        targets: tuple[slice, ...],
    ) -> Stratum:
        """One stratum; arms without a missing verdict share their denominators."""
        local, number = cluster_index(self.index[inside])
        member = self.member[inside, columns].astype(np.float32)

        def sums(values: Floats) -> npt.NDArray[np.float32]:
            parts = [_sums(member * row[inside, None].astype(np.float32), local, number) for row in values]
            return np.concatenate(parts, axis=1)

        sizes = _sums(member, local, number) if known.all() else sums(known)
        return Stratum(sums(difference), sizes, targets)


def table_cells(
    languages: Sequence[str],
    scopes: Sequence[str] | None,
    categories: Sequence[Sequence[str]] | None,
    clusters: Labels | None,
) -> Cells:
    """Every language (and all) x scope (and all) x category (and all) of P prompts."""
    language = np.asarray(languages, np.str_)
    everything = np.ones(len(language), bool)
    by_language = [(ALL, everything), *((str(name), language == name) for name in np.unique(language))]
    by_scope = [(ALL, everything)]
    if scopes is not None:
        scope = np.asarray([name or "" for name in scopes], np.str_)
        by_scope += [(str(name), scope == name) for name in np.unique(scope) if name]
    by_category = [(ALL, everything)]
    if categories is not None:
        owned = [set(names) for names in categories]
        for name in sorted(set().union(*owned) if owned else set()):
            by_category.append((name, np.array([name in names for names in owned])))
    keys, columns = [], []
    for one, first in by_language:
        for two, second in by_scope:
            for three, third in by_category:
                keys.append((one, two, three))
                columns.append(first & second & third)
    index, number = (np.arange(len(language)), len(language)) if clusters is None else cluster_index(clusters)
    return Cells(tuple(keys), np.stack(columns, axis=1).astype(np.float64), index, number)


def _sums(rows: npt.NDArray[np.float32], index: npt.NDArray[np.int64], number: int) -> npt.NDArray[np.float32]:
    if number == len(index):
        return rows
    return np.asarray(cluster_sums(rows.astype(np.float64), index, number), np.float32)
