"""All pairs of texts whose character n-grams overlap by at least a given Jaccard similarity; exact at any size.

|A and B| / |A or B| over sets of n-grams. If it is at least t, then the intersection has at least t |A| members, so the
rarest |A| - ceil(t |A|) + 1 n-grams of A and those of B must share one (prefix filtering: Chaudhuri, Ganti & Kaushik
2006; Bayardo, Ma & Srikant 2007). Only texts that share a rare n-gram are therefore compared, and none is missed: the
recall is 1 by construction, unlike that of MinHash. `docs/design/overlap.md` says why this was chosen.

Texts are hashed in numpy, thousands at once; the indexed side is held in memory, the other is streamed past it.
N-grams are 50-bit hashes: two different ones of a million texts collide about three times altogether, and a similarity
then is off by one n-gram.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

ROWS = 8192
"""Texts per batch; their number must fit into the 14 bits that a token leaves."""
CHARACTERS = 4_000_000
"""Most characters per batch."""
EXPANSION = 4_000_000
"""Most candidates, or n-grams of candidates, that are looked at in one go; bounds memory."""

_HASH_BITS = np.uint64(50)
_HASH_MASK = np.uint64((1 << 50) - 1)
_PRIME = np.uint64(0x100000001B3)


@dataclass(frozen=True, slots=True)
class Shingles:
    """The distinct n-grams of a batch of texts.

    Attributes:
        tokens: hashes, sorted within each text; shape (total,).
        starts: where each text begins in `tokens`; shape (texts + 1,).
    """

    tokens: Tokens
    starts: Numbers

    @property
    def sizes(self) -> Numbers:
        """Number of distinct n-grams a text; shape (texts,)."""
        return np.diff(self.starts)


def shingle(texts: Sequence[str], n: int) -> Shingles:
    """The distinct character n-grams of up to `ROWS` texts, each with a blank at both ends.

    A text shorter than an n-gram is padded with blanks to be one; an empty text has none.
    """
    padded = [f" {text} ".ljust(n) if text else "" for text in texts]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    rows = np.repeat(np.arange(len(padded), dtype=np.uint64), lengths)
    if len(codes) < n:
        return Shingles(np.empty(0, np.uint64), np.zeros(len(texts) + 1, np.int64))
    windows = len(codes) - n + 1
    hashed = np.zeros(windows, np.uint64)
    for offset in range(n):
        hashed *= _PRIME
        hashed += codes[offset : offset + windows] + np.uint64(1)
    inside = rows[:windows] == rows[n - 1 :]
    keys = (rows[:windows][inside] << _HASH_BITS) | (_mix(hashed[inside]) & _HASH_MASK)
    keys.sort()
    if len(keys):
        keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
    owners = (keys >> _HASH_BITS).astype(np.int64)
    counts = np.bincount(owners, minlength=len(texts))
    return Shingles(keys & _HASH_MASK, np.concatenate(([0], np.cumsum(counts))).astype(np.int64))


def _mix(values: Tokens) -> Tokens:
    """The finaliser of SplitMix64: spreads a sum over all 64 bits; the upper ones are used."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values >> np.uint64(14)


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in batches of at most `ROWS` and about `CHARACTERS` characters."""
    iterator = iter(texts)
    batch: list[str] = []
    characters = 0
    for text in iterator:
        batch.append(text)
        characters += len(text)
        if len(batch) == ROWS or characters >= CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _prefix(sizes: Numbers, threshold: float) -> Numbers:
    """How many of the rarest n-grams of a text must be looked at: size - ceil(threshold * size) + 1."""
    needed = np.ceil(threshold * sizes - 1e-9).astype(np.int64)
    return np.where(sizes > 0, sizes - needed + 1, 0)


def _ranges(starts: Numbers, counts: Numbers) -> Numbers:
    """Concatenation of `arange(start, start + count)` for all of them."""
    total = int(counts.sum())
    ends = np.cumsum(counts)
    return np.arange(total) - np.repeat(ends - counts, counts) + np.repeat(starts, counts)


class SimilarityIndex:
    """Texts that others are compared with.

    Args:
        texts: the indexed side; empty ones match nothing.
        threshold: least Jaccard similarity of a match, above 0, at most 1. Lower costs more.
        n: characters of an n-gram.
    """

    def __init__(self, texts: Iterable[str], *, threshold: float = 0.7, n: int = 5) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold {threshold} is not above 0 and at most 1")
        if n < 1:
            raise ValueError(f"n-grams of {n} characters")
        self.threshold = threshold
        self.n = n
        parts = [shingle(batch, n) for batch in batches(texts)]
        tokens = np.concatenate([part.tokens for part in parts]) if parts else np.empty(0, np.uint64)
        self._sizes = np.concatenate([part.sizes for part in parts]) if parts else np.empty(0, np.int64)
        self._starts = np.concatenate(([0], np.cumsum(self._sizes))).astype(np.int64)
        self._vocabulary, places, frequency = np.unique(tokens, return_inverse=True, return_counts=True)
        # Rank 0 is the rarest n-gram. N-grams that the index does not have at all are rarer still.
        order = np.argsort(frequency, kind="stable")
        self._rank = np.empty(len(order), np.int64)
        self._rank[order] = np.arange(len(order))
        owners = np.repeat(np.arange(len(self._sizes)), self._sizes)
        keys = (owners << 32) | self._rank[places]
        keys.sort()
        self._ranks = keys & 0xFFFFFFFF
        position = np.arange(len(keys)) - self._starts[owners]
        in_prefix = position < _prefix(self._sizes, threshold)[owners]
        by_rank = np.argsort(self._ranks[in_prefix], kind="stable")
        self._posted = owners[in_prefix][by_rank]
        counts = np.bincount(self._ranks[in_prefix], minlength=len(order))
        self._posting_starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)

    def __len__(self) -> int:
        return len(self._sizes)

    def search(self, texts: Iterable[str]) -> Iterator[tuple[int, int, float]]:
        """Every pair (number of the text, number in the index, similarity) at or above the threshold, exactly."""
        first = 0
        for batch in batches(texts):
            shingles = shingle(batch, self.n)
            for rows, others, similarities in self._batch(shingles):
                yield from zip((rows + first).tolist(), others.tolist(), similarities.tolist(), strict=True)
            first += len(batch)

    def _batch(self, shingles: Shingles) -> Iterator[tuple[Numbers, Numbers, npt.NDArray[np.float64]]]:
        if not len(self._vocabulary) or not len(shingles.tokens):
            return
        sizes = shingles.sizes
        owners = np.repeat(np.arange(len(sizes)), sizes)
        places = np.searchsorted(self._vocabulary, shingles.tokens)
        places[places == len(self._vocabulary)] = 0
        known = self._vocabulary[places] == shingles.tokens
        keys = (owners[known] << 32) | self._rank[places[known]]
        keys.sort()
        seen = np.bincount(owners[known], minlength=len(sizes))
        # A text needs threshold * size n-grams of the index to match anything; most texts do not have them.
        needed = np.ceil(self.threshold * sizes - 1e-9)
        to_look_at = np.where(seen >= needed, np.minimum(seen, _prefix(sizes, self.threshold) - (sizes - seen)), 0)
        starts = np.concatenate(([0], np.cumsum(seen)))[:-1]
        probes = keys[_ranges(starts, np.maximum(to_look_at, 0))]
        if not len(probes):
            return
        rows, ranks = probes >> 32, probes & 0xFFFFFFFF
        counts = self._posting_starts[ranks + 1] - self._posting_starts[ranks]
        for part in _slices(counts):
            found = _ranges(self._posting_starts[ranks[part]], counts[part])
            pairs = np.repeat(rows[part], counts[part]) * len(self._sizes) + self._posted[found]
            yield from self._verify(pairs, keys, sizes)

    def _verify(
        self, pairs: Numbers, keys: Numbers, sizes: Numbers
    ) -> Iterator[tuple[Numbers, Numbers, npt.NDArray[np.float64]]]:
        """Candidates with their exact similarity, without those below the threshold."""
        pairs = np.unique(pairs)
        rows, others = np.divmod(pairs, len(self._sizes))
        mine, theirs = sizes[rows], self._sizes[others]
        near = (np.minimum(mine, theirs) >= self.threshold * np.maximum(mine, theirs) - 1e-9).nonzero()[0]
        rows, others, mine, theirs = rows[near], others[near], mine[near], theirs[near]
        for part in _slices(theirs):
            wanted = self._ranks[_ranges(self._starts[others[part]], theirs[part])]
            wanted |= np.repeat(rows[part], theirs[part]) << 32
            places = np.searchsorted(keys, wanted)
            places[places == len(keys)] = 0
            ends = np.cumsum(theirs[part])
            hits = np.concatenate(([0], np.cumsum(keys[places] == wanted)))
            shared = hits[ends] - hits[ends - theirs[part]]
            similarity = shared / (mine[part] + theirs[part] - shared)
            good = similarity >= self.threshold - 1e-12
            yield rows[part][good], others[part][good], similarity[good]


def _slices(counts: Numbers) -> Iterator[slice]:
    """Slices of items whose counts add up to at most `EXPANSION` each, one item at least."""
    ends = np.cumsum(counts)
    start, done = 0, 0
    while start < len(counts):
        stop = max(int(np.searchsorted(ends, done + EXPANSION, side="right")), start + 1)
        yield slice(start, stop)
        start, done = stop, int(ends[stop - 1])


def jaccard(one: str, other: str, n: int = 5) -> float:
    """Similarity of two texts by their sets of n-grams, as plainly as it can be written; 0 where one is empty.

    Example:
        >>> jaccard("how are you", "how are you")
        1.0
    """
    sets = []
    for text in (one, other):
        padded = f" {text} ".ljust(n) if text else ""
        sets.append({padded[place : place + n] for place in range(len(padded) - n + 1)})
    union = len(sets[0] | sets[1])
    return len(sets[0] & sets[1]) / union if union else 0.0


assert 1 << (64 - int(_HASH_BITS)) >= ROWS, "rows must fit beside the hash"
