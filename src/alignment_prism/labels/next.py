"""Which prompts to have labelled next, so that a claim is decided in every language with few labels.

Labels go where they decide: not to languages in which the claim is shown or refuted already, and within a language to
the strata of the judge's verdicts in which people turned out to say various things (Neyman's allocation with the
spreads of the labels so far). Within a stratum the draw stays random, so that the correction stays valid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from alignment_prism.domain import ALL, InputError, Label
from alignment_prism.labels.correct import Correction, correct
from alignment_prism.labels.frame import Design, FrameRow
from alignment_prism.statistics.intervals import critical_value
from alignment_prism.statistics.planning.label_design import error_spread

LEAST = 3
"""Labels that every stratum of a language gets (all of it, where it is smaller)."""

PRIOR = 2.0
"""Labels that the guess about a stratum's spread counts for."""


@dataclass(frozen=True, slots=True)
class LanguageState:
    """What the labels so far say of the claim in a language.

    Attributes:
        language: code; `all` where prompts have none.
        verdict: of the claim.
        estimate: corrected change, with its interval; NaN where it cannot be had yet.
        lower: end.
        upper: end.
        labelled: prompts that were drawn so far.
        drawn: prompts to label next.
    """

    language: str
    verdict: Literal["shown", "refuted", "undecided"]
    estimate: float
    lower: float
    upper: float
    labelled: int
    drawn: int


@dataclass(frozen=True, slots=True)
class NextDraw:
    """A further draw from a design.

    Attributes:
        design: with the prompts drawn so far and now; labels of the sheets before go with it too.
        new: the design with the prompts of this draw only, for their sheet.
        states: language by language.
    """

    design: Design
    new: tuple[FrameRow, ...]
    states: tuple[LanguageState, ...]


def draw_next(
    design: Design,
    labels: Sequence[Label],
    *,
    arm: str = "",
    limit: float = 0.0,
    number: int = 50,
    level: float = 0.95,
    seed: int = 0,
) -> NextDraw:
    """Draw further prompts, where they decide whether an arm's change is at most a limit in every language.

    Looking after every draw is looking often: intervals at the end cover a little less than they say; the level may be
    raised for it (`benchmarks/labels_next.py`).

    Args:
        design: of the sample so far.
        labels: of its sheets.
        arm: whose change; the first beside base unless given.
        limit: of the change, from -1 to 1: the claim is that it is at most this much.
        number: prompts to draw at most, but that every undecided language gets one and every stratum of it `LEAST`.
        level: of the intervals that decide.
        seed: of the draw.

    Raises:
        InputError: no such arm, or as `correct`.
    """
    arm = arm or design.arms[1]
    if arm not in design.arms[1:]:
        raise InputError(f"no arm {arm!r} on the sheet", fix=f"use one of {', '.join(design.arms[1:])}")
    found = correct(design, labels, level=level)
    languages = sorted({row.language for row in design.rows} - {""}) or [""]
    split = _by_language(design) if len(languages) > 1 else design
    states, needs = [], {}
    for language in languages:
        rows = [row for row in split.rows if row.language == language]
        state = _state(found, arm, language if len(languages) > 1 else ALL, rows, limit)
        states.append(state)
        free = sum(not row.chosen for row in rows)
        if state.verdict == "undecided" and free:
            needs[language] = _need(state, limit, free, level)
    shares = _shared(needs, number)
    rng = np.random.default_rng(seed + sum(row.chosen for row in design.rows))
    picked: set[str] = set()
    for language, count in shares.items():
        rows = [row for row in split.rows if row.language == language]
        picked |= _pick(rows, design.arms.index(arm), found.people.said, count, rng)
    rows_after = tuple(replace(row, chosen=row.chosen or row.prompt_id in picked) for row in split.rows)
    after = replace(split, rows=rows_after, extends=(*design.extends, design.digest))
    new = tuple(row for row in rows_after if row.prompt_id in picked)
    by_language = {language or ALL: sum(row.language == language for row in new) for language in languages}
    told = tuple(replace(state, drawn=by_language.get(state.language, len(new))) for state in states)
    return NextDraw(after, new, told)


