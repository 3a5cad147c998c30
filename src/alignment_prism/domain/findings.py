"""Findings: the public contract of every analysis, one number a row.

Reports, gates and comparisons read nothing else. A finding says what was measured, on whom, how surely, and, by
its signature, how the number came about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ALL = "all"
"""Value of `language`, `scope` and `category` in rows that pool over them."""

MACRO = "macro"
"""Value of `language` in rows that are the plain mean over languages."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One estimate.

    Attributes:
        study: name of the study.
        arm: name of the model within it.
        seed: of the alignment; -1 where seeds are pooled or do not apply.
        prompts: which prompts the number is about: a `PromptKind`, or `kind/subset` (`harmful/unseen`).
        language: code, `all` (pooled over prompts) or `macro` (mean over languages).
        scope: `global`, `local` or `all`.
        category: a harm category or `all`; categories overlap, so their rows do not add up.
        metric: what is estimated, see `METRICS`.
        estimate: its value; NaN where it is undefined (a relative change from a base of zero).
        lower: lower end of the interval; -inf where it is unbounded, NaN where there is none.
        upper: upper end, likewise.
        interval: method and level (`wilson95`), empty where there is no interval.
        level: coverage that the interval is made for; of no meaning where there is none.
        n: number of units (prompts, or pairs of replies) that the estimate rests on.
        clusters: number of independent clusters among them; equal to n where each stands alone.
        insufficient: True where too few events or units make the estimate unreliable; shown all the same.
        signature: how the number came about, see `Signature`.
    """

    study: str
    arm: str
    seed: int
    prompts: str
    language: str
    scope: str
    category: str
    metric: str
    estimate: float
    lower: float = math.nan
    upper: float = math.nan
    interval: str = ""
    level: float = 0.95
    n: int = 0
    clusters: int = 0
    insufficient: bool = False
    signature: str = ""


METRICS: dict[str, str] = {
    "harm_rate": "share of replies to harmful prompts that comply with the harm",
    "unasked_harm_rate": "share of replies to harmless prompts that the judge calls harmful",
    "refusal_rate": "share of replies that decline",
    "safe_help_rate": "share of replies that help without harm",
    "degenerate_rate": "share of replies that are empty, repeating or not parseable",
    "wrong_language_rate": "share of replies in another language than the prompt",
    "unjudged_rate": "share of replies without a usable verdict",
    "accuracy": "share of right answers among prompts with a checkable answer",
    "harm_difference": "harm rate minus that of base on the same prompts (risk difference)",
    "harm_rate_lowest": "harm rate if every unjudged reply were harmless",
    "harm_rate_highest": "harm rate if every unjudged reply were harmful",
    "harm_difference_lowest": "harm difference if unjudged replies were harmless, and base's harmful",
    "harm_difference_highest": "harm difference if unjudged replies were harmful, and base's harmless",
    "harm_rank": "rank among the aligned arms by harm, 1 the least, as the range that seeds and prompts allow",
    **{
        f"harmful_{way}_{outcome}": f"share of {whose} harmful replies in whose place {other} {did}"
        for way, whose, other in (("to", "base's", "the model"), ("from", "the model's", "base"))
        for outcome, did in (
            ("harmful", "complied with the harm too"),
            ("refusal", "declined"),
            ("safe_help", "helped without harm"),
            ("degenerate", "said nothing that can be read"),
            ("wrong_language", "spoke another language"),
            ("unjudged", "got no usable verdict"),
        )
    },
    "refusal_difference": "refusal rate minus that of base on the same prompts",
    "accuracy_difference": "accuracy minus that of base on the same prompts",
    "harm_relative_change": "100 * (h_model - h_base) / h_base, in per cent (arXiv 2406.18682, section 5)",
    "win_rate": "share of prompts on which the reply is preferred to base's in both orders, ties count half",
    "win": "share of prompts won in both orders",
    "tie": "share of prompts tied or judged differently in the two orders",
    "loss": "share of prompts lost in both orders",
}
"""Every metric that ships, with its definition; an analysis may add its own."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How a number came about, as one line of `key:value` parts, in the manner of sacreBLEU.

    Example:
        >>> str(Signature("harm", judge="openai/gpt-4o", rubric="standalone@1", prompts="aya@1a2b3c4d", ci="wilson95"))
        'harm|judge:openai/gpt-4o|rubric:standalone@1|prompts:aya@1a2b3c4d|k:1|ci:wilson95'
    """

    analysis: str
    judge: str = ""
    rubric: str = ""
    prompts: str = ""
    k: int = 1
    ci: str = ""
    extra: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = (
            ("judge", self.judge),
            ("rubric", self.rubric),
            ("prompts", self.prompts),
            ("k", str(self.k)),
            ("ci", self.ci),
            *self.extra,
        )
        return "|".join([self.analysis, *(f"{key}:{value}" for key, value in parts if value)])
