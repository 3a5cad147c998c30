"""Coverage on the public path: records in, findings out. A part of `statistics_coverage.py`, which runs it.

A design says how many prompts there are, which of them are translations of one another or have another common source,
how many replies each arm gives, and how often they are harmful. Of every data set the records are made, findings are
computed by `evaluation.harm_findings`, and the rows are held against what the design declares. Designs that earlier
versions failed on are listed; twenty more are drawn at random from a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from alignment_prism.domain import OUTCOME, Finding, Generation, Outcome, Prompt, PromptKind, Score, user
from alignment_prism.evaluation import harm_findings

METRICS = ("harm_rate", "harm_difference", "harm_relative_change")


@dataclass(frozen=True)
class Design:
    """A study of base and one arm or more.

    Attributes:
        name: shown in the table.
        group: of designs that share a row of the table.
        languages: their number.
        clusters: sizes of the clusters of prompts of one language.
        base: rate of harm of base.
        ratio: rate of harm of an arm over that of base, in the middle language.
        tilt: the ratios of the languages go from ratio (1 - tilt) to ratio (1 + tilt).
        spread: standard deviation, on the logistic scale, of what makes a cluster hard for all arms; 3 and more make
            most prompts all or nothing.
        effect: standard deviation of what makes it harder or easier for the arm alone.
        shared: share of clusters that all languages share, as translations do; the others are of one language.
        replies: to each prompt, of base and of the arm.
        arms: beside base.
    """

    name: str
    group: str
    languages: int
    clusters: tuple[int, ...]
    base: float
    ratio: float
    tilt: float = 0.0
    spread: float = 1.0
    effect: float = 0.5
    shared: float = 0.0
    replies: tuple[int, int] = (1, 1)
    arms: int = 1


def singles(number: int) -> tuple[int, ...]:
    """Clusters of one prompt."""
    return (1,) * number


def _apart(languages: int, number: int, base: float, ratio: float, **more: object) -> Design:
    name = f"{languages} x {number}, base {base}, ratio {ratio}"
    return Design(name, "languages apart", languages, singles(number), base, ratio, **more)  # type: ignore[arg-type]


def _translated(languages: int, number: int, base: float, ratio: float, spread: float, shared: float = 1.0) -> Design:
    name = f"{languages} x {number} sources, base {base}, ratio {ratio}, spread {spread}, shared {shared}"
    return Design(name, "translations", languages, singles(number), base, ratio, spread=spread, shared=shared)


def _sampled(number: int, base: float, ratio: float, spread: float, replies: tuple[int, int]) -> Design:
    name = f"{number} prompts, base {base}, ratio {ratio}, spread {spread}, replies {replies[0]} and {replies[1]}"
    return Design(name, "several replies", 1, singles(number), base, ratio, spread=spread, replies=replies)


def _uneven(words: str, sizes: tuple[int, ...], base: float, ratio: float) -> Design:
    name = f"{words}, base {base}, ratio {ratio}"
    return Design(name, "unequal clusters", 1, sizes, base, ratio, spread=2.5, effect=1.0)


FEW_LARGE, ZIPF = (1,) * 100 + (40,) * 5, tuple(max(1, round(60 / (n + 1))) for n in range(60))

LISTED = (
    _apart(6, 100, 0.1, 0.5),
    _apart(6, 100, 0.2, 0.5, tilt=0.3),
    _apart(8, 100, 0.1, 0.8),
    _apart(8, 60, 0.15, 1.0),
    _apart(8, 30, 0.3, 0.6),
    _translated(8, 60, 0.3, 0.5, 1.5),
    _translated(8, 60, 0.05, 0.5, 1.5),
    _translated(6, 100, 0.3, 0.7, 2.0, 0.5),
    _sampled(100, 0.02, 0.5, 5.0, (10, 10)),
    _sampled(100, 0.1, 0.5, 1.0, (1, 10)),
    _sampled(60, 0.3, 0.5, 4.0, (5, 5)),
    _sampled(60, 0.3, 1.0, 1.0, (4, 2)),
    _uneven("50 prompts and 3 clusters of 50", (1,) * 50 + (50,) * 3, 0.9, 0.4),
    _uneven("100 prompts and 5 clusters of 40", FEW_LARGE, 0.3, 0.5),
    _uneven("100 prompts and 5 clusters of 40", FEW_LARGE, 0.05, 1.0),
    _uneven("60 clusters of 60, 30, 20, ... 1", ZIPF, 0.9, 0.4),
    Design("4 arms, 6 x 60", "many arms", 6, singles(60), 0.3, 1.0, arms=4),
    Design("4 arms, 6 x 60 sources", "many arms", 6, singles(60), 0.3, 1.0, spread=1.5, shared=1.0, arms=4),
)


def drawn(number: int, seed: int = 2026) -> Iterator[Design]:
    """Designs at random."""
    rng = np.random.default_rng(seed)
    for n in range(number):
        languages = int(rng.choice([1, 3, 8]))
        rows = int(rng.choice([40, 80, 160])) if languages > 1 else int(rng.choice([60, 150, 400]))
        kind = str(rng.choice(["singles", "equal", "uneven"]))
        sizes = {
            "singles": singles(rows),
            "equal": (4,) * (rows // 4),
            "uneven": tuple(int(size) for size in rng.integers(1, 9, rows // 4)),
        }[kind]
        replies = [(1, 1), (1, 1), (4, 4), (1, 5), (6, 2)][int(rng.integers(5))]
        base = float(np.round(np.exp(rng.uniform(np.log(0.05), np.log(0.9))), 2))
        ratio = float(np.round(rng.uniform(0.2, min(1.3, 0.95 / base)), 2))
        shared = float(rng.choice([0.0, 0.5, 1.0])) if languages > 1 else 0.0
        spread, tilt = float(rng.choice([0.5, 1.5, 4.0])), float(rng.choice([0.0, 0.2])) if base * ratio < 0.7 else 0.0
        name = (
            f"no. {n + 1}: {languages} x {len(sizes)} clusters ({kind}), base {base}, ratio {ratio}, tilt {tilt}, "
            f"spread {spread}, shared {shared}, replies {replies[0]} and {replies[1]}"
        )
        yield Design(name, "drawn at random", languages, sizes, base, ratio, tilt, spread, 0.7, shared, replies)


class Simulator:
    """Data sets of one design as records.

    Attributes:
        truth: (metric, language) -> what the design declares; `all` and `macro` and every language.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        codes = [f"l{number}" for number in range(design.languages)]
        of_language = np.repeat(np.arange(len(design.clusters)), design.clusters)
        size, number = len(of_language), len(design.clusters)
        common = np.arange(number) < round(design.shared * number)
        self._language = np.repeat(np.arange(design.languages), size)
        cluster = [
            np.where(common, np.arange(number), number * (language + 1) + np.arange(number))
            for language in range(design.languages)
        ]
        self._cluster = np.concatenate([names[of_language] for names in cluster])
        self.prompts = [
            Prompt(f"p{n}", user(f"text {n}"), codes[language], PromptKind.HARMFUL, group=f"c{name}")
            for n, (language, name) in enumerate(zip(self._language, self._cluster, strict=True))
        ]
        ratios = design.ratio * (1.0 + design.tilt * np.linspace(-1.0, 1.0, max(design.languages, 2)))
        ratios = ratios[: design.languages] if design.languages > 1 else np.array([design.ratio])
        self._marks_base = mark(design.base, design.spread, 0.0)
        marks = np.array([mark(design.base * ratio, design.spread, design.effect) for ratio in ratios])
        self._marks = marks[self._language]
        arms = {"base": design.replies[0]} | {f"m{n}": design.replies[1] for n in range(design.arms)}
        self._generations = {
            arm: [
                [Generation(prompt.id, arm, "m", f"{arm} {prompt.id} {n}", sample=n) for n in range(k)]
                for prompt in self.prompts
            ]
            for arm, k in arms.items()
        }
        self.generations = [reply for rows in self._generations.values() for row in rows for reply in row]
        self._scores = {
            arm: [[tuple(said(reply, hit) for hit in (False, True)) for reply in row] for row in rows]
            for arm, rows in self._generations.items()
        }
        self.truth: dict[tuple[str, str], float] = {}
        for language, ratio in [*zip(codes, ratios, strict=True), ("all", ratios.mean()), ("macro", ratios.mean())]:
            self.truth["harm_rate", language] = design.base
            self.truth["harm_difference", language] = design.base * (float(ratio) - 1.0)
            self.truth["harm_relative_change", language] = 100.0 * (float(ratio) - 1.0)

    def findings(self, rng: np.random.Generator) -> list[Finding]:
        """Findings of one data set."""
        design = self.design
        hard = rng.normal(0.0, design.spread, self._cluster.max() + 1)[self._cluster]
        scores = []
        for arm, rows in self._scores.items():
            logit = self._marks_base + hard
            if arm != "base":
                logit = self._marks + hard + rng.normal(0.0, design.effect, self._cluster.max() + 1)[self._cluster]
            hits = rng.random((len(rows), len(rows[0]))) < 1.0 / (1.0 + np.exp(-logit))[:, None]
            scores += [
                choice[hit]
                for row, said_of in zip(hits.astype(int).tolist(), rows, strict=True)
                for hit, choice in zip(row, said_of, strict=True)
            ]
        return harm_findings(self.prompts, self.generations, scores, study="s")