def _by_language(design: Design) -> Design:
    """The design with strata within languages; a random draw within a stratum is one within any part of it too."""
    rows = tuple(
        row if row.stratum.startswith(f"{row.language}/") else replace(row, stratum=f"{row.language}/{row.stratum}")
        for row in design.rows
    )
    return replace(design, rows=rows)


def _state(found: Correction, arm: str, language: str, rows: Sequence[FrameRow], limit: float) -> LanguageState:
    part, labelled = found.part(arm, language), sum(row.chosen for row in rows)
    if part is None or part.change is None:
        return LanguageState(language, "undecided", math.nan, math.nan, math.nan, labelled, 0)
    interval = part.change.interval
    shown, refuted = interval.upper <= limit, interval.lower > limit
    verdict: Literal["shown", "refuted", "undecided"] = "shown" if shown else "refuted" if refuted else "undecided"
    return LanguageState(language, verdict, interval.estimate, interval.lower, interval.upper, labelled, 0)


def _need(state: LanguageState, limit: float, free: int, level: float) -> float:
    """Further prompts that would decide a language if its estimate stays: width falls with the root of their number."""
    if math.isnan(state.estimate):
        return float(free)
    gap = max(abs(state.estimate - limit), 1e-3)
    half = max(state.upper - state.estimate, state.estimate - state.lower)
    # A tenth more, since the estimate is not the truth; never below what a stratum's minimum takes.
    wanted = state.labelled * (1.1 * (half / gap) ** 2 - 1.0)
    return min(max(wanted, critical_value(level) ** 2), float(free))


def _shared(needs: Mapping[str, float], number: int) -> dict[str, int]:
    whole = sum(needs.values())
    if whole <= number:
        return {language: math.ceil(need) for language, need in needs.items()}
    return {language: max(1, math.floor(number * need / whole)) for language, need in needs.items()}


def _pick(
    rows: Sequence[FrameRow], position: int, said: Mapping[str, float], count: int, rng: np.random.Generator
) -> set[str]:
    """Prompts of one language, at random within strata, so that the strata come near to Neyman's shares."""
    strata: dict[str, list[FrameRow]] = {}
    for row in rows:
        strata.setdefault(row.stratum, []).append(row)
    guess = error_spread()
    weight, drawn = {}, {}
    for name, inside in strata.items():
        values = [
            said[row.replies[position]] - said[row.replies[0]]
            for row in inside
            if row.chosen and row.replies[position] in said and row.replies[0] in said
        ]
        prior = guess.get(name.rsplit("/", 1)[-1], 0.6) ** 2
        known = float(np.var(values)) * len(values) if values else 0.0
        weight[name] = len(inside) * math.sqrt((known + PRIOR * prior) / (len(values) + PRIOR))
        drawn[name] = sum(row.chosen for row in inside)
    total, whole = sum(drawn.values()) + count, sum(weight.values())
    wish = {name: max(total * weight[name] / whole - drawn[name], LEAST - drawn[name], 0.0) for name in strata}
    scale = count / max(sum(wish.values()), 1e-9)
    picked: set[str] = set()
    for name, inside in strata.items():
        free = [row.prompt_id for row in inside if not row.chosen]
        take = max(wish[name] * min(scale, 1.0), LEAST - drawn[name], 0.0)
        number = min(len(free), math.floor(take) + int(rng.random() < take % 1))
        picked |= set(rng.choice(np.array(free, object), size=number, replace=False)) if number else set()
    # Strata that are labelled whole leave their share to the others.
    rest = [row.prompt_id for row in rows if not row.chosen and row.prompt_id not in picked]
    left = min(count - len(picked), len(rest))
    return picked | (set(rng.choice(np.array(rest, object), size=left, replace=False)) if left > 0 else set())
