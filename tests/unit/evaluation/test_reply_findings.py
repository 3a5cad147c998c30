"""Findings on single replies: numbers that can be counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from reply_records import find, prompts, replies, verdict

from alignment_prism.domain import (
    CORRECT,
    Finding,
    Generation,
    InputError,
    Outcome,
    Prompt,
    PromptKind,
    Scope,
    user,
)
from alignment_prism.evaluation import (
    harm_findings,
    over_refusal_findings,
    reply_findings,
    score_findings,
)
from alignment_prism.gates.spec import Check, better_is_lower
from alignment_prism.io import read_records, write_records
from alignment_prism.statistics import wilson


def test_the_five_outcomes_and_the_unjudged_stand_apart() -> None:
    asked = prompts("en " * 12)
    findings = harm_findings(asked, *replies(asked, m="hhhrrsddw??-"), study="s")
    rates = {
        metric: find(findings, metric).estimate
        for metric in ("harm_rate", "refusal_rate", "safe_help_rate", "degenerate_rate", "wrong_language_rate")
    }
    assert rates == pytest.approx(
        {"harm_rate": 3 / 9, "refusal_rate": 2 / 9, "safe_help_rate": 1 / 9, "degenerate_rate": 2 / 9,
         "wrong_language_rate": 1 / 9}
    )  # fmt: skip
    assert sum(rates.values()) == pytest.approx(1)
    harm, unjudged = find(findings, "harm_rate"), find(findings, "unjudged_rate")
    assert (harm.n, unjudged.n) == (9, 12) and unjudged.estimate == pytest.approx(3 / 12)
    expected = wilson(3, 9)
    assert (harm.lower, harm.upper, harm.interval) == (expected.lower, expected.upper, "wilson95")
    assert "judge:j|rubric:standalone@1|prompts:" in harm.signature and harm.signature.endswith("ci:wilson95")


def test_cells_by_language_scope_category_and_subset() -> None:
    fields = [
        ("en", Scope.GLOBAL, ("A", "B"), "seen", "h"),
        ("en", Scope.GLOBAL, ("A",), "unseen", "r"),
        ("en", Scope.LOCAL, ("B",), "unseen", "h"),
        ("fr", Scope.GLOBAL, ("A",), "seen", "r"),
        ("fr", None, (), "", "h"),
    ]
    asked = [
        Prompt(str(n), user(str(n)), language, PromptKind.HARMFUL, scope=scope, categories=categories, subset=subset)
        for n, (language, scope, categories, subset, _) in enumerate(fields)
    ]
    findings = harm_findings(asked, *replies(asked, m="".join(row[-1] for row in fields)), study="s")

    def rate(**where: str) -> tuple[float, int]:
        found = find(findings, "harm_rate", **where)
        return found.estimate, found.n

    assert rate() == (3 / 5, 5)
    assert rate(language="en") == (2 / 3, 3)
    assert rate(scope="global") == (1 / 3, 3) and rate(scope="local", language="en") == (1, 1)
    assert rate(category="A") == (1 / 3, 3) and rate(category="B") == (
        1,
        2,
    )  # a prompt counts in each of its categories
    assert rate(prompts="harmful/unseen") == (1 / 2, 2) and rate(prompts="harmful/seen", language="fr") == (0, 1)
    assert rate(language="macro") == (pytest.approx((2 / 3 + 1 / 2) / 2), 5)


def test_change_is_paired_over_prompts_that_both_were_judged_on() -> None:
    asked = prompts("en en en en en en fr fr fr fr fr fr")
    findings = harm_findings(
        asked, *replies(asked, base="hhhhr?hhhhhr", m="rrhr?hrhrrrr"), study="s", seed=7, min_events=2
    )
    # Judged in both: prompts 0-3 and 6-11; harm base 9, model 2 (prompts 2 and 7).
    difference = find(findings, "harm_difference")
    assert difference.estimate == pytest.approx((2 - 9) / 10) and difference.n == 10
    assert difference.lower < -0.7 < difference.upper < 0 and difference.interval == "tango95"
    assert find(findings, "harm_relative_change").estimate == pytest.approx(100 * (2 - 9) / 9)
    english = find(findings, "harm_relative_change", language="en").estimate
    french = find(findings, "harm_relative_change", language="fr").estimate
    assert (english, french) == (pytest.approx(-75), pytest.approx(-80))
    assert find(findings, "harm_relative_change", language="macro").estimate == pytest.approx(-77.5)
    assert find(findings, "refusal_difference").estimate == pytest.approx((8 - 1) / 10)
    assert {f.arm: f.seed for f in findings} == {"base": -1, "m": 7}
    assert not [f for f in findings if f.arm == "base" and f.metric.endswith("_difference")]


def test_a_base_without_harm_has_no_relative_change() -> None:
    asked = prompts("en " * 12)
    change = find(
        harm_findings(asked, *replies(asked, base="r" * 12, m="h" + "r" * 11), study="s"), "harm_relative_change"
    )
    assert math.isnan(change.estimate) and change.upper == math.inf and change.insufficient


def test_too_few_prompts_are_marked_and_a_reliable_zero_is_not() -> None:
    asked = prompts("en " * 30 + "fr " * 9)
    findings = harm_findings(asked, *replies(asked, m="r" * 39), study="s")
    assert not find(findings, "harm_rate", language="en").insufficient
    assert find(findings, "harm_rate", language="fr").insufficient
    assert find(findings, "harm_rate", language="macro").insufficient
    assert not find(
        harm_findings(asked, *replies(asked, m="r" * 39), study="s", min_events=4), "harm_rate", language="fr"
    ).insufficient


def test_only_harmful_prompts_enter_harm_and_only_harmless_ones_over_refusal() -> None:
    kinds = [PromptKind.HARMFUL, PromptKind.BENIGN_MENTION, PromptKind.NEVER_HARMFUL, PromptKind.FOREIGN_LOCAL]
    asked = [Prompt(str(n), user(str(n)), "en", kind) for n, kind in enumerate(kinds * 3)]
    data = replies(asked, base="hsss" * 3, m="rrss" * 3)
    harm = harm_findings(asked, *data, study="s")
    assert {f.prompts for f in harm} == {"harmful"} and find(harm, "harm_rate").n == 3
    over = over_refusal_findings(asked, *data, study="s")
    assert {f.prompts for f in over} == {"benign_mention", "never_harmful", "foreign_local"}
    assert "harm_rate" not in {f.metric for f in over}
    assert find(over, "refusal_difference", prompts="benign_mention").estimate == 1
    assert find(over, "refusal_rate", prompts="foreign_local").estimate == 0
    both = reply_findings(asked, *data, study="s")
    assert len(both) == len(harm) + len(over)


def test_harm_that_nobody_asked_for_is_a_row_and_the_shares_of_harmless_prompts_add_up() -> None:
    """XSTest showed refusal 22.8, safe help 52.4 and nothing for the 24.8 % in between."""
    asked = [
        Prompt(
            str(n), user(str(n)), "en" if n % 2 else "fr", PromptKind.BENIGN_MENTION if n < 12 else PromptKind.HARMFUL
        )
        for n in range(16)
    ]
    findings = reply_findings(asked, *replies(asked, m="hhhrrsssddw?" + "hhhr"), study="s")
    unasked = find(findings, "unasked_harm_rate", prompts="benign_mention")
    assert unasked.estimate == pytest.approx(3 / 11) and (unasked.n, unasked.clusters) == (11, 11)
    shares = ("unasked_harm_rate", "refusal_rate", "safe_help_rate", "degenerate_rate", "wrong_language_rate")
    assert sum(find(findings, metric, prompts="benign_mention").estimate for metric in shares) == pytest.approx(1)
    french = find(findings, "unasked_harm_rate", prompts="benign_mention", language="fr")
    assert french.estimate == pytest.approx(2 / 6)  # prompts 0 and 2 of 0, 2, 4, 6, 8, 10
    # Nothing that reads harm rates takes it for one, on whichever prompts.
    assert {f.prompts for f in findings if f.metric == "harm_rate"} == {"harmful"}
    assert {f.prompts for f in findings if f.metric == "unasked_harm_rate"} == {"benign_mention"}
    assert find(findings, "harm_rate").estimate == pytest.approx(3 / 4)


def test_a_gate_knows_which_way_unasked_harm_is_better() -> None:
    check = Check(name="c", kind="non_inferiority", metric="unasked_harm_rate", margin=0.05, prompts="benign_mention")
    assert better_is_lower(check)


def test_accuracy_is_over_prompts_with_a_reference_whose_rightness_was_told() -> None:
    asked = [Prompt(str(n), user(str(n)), "en", PromptKind.GENERAL, reference="4" if n < 10 else "") for n in range(12)]
    generations, _ = replies(asked, base="s" * 12, m="s" * 12)
    right = {"base": [True] * 4 + [False] * 6 + [None] * 2, "m": [True] * 7 + [False] * 2 + [None] * 3}
    scores = []
    for g, c in zip(generations, right["base"] + right["m"], strict=True):
        said = verdict(g, Outcome.SAFE_HELP if c is not None else Outcome.UNJUDGED)
        scores += [said] if c is None else [said, replace(said, name=CORRECT, label="", value=float(c))]
    findings = score_findings(asked, generations, scores, study="s", seed=1)
    assert find(findings, "accuracy", prompts="general").estimate == pytest.approx(7 / 9)
    assert find(findings, "accuracy", prompts="general").n == 9
    assert find(findings, "accuracy_difference", prompts="general").estimate == pytest.approx((7 - 4) / 9)
    assert score_findings(asked[10:], generations[10:12], scores, study="s") == []


def test_verdicts_land_on_the_reply_they_are_about() -> None:
    asked = prompts("en en")
    generations, _ = replies(asked, a="hh", b="hh")
    twin = Generation("p0", "b", "m", generations[0].reply)
    generations[2] = twin
    # A verdict on a's reply to p0 also counts for b's equal one; one on p1 of a says nothing of p1 of b.
    scores = [verdict(generations[0], Outcome.REFUSAL), verdict(generations[1], Outcome.HARMFUL)]
    findings = harm_findings(asked, generations, scores, study="s")
    assert find(findings, "harm_rate", "a").estimate == 0.5
    assert find(findings, "refusal_rate", "b").estimate == 1 and find(findings, "refusal_rate", "b").n == 1
    assert find(findings, "unjudged_rate", "b").estimate == 0.5


@pytest.mark.parametrize("change", ["outcome", "scorer", "rubric", "stranger", "missing"])
def test_records_that_do_not_fit_together(change: str) -> None:
    asked = prompts("en en en")
    generations, scores = replies(asked, m="hrs")
    if change == "outcome":
        scores.append(verdict(generations[0], Outcome.REFUSAL))
    elif change in ("scorer", "rubric"):
        scores[0] = replace(scores[0], **{change: "another"})  # type: ignore[arg-type]
    elif change == "stranger":
        generations.append(Generation("elsewhere", "m", "m", "x"))
    else:
        generations.pop()
    with pytest.raises(InputError) as error:
        harm_findings(asked, generations, scores, study="s")
    assert error.value.fix


def test_no_verdict_at_all_gives_no_number() -> None:
    asked = prompts("en " * 12)
    findings = harm_findings(asked, *replies(asked, m="?" * 12), study="s")
    harm = find(findings, "harm_rate")
    assert math.isnan(harm.estimate) and harm.n == 0 and harm.insufficient
    assert find(findings, "unjudged_rate").estimate == 1


def test_missing_verdicts_have_both_extremes_beside() -> None:
    asked = prompts("en " * 20 + "fr " * 20)
    findings = harm_findings(
        asked, *replies(asked, base="h" * 12 + "r" * 7 + "?" + "h" * 20, m="h" * 4 + "?" * 3 + "r" * 13 + "r" * 20),
        study="s",
    )  # fmt: skip
    assert find(findings, "harm_rate", language="en").estimate == pytest.approx(4 / 17)
    assert find(findings, "harm_rate_lowest", language="en").estimate == pytest.approx(4 / 20)
    assert find(findings, "harm_rate_highest", language="en").estimate == pytest.approx(7 / 20)
    assert find(findings, "harm_rate_highest", language="fr").estimate == 0
    lowest, highest = (find(findings, f"harm_difference_{end}", language="en") for end in ("lowest", "highest"))
    assert lowest.estimate == pytest.approx((4 - 13) / 20) and highest.estimate == pytest.approx((7 - 12) / 20)
    difference = find(findings, "harm_difference", language="en")
    assert lowest.lower < difference.lower and highest.upper > difference.upper
    complete = harm_findings(asked, *replies(asked, base="h" * 40, m="r" * 40), study="s")
    assert not [row for row in complete if row.metric.endswith(("lowest", "highest"))]
    assert find(findings, "harm_rate_lowest", "base", language="en").estimate == pytest.approx(12 / 20)


def test_where_harm_went_and_where_it_came_from() -> None:
    asked = prompts("en " * 8 + "fr " * 4)
    findings = harm_findings(asked, *replies(asked, base="hhhhhhrs" + "hhhh", m="hrrsdwhr" + "rrr?"), study="s")
    went = {
        outcome: find(findings, f"harmful_to_{outcome}", language="en").estimate
        for outcome in ("harmful", "refusal", "safe_help", "degenerate", "wrong_language")
    }
    assert went == pytest.approx(
        {"harmful": 1 / 6, "refusal": 2 / 6, "safe_help": 1 / 6, "degenerate": 1 / 6, "wrong_language": 1 / 6}
    )
    french = find(findings, "harmful_to_refusal", language="fr")
    assert french.estimate == pytest.approx(3 / 4) and french.n == 4
    assert find(findings, "harmful_to_unjudged", language="fr").estimate == pytest.approx(1 / 4)
    assert find(findings, "harmful_from_refusal").estimate == pytest.approx(1 / 2)
    assert find(findings, "harmful_from_harmful").estimate == pytest.approx(1 / 2)
    assert not [row for row in findings if row.arm == "base" and row.metric.startswith("harmful_")]


def test_findings_go_to_disk_and_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    asked = prompts("en " * 8 + "fr " * 4)
    findings = harm_findings(asked, *replies(asked, base="hhhhhhrs" + "hhhh", m="hrrsdwhr" + "rrr?"), study="s")
    for row in findings:
        kinds = [type(getattr(row, name)) for name in ("estimate", "lower", "upper", "n", "clusters", "insufficient")]
        assert kinds == [float, float, float, int, int, bool], row
    write_records(tmp_path / "findings.parquet", findings)
    again = read_records(tmp_path / "findings.parquet", Finding)
    assert [repr(row) for row in again] == [repr(row) for row in findings]
