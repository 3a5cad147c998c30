"""What chrF++ a back-translation has that has lost the source, by how much: the threshold of `prism prompts translate`.

    python benchmarks/back_translation.py ../shared/data

A source is held against what it is not (another sentence of the corpus, another one of the same article, the most
similar other prompt of its set) and against what is left of it when words are lost or taken from another sentence. What
a faithful back-translation has is not measured: it takes a translator, or two renderings of a sentence in one language.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from alignment_prism.prompts import read_prompts
from alignment_prism.scoring.rules.chrf import counted, sacrebleu_chrf

LEVELS = (20.0, 30.0, 40.0, 50.0)
FEW, FEW_PROMPTS = 100, 40
"""Sources of each corpus, and of each set of prompts, that are looked at."""
LANGUAGES = ("eng_Latn", "hin_Deva", "rus_Cyrl")
"""Of FLORES-200 that are looked at, one a script."""


def score(source: str, came: str) -> float:
    """As the check of a translated set reckons it."""
    return counted(sacrebleu_chrf(), came, source).value


def first_half(text: str, _: str) -> str:
    """The first half of the words: the rest was cut."""
    words = text.split()
    return " ".join(words[: len(words) // 2])


def kept(share: float) -> Callable[[str, str], str]:
    """A share of the words where they stood, the others those of another sentence."""

    def mixed(text: str, other: str) -> str:
        words, foreign = text.split(), other.split()
        rng = random.Random(text)
        return " ".join(word if rng.random() < share else foreign[n % len(foreign)] for n, word in enumerate(words))

    return mixed


DAMAGES: dict[str, Callable[[str, str], str]] = {
    "its first half": first_half,
    "three words in four, others in place of the fourth": kept(0.75),
    "one word in two, others in place of the other": kept(0.5),
    "one word in four, others in place of the rest": kept(0.25),
}


def flores(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Name, sentences and articles of the development set of FLORES-200, by language."""
    rows = (folder / "metadata_dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    articles = [row.split("\t")[0] for row in rows]
    for language in LANGUAGES:
        yield (
            f"FLORES {language}",
            (folder / "dev" / f"{language}.dev").read_text(encoding="utf-8").splitlines(),
            articles,
        )


def row(name: str, against: str, scores: Sequence[float]) -> str:
    """A line of the table: percentiles, and the share at every level or above it."""
    ordered = sorted(scores)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.05, 0.5, 0.95, 0.99)]
    above = [100 * sum(value >= level for value in scores) / len(scores) for level in LEVELS]
    cells = [*(f"{value:.1f}" for value in at), *(f"{share:.1f}" for share in above)]
    return f"| {name} | {against} | {len(scores)} | {' | '.join(cells)} |"


def main(data: Path) -> None:
    """Print the table."""
    levels = " | ".join(f">= {level:g}, %" for level in LEVELS)
    print(f"| source | against | n | 5 % | median | 95 % | 99 % | {levels} |\n|---|---|---|{'---|' * 8}")
    for name, lines, articles in flores(data / "flores200"):
        rng = random.Random(name)
        chosen = rng.sample(range(len(lines)), FEW)
        others = [rng.choice([m for m in range(len(lines)) if articles[m] != articles[n]]) for n in chosen]
        near = {n: [m for m in range(len(lines)) if articles[m] == articles[n] and m != n] for n in chosen}
        print(row(name, "another sentence", [score(lines[n], lines[m]) for n, m in zip(chosen, others, strict=True)]))
        same = [score(lines[n], lines[rng.choice(near[n])]) for n in chosen if near[n]]
        print(row(name, "another sentence of its article", same))
        for what, damaged in DAMAGES.items():
            pairs = zip(chosen, others, strict=True)
            print(row(name, what, [score(lines[n], damaged(lines[n], lines[m])) for n, m in pairs]))
    for name, file in (("XSTest", "xstest/xstest_prompts.csv"), ("MultiJail, English", "multijail/MultiJail.csv")):
        texts = list(dict.fromkeys(one.text for one in read_prompts(data / file) if one.language == "en"))
        rng = random.Random(name)
        chosen = rng.sample(range(len(texts)), FEW_PROMPTS)
        others = [rng.choice([m for m in range(len(texts)) if m != n]) for n in chosen]
        pairs = list(zip(chosen, others, strict=True))
        print(row(name, "another prompt", [score(texts[n], texts[m]) for n, m in pairs]))
        closest = [max(score(texts[n], other) for m, other in enumerate(texts) if m != n) for n in chosen]
        print(row(name, "the most similar other prompt", closest))
        for what, damaged in DAMAGES.items():
            print(row(name, what, [score(texts[n], damaged(texts[n], texts[m])) for n, m in pairs]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
