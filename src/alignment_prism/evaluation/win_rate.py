"""Win-rates: replies of an arm against those of another, each pair judged in both orders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.findings import ALL, Finding, Signature
from alignment_prism.domain.records import Comparison, Generation, Prompt, PromptKind, Winner
from alignment_prism.evaluation.cells import cells
from alignment_prism.evaluation.estimates import CellSums, finding
from alignment_prism.evaluation.finding_rows import LEVEL, NO_SEED
from alignment_prism.evaluation.observations import prompts_label
from alignment_prism.statistics.changes.win_rates import LOSS, TIE, WIN, combine_orders, prefers_first
from alignment_prism.statistics.grouped import Estimates, GroupedChanges
from alignment_prism.statistics.intervals import Interval
from alignment_prism.statistics.rates import MIN_EVENTS, insufficient

_CODES = {Winner.WIN: WIN, Winner.TIE: TIE, Winner.LOSS: LOSS, Winner.UNJUDGED: np.nan}


@dataclass(frozen=True)
class Compared:
    """What the judge said of one arm against its opponent, on P prompts.

    Attributes:
        arm: name.
        opponent: name of the other arm.
        judge: id.
        rubric: `name@version`.
        orders: 2 x P verdicts, the candidate first and last; NaN where there is none.
        asked: P, whether the prompt was shown to the judge.
    """

    arm: str
    opponent: str
    judge: str
    rubric: str
    orders: npt.NDArray[np.float64]
    asked: npt.NDArray[np.bool_]


def win_rate_findings(
    comparisons: Sequence[Comparison],
    prompts: Sequence[Prompt],
    generations: Sequence[Generation] = (),
    *,
    study: str,
    seed: int | Mapping[str, int] = NO_SEED,
    min_events: int = MIN_EVENTS,
) -> list[Finding]:
    """Win, tie and loss of every arm against its opponent, by kind of prompt, language and all together.

    A prompt is won if the reply is preferred in both orders; orders that disagree are a tie. How often they disagree is
    `inconsistent_rate`, and the signature counts them; how often decided verdicts are for the reply that was shown
    first is `first_position_rate`, one half for a judge without a preference for a place. A prompt that lacks a verdict
    in either order is in no rate but in `uncompared_rate`. Where the replies are given, `length_controlled_win_rate` is
    the score that equally long replies would have, by language, with the effect of length in the signature.

    Args:
        comparisons: of one judge by one rubric, each pair in both orders.
        prompts: what was compared on.
        generations: replies of the arms and their opponents, for their lengths in characters; first samples count.
        study: its name.
        seed: of the alignment of the arms; or a mapping from arms to seeds.
        min_events: see `statistics.rates.insufficient`.

    Raises:
        InputError: a comparison is of an unknown prompt, occurs twice, or there are several judges, rubrics or
            opponents of one arm.
    """
    row = {prompt.id: number for number, prompt in enumerate(prompts)}
    arms = dict.fromkeys(comparison.arm for comparison in comparisons)
    compared = [compared_with([c for c in comparisons if c.arm == arm], row) for arm in arms]
    # Arms that were compared on the same prompts share their cells, and are one family.
    families: dict[bytes, list[Compared]] = {}
    for one in compared:
        families.setdefault(one.asked.tobytes(), []).append(one)
    lengths = {(reply.arm, reply.prompt_id): len(reply.reply) for reply in generations if reply.sample == 0}
    return [
        finding
        for family in families.values()
        for finding in _Rows(family, prompts, lengths, study, seed, min_events).findings()
    ]


def compared_with(comparisons: Sequence[Comparison], row: Mapping[str, int], *, where: str = "") -> Compared:
    """Comparisons of one arm, joined.

    Args:
        comparisons: at least one.
        row: position of each prompt, by id.
        where: more of where they are, for errors; the arm is said.

    Raises:
        InputError: a prompt is unknown, there are several judges, rubrics or opponents, or a prompt is compared twice
            in one order.
    """
    arm = comparisons[0].arm
    where = f"arm {arm}{where}"
    unknown = sorted({comparison.prompt_id for comparison in comparisons} - row.keys())
    if unknown:
        raise InputError(
            f"{len(unknown)} compared prompt(s) are not among the prompts: {', '.join(unknown[:5])}",
            where=where,
            fix="give the prompts that the replies were compared on",
        )
    kinds = {(c.judge, c.rubric, c.opponent) for c in comparisons}
    if len(kinds) > 1:
        raise InputError(
            f"replies are compared by several judges or rubrics, or with several opponents: {sorted(kinds)}",
            where=where,
            fix="analyse one judge, one rubric and one opponent at a time",
        )
    judge, rubric, opponent = next(iter(kinds))
    orders, seen = np.full((2, len(row)), np.nan), np.zeros((2, len(row)), bool)
    for comparison in comparisons:
        at = 0 if comparison.candidate_first else 1, row[comparison.prompt_id]
        if seen[at]:
            raise InputError(
                f"prompt {comparison.prompt_id} is compared twice in one order",
                where=where,
                fix="keep one comparison for each prompt, arm and order",
            )
        seen[at], orders[at] = True, _CODES[comparison.winner]
    return Compared(arm, opponent, judge, rubric, orders, seen[0] | seen[1])


class _Rows:
    """Findings of arms that were compared on the same prompts."""

    def __init__(
        self,
        family: Sequence[Compared],
        prompts: Sequence[Prompt],
        lengths: Mapping[tuple[str, str], int],
        study: str,
        seed: int | Mapping[str, int],
        min_events: int,
    ) -> None:
        self._family, self._lengths = family, lengths
        self._study, self._seed, self._min_events = study, seed, min_events
        self._rows = np.flatnonzero(family[0].asked)
        self._prompts = [prompts[row] for row in self._rows.tolist()]
        self._label = prompts_label(self._prompts)
        parts = list(cells(self._prompts, PromptKind, categories=False))
        clusters = np.array([prompt.cluster for prompt in self._prompts], dtype=np.str_)
        self._sums = CellSums(parts, clusters)
        self._by_language = CellSums([cell for cell in parts if cell.scope == ALL], clusters)

    def findings(self) -> list[Finding]:
        """All rows, arm by arm."""
        score = {one.arm: self._score(one) for one in self._family}
        pointwise = [self._at(change, LEVEL) for change in score.values()]
        level = self._sums.joint_level(pointwise, LEVEL)
        q_values = self._sums.q_values(pointwise)
        found = []
        for one, estimates, adjusted in zip(self._family, pointwise, q_values, strict=True):
            joint = self._sums.intervals(self._at(score[one.arm], level))
            together = list(zip(joint, adjusted, strict=True))
            found += self._of_metric(one, self._sums, "win_rate", estimates, together=together)
            for metric, rates in self._rates(one).items():
                found += self._of_metric(one, self._sums, metric, rates)
            found += self._at_equal_lengths(one)
        return found

    def _verdict(self, one: Compared) -> npt.NDArray[np.float64]:
        return combine_orders(*one.orders[:, self._rows])

    def _shares(self, one: Compared, code: float) -> npt.NDArray[np.float64]:
        verdict = self._verdict(one)[:, None]
        return np.where(np.isnan(verdict), np.nan, verdict == code)

    def _score(self, one: Compared) -> GroupedChanges:
        return self._sums.changes(self._shares(one, WIN), self._shares(one, LOSS))

    def _at(self, change: GroupedChanges, level: float) -> Estimates:
        """(wins + ties / 2) / n = 1/2 + (wins - losses) / 2n, and (wins - losses) / n is a paired difference."""
        return change.differences(level).scaled(0.5, 0.5)

    def _disagree(self, one: Compared) -> npt.NDArray[np.float64]:
        first, second = one.orders[:, self._rows]
        return np.where(np.isnan(self._verdict(one)), np.nan, first != second)[:, None]

    def _rates(self, one: Compared) -> dict[str, Estimates]:
        uncompared = np.isnan(self._verdict(one)).astype(np.float64)[:, None]
        return {
            "win": self._sums.rates(self._shares(one, WIN)),
            "tie": self._sums.rates(self._shares(one, TIE)),
            "loss": self._sums.rates(self._shares(one, LOSS)),
            "inconsistent_rate": self._sums.rates(self._disagree(one)),
            "first_position_rate": self._sums.rates(prefers_first(*one.orders[:, self._rows])),
            "uncompared_rate": self._sums.rates(uncompared),
        }

    def _at_equal_lengths(self, one: Compared) -> list[Finding]:
        candidate, opponent = (
            np.array([self._lengths.get((arm, prompt.id), math.nan) for prompt in self._prompts])
            for arm in (one.arm, one.opponent)
        )
        gap = candidate - opponent
        if np.isnan(gap).all():
            return []
        estimates, effects = self._by_language.at_equal_lengths(self._verdict(one), gap)
        words = [f"{effect:.3g}" for effect in effects]
        return self._of_metric(one, self._by_language, "length_controlled_win_rate", estimates, length_effect=words)

    def _of_metric(
        self,
        one: Compared,
        sums: CellSums,
        metric: str,
        estimates: Estimates,
        *,
        together: Sequence[tuple[Interval | None, float]] = (),
        length_effect: Sequence[str] = (),
    ) -> list[Finding]:
        few = sums.with_means([insufficient(interval, self._min_events) for interval in estimates.intervals])
        disagree = self._disagree(one)
        found = []
        for number, (cell, interval, flag) in enumerate(zip(sums.cells, sums.intervals(estimates), few, strict=True)):
            joint, q_value = together[number] if together else (None, math.nan)
            extra = [("against", one.opponent), ("orders", "both")]
            extra += [("inconsistent", str(int(np.nansum(disagree[cell.rows]))))]
            extra += [("length_effect", length_effect[number])] if number < len(length_effect) else []
            signature = Signature("win_rate", one.judge, one.rubric, self._label, extra=tuple(extra))
            found.append(
                finding(
                    cell,
                    interval,
                    study=self._study,
                    arm=one.arm,
                    seed=self._seed.get(one.arm, NO_SEED) if isinstance(self._seed, Mapping) else self._seed,
                    metric=metric,
                    insufficient=flag,
                    joint=joint,
                    q_value=q_value,
                    signature=str(signature),
                )
            )
        return found
