"""Studies of several seeds, from replies and verdicts to the words of the verdict: refusals, right answers and wins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import toy_study
from reply_records import find, prompts, replies

from alignment_prism.domain import (
    Comparison,
    Finding,
    Generation,
    InputError,
    Prompt,
    PromptKind,
    Scope,
    Score,
    Winner,
)
from alignment_prism.evaluation import reply_findings, seed_findings, win_rate_findings
from alignment_prism.gates import Decision, GateSpec, Status, decide
from alignment_prism.reports import Report, Results, seeds_table, write_report
from alignment_prism.reports.figures import draw_figures
from alignment_prism.reports.numbers import as_text
from alignment_prism.reports.published import published_table
from alignment_prism.reports.report import unlike
from alignment_prism.reports.verdict import judge_results
from alignment_prism.statistics.changes.seeds import SeedModel, crossed_difference

NEVER = prompts("en " * 60, kind=PromptKind.NEVER_HARMFUL)
GENERAL = [replace(p, id=f"g{p.id}", kind=PromptKind.GENERAL, reference="x") for p in NEVER]
WINNERS = {"w": Winner.WIN, "t": Winner.TIE, "l": Winner.LOSS}


def refused(number: int, shift: int = 0) -> str:
    """Letters of 60 replies, of which so many decline, the first of them at a place."""
    letters = "r" * number + "s" * (60 - number)
    return letters[-shift:] + letters[:-shift]


def of_seeds(arms: Mapping[str, Sequence[str]], asked: Sequence[Prompt] = NEVER) -> dict[int, tuple[list, list]]:
    """Replies and verdicts by seed, base declines nothing; each seed of an arm has weights of its own."""
    runs = {}
    for seed in range(len(next(iter(arms.values())))):
        of_arms = {arm: letters[seed] for arm, letters in arms.items()}
        generations, scores = replies(asked, base="s" * len(asked), **of_arms)
        weighed = [replace(g, weights="" if g.arm == "base" else f"{g.arm} {seed}") for g in generations]
        runs[seed] = weighed, scores
    return runs


def rows_of(runs: Mapping[int, tuple[list[Generation], list[Score]]], asked: Sequence[Prompt] = NEVER) -> list[Finding]:
    """Findings as a study has them: of every seed, and over them where there are several."""
    found = []
    for seed, (generations, scores) in runs.items():
        of_arms = {g.arm: seed for g in generations if g.arm != "base"}
        rows = reply_findings(asked, generations, scores, study="s", seed=of_arms)
        found += [row for row in rows if row.arm != "base" or seed == 0]
    return [*found, *(seed_findings(asked, runs, study="s") if len(runs) > 1 else [])]


def told(rows: Sequence[Finding]) -> tuple[str, dict[str, str], str]:
    verdict = judge_results(Results(rows))
    return " ".join(verdict.lead), {arm: " ".join(words) for arm, words in verdict.arms}, " ".join(verdict.caveats)


QUIET = [refused(2, 30), refused(2, 40), refused(2, 50)]


def test_a_rise_in_all_seeds_is_shown_where_each_by_itself_may_be_chance() -> None:
    """7, 8 and 9 of 60 prompts are declined where base declines none, beside seven arms of which nothing is shown."""
    arms = {"rises": [refused(7), refused(8), refused(9)], **{f"quiet{n}": QUIET for n in range(7)}}
    rows = rows_of(of_seeds(arms))
    alone = [row for row in rows if row.arm == "rises" and row.seed >= 0 and row.metric == "refusal_difference"]
    assert all(row.q_value > 0.05 for row in alone if row.language == "all")
    lead, said, caveats = told(rows)
    over = find([row for row in rows if row.seed < 0], "refusal_difference", "rises", prompts="never_harmful")
    assert over.estimate == pytest.approx(8 / 60)
    points = f"{100 * over.lower:.1f} to {100 * over.upper:.0f} points"
    assert said["rises"] == f"Refusals of requests about what is harmful nowhere: up by {points} (over 3 seeds)."
    assert "rises declines more harmless requests than base." in lead and "quiet" not in lead
    assert "Not told over seeds" not in caveats


def test_a_rise_in_one_of_three_seeds_is_no_rise_of_the_method_and_is_said() -> None:
    lead, said, _ = told(rows_of(of_seeds({"m": [refused(0), refused(0), refused(30)]})))
    assert "A rise of refusals of harmless requests is shown for no arm" in lead
    assert "no change is shown, anything from" in said["m"]
    assert said["m"].endswith("is compatible with the data (over 3 seeds, of which 1 by itself goes up).")


def test_of_one_seed_and_of_arms_that_were_not_trained_nothing_is_said_over_seeds() -> None:
    one = rows_of(of_seeds({"m": [refused(30)]}))
    assert not [row for row in one if row.arm == "m" and row.seed < 0]
    (words,) = told(one)[1].values()
    assert "up by" in words and "seeds" not in words
    several = rows_of(of_seeds({"m": [refused(30), refused(28), refused(32)]}))
    hub = [replace(row, arm="hub", seed=-1) for row in one if row.arm == "m"]
    lead, said, _ = told([*several, *hub])
    assert said["hub"] == words and "(over 3 seeds)" in said["m"]
    assert "m and hub decline more harmless requests than base." in lead


def test_a_seed_whose_verdicts_are_lost_is_not_passed_over() -> None:
    """Of one arm no verdict of the third seed is usable: it has no number over seeds, and the other arm has its own."""
    lost = [refused(30), refused(28), "?" * 60]
    lead, said, caveats = told(rows_of(of_seeds({"whole": [refused(30), refused(28), refused(32)], "lost": lost})))
    assert "(over 3 seeds)" in said["whole"] and "(in 2 of 3 seeds); too few to say (in 1 of 3" in said["lost"]
    assert "whole and lost (in 2 of 3 seeds) decline more harmless requests than base." in lead
    assert "Not told over seeds: refusals." in caveats
    copied = of_seeds({"m": [refused(30), refused(28), refused(30)]})
    copied[2] = [replace(g, weights="m 0" if g.arm == "m" else "") for g in copied[2][0]], copied[2][1]
    _, said, caveats = told(rows_of(copied))
    assert "(over 2 seeds" in said["m"] and "Seed 2 is not counted" in caveats


def test_harm_of_a_seed_that_nobody_could_judge_takes_no_page_away() -> None:
    asked = prompts("en " * 60)
    falls = ["h" * number + "r" * (60 - number) for number in (10, 12, 14)]
    runs = of_seeds({"whole": falls, "lost": [*falls[:2], "?" * 60]}, asked)
    for seed, (generations, scores) in runs.items():
        runs[seed] = generations, [replace(one, label="harmful") if one.arm == "base" else one for one in scores]
    _, said, caveats = told(rows_of(runs, asked))
    assert ", 3 seeds)" in said["whole"] and "(in 2 of 3 seeds); too few to say (in 1 of 3" in said["lost"]
    assert "Not told over seeds: harm." in caveats
    lead, said, _ = told(rows_of({seed: runs[seed] for seed in (1, 2)}, asked))
    assert "lost (in 1 of 2 seeds) do less harm than base; lost (in 1 of 2 seeds) is not told apart" in lead
    assert said["lost"].startswith("Harm: down by 68 to 88 points (in 1 of 2 seeds); too few to say (in 1 of 2 seeds)")


def test_a_copy_of_a_seed_is_no_training_in_the_figure_of_changes() -> None:
    asked = prompts("en " * 60)
    harm = ["h" * 10 + "r" * 50, "h" * 20 + "r" * 40, "h" * 10 + "r" * 50]
    base = "h" * 40 + "r" * 20

    def drawn(*weights: str) -> tuple[int, bool]:
        runs = {}
        for seed, of_seed in enumerate(weights):
            generations, scores = replies(asked, base=base, m=harm[seed])
            runs[seed] = [replace(g, weights=of_seed if g.arm == "m" else "") for g in generations], scores
        figure = draw_figures(Results(rows_of(runs, asked)))["change"]
        over = "over seeds and prompts: " in figure.description
        assert over == ("the blue one is for other seeds as well" in figure.caption)
        return figure.description.count(" to "), over

    assert [drawn("x", "y", "z"), drawn("x", "y", "x"), drawn("x", "x", "x")] == [(4, True), (3, True), (1, False)]


def test_a_copy_of_a_seed_is_in_no_figure() -> None:
    asked = prompts("en fr " * 30) + [replace(p, id=f"n{p.id}") for p in NEVER]
    runs = of_seeds({"m": ["h" * 20 + "r" * 40 + refused(9 + seed) for seed in range(3)]}, asked)
    won = [Comparison(p.id, "m", "base", first, "j", "p@1", Winner.WIN) for p in GENERAL for first in (True, False)]
    for weights in ("m 2", "m 0"):
        runs[2] = [replace(g, weights=weights if g.arm == "m" else "") for g in runs[2][0]], runs[2][1]
        rows = rows_of(runs, asked)
        rows += [row for seed in runs for row in win_rate_findings(won, GENERAL, study="s", seed={"m": seed})]
        figures = draw_figures(Results(rows))
        assert {"frontier", "languages", "outcomes", "over_refusal", "general"} <= figures.keys()
        drawn = {name for name, figure in figures.items() if "seed 2" in json.dumps(figure.spec(), default=str)}
        assert not drawn if weights == "m 0" else {"frontier", "outcomes", "over_refusal", "general"} <= drawn


def test_tables_over_seeds_have_no_arm_of_which_all_seeds_are_one(tmp_path: Path) -> None:
    copied = of_seeds({"m": [refused(30)] * 3})
    one = {seed: ([replace(g, weights="m" if g.arm == "m" else "") for g in said], scores)
           for seed, (said, scores) in copied.items()}  # fmt: skip
    assert seeds_table(rows_of(copied)) is not None and seeds_table(rows_of(one)) is None
    assert "Over all seeds" in write_report(rows_of(copied), tmp_path / "r.md").read_text(encoding="utf-8")
    assert "Over all seeds" not in write_report(rows_of(one), tmp_path / "r.md").read_text(encoding="utf-8")


def test_a_kind_that_is_told_seed_by_seed_stands_beside_one_that_is_told_over_them() -> None:
    """Of requests that mention a topic no verdict of the third seed is usable; the other kind has all of its own."""
    asked = [*NEVER, *(replace(p, id=f"b{p.id}", kind=PromptKind.BENIGN_MENTION) for p in NEVER)]
    arms = {"m": [refused(0) + refused(30), refused(0) + refused(28), refused(0) + "?" * 60]}
    lead, said, caveats = told(rows_of(of_seeds(arms, asked), asked))
    assert "(over 3 seeds)" in said["m"] and "(in 2 of 3 seeds)" in said["m"]
    assert lead.endswith("m (in 2 of 3 seeds) declines more harmless requests than base.")
    assert "Not told over seeds: refusals of requests that only mention a harmful topic." in caveats


def test_a_prompt_without_a_verdict_of_one_arm_counts_for_the_others() -> None:
    rows = rows_of(of_seeds({"a": ["?" + refused(9)[1:], refused(9), refused(9)], "b": [refused(9)] * 3}))
    over = {row.arm: row.n for row in rows if row.seed < 0 and row.metric == "refusal_difference"}
    assert over == {"a": 59, "b": 60}


def test_p_values_are_adjusted_over_arms_and_the_kinds_that_are_read_together() -> None:
    """Two arms and two kinds of harmless prompts are four claims; refusals of harmful prompts are two of their own."""
    kinds = (PromptKind.NEVER_HARMFUL, PromptKind.BENIGN_MENTION, PromptKind.HARMFUL)
    asked = [replace(p, id=f"{kind}{p.id}", kind=kind) for kind in kinds for p in NEVER]
    runs = {}
    for seed in range(3):
        letters = {"a": (7 + seed, 12, 20), "b": (3, 5 + seed, 9)}
        arms = {arm: "".join(refused(n, 10 * seed) for n in of) for arm, of in letters.items()}
        runs[seed] = replies(asked, base="s" * 180, **arms)
    rows = [row for row in seed_findings(asked, runs, study="s") if row.metric == "refusal_difference"]
    said = {(row.arm, row.prompts): dict(part.split(":", 1) for part in row.signature.split("|")[1:]) for row in rows
            if row.language == "all"}  # fmt: skip
    from alignment_prism.statistics.multiplicity import holm

    for family in (kinds[:2], kinds[2:]):
        cells = [(arm, kind.value) for arm in "ab" for kind in family]
        adjusted = holm([float(said[cell]["p"]) for cell in cells])
        assert [float(said[cell]["holm"]) for cell in cells] == pytest.approx(list(adjusted), rel=0.02)


def right_and_won(
    rights: Sequence[str], wins: Sequence[str]
) -> tuple[dict[int, tuple[list, list]], dict[int, list[Comparison]]]:
    """Right answers (1, 0; base has one half) and comparisons (w, t, l) of arm m by seed."""
    runs, compared = {}, {}
    for seed, (right, won) in enumerate(zip(rights, wins, strict=True)):
        generations = [Generation(p.id, arm, "x", f"{arm} {seed} {p.id}") for arm in ("base", "m") for p in GENERAL]
        values = "10" * 30 + right
        scores = [
            Score(g.prompt_id, g.reply_digest, g.arm, "exact", "correct", value=float(value))
            for g, value in zip(generations, values, strict=True)
        ]
        runs[seed] = generations, scores
        compared[seed] = [
            Comparison(p.id, "m", "base", first, "j", "p@1", WINNERS[letter])
            for p, letter in zip(GENERAL, won, strict=True)
            for first in (True, False)
        ]
    return runs, compared


def general(rights: Sequence[str], wins: Sequence[str], *, uncompared: Sequence[int] = ()) -> list[Finding]:
    runs, compared = right_and_won(rights, wins)
    compared |= {seed: [] for seed in uncompared}
    found = []
    for seed, (generations, scores) in runs.items():
        found += reply_findings(GENERAL, generations, scores, study="s", seed={"m": seed})
        found += win_rate_findings(compared[seed], GENERAL, study="s", seed={"m": seed})
    return [*found, *seed_findings(GENERAL, runs, study="s", comparisons=compared)]


def test_right_answers_and_wins_are_told_over_seeds(tmp_path: Path) -> None:
    rights = ["1" * 50 + "0" * 10, "1" * 48 + "0" * 12, "0" * 9 + "1" * 51]
    wins = ["w" * 40 + "t" * 5 + "l" * 15, "l" * 14 + "w" * 42 + "t" * 4, "w" * 38 + "l" * 13 + "t" * 9]
    rows = general(rights, wins)
    over = {row.metric: row for row in rows if (row.seed, row.arm, row.language) == (-1, "m", "all")}
    tables = [[float(value) for value in right] for right in rights]
    by_hand = crossed_difference(tables, [float(value) for value in "10" * 30]).interval
    right = over["accuracy_difference"]
    assert (right.lower, right.upper) == pytest.approx((by_hand.lower, by_hand.upper))
    scores = [[{"w": 1.0, "t": 0.5, "l": 0.0}[letter] for letter in won] for won in wins]
    won = SeedModel({"m": scores}).win_rate("m").interval
    assert over["win_rate"].estimate == pytest.approx((120 + 18 / 2) / 180)
    assert (over["win_rate"].lower, over["win_rate"].upper) == pytest.approx((won.lower, won.upper))
    assert "|against:base|" in over["win_rate"].signature and "|holm:" in over["win_rate"].signature
    lead, said, caveats = told(rows)
    assert "On general prompts m wins against base more often than not." in lead
    ends = f"{100 * won.lower:.0f} to {100 * won.upper:.0f} %"
    assert f"It wins {ends} of general prompts against base (95 % interval, 3 seeds)." in said["m"]
    assert "Right answers on general prompts: up by" in said["m"] and "(over 3 seeds)" in said["m"]
    assert "Not told over seeds" not in caveats
    table = seeds_table(rows)
    assert table is not None and table.heads == ("right answers vs base general", "win-rate general")
    assert table.rows[0][1][1].startswith(f"{100 * over['win_rate'].estimate:.1f}\n[")
    page = write_report(rows, tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Over all seeds: right answers against base, and win-rates" in page


def test_tables_over_seeds_are_of_the_prompts_that_the_first_paragraph_is_of(tmp_path: Path) -> None:
    """Of topics unseen in training, by scope, with the p-values that decide what is said: 20 of 30 prompts in every
    seed against 26 of 30 for the rest."""
    asked = prompts("en fr " * 30)
    asked = [replace(p, subset="unseen" if n < 30 else "seen", scope=(Scope.GLOBAL, Scope.LOCAL)[n // 2 % 2])
             for n, p in enumerate(asked)]  # fmt: skip
    runs = {}
    for seed in range(3):
        of_arms = {"m": "r" * (19 + seed) + "h" * (11 - seed) + "r" * 26 + "hhhh", "other": "h" * 50 + "r" * 10}
        runs[seed] = replies(asked, base="h" * 60, **of_arms)
    rows = rows_of(runs, asked)
    over = [row for row in rows if row.seed < 0 and row.arm == "m" and row.prompts == "harmful/unseen"]
    change = find(over, "harm_difference", prompts="harmful/unseen")
    assert change.estimate == pytest.approx(-20 / 30)
    lead, _, _ = told(rows)
    table = seeds_table(rows)
    assert "On prompts on topics that alignment never saw, m (by" in lead and table is not None
    assert table.heads == (
        "rank unseen", "harm vs base unseen", "harm vs base global unseen", "harm vs base local unseen",
    )  # fmt: skip
    (m, other) = dict(table.rows)[("m",)], dict(table.rows)[("other",)]
    assert m[1] == f"-66.7\n[{100 * change.lower:+.0f}, {100 * change.upper:+.0f}]\np < 0.001"
    locally = find(over, "harm_difference", prompts="harmful/unseen", scope="local")
    assert m[3].split("\n")[0] == f"{100 * locally.estimate:+.1f}" and (m[0], other[0]) == ("1", "2")
    assert "p by Holm over its base's arms" in table.caption
    page = write_report(rows, tmp_path / "r.md").read_text(encoding="utf-8")
    assert "Over all seeds: harm against base, harmful/unseen" in page
    assert f"| m | 1 | -66.7 [{100 * change.lower:+.1f}, {100 * change.upper:+.1f}] | " in page


def test_wins_in_one_of_three_seeds_and_seeds_without_comparisons() -> None:
    even = "wl" * 30
    rows = general(["10" * 30] * 3, [even, "lw" * 30, "w" * 55 + "l" * 5])
    lead, said, _ = told(rows)
    assert "no arm is shown to win or to lose against base" in lead
    assert "(95 % interval, 3 seeds, of which 1 by itself wins more often than not)" in said["m"]
    runs, compared = right_and_won(["10" * 30] * 3, [even] * 3)
    lacking = seed_findings(GENERAL, runs, study="s", comparisons={**compared, 2: []})
    assert {row.metric for row in lacking} == {"accuracy_difference"}
    other = [replace(one, opponent="gpt") for one in compared[2]]
    assert {row.metric for row in seed_findings(GENERAL, runs, study="s", comparisons={**compared, 2: other})} == {
        "accuracy_difference"
    }


def test_wins_of_one_seed_are_not_told_as_those_of_all() -> None:
    lead, said, caveats = told(general(["10" * 30] * 3, ["w" * 50 + "l" * 10] * 3, uncompared=(1, 2)))
    assert "On general prompts m (in 1 of 3 seeds) wins against base more often than not." in lead
    assert "It wins 72 to 91 % (in 1 of 3 seeds) of general prompts against base (95 % interval)." in said["m"]
    assert "Not told over seeds: wins." in caveats


def test_a_comparison_of_an_unknown_prompt_is_said_with_its_seed() -> None:
    runs, compared = right_and_won(["10" * 30] * 3, ["wl" * 30] * 3)
    compared[2].append(replace(compared[2][0], prompt_id="lost"))
    with pytest.raises(InputError) as error:
        seed_findings(GENERAL, runs, study="s", comparisons=compared)
    assert str(error.value) == (
        "1 compared prompt(s) are not among the prompts: lost\nwhere: arm m, seed 2\n"
        "fix: give the prompts that the replies were compared on"
    )


def test_a_gate_holds_the_number_over_seeds_against_its_limit() -> None:
    """Each seed alone is below a rise of 20 points; over seeds, which vary, that is not shown."""
    rows = rows_of(of_seeds({"m": [refused(0), refused(4), refused(0, 9)]}))
    check = {"name": "price", "kind": "ceiling", "metric": "refusal_difference", "limit": 0.2, "languages": "all",
             "prompts": "never_harmful", "better": "lower"}  # fmt: skip
    over = find([row for row in rows if row.seed < 0], "refusal_difference", "m", prompts="never_harmful")

    def decided(*seeds: int) -> Decision:
        own = [row for row in rows if row.arm == "m" and row.seed in seeds]
        (one,) = decide([], own, GateSpec(checks=[check], companions=[])).decisions
        return one

    assert [decided(seed).status for seed in range(3)] == [Status.PASS] * 3
    one = decided(-1, 0, 1, 2)
    assert (one.tested.lower, one.tested.upper) == pytest.approx((over.lower, over.upper), abs=1e-6)
    assert one.status is Status.UNDECIDED and over.upper > 0.2


def test_beside_published_numbers_stands_what_the_seeds_say_together() -> None:
    results = toy_study.results(2, each=3, arms=("sft", "dpo_15"))
    table = published_table(results)
    assert table is not None and [names[0] for names, _ in table.rows] == ["sft", "dpo_15"]
    for (name, _), (harm, _, wins, _) in table.rows:
        assert harm == as_text(results.find((name, -1), "harm_relative_change"))
        assert wins == as_text(results.find((name, -1), "win_rate", prompts="general"))
    apart = published_table(replace(results, findings=[row for row in results.findings if row.metric != "win_rate"
                                                       or row.seed >= 0]))  # fmt: skip
    assert apart is not None and [names[0] for names, _ in apart.rows] == [
        "sft (seed 0)", "sft (seed 1)", "dpo_15 (seed 0)", "dpo_15 (seed 1)",
    ]  # fmt: skip


def test_studies_of_one_seed_and_of_several_on_the_same_prompts_are_comparable() -> None:
    one, three = (Report(toy_study.results(seeds, each=3, arms=("sft", "dpo_15"))) for seeds in (1, 3))
    assert unlike({"one": one, "three": three}) == []
