"""chrF++: how far a translation shares character 1- to 6-grams and words with the reference (Popović 2017, chrF++).

The number of an evaluation is sacrebleu's corpus score, made from the sums of the counts of all sentences; the score of
a reply is that of its sentence alone. Nothing is tokenised, so it is there for every language and needs no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from alignment_prism.domain.metric_table import CHECKABLE_PROMPTS
from alignment_prism.domain.metrics import Corpus, Metric, Unit
from alignment_prism.domain.records import Prompt, PromptKind
from alignment_prism.scoring.rules.rule import Counted, Rule

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as SacrebleuMetric

SCORE = "chrf"

POINTS_OF_100 = Unit("points of 100", low=0.0, high=100.0)
"""The scale of translation scores."""

RATE = Metric(
    "chrf",
    "chrF++ of all translations together (sacrebleu's corpus score; means over directions are plain means)",
    "chrF++",
    POINTS_OF_100,
    "higher",
    CHECKABLE_PROMPTS,
    Corpus(SCORE),
    headline=(PromptKind.GENERAL,),
)


def counted(metric: SacrebleuMetric, reply: str, reference: str) -> Counted:
    """The score of one translation, with sacrebleu's counts and its signature."""
    (counts,) = metric._extract_corpus_statistics([reply], [[reference]])
    whole = [int(count) for count in counts]
    value = metric._compute_score_from_stats(list(whole)).score
    signature = str(metric.get_signature())
    return Counted(float(value), json.dumps({"counts": whole, "signature": signature}))


@lru_cache(maxsize=1)
def sacrebleu_chrf() -> SacrebleuMetric:
    """sacrebleu's chrF++: word bigrams beside character 6-grams."""
    from sacrebleu.metrics.chrf import CHRF as Sacrebleu

    metric: SacrebleuMetric = Sacrebleu(word_order=2)
    metric.num_refs = 1
    return metric


def chrf(prompt: Prompt, reply: str) -> Mapping[str, float | Counted]:
    """chrF++ of a translation, white space at its ends left out."""
    return {SCORE: counted(sacrebleu_chrf(), reply.strip(), prompt.reference)}


def chrf_of(counts: Sequence[float]) -> float:
    """chrF++ from counts that were summed."""
    metric = sacrebleu_chrf()
    return float(metric._compute_score_from_stats([int(count) for count in counts]).score)


CHRF = Rule(
    "chrf",
    version=1,
    metrics=(RATE, RATE.difference()),
    measure=chrf,
    applies=lambda prompt: bool(prompt.reference),
    needs="a reference translation",
)
