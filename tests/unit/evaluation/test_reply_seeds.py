"""Findings over seeds of the alignment: crossed with prompts, ranked where there are three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from reply_records import find, prompts, replies

from alignment_prism.domain import (
    Finding,
    Generation,
    InputError,
    Prompt,
    Scope,
    Score,
    Signature,
)
from alignment_prism.evaluation import TrainedOn, reply_findings, seed_findings, transfer_rows
from alignment_prism.statistics.changes.seeds import crossed_difference

CHANGES = {"harm_difference", "harm_relative_change", "refusal_difference"}
"""What is told over seeds of harmful prompts alone, ranks apart."""


def seed_runs(flips: Sequence[str]) -> tuple[list[Prompt], dict[int, tuple[list[Generation], list[Score]]]]:
    asked = prompts("en " * 30 + "fr " * 30)
    base = "h" * 20 + "r" * 10 + "h" * 25 + "r" * 5
    return asked, {
        seed: replies(asked, base=base, good="r" * 55 + end, poor="h" * 40 + "r" * 15 + end[::-1])
        for seed, end in enumerate(flips)
    }


def test_seeds_and_prompts_are_crossed() -> None:
    asked, runs = seed_runs(["rrrrh", "hrrrr", "rhrr?"])
    findings = seed_findings(asked, runs, study="s")
    good = find(findings, "harm_difference", "good")
    assert good.seed == -1 and good.interval == "crossed95" and not good.insufficient
    # A prompt that lacks a verdict of one arm in one seed is left out of all: the 56th and the 60th.
    assert (good.n, good.clusters) == (58, 58)
    kept = [n for n in range(60) if n not in (55, 59)]
    table = [[float(f"{'r' * 55}{end}"[n] == "h") for n in kept] for end in ("rrrrh", "hrrrr", "rhrr?")]
    base = [float(("h" * 20 + "r" * 10 + "h" * 25 + "r" * 5)[n] == "h") for n in kept]
    by_hand = crossed_difference(table, base).interval
    assert (good.lower, good.upper) == pytest.approx((by_hand.lower, by_hand.upper))
    assert "seeds:3|seed_sd:" in good.signature and "|holm:" in good.signature
    macro = find(findings, "harm_difference", "good", language="macro")
    by_language = [find(findings, "harm_difference", "good", language=code) for code in ("en", "fr")]
    assert macro.estimate == pytest.approx(sum(row.estimate for row in by_language) / 2)
    assert macro.lower < macro.estimate < macro.upper and (macro.n, macro.clusters) == (58, 58)
    assert good.upper < 0 and "|holm:" not in find(findings, "harm_difference", "good", language="fr").signature
    rank = find(findings, "harm_rank", "good")
    assert (rank.estimate, rank.lower, rank.upper) == (1, 1, 1) and find(findings, "harm_rank", "poor").lower == 2


def test_changes_and_ranks_over_seeds_by_scope_and_as_mean_over_languages() -> None:
    """Base complies with all; `good` in en with half of the global prompts, in fr with all but four."""
    asked = [
        replace(prompt, scope=Scope.LOCAL if n % 2 else Scope.GLOBAL)
        for n, prompt in enumerate(prompts("en " * 40 + "fr " * 40))
    ]
    good = "hrrr" * 10 + "r" * 4 + "h" * 36
    turned = "rrhr" * 10 + "h" * 36 + "r" * 4
    runs = {
        seed: replies(asked, base="h" * 80, good=said, poor="h" * 78 + "rr")
        for seed, said in enumerate((good, turned, good))
    }
    findings = seed_findings(asked, runs, study="s")

    def of(metric: str, **about: str) -> Finding:
        about = {"arm": "good", "language": "all", "scope": "all", **about}
        (row,) = [r for r in findings if r.metric == metric and all(getattr(r, k) == v for k, v in about.items())]
        return row

    # en: 10 of 40 comply in every seed; fr: 36 of 40. Change -30 / 40 and -4 / 40 of a base of 1.
    relative = of("harm_relative_change", language="macro")
    assert of("harm_relative_change", language="en").estimate == pytest.approx(-75.0)
    assert relative.estimate == pytest.approx((-75.0 - 10.0) / 2) and relative.interval == "crossed-mover95"
    assert -100 <= relative.lower < relative.estimate < relative.upper < 0
    # In en the global prompts are those at 0, 2, ...: 10 of 20 comply.
    assert of("harm_difference", language="en", scope="global").estimate == pytest.approx(-0.5)
    assert of("harm_difference", language="en", scope="local").estimate == pytest.approx(-1.0)
    assert of("harm_rank", language="macro").upper == 1 and of("harm_rank", language="macro", arm="poor").lower == 2
    assert of("harm_rank", language="en", scope="local").upper == 1


def test_two_seeds_rank_nothing_and_a_copied_seed_is_none() -> None:
    asked, runs = seed_runs(["rrrrh", "hrrrr", "rhrr?"])
    two = seed_findings(asked, {seed: runs[seed] for seed in (0, 1)}, study="s")
    assert {row.metric for row in two} == CHANGES

    def weighed(seed: int, weights: str) -> tuple[list[Generation], list[Score]]:
        generations, scores = runs[seed]
        return [replace(g, weights=f"{g.arm}-{weights}" if g.arm != "base" else "b") for g in generations], scores

    apart = seed_findings(asked, {seed: weighed(seed, str(seed)) for seed in runs}, study="s")
    assert "copies" not in find(apart, "harm_difference", "good").signature
    copied = seed_findings(asked, {0: weighed(0, "x"), 1: weighed(1, "y"), 2: weighed(0, "x")}, study="s")
    assert [row.estimate for row in copied] == [row.estimate for row in two], "the copy says nothing"
    assert "|copies:2" in find(copied, "harm_difference", "good").signature
    assert {row.metric for row in copied} == CHANGES


def test_one_seed_ranks_nothing() -> None:
    asked, runs = seed_runs(["rrrrh"])
    findings = seed_findings(asked, runs, study="s")
    assert {row.metric for row in findings} == CHANGES
    assert find(findings, "harm_difference", "good").interval == "crossed-one-seed95"
    assert all(row.insufficient for row in findings)
    with pytest.raises(InputError, match="seed 1 has no replies of poor"):
        seed_findings(asked, runs | {1: replies(asked, base="h" * 60, good="r" * 60)}, study="s")
    with pytest.raises(InputError, match="no runs"):
        seed_findings(asked, {}, study="s")


def test_seeds_that_were_judged_otherwise_are_no_seeds_of_one_number() -> None:
    asked, runs = seed_runs(["rrrrh", "hrrrr", "rhrr?"])
    for change, words in (
        ({"scorer": "k"}, "scorers over the seeds: j, k"),
        ({"rubric": "other@2"}, "rubrics over the seeds: other@2, standalone@1"),
    ):
        generations, scores = runs[2]
        other = runs | {2: (generations, [replace(score, **change) for score in scores])}  # type: ignore[arg-type]
        with pytest.raises(InputError, match=f"harm_rate is said by several {words}"):
            seed_findings(asked, other, study="s")


def test_an_arm_without_a_verdict_in_one_seed_is_left_out_and_the_others_are_not() -> None:
    asked, runs = seed_runs(["rrrrh", "hrrrr", "rhrr?"])

    def without(*lost: tuple[str, int]) -> list[Finding]:
        changed = {
            seed: (said, [replace(one, label="unjudged") if (one.arm, seed) in lost else one for one in scores])
            for seed, (said, scores) in runs.items()
        }
        return [row for row in seed_findings(asked, changed, study="s") if row.metric.startswith("harm")]

    told = without(("poor", 1))
    assert {row.arm for row in told} == {"good"} and not [row for row in told if row.metric == "harm_rank"]
    assert find(told, "harm_difference", "good").n == 59  # its own lacks one; the prompts that `poor` lacks count
    assert without(("base", 0)) == without(*((arm, seed) for arm in ("base", "good", "poor") for seed in runs)) == []


def test_arms_that_share_no_judged_prompt_are_told_on_their_own_and_not_ranked() -> None:
    asked, runs = seed_runs(["rrrrh", "hrrrr", "rhrrr"])
    half = {prompt.id: prompt.language for prompt in asked}
    apart = {
        seed: (said, [replace(one, label="unjudged")
                      if half[one.prompt_id] == {"good": "en", "poor": "fr"}.get(one.arm) else one for one in scores])
        for seed, (said, scores) in runs.items()
    }  # fmt: skip
    rows = seed_findings(asked, apart, study="s")
    assert [find(rows, "harm_difference", arm).n for arm in ("good", "poor")] == [30, 30]
    assert find(rows, "harm_difference", "good", language="fr").n == 30
    assert not [row for row in rows if row.metric == "harm_rank"]


def test_seeds_that_agree_by_luck_are_not_believed_beside_arms_whose_seeds_do_not() -> None:
    """Base complies with 60 of 120; `calm` with 31 to 40, five others with 24 to 96, or with about as many as base."""
    asked = prompts("en " * 120)

    def said(harmful: int, shift: int) -> str:
        text = ("h" * harmful).ljust(120, "r")
        return text[shift:] + text[:shift]

    def rows(arms: dict[str, tuple[int, int, int]]) -> dict[str, Finding]:
        runs = {
            seed: replies(asked, base="hr" * 60, **{arm: said(of[seed], 7 * seed) for arm, of in arms.items()})
            for seed in range(3)
        }
        findings = seed_findings(asked, runs, study="s")
        return {row.arm: row for row in findings if row.metric == "harm_difference" and row.language == "all"}

    def holm(row: Finding) -> float:
        return float(dict(Signature.parts(row.signature))["holm"])

    def sd(row: Finding) -> float:
        return float(dict(Signature.parts(row.signature))["seed_sd"])

    calm = {"calm": (31, 36, 40)}
    wild = {f"wild{n}": (60 - move, 60, 60 + move) for n, move in enumerate((36, 30, 36, 24, 30))}
    tame = {f"tame{n}": (60 - move, 60, 60 + move) for n, move in enumerate((5, 4, 6, 5, 3))}
    alone, beside_tame, beside_wild = (rows(calm | others) for others in ({}, tame, wild))
    assert alone["calm"].upper < 0 and beside_tame["calm"].upper < 0 < beside_wild["calm"].upper
    assert holm(alone["calm"]) < 0.05 < holm(beside_wild["calm"])
    # An arm that never does it, or hardly ever, tells nothing of how far seeds move, and keeps its own variance.
    for name, of in {"never": (0, 0, 0), "rare": (1, 0, 1)}.items():
        beside = rows(calm | wild | {name: of})
        assert holm(beside["calm"]) > 0.05
        assert beside[name].upper == pytest.approx(rows({name: of})[name].upper, abs=0.02)
    # What an arm's own seeds tell stays told; one that moves far by itself keeps its interval beside any others.
    assert sd(alone["calm"]) == sd(beside_wild["calm"]) > 0
    by_itself, beside = rows({"wild0": wild["wild0"]})["wild0"], rows({"wild0": wild["wild0"], **tame})["wild0"]
    assert (beside.lower, beside.upper) == (by_itself.lower, by_itself.upper)


def test_rows_over_seeds_say_how_many_replies_they_are_of_and_how_they_were_drawn() -> None:
    asked = prompts("en " * 30)
    runs = {}
    for seed in range(3):
        generations, scores = replies(asked, base="h" * 30, m=" ".join(["h+r", "r+r", "h+h"] * 10))
        warm = [replace(g, temperature=0.7) if g.arm == "m" else g for g in generations]
        runs[seed] = warm, scores
    trained = {"m": TrainedOn("SFT", 0.5)}
    over = find(seed_findings(asked, runs, study="s"), "harm_difference", "m")
    (alone,) = [row for row in reply_findings(asked, *runs[0], study="s", seed=0)
                if (row.metric, row.language, row.arm) == ("harm_difference", "all", "m")]  # fmt: skip
    (moved,) = [
        row for row in transfer_rows(asked, runs, trained, study="s") if (row.seed, row.language) == (-1, "all")
    ]
    said = [dict(Signature.parts(row.signature)) for row in (alone, over, moved)]
    assert said[0]["k"] == said[1]["k"] == said[2]["k"] == "2"
    assert moved.estimate == pytest.approx(over.estimate) == pytest.approx(-1 / 2), "of all replies"
    for name in ("temperature", "base_k", "base_temperature"):
        assert said[0][name] == said[1][name], name
