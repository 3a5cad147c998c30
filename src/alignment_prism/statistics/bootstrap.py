"""The cluster bootstrap, and simultaneous intervals for cells that overlap.

Whole clusters (source prompts) are drawn with replacement, never single rows. Everything that is resampled is a sum
over clusters, so that a replicate is one row of a matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.domain import InputError
from alignment_prism.statistics.clustered import cluster_index, effective_rows
from alignment_prism.statistics.intervals import Floats, Interval, Labels, critical_value
from alignment_prism.statistics.score_intervals import tango_bounds

REPLICATES = 10_000
"""Replicates unless the caller says otherwise: the Monte Carlo error of a 95 % limit is then about 0.2 points of
coverage."""


def cluster_draws(clusters: int, replicates: int, seed: int, chunk: int = 1_000) -> Iterator[npt.NDArray[np.float32]]:
    """How often each cluster is drawn, replicate by replicate, in chunks of rows (float32, for fast products)."""
    rng = np.random.default_rng(seed)
    for start in range(0, replicates, chunk):
        rows = min(chunk, replicates - start)
        drawn = rng.integers(0, clusters, size=(rows, clusters), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(clusters)
        counts = np.bincount(drawn.ravel(), minlength=rows * clusters)
        yield counts.reshape(rows, clusters).astype(np.float32)


@dataclass(frozen=True, slots=True)
class SimultaneousCells:
    """Differences in many cells with intervals that hold together.

    Attributes:
        cells: one interval a cell; all of them cover at once with the declared level.
        critical: the critical value they share, in place of 1.96.
        non_additive: True where a row belongs to several cells (categories overlap): the cells do not add up to
            the whole, and must not be drawn as parts of it.
    """

    cells: tuple[Interval, ...]
    critical: float
    non_additive: bool


def simultaneous_differences(
    difference: object,
    membership: npt.ArrayLike,
    clusters: Labels | None = None,
    level: float = 0.95,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> SimultaneousCells:
    """Paired risk differences in overlapping cells, with one joint coverage.

    The critical value is the quantile, over replicates of the cluster bootstrap, of the largest
    |difference* - difference| / se over cells; se is cluster-robust. It takes the dependence between
    overlapping cells as it is, and is never larger than Bonferroni's. The ends are Tango's with that critical value at
    the effective size, because a symmetric band is dishonest in thin cells.

    Args:
        difference: n values of model minus base: -1, 0 or 1.
        membership: n x K, whether a row belongs to a cell; a row may belong to several or none.
        clusters: n names; None where every prompt stands alone.
        level: probability that all intervals cover.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Source: max-t bands as in Romano & Wolf (2005), J. Am. Stat. Assoc. 100. Degenerate cases: an empty cell gives NaN
    in [-1, 1]; cells without any discordant row take no part in the maximum. Not for fewer than about 30 clusters.
    """
    d = np.asarray(difference, np.float64)
    member = np.asarray(membership, bool)
    if d.ndim != 1 or member.ndim != 2 or member.shape[0] != len(d) or not np.isin(d, (-1, 0, 1)).all():
        raise InputError(
            f"differences of shape {d.shape} with a membership of shape {member.shape}",
            fix="pass n differences of -1, 0 or 1 and an n x cells matrix of booleans",
        )
    index, number = (np.arange(len(d)), len(d)) if clusters is None else cluster_index(clusters)
    sums = cluster_sums(np.where(member, d[:, None], 0.0), index, number)
    sizes = cluster_sums(member.astype(np.float64), index, number)
    moments = CellMoments.of(sums, sizes, np.where(member, np.abs(d)[:, None], 0.0).sum(axis=0))
    stratum = Stratum(sums.astype(np.float32), sizes.astype(np.float32), (slice(0, member.shape[1]),))
    critical = float(
        joint_criticals(
            [stratum],
            moments.estimate[None, :],
            moments.standard_error[None, :],
            level,
            replicates=replicates,
            seed=seed,
        )[0]
    )
    lower, upper = moments.tango(critical)
    cells = tuple(
        Interval(float(e), float(low), float(high), "tango-simultaneous", int(n), int(g), level=level)
        for e, low, high, n, g in zip(
            moments.estimate, lower, upper, sizes.sum(axis=0), (sizes > 0).sum(axis=0), strict=True
        )
    )
    return SimultaneousCells(cells, critical, bool((member.sum(axis=1) > 1).any()))


@dataclass(frozen=True, slots=True)
class CellMoments:
    """What is needed of each cell: arrays of one shape.

    Attributes:
        estimate: mean difference, NaN in an empty cell.
        standard_error: cluster-robust; NaN where nothing varies.
        model_only: rows of +1, as counts.
        base_only: rows of -1, as counts.
        n: rows.
        effective: rows at the effective size.
    """

    estimate: Floats
    standard_error: Floats
    model_only: Floats
    base_only: Floats
    n: Floats
    effective: Floats

    @staticmethod
    def of(sums: Floats, sizes: Floats, discordant: Floats) -> CellMoments:
        """Moments from sums and sizes by cluster (clusters x cells) and discordant rows by cell."""
        n, total = sizes.sum(axis=0), sums.sum(axis=0)
        safe = np.where(n > 0, n, 1.0)
        estimate = total / safe
        number = (sizes > 0).sum(axis=0)
        variance = ratio_variance(sums, sizes, estimate)
        unit = discordant / safe - estimate**2
        known = (variance > 0) & (unit > 1e-12) & (number > 1)
        return CellMoments(
            estimate=np.where(n > 0, estimate, np.nan),
            standard_error=np.where(known, np.sqrt(variance), np.nan),
            model_only=(discordant + total) / 2,
            base_only=(discordant - total) / 2,
            n=n,
            # Where every cluster is one row there is no design effect, and the size is n exactly.
            effective=np.where(number == n, n, effective_rows(unit, variance, n, number)),
        )

    def tango(self, critical: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Tango's ends at the effective size."""
        scale = self.effective / np.where(self.n > 0, self.n, 1.0)
        return tango_bounds(self.model_only * scale, self.base_only * scale, self.effective, critical)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Clusters that are resampled together, and what they add to some of the cells.

    Attributes:
        sums: clusters x (families x C), what each cluster adds to the numerators of C cells, family by family.
        sizes: clusters x C, what it adds to the denominators if all families share them, or x (families x C).
        targets: runs of C cells that the columns are added to (their own, and those that pool over them).
    """

    sums: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.float32]
    targets: tuple[slice, ...]


def joint_criticals(
    strata: Sequence[Stratum],
    estimate: Floats,
    standard_error: Floats,
    level: float,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Floats:
    """Quantile of the largest studentised deviation over the cells of each family, by the cluster bootstrap.

    Args:
        strata: resampled apart.
        estimate: families x cells.
        standard_error: families x cells; cells where it is NaN take no part.
        level: probability that no cell of a family exceeds the value.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One critical value a family, between the pointwise one and Bonferroni's.

    Source: Romano & Wolf (2005), as `simultaneous_differences`. Degenerate case: no cell with a standard error gives
    the pointwise value. Not for fewer than about 30 clusters.
    """
    families, cells = estimate.shape
    used = np.isfinite(standard_error)
    centre = np.where(used, estimate, 0.0).astype(np.float32)
    inverse = np.where(used, 1.0 / np.where(used, standard_error, 1.0), 0.0).astype(np.float32)
    shared = all(stratum.sizes.shape[1] * families == stratum.sums.shape[1] for stratum in strata)
    largest = []
    streams = [
        cluster_draws(len(stratum.sums), replicates, seed + number, chunk=250) for number, stratum in enumerate(strata)
    ]
    for draws in zip(*streams, strict=True):
        rows = len(draws[0])
        deviation = np.zeros((rows, families, cells), np.float32)
        size = np.zeros((rows, 1 if shared else families, cells), np.float32)
        for counts, stratum in zip(draws, strata, strict=True):
            product = (counts @ stratum.sums).reshape(rows, families, -1)
            weight = (counts @ stratum.sizes).reshape(rows, size.shape[1], -1)
            for target in stratum.targets:
                deviation[:, :, target] += product
                size[:, :, target] += weight
        np.maximum(size, 1e-6, out=size)
        deviation /= size
        deviation -= centre
        deviation *= inverse
        np.abs(deviation, out=deviation)
        largest.append(deviation.max(axis=2))
    found = np.quantile(np.concatenate(largest), level, axis=0)
    bonferroni = [critical_value(1.0 - (1.0 - level) / max(int(count), 1)) for count in used.sum(axis=1)]
    return np.asarray(np.clip(found, critical_value(level), bonferroni), np.float64)


def cluster_sums(rows: Floats, index: np.ndarray, number: int) -> Floats:
    """Sums of rows by cluster."""
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(number))
    return np.asarray(np.add.reduceat(rows[order], starts, axis=0), np.float64)


def ratio_variance(sums: Floats, sizes: Floats, ratio: Floats) -> Floats:
    """Cluster-robust variance of total / size, column by column, from clusters x cells.

    G / (G - 1) sum_g (sum_g - ratio size_g)^2 / n^2, with G the clusters that the cell has rows of.
    """
    rest = sums - ratio * sizes
    n, number = np.maximum(sizes.sum(axis=0), 1e-300), (sizes > 0).sum(axis=0)
    return np.asarray(np.einsum("gk,gk->k", rest, rest) / n**2 * number / np.maximum(number - 1, 1), np.float64)
