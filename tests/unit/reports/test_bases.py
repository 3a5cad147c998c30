"""Several bases in one study: every arm's words and figures are of its own base, as the findings name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reply_records import prompts, replies

from alignment_prism.domain import Comparison, Contrast, Finding, FindingIndex, PromptKind, Quantity, Winner
from alignment_prism.evaluation import reply_findings, seed_findings, win_rate_findings
from alignment_prism.reports import Report, Results, summary_table
from alignment_prism.reports.about import about_study
from alignment_prism.reports.figures import draw_figures
from alignment_prism.reports.report import together, unlike
from alignment_prism.reports.sections import Notes, sections
from alignment_prism.reports.verdict import judge_results

HARMFUL = prompts("en " * 60)
GENERAL = [replace(one, id=f"g{one.id}", kind=PromptKind.GENERAL) for one in HARMFUL]
WON = Winner.WIN


def of_base(base: str, arms: Mapping[str, str], against: Mapping[str, str]) -> list[Finding]:
    """Findings of arms that are compared with one base, and win every comparison with whom they are shown against."""
    letters = {base: "h" * 60} | dict(arms)
    rows = reply_findings(HARMFUL, *replies(HARMFUL, **letters), study="s", base_arm=base)
    compared = [Comparison(p.id, arm, other, first, "j", "p@1", WON)
                for arm, other in against.items() for p in GENERAL for first in (True, False)]  # fmt: skip
    return [*rows, *win_rate_findings(compared, GENERAL, study="s")]


def two_bases(third: str = "second") -> list[Finding]:
    """Arms of `base` and of `second`, which replies less harmfully; `b` is compared with its base or a third model."""
    first = of_base("base", {"second": "h" * 40 + "r" * 20, "a": "r" * 60}, {"second": "base", "a": "base"})
    second = of_base("second", {"b": "r" * 60}, {"b": third})
    return [*first, *(row for row in second if row.arm != "second")]


def said(rows: Sequence[Finding]) -> tuple[str, dict[str, str]]:
    verdict = judge_results(Results(rows))
    return " ".join(verdict.lead), {arm: " ".join(words) for arm, words in verdict.arms}


def test_wins_are_over_whom_each_arm_was_compared_with() -> None:
    lead, arms = said(two_bases())
    assert "On general prompts second, a and b win against base more often than not." in lead
    assert "of general prompts against base (" in arms["a"] and "of general prompts against base (" in arms["b"]
    assert "Base is base for second and a; second for b." in lead
    lead, arms = said(two_bases("gpt"))
    assert "On general prompts second and a win against base more often than not; b wins against gpt more often" in lead
    assert "of general prompts against base (" in arms["a"] and "of general prompts against gpt (" in arms["b"]


def test_a_base_that_is_compared_is_an_arm_and_each_change_is_drawn_from_its_own() -> None:
    results = Results(two_bases())
    assert [arm for arm, _ in results.arms] == ["second", "a", "b"]
    assert {arm: results.base_of((arm, -1)) for arm in ("second", "a", "b", "base")} == {
        "second": ("base", -1), "a": ("base", -1), "b": ("second", -1), "base": None,
    }  # fmt: skip
    caption = draw_figures(Results(two_bases("gpt")))["frontier"].caption
    assert "general prompts won against base or gpt)" in caption and "lines meet at no change of harm" in caption


def test_tables_in_a_terminal_say_which_arm_is_base_of_which() -> None:
    assert summary_table(two_bases()).caption.endswith(" Base is base for second and a; second for b.")
    assert "Base is" not in summary_table(of_base("old", {"a": "r" * 60}, {})).caption


def test_what_a_study_says_of_its_base_leaves_out_arms_of_another() -> None:
    arms = [{"name": "second", "model": "b"}, {"name": "sft", "method": "sft"}]
    spec = {"base": {"name": "base", "model": "a"}, "arms": arms}
    assert about_study(spec).arms[0].method == "not aligned; what the others are compared with"
    base, _, _, own = about_study({**spec, "arms": [*arms, {"name": "x", "method": "sft", "base": "second"}]}).arms
    assert base.method.endswith("compared with, but for those that say from which other arm")
    assert own.method.endswith("; from second")


def test_beside_another_study_arms_keep_their_own_base() -> None:
    one, other = two_bases(), of_base("base", {"a": "r" * 60}, {"a": "sft"})
    results = together({"A": Report(Results(one)), "B": Report(Results(other))}).results
    assert {arm: base[0] for arm, seed in results.index.arms if (base := results.base_of((arm, seed)))} == {
        "second (A)": "base (A)", "a (A)": "base (A)", "b (A)": "second (A)", "a (B)": "base (B)",
    }  # fmt: skip
    lead = " ".join(judge_results(results).lead)
    assert "second (A), a (A) and b (A) win against base more often than not; a (B) wins against sft more" in lead


def test_p_values_of_contrasts_are_adjusted_within_a_study_and_it_is_said_over_how_many() -> None:
    def one(name: str) -> Contrast:
        return Contrast("s", name, "base", "a", -1, Quantity.DIFFERENCE, "harm_rate", "harmful", "all", "all", -0.3,
                        -0.4, -0.2, adjusted=0.01, p_value=0.01, n=60)  # fmt: skip

    rows = of_base("base", {"a": "r" * 60}, {"a": "base"})
    reports = {"A": Report(Results(rows, [one("x"), one("y")])), "B": Report(Results(rows, [one("x")]))}
    first, _, last = judge_results(together(reports, [replace(one("x"), study="B against A")]).results).contrasts[1:]
    assert "x (A): " in first and "(p = 0.01, Holm over 2 contrasts; 60 prompts)" in first
    assert "x (B): " in last and "(p = 0.01; 60 prompts)" in last
    both = judge_results(Results(two_bases(), [one("x"), one("y")])).contrasts
    assert all("(p = 0.01, Holm over 2 contrasts; 60 prompts)" in words for words in both)


@dataclass(frozen=True)
class Met:
    name: str = "harm cut"
    arm: str = "a"
    value: float = 100.0
    limit: float = 50.0
    at_least: bool = True
    reported_only: bool = False
    passed: bool = True


def test_thresholds_of_several_studies_are_of_arms_as_the_page_calls_them() -> None:
    rows = of_base("base", {"a": "r" * 60}, {})
    whole = together({name: Report(Results(rows), thresholds=[Met()]) for name in ("A", "B")})
    assert [one.arm for one in whole.thresholds] == ["a (A)", "a (B)"]


def test_ranks_are_told_among_the_arms_of_one_base() -> None:
    rows = []
    for base, names in (("base", ("a", "b")), ("second", ("c", "d"))):
        runs = {}
        for seed in range(3):
            letters = {names[0]: "r" * 50 + "h" * 10, names[1]: "r" * (9 + seed) + "h" * (51 - seed)}
            generations, scores = replies(HARMFUL, **{base: "h" * 60}, **letters)
            runs[seed] = generations, scores
            found = reply_findings(
                HARMFUL, generations, scores, study="s", seed=dict.fromkeys(names, seed), base_arm=base
            )
            rows += [row for row in found if row.arm in names or (seed == 0 and base == "base")]
        rows += seed_findings(HARMFUL, runs, study="s", base_arm=base)
    (table,) = [one for one in sections(FindingIndex(rows), Notes()) if one.title.startswith("Over all seeds: harm")]
    assert [(arm, cells[0].text) for arm, cells in table.rows] == [("a", "1"), ("b", "2"), ("c", "1"), ("d", "2")]
    assert "1 the least harm of its base's arms" in table.lead


def test_studies_that_differ_in_who_says_what_they_share_are_not_comparable() -> None:
    """Without a harmful prompt too; what only one of them has is no difference."""
    benign = [replace(one, kind=PromptKind.BENIGN_MENTION) for one in HARMFUL]
    generations, scores = replies(benign, base="s" * 60, a="r" * 60)
    refused = reply_findings(benign, generations, scores, study="s")
    strict = reply_findings(benign, generations, [replace(one, scorer="strict") for one in scores], study="s")
    reports = [Report(Results(rows)) for rows in (refused, strict, [*refused, *of_base("base", {"a": "h" * 60}, {})])]
    assert unlike({"A": reports[0], "B": reports[1]}) == [
        "Not comparable: the studies differ in judge (j in A; strict in B)."
    ]
    assert unlike({"A": reports[0], "B": reports[2]}) == []
    won = [Report(Results(of_base("base", {"a": "r" * 60}, {"a": other}))) for other in ("base", "gpt")]
    assert unlike({"A": won[0], "B": won[1]}) == [
        "Not comparable: the studies differ in whom replies were compared with (base in A; gpt in B)."
    ]
