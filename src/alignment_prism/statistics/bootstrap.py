"""The cluster bootstrap: whole clusters (source prompts) are drawn with replacement, never single rows.

Everything that is resampled is a sum over clusters, so that a replicate is one row of a matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

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
