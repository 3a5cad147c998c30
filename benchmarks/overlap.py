"""1,000,000 prompts against 10,000: time, memory, recall against an exhaustive comparison.

    python benchmarks/overlap.py [--prompts 1000000] [--protected 10000] [--threshold 0.7]

The prompts are sentences of made-up words in Latin, Cyrillic, Arabic and Devanagari letters, the words' frequencies
falling like those of a language (Zipf). Some are edited copies of protected ones. Bars: 5 minutes and 4 GB on 2 cores.

Recall is measured against a comparison of every pair, by scipy, for all edited copies and 2,000 other prompts.
Where `rensa` is installed, its MinHash-LSH runs on the same texts, so that the choice can be checked.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import time
from collections.abc import Iterator, Sequence
from importlib import metadata

from alignment_prism.prompts.folding import fold
from alignment_prism.prompts.similarity import SimilarityIndex, batches, shingle

LETTERS = {
    "en": "etaoinshrdlucmfwypvbgk",
    "ru": "оеаинтсрвлкмдпуяыьгз",
    "ar": "ايلمونتربعسدفهكقحجش",
    "hi": "करनसतमपलहयवदगबजचटशथख",
}
SIGNS = "ािीुूेैो"
WORDS = 30_000
BARS = (300, 4.0)


class Language:
    """Words of one script, the frequent ones short."""

    def __init__(self, code: str, rng: random.Random) -> None:
        self.code = code
        self.rng = rng
        self.words = [self._word(2 + min(9, rank // 3000 + rng.randrange(4))) for rank in range(WORDS)]

    def _word(self, length: int) -> str:
        letters = [self.rng.choice(LETTERS[self.code]) for _ in range(length)]
        if self.code == "hi":
            letters = [letter + self.rng.choice(["", *SIGNS]) for letter in letters]
        return "".join(letters)

    def sentence(self) -> str:
        """A prompt of 5 to 30 words, the rank of each drawn log-uniformly (Zipf's law)."""
        rng = self.rng
        ranks = [int(WORDS ** rng.random()) - 1 for _ in range(rng.randint(5, 30))]
        return " ".join(self.words[rank] for rank in ranks)

    def edited(self, sentence: str) -> str:
        """A copy with up to a third of its words replaced, dropped or swapped."""
        words = sentence.split()
        for _ in range(self.rng.randint(0, max(1, len(words) // 3))):
            place = self.rng.randrange(len(words))
            kind = self.rng.randrange(3)
            if kind == 0:
                words[place] = self.rng.choice(self.words)
            elif kind == 1 and len(words) > 2:
                del words[place]
            else:
                other = self.rng.randrange(len(words))
                words[place], words[other] = words[other], words[place]
        return " ".join(words)


def corpus(prompts: int, protected: int, seed: int) -> tuple[list[str], list[str], list[int]]:
    """Prompts, protected prompts, and the numbers of the prompts that are edited copies."""
    rng = random.Random(seed)
    languages = [Language(code, rng) for code in LETTERS]
    guarded = [(language := languages[number % 4], language.sentence()) for number in range(protected)]
    copies = sorted(rng.sample(range(prompts), prompts // 200))
    copied = set(copies)
    texts = []
    for number in range(prompts):
        if number in copied:
            language, sentence = rng.choice(guarded)
            texts.append(language.edited(sentence))
        else:
            texts.append(languages[number % 4].sentence())
    return texts, [sentence for _, sentence in guarded], copies


def exhaustive(texts: Sequence[str], guarded: Sequence[str], threshold: float, n: int) -> set[tuple[int, int]]:
    """Pairs at or above the threshold, by comparing all with all."""
    import numpy as np
    from scipy.sparse import csr_array

    def matrix(rows: Sequence[str], vocabulary: np.ndarray) -> tuple[csr_array, np.ndarray]:
        parts = [shingle(batch, n) for batch in batches(rows)]
        tokens = np.concatenate([part.tokens for part in parts])
        sizes = np.concatenate([part.sizes for part in parts])
        places = np.minimum(np.searchsorted(vocabulary, tokens), len(vocabulary) - 1)
        data = (vocabulary[places] == tokens).astype(np.int32)
        starts = np.concatenate(([0], np.cumsum(sizes)))
        return csr_array((data, places, starts), shape=(len(rows), len(vocabulary))), sizes

    vocabulary = np.unique(np.concatenate([shingle(batch, n).tokens for batch in batches(guarded)]))
    right, right_sizes = matrix(guarded, vocabulary)
    found = set()
    for first in range(0, len(texts), 500):
        left, left_sizes = matrix(texts[first : first + 500], vocabulary)
        shared = (left @ right.T).tocoo()
        union = left_sizes[shared.row] + right_sizes[shared.col] - shared.data
        near = shared.data / union >= threshold - 1e-12
        found |= {(first + row, column) for row, column in zip(shared.row[near], shared.col[near], strict=True)}
    return {(int(row), int(column)) for row, column in found}


def by_rensa(
    texts: Sequence[str], guarded: Sequence[str], n: int, threshold: float, wanted: set[tuple[int, int]]
) -> tuple[float, float] | None:
    """Seconds and recall of MinHash-LSH with 128 permutations in 32 bands; None where rensa is not installed."""
    try:
        from rensa import RMinHash, RMinHashLSH
    except ImportError:
        return None

    def signature(text: str) -> RMinHash:
        padded = f" {text} ".ljust(n)
        minhash = RMinHash(num_perm=128, seed=1)
        minhash.update([padded[place : place + n] for place in range(len(padded) - n + 1)])
        return minhash

    start = time.perf_counter()
    lsh = RMinHashLSH(threshold=threshold, num_perm=128, num_bands=32)
    for number, text in enumerate(guarded):
        lsh.insert(number, signature(text))
    found = {(number, other) for number, text in enumerate(texts) for other in lsh.query(signature(text))}
    return time.perf_counter() - start, len(found & wanted) / len(wanted) if wanted else 1.0


def memory() -> float:
    """Most memory held so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def folded(texts: Sequence[str]) -> Iterator[str]:
    """Texts as they are compared."""
    return (fold(text) for text in texts)


def main() -> None:
    """Runs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--protected", type=int, default=10_000)
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--n", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    texts, guarded, copies = corpus(options.prompts, options.protected, options.seed)
    before = memory()
    start, processor = time.perf_counter(), time.process_time()
    index = SimilarityIndex(folded(guarded), threshold=options.threshold, n=options.n)
    built = time.perf_counter() - start
    found = {(row, other) for row, other, _ in index.search(folded(texts))}
    seconds, worked = time.perf_counter() - start, time.process_time() - processor
    peak = memory()
    sample = sorted({*copies, *random.Random(0).sample(range(len(texts)), min(2000, len(texts)))})
    truth = exhaustive([fold(texts[row]) for row in sample], list(folded(guarded)), options.threshold, options.n)
    wanted = {(sample[row], other) for row, other in truth}
    mine = {pair for pair in found if pair[0] in set(sample)}
    versions = f"Python {platform.python_version()}, numpy {metadata.version('numpy')}"
    print(f"{os.cpu_count()} cores, {versions}, load when it ended {os.getloadavg()[0]:.1f}\n")
    print(f"| {options.prompts:,} prompts against {options.protected:,}, Jaccard >= {options.threshold} | |")
    print("|---|---|")
    print(f"| characters a prompt, mean | {sum(map(len, texts)) / len(texts):.0f} |")
    print(f"| time, folding included | {seconds:.0f} s, {worked:.0f} s of one processor (index {built:.1f} s) |")
    print(f"| peak memory | {peak:.2f} GB, {before:.2f} GB of it the texts |")
    print(f"| pairs found | {len(found):,} |")
    print(f"| checked against all pairs | {len(sample):,} prompts, {len(wanted):,} true pairs |")
    print(f"| recall | {len(mine & wanted) / len(wanted):.4f} |")
    print(f"| precision | {len(mine & wanted) / max(1, len(mine)):.4f} |")
    part = list(folded(texts[: max(1, len(texts) // 10)]))
    rows = {pair for pair in wanted if pair[0] < len(part)}
    other = by_rensa(part, list(folded(guarded)), options.n, options.threshold, rows)
    if other is not None:
        print(f"| MinHash-LSH (rensa) on a tenth of the prompts | {other[0]:.0f} s, recall {other[1]:.4f} |")
    bar = "met" if seconds <= BARS[0] and peak <= BARS[1] and mine == wanted else "MISSED"
    print(f"| bars: {BARS[0]} s, {BARS[1]:.0f} GB | {bar} |")


if __name__ == "__main__":
    main()
