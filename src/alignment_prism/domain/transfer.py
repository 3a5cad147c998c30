"""Transfer: what an arm that was trained on some safety data does elsewhere, one number a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

OTHER = "other"
"""Value of `language` in rows that pool the prompts of languages or scopes that the arm was not trained on."""


class TransferQuantity(StrEnum):
    """What the number is."""

    HARM = "harm_difference"
    """Harm rate minus that of base on the same prompts."""
    SPILL_OVER = "spill_over"
    """Change of refusals of what is harmful elsewhere only, minus that of what is harmful nowhere."""
    RATIO = "harm_prevented_per_spill_over"
    """Points by which harm fell for each point of spill-over."""


class Reach(StrEnum):
    """Whether prompts are of the languages and scopes that an arm was trained on."""

    TRAINED = "trained"
    """All of them are."""
    OTHER = "other"
    """None of them is."""
    MIXED = "mixed"
    """Some are."""
    UNKNOWN = ""
    """What the arm was trained on is not known, or the scope of the prompts, or the number is not of harmful ones."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One number.

    Attributes:
        study: name of the study.
        arm: name of the model within it.
        method: that it was aligned by; empty where the study did not train it.
        share: of safety pairs in its mixture; NaN where the study did not train it.
        trained_languages: of its safety pairs: codes joined by `+`, `all`, or `none` where it has no safety pairs;
            empty where that is not known.
        trained_scopes: likewise.
        seed: of the alignment; -1 where the number is over seeds, or they do not apply.
        quantity: what the number is.
        prompts: harmful ones and their subsets; for spill-over `foreign_local`, and its subsets that
            `never_harmful` has as well; for the ratio those on which harm is counted.
        language: of the prompts: code, `all` (pooled over prompts), `macro` (mean over languages), or `other`
            (pooled over the prompts that the arm was not trained on).
        scope: of the prompts: `global`, `local` or `all`.
        reach: whether the arm was trained on such prompts.
        estimate: its value, a share between -1 and 1, or the ratio of two; NaN where it is undefined.
        lower: lower end of the interval; -inf where it is unbounded.
        upper: upper end, likewise.
        interval: method and level.
        level: coverage that the interval is made for.
        joint_lower: lower end of an interval at the same level that holds together with those of all arms and cells
            of this quantity and seed.
        joint_upper: upper end, likewise.
        n: prompts that the number rests on.
        clusters: independent clusters among them.
        insufficient: True where too few units make it unreliable.
        signature: how the number came about.
    """

    study: str
    arm: str
    method: str
    share: float
    trained_languages: str
    trained_scopes: str
    seed: int
    quantity: TransferQuantity
    prompts: str
    language: str
    scope: str
    reach: Reach
    estimate: float
    lower: float
    upper: float
    interval: str = ""
    level: float = 0.95
    joint_lower: float = math.nan
    joint_upper: float = math.nan
    n: int = 0
    clusters: int = 0
    insufficient: bool = False
    signature: str = ""
