"""Looking more than once: how much error each look at a gate may spend.

Who tests every release at 2.5 % passes a harmful one with a chance that grows with every release. Either a total is
declared and spent over the planned looks, or a confidence sequence is used, which holds at every look at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from alignment_prism.domain import InputError

Spending = Literal["obrien-fleming", "pocock", "even"]


def spending_function(fraction: float, alpha: float, kind: Spending) -> float:
    """Error spent when `fraction` of the looks (or of the information) is through.

        obrien-fleming  2 - 2 Phi(z_{alpha/2} / sqrt(t))       hardly anything early
        pocock          alpha ln(1 + (e - 1) t)                 nearly even
        even            alpha t

    Source: Lan & DeMets (1983), Biometrika 70. At t = 1 all of alpha is spent, at t = 0 nothing. Not for looks that
    were not planned: what is spent does not return.
    """
    if not 0.0 <= fraction <= 1.0:
        raise InputError(f"information fraction {fraction!r}", fix="give a number between 0 and 1")
    if fraction == 0.0:
        return 0.0
    if kind == "obrien-fleming":
        from statistics import NormalDist

        normal = NormalDist()
        return 2.0 - 2.0 * normal.cdf(normal.inv_cdf(1.0 - alpha / 2.0) / math.sqrt(fraction))
    if kind == "pocock":
        return alpha * math.log1p((math.e - 1.0) * fraction)
    return alpha * fraction


def alpha_at_look(
    look: int, planned: int, alpha: float, kind: Spending = "obrien-fleming", fractions: Sequence[float] | None = None
) -> float:
    """One-sided error of one look: what the spending function has added since the look before.

    The increments are used as levels of their own (Bonferroni), which holds under any dependence between looks.
    Group-sequential boundaries, a little wider, assume that each look adds data on one and the same effect; releases
    of a model are different effects on much the same prompts. Source: the increments are Lan & DeMets', Bonferroni's
    inequality makes them levels. Not for a look at every batch of prompts: take a confidence sequence.

    Args:
        look: 1 .. planned.
        planned: declared looks. After the last, nothing is left: declare a new gate.
        alpha: total, one-sided.
        kind: spending function.
        fractions: increasing information fractions of the looks, the last 1; look / planned if None.

    Raises:
        InputError: the look was not planned.
    """
    if not 1 <= look <= planned:
        raise InputError(
            f"look {look} of {planned} planned", fix="plan more looks before the first one; error spent does not return"
        )
    steps = [number / planned for number in range(1, planned + 1)] if fractions is None else list(fractions)
    if len(steps) != planned or any(b <= a for a, b in zip(steps, steps[1:], strict=False)):
        raise InputError(f"information fractions {steps}", fix=f"give {planned} increasing numbers, the last 1")
    before = spending_function(steps[look - 2], alpha, kind) if look > 1 else 0.0
    return spending_function(steps[look - 1], alpha, kind) - before


def sequence_critical(n: int, planned_n: int, alpha: float) -> float:
    """Critical value of an asymptotic confidence sequence after n observations, in place of 1.96.

        sqrt(2 (1 + 1 / (n r^2)) ln(sqrt(n r^2 + 1) / alpha)),  r^2 = (-2 ln a + ln(-2 ln a) + 1) / planned_n

    It holds for all n at once (two-sided alpha), tightest near `planned_n`. Source: Waudby-Smith, Arbour, Sinha,
    Kennedy & Ramdas (2021), arXiv 2103.06476. Asymptotic: not for fewer than about 50 prompts, nor
    for rates near 0 or 1, where the score interval it widens is only a remedy.
    """
    if n < 1 or planned_n < 1 or not 0 < alpha < 1:
        raise InputError("a confidence sequence needs n >= 1 and 0 < alpha < 1", fix="check n, planned_n and alpha")
    r2 = (-2.0 * math.log(alpha) + math.log(-2.0 * math.log(alpha)) + 1.0) / planned_n
    return math.sqrt(2.0 * (1.0 + 1.0 / (n * r2)) * math.log(math.sqrt(n * r2 + 1.0) / alpha))
