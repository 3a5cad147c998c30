"""Win-rates: replies of an arm against those of another, each pair judged in both orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alignment_prism.domain.errors import InputError
from alignment_prism.domain.findings import Finding, Signature
from alignment_prism.domain.records import Comparison, Prompt, PromptKind, Winner
from alignment_prism.evaluation.cells import cells
from alignment_prism.evaluation.estimates import CellSums, finding
from alignment_prism.evaluation.finding_rows import NO_SEED
from alignment_prism.evaluation.observations import prompts_label
from alignment_prism.statistics.changes.win_rates import LOSS, TIE, WIN, combine_orders, prefers_first
from alignment_prism.statistics.rates import MIN_EVENTS, insufficient

_CODES = {Winner.WIN: WIN, Winner.TIE: TIE, Winner.LOSS: LOSS, Winner.UNJUDGED: np.nan}


def win_rate_findings(
    comparisons: Sequence[Comparison],
    prompts: Sequence[Prompt],
    *,
    study: str,
    seed: int | Mapping[str, int] = NO_SEED,
    min_events: int = MIN_EVENTS,
) -> list[Finding]:
    """Win, tie and loss of every arm against its opponent, by kind of prompt, language and all together.

    A prompt is won if the reply is preferred in both orders; orders that disagree are a tie. How often they disagree is
    `inconsistent_rate`, and the signature counts them; how often decided verdicts are for the reply that was shown
    first is `first_position_rate`, one half for a judge without a preference for a place. A prompt that lacks a verdict
    in either order is in no rate but in `uncompared_rate`.

    Args:
        comparisons: of one judge by one rubric, each pair in both orders.
        prompts: what was compared on.
        study: its name.
        seed: of the alignment of the arms; or a mapping from arms to seeds.
        min_events: see `statistics.rates.insufficient`.

    Raises:
        InputError: a comparison is of an unknown prompt, occurs twice, or there are several judges, rubrics or
            opponents of one arm.
    """
    row = {prompt.id: number for number, prompt in enumerate(prompts)}
    unknown = sorted({comparison.prompt_id for comparison in comparisons} - row.keys())
    if unknown:
        raise InputError(
            f"{len(unknown)} compared prompt(s) are not among the prompts: {', '.join(unknown[:5])}",
            fix="give the prompts that the replies were compared on",
        )
    findings: list[Finding] = []
    for arm in dict.fromkeys(comparison.arm for comparison in comparisons):
        findings += _of_arm([c for c in comparisons if c.arm == arm], prompts, row, study, seed, min_events)
    return findings


def _of_arm(
    comparisons: Sequence[Comparison],
    prompts: Sequence[Prompt],
    row: Mapping[str, int],
    study: str,
    seed: int | Mapping[str, int],
    min_events: int,
) -> list[Finding]:
    arm = comparisons[0].arm
    kinds = {(c.judge, c.rubric, c.opponent) for c in comparisons}
    if len(kinds) > 1:
        raise InputError(
            f"arm {arm!r} is compared by several judges or rubrics, or with several opponents: {sorted(kinds)}",
            fix="analyse one judge, one rubric and one opponent at a time",
        )
    judge, rubric, opponent = next(iter(kinds))
    verdicts = np.full((2, len(prompts)), np.nan)
    seen: set[tuple[bool, str]] = set()
    for comparison in comparisons:
        key = (comparison.candidate_first, comparison.prompt_id)
        if key in seen:
            raise InputError(
                f"prompt {comparison.prompt_id} of arm {arm!r} is compared twice in one order",
                fix="keep one comparison for each prompt, arm and order",
            )
        seen.add(key)
        verdicts[0 if comparison.candidate_first else 1, row[comparison.prompt_id]] = _CODES[comparison.winner]
    compared = {prompt_id for _, prompt_id in seen}
    asked = [number for number, prompt in enumerate(prompts) if prompt.id in compared]
    first, second = verdicts[:, asked]
    shown = [prompts[number] for number in asked]
    clusters = np.array([prompt.cluster for prompt in shown], dtype=np.str_)
    sums = CellSums(list(cells(shown, PromptKind, categories=False)), clusters)
    verdict = combine_orders(first, second)[:, None]
    won, tied, lost = (np.where(np.isnan(verdict), np.nan, verdict == code) for code in (WIN, TIE, LOSS))
    disagree = np.where(np.isnan(verdict), np.nan, (first != second)[:, None])
    estimates = {
        # (wins + ties / 2) / n = 1/2 + (wins - losses) / 2n, and (wins - losses) / n is a paired difference.
        "win_rate": sums.changes(won, lost).differences().scaled(0.5, 0.5),
        "win": sums.rates(won),
        "tie": sums.rates(tied),
        "loss": sums.rates(lost),
        "inconsistent_rate": sums.rates(disagree),
        "first_position_rate": sums.rates(prefers_first(first, second)),
        "uncompared_rate": sums.rates(np.isnan(verdict).astype(np.float64)),
    }
    label = prompts_label(shown)
    findings = []
    for metric, found in estimates.items():
        few = sums.with_means([insufficient(interval, min_events) for interval in found.intervals])
        for cell, interval, flag in zip(sums.cells, sums.intervals(found), few, strict=True):
            inconsistent = int(np.nansum(disagree[cell.rows]))
            extra = (("against", opponent), ("orders", "both"), ("inconsistent", str(inconsistent)))
            findings.append(
                finding(
                    cell,
                    interval,
                    study=study,
                    arm=arm,
                    seed=seed.get(arm, NO_SEED) if isinstance(seed, Mapping) else seed,
                    metric=metric,
                    insufficient=flag,
                    signature=str(Signature("win_rate", judge, rubric, label, extra=extra)),
                )
            )
    return findings
