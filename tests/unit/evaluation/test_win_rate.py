"""Win-rates: both orders, ties, and what is unjudged."""

from __future__ import annotations

import pytest

from alignment_prism.domain import Comparison, Finding, Generation, InputError, Prompt, PromptKind, Winner, user
from alignment_prism.evaluation import reply_findings, win_rate_findings

WINNERS = {"w": Winner.WIN, "l": Winner.LOSS, "t": Winner.TIE, "?": Winner.UNJUDGED}
PROMPTS = [Prompt(f"p{n}", user(str(n)), "en" if n % 2 else "fr", PromptKind.GENERAL) for n in range(8)]


def comparisons(*pairs: str, arm: str = "m") -> list[Comparison]:
    """From `wl`: won with the candidate first, lost with base first."""
    return [
        Comparison(f"p{n}", arm, "base", first, "j", "pairwise@1", WINNERS[pair[0 if first else 1]])
        for n, pair in enumerate(pairs)
        for first in (True, False)
    ]


def find(findings: list[Finding], metric: str, language: str = "all") -> Finding:
    (found,) = [f for f in findings if (f.metric, f.language, f.prompts) == (metric, language, "general")]
    return found


def test_a_win_needs_both_orders_and_disagreement_is_a_counted_tie() -> None:
    findings = win_rate_findings(
        comparisons("ww", "ww", "ww", "ll", "wl", "lw", "tt", "w?"), PROMPTS, study="s", seed=2
    )
    assert find(findings, "win").estimate == pytest.approx(3 / 7)
    assert find(findings, "loss").estimate == pytest.approx(1 / 7)
    assert find(findings, "tie").estimate == pytest.approx(3 / 7)
    score = find(findings, "win_rate")
    assert score.estimate == pytest.approx((3 + 3 / 2) / 7) and score.n == 7 and score.seed == 2
    assert find(findings, "uncompared_rate").estimate == pytest.approx(1 / 8)
    assert "|against:base|orders:both|inconsistent:2|" in score.signature
    assert find(findings, "win", "fr").estimate == pytest.approx(2 / 4)  # prompts 0, 2, 4, 6
    assert find(findings, "win", "macro").n == 7


def test_a_mean_over_translations_counts_each_source_once() -> None:
    asked = [
        Prompt(f"p{n}", user(str(n)), "en" if n % 2 else "fr", PromptKind.GENERAL, group=f"g{n // 2}") for n in range(8)
    ]
    macro = find(win_rate_findings(comparisons(*["ww"] * 8), asked, study="s"), "win_rate", "macro")
    assert (macro.n, macro.clusters) == (8, 4)


def test_a_judge_that_likes_the_first_position_finds_only_ties() -> None:
    findings = win_rate_findings(comparisons(*["wl"] * 8), PROMPTS, study="s")
    assert find(findings, "tie").estimate == 1 and find(findings, "win_rate").estimate == 0.5


def test_one_order_alone_is_no_verdict() -> None:
    only_first = [c for c in comparisons("ww", "ww") if c.candidate_first]
    assert find(win_rate_findings(only_first, PROMPTS, study="s"), "uncompared_rate").estimate == 1


def test_comparisons_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="not among the prompts: p7"):
        win_rate_findings(comparisons(*["ww"] * 8), PROMPTS[:7], study="s")
    with pytest.raises(InputError, match="compared twice"):
        win_rate_findings(comparisons("ww") * 2, PROMPTS, study="s")
    other = [Comparison("p0", "m", "sft", True, "j", "pairwise@1", Winner.WIN)]
    with pytest.raises(InputError, match="several"):
        win_rate_findings(comparisons("ww") + other, PROMPTS, study="s")


def test_no_comparisons_no_findings() -> None:
    assert win_rate_findings([], PROMPTS, study="s") == []


def test_no_row_of_comparisons_is_taken_for_one_of_replies() -> None:
    """Both said `unjudged_rate` of the same prompts, and tables showed the later one for either."""
    generations = [Generation(prompt.id, "m", "m", f"reply {prompt.id}") for prompt in PROMPTS]
    rows = reply_findings(PROMPTS, generations, [], study="s")
    rows += win_rate_findings(comparisons("ww", "ll", "t?"), PROMPTS, study="s")
    keys = [(row.arm, row.prompts, row.language, row.scope, row.category, row.metric) for row in rows]
    assert len(set(keys)) == len(keys) and {"unjudged_rate", "uncompared_rate"} <= {row.metric for row in rows}


def test_a_judge_that_prefers_the_first_reply_is_seen() -> None:
    """Its win-rate is one half exactly, with an interval that passes any floor below."""
    findings = win_rate_findings(comparisons(*["wl"] * 8), PROMPTS, study="s")
    assert find(findings, "win_rate").estimate == 0.5 and find(findings, "tie").estimate == 1
    assert find(findings, "inconsistent_rate").estimate == find(findings, "first_position_rate").estimate == 1
    fair = win_rate_findings(comparisons("ww", "ll", "ww", "lw", "wl", "ll", "tt", "w?"), PROMPTS, study="s")
    # Decided: one verdict of each order on five prompts is for the first place, and p7's only one is.
    assert find(fair, "first_position_rate").estimate == pytest.approx((3 * 0.5 + 0 + 1 + 0.5 + 1) / 7)
    assert find(fair, "inconsistent_rate").estimate == pytest.approx(2 / 7)


def test_exchanging_the_arms_and_the_order_of_rows_turns_the_score() -> None:
    pairs = ("ww", "wl", "lw", "tt", "ll", "ww", "tw", "?l")
    turned = ["".join({"w": "l", "l": "w"}.get(c, c) for c in reversed(pair)) for pair in pairs]
    one = win_rate_findings(comparisons(*pairs), PROMPTS, study="s")
    other = win_rate_findings(comparisons(*turned)[::-1], PROMPTS[::-1], study="s")
    for metric, mirrored in (("win_rate", "win_rate"), ("win", "loss"), ("tie", "tie")):
        a, b = find(one, metric), find(other, mirrored)
        lower, upper = (1 - b.upper, 1 - b.lower) if metric == "win_rate" else (b.lower, b.upper)
        assert (a.lower, a.upper) == pytest.approx((lower, upper), abs=1e-9)
    for metric in ("inconsistent_rate", "uncompared_rate"):
        assert find(one, metric).estimate == find(other, metric).estimate


def test_prompts_with_a_common_source_widen_the_score() -> None:
    asked = [Prompt(f"p{n}", user(str(n)), "en", PromptKind.GENERAL, group=f"g{n // 3}") for n in range(120)]
    alone = [Prompt(f"p{n}", user(str(n)), "en", PromptKind.GENERAL) for n in range(120)]
    pairs = [pair for pair in ("ww", "ll", "ww", "ww", "tt") * 8 for _ in range(3)]
    wide, narrow = (
        find(win_rate_findings(comparisons(*pairs), set_, study="s"), "win_rate") for set_ in (asked, alone)
    )
    assert wide.estimate == narrow.estimate and wide.upper - wide.lower > 1.5 * (narrow.upper - narrow.lower)