def said(reply: Generation, harmful: bool) -> Score:
    """The verdict on a reply."""
    outcome = Outcome.HARMFUL if harmful else Outcome.REFUSAL
    return Score(reply.prompt_id, reply.reply_digest, reply.arm, "j", OUTCOME, outcome, sample=reply.sample)


_NOISE = np.linspace(-8.0, 8.0, 4001)
_DENSITY = np.exp(-(_NOISE**2) / 2.0) / np.exp(-(_NOISE**2) / 2.0).sum()


def mark(rate: float, spread: float, effect: float) -> float:
    """Intercept of a logistic model with normal noise whose mean is the rate."""
    noise = math.hypot(spread, effect) * _NOISE
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _DENSITY @ (1.0 / (1.0 + np.exp(-(middle + noise)))) < rate else (low, middle)
    return (low + high) / 2


def measured(
    design: Design, rng: np.random.Generator, replicates: int
) -> Iterator[tuple[str, str, list[tuple[float, float, float]]]]:
    """Rows of a design: metric, which row of it (`all`, `macro`, `by language`, `all at once`), and ends with truth.

    Of `all at once` the ends are 0 and 1, and the truth is 0.5 where all joint intervals of a data set cover.
    """
    simulator = Simulator(design)
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for _ in range(replicates):
        together = {"joint": True, "single": True}
        for row in simulator.findings(rng):
            if (row.metric, row.language) not in simulator.truth or (row.scope, row.category) != ("all", "all"):
                continue
            if (row.arm == "base") != (row.metric == "harm_rate"):
                continue
            truth = simulator.truth[row.metric, row.language]
            kind = row.language if row.language in ("all", "macro") else "by language"
            if design.languages > 1 or kind == "all":
                found.setdefault((row.metric, kind), []).append((row.lower, row.upper, truth))
            if row.metric == "harm_difference":
                together["single"] &= row.lower <= truth <= row.upper
                together["joint"] &= row.joint_lower <= truth <= row.joint_upper
        for name, covered in together.items():
            if design.arms > 1:
                found.setdefault(("harm_difference", f"all at once, {name}"), []).append(
                    (0.0, 1.0, 0.5 if covered else 2.0)
                )
    for (metric, kind), ends in found.items():
        yield metric, kind, ends
