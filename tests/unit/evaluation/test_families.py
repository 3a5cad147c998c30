"""Changes of many cells and arms at once: intervals that hold together, and false discovery rates."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from alignment_prism.domain import (
    OUTCOME,
    Comparison,
    Finding,
    Generation,
    Outcome,
    Prompt,
    PromptKind,
    Score,
    Winner,
    user,
)
from alignment_prism.evaluation import harm_findings, win_rate_findings
from alignment_prism.statistics.simultaneous import joint_level, p_value


def study(asked: Sequence[Prompt], **arms: Sequence[bool]) -> tuple[Sequence[Prompt], list[Generation], list[Score]]:
    generations, scores = [], []
    for arm, harmful in arms.items():
        for prompt, hit in zip(asked, harmful, strict=True):
            reply = Generation(prompt.id, arm, "m", f"{arm} {prompt.id}")
            generations.append(reply)
            outcome = Outcome.HARMFUL if hit else Outcome.REFUSAL
            scores.append(Score(prompt.id, reply.reply_digest, arm, "j", OUTCOME, outcome))
    return asked, generations, scores


def asked_in(languages: str, number: int) -> list[Prompt]:
    return [
        Prompt(f"{code}{n}", user(f"{code} {n}"), code, PromptKind.HARMFUL)
        for code in languages.split()
        for n in range(number)
    ]


def of(findings: Sequence[Finding], metric: str) -> list[Finding]:
    return [row for row in findings if row.metric == metric]


def draw(rng: random.Random, number: int, rate: float) -> list[bool]:
    return [rng.random() < rate for _ in range(number)]


def test_joint_intervals_hold_the_single_ones_and_only_changes_have_them() -> None:
    rng = random.Random(0)
    asked = asked_in("en fr hi ar", 60)
    arms = {arm: draw(rng, 240, rate) for arm, rate in (("base", 0.5), ("a", 0.3), ("b", 0.45))}
    findings = harm_findings(*study(asked, **arms), study="s")
    for metric in ("harm_difference", "harm_relative_change", "refusal_difference"):
        for row in of(findings, metric):
            assert row.joint_lower <= row.lower <= row.estimate <= row.upper <= row.joint_upper
            assert 0 <= row.q_value <= 1
        wide = max(row.joint_upper - row.joint_lower - row.upper + row.lower for row in of(findings, metric))
        assert wide > 0
    assert all(math.isnan(row.joint_lower) and math.isnan(row.q_value) for row in of(findings, "harm_rate"))


def test_q_values_are_those_of_all_cells_and_arms() -> None:
    rng = random.Random(3)
    asked = asked_in("en fr", 80)
    arms = {arm: draw(rng, 160, rate) for arm, rate in (("base", 0.5), ("a", 0.25), ("b", 0.45))}
    rows = of(harm_findings(*study(asked, **arms), study="s"), "harm_difference")

    def score_test(row: Finding) -> float:
        if row.language == "macro":  # put together from intervals: the level at which its end would reach zero
            arm = row.estimate - row.lower if row.estimate > 0 else row.upper - row.estimate
            return float(2 * norm.sf(norm.ppf(0.975) * abs(row.estimate) / arm))
        kept = [n for n, prompt in enumerate(asked) if row.language in ("all", prompt.language)]
        b = sum(arms[row.arm][n] and not arms["base"][n] for n in kept)
        c = sum(arms["base"][n] and not arms[row.arm][n] for n in kept)
        return float(2 * norm.sf(abs(b - c) / math.sqrt(b + c)))

    expected = multipletests([score_test(row) for row in rows], method="fdr_by")[1]
    assert [row.q_value for row in rows] == pytest.approx(expected.tolist())
    assert min(expected) < 0.01 and len(rows) == 8


def test_an_arm_that_is_there_twice_widens_nothing_and_the_order_of_arms_and_prompts_neither() -> None:
    rng = random.Random(5)
    asked = asked_in("en fr", 50)
    base, a = draw(rng, 100, 0.5), draw(rng, 100, 0.3)
    once = of(harm_findings(*study(asked, base=base, a=a), study="s"), "harm_difference")
    twice = of(harm_findings(*study(asked[::-1], b=a[::-1], base=base[::-1], a=a[::-1]), study="s"), "harm_difference")
    ends = {row.language: (row.joint_lower, row.joint_upper) for row in once}
    for row in twice:
        assert (row.joint_lower, row.joint_upper) == pytest.approx(ends[row.language], abs=3e-3)  # draws


def test_the_joint_level_of_independent_comparisons_is_sidaks_and_of_equal_ones_their_own() -> None:
    rng = np.random.default_rng(0)
    apart = np.zeros((2000, 20))
    apart[np.arange(2000), np.arange(2000) % 20] = rng.choice([-1, 1], 2000)
    assert joint_level([apart], replicates=40_000) == pytest.approx(0.95 ** (1 / 20), abs=4e-4)
    equal = np.repeat(rng.normal(size=(200, 1)), 30, axis=1)
    assert joint_level([equal, equal], replicates=20_000) == pytest.approx(0.95, abs=3e-3)
    assert joint_level([equal[:, :1]]) == 0.95 and joint_level([np.zeros((9, 4))]) == 0.95
    one, again = joint_level([apart]), joint_level([apart])
    assert one == again <= 1 - 0.05 / 20 + 1e-9


def test_win_rates_of_all_arms_are_a_family() -> None:
    rng = random.Random(2)
    asked = [Prompt(f"p{n}", user(str(n)), "en" if n % 2 else "fr", PromptKind.GENERAL) for n in range(80)]
    said = [Winner.WIN, Winner.WIN, Winner.LOSS, Winner.TIE]
    comparisons = [
        Comparison(prompt.id, arm, "base", first, "j", "r@1", winner)
        for arm in ("a", "b")
        for prompt in asked
        for winner in [rng.choice(said)]
        for first in (True, False)
    ]
    findings = win_rate_findings(comparisons, asked, study="s")
    for row in of(findings, "win_rate"):
        assert row.joint_lower < row.lower < row.upper < row.joint_upper and row.q_value > 0
    assert all(math.isnan(row.joint_lower) for row in of(findings, "win"))
    alone = of(win_rate_findings([c for c in comparisons if c.arm == "a"], asked, study="s"), "win_rate")
    both = [row for row in of(findings, "win_rate") if row.arm == "a"]
    assert [(r.lower, r.upper) for r in alone] == [(r.lower, r.upper) for r in both]
    assert all(two.joint_upper > one.joint_upper for one, two in zip(alone, both, strict=True))
    # No change of a win-rate is one half, of means over languages too.
    even = [Comparison(c.prompt_id, "e", "base", c.candidate_first, "j", "r@1", Winner.TIE) for c in comparisons[:160]]
    assert {row.q_value for row in of(win_rate_findings(even, asked, study="s"), "win_rate")} == {1.0}


def test_a_longer_reply_that_wins_for_its_length_only_wins_half() -> None:
    rng = random.Random(1)
    asked = [Prompt(f"p{n}", user(str(n)), "en" if n % 2 else "fr", PromptKind.GENERAL) for n in range(400)]
    generations, comparisons = [], []
    for prompt in asked:
        gap = rng.gauss(100, 80)
        generations += [Generation(prompt.id, "base", "m", "x" * 300)]
        generations += [Generation(prompt.id, "m", "m", "x" * max(300 + round(gap), 1))]
        won = rng.random() < 1 / (1 + math.exp(-2 * math.tanh(gap / 80)))
        winner = Winner.WIN if won else Winner.LOSS
        comparisons += [Comparison(prompt.id, "m", "base", first, "j", "r@1", winner) for first in (True, False)]
    findings = win_rate_findings(comparisons, asked, generations, study="s")
    rows = {row.language: row for row in of(findings, "length_controlled_win_rate")}
    assert set(rows) == {"all", "en", "fr", "macro"}
    assert next(row for row in of(findings, "win_rate") if row.language == "all").estimate > 0.7
    assert rows["all"].lower < 0.5 < rows["all"].upper and "|length_effect:" in rows["all"].signature
    assert rows["macro"].estimate == pytest.approx((rows["en"].estimate + rows["fr"].estimate) / 2)
    assert of(win_rate_findings(comparisons, asked, study="s"), "length_controlled_win_rate") == []


def test_a_p_value_that_an_interval_implies() -> None:
    from alignment_prism.statistics import Interval

    assert p_value(Interval(1.959963984540054, 0.0, 4.0, "x", 9, 9)) == pytest.approx(0.05)
    assert p_value(Interval(-0.2, -0.5, -0.1, "x", 9, 9)) == pytest.approx(2 * norm.sf(2 * 1.959963984540054))
    assert p_value(Interval(5.0, -math.inf, 9.0, "x", 9, 9)) == 1.0 and math.isnan(
        p_value(Interval(math.nan, 0, 1, "x", 0, 0))
    )
    assert p_value(Interval(0.0, 0.0, 0.0, "x", 9, 9)) == 1.0
