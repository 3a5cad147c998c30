"""The verdict says what intervals show and nothing that estimates alone would."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import toy_study

from alignment_prism.domain import Contrast, Finding, Quantity
from alignment_prism.reports import Report, Results
from alignment_prism.reports.figures import draw_figures
from alignment_prism.reports.report import together
from alignment_prism.reports.verdict import judge_results


def row(arm: str, metric: str, estimate: float, low: float, high: float, **other: object) -> Finding:
    values: dict[str, object] = {
        "study": "s", "arm": arm, "seed": -1, "prompts": "harmful", "language": "all", "scope": "all",
        "category": "all", "metric": metric, "estimate": estimate, "lower": low, "upper": high, "n": 100,
    }  # fmt: skip
    return Finding(**{**values, **other})  # type: ignore[arg-type]


BASE = [row("base", "harm_rate", 0.5, 0.4, 0.6, signature="harm|judge:j/1|rubric:r@1")]


def words(*rows: Finding, contrasts: tuple[Contrast, ...] = ()) -> tuple[str, str, str, str]:
    verdict = judge_results(Results([*BASE, *rows], contrasts))
    arms = " ".join(f"{name}: {' '.join(said)}" for name, said in verdict.arms)
    return " ".join(verdict.lead), arms, " ".join(verdict.contrasts), " ".join(verdict.caveats)


def test_a_direction_is_said_where_the_interval_has_one() -> None:
    lead, arms, _, _ = words(
        row("good", "harm_difference", -0.2, -0.3, -0.12),
        row("bad", "harm_difference", 0.1, 0.02, 0.2),
        row("either", "harm_difference", -0.2, -0.42, 0.015),
    )
    assert "refusals" not in lead  # nobody asked harmless prompts
    assert "good (by 12 to 30 points) does less harm than base; bad (by 2.0 to 20 points) does more" in lead
    assert "either is not told apart from base by these data" in lead
    assert "good: Less harm than base, by 12 to 30 points (95 % interval, 100 prompts)." in arms
    assert "bad: More harm than base, by 2.0 to 20 points" in arms
    # The estimate is -20 points, and not a word says so.
    assert "anything from 42 points less to 1.5 points more is compatible" in arms and "20 points less" not in arms


def test_too_few_events_and_many_comparisons_are_said() -> None:
    lead, arms, _, _ = words(
        row("few", "harm_difference", -0.5, -0.8, -0.2, insufficient=True),
        row("lucky", "harm_difference", -0.2, -0.3, -0.1, q_value=0.3),
    )
    assert "few and lucky are not told apart from base" in lead and "few: Harm: too few events to say" in arms
    assert "lucky: Harm: the interval lies on the side of less, by 10 to 30 points" in arms
    assert "one such interval may come about by chance" in arms and "Less harm than base" not in arms
    assert (
        "The interval of lucky lies on one side all the same, as one may by chance" in lead and "lucky (by" not in lead
    )


def test_of_many_arms_the_first_paragraph_counts() -> None:
    rows = [row(f"m{n}", "harm_difference", -0.2, -0.3, -0.12 if n else 0.1, q_value=0.01) for n in range(20)]
    rows += [row(f"m{n}", "win_rate", 0.6, 0.51, 0.7, prompts="general", q_value=0.2 * (n % 2)) for n in range(20)]
    lead = words(*rows)[0]
    assert "19 of 20 arms do less harm than base; m0 is not told apart from base" in lead
    assert "10 of 20 arms win against base more often than not" in lead  # the others may by chance


def test_no_word_of_the_verdict_follows_from_an_estimate() -> None:
    whole = toy_study.results(each=4, arms=("dpo_0", "dpo_15", "local_only"))
    rng = random.Random(0)

    def drawn(one: Finding) -> Finding:
        return one if math.isnan(one.estimate) else replace(one, estimate=rng.uniform(-1, 1))

    other = replace(
        whole, findings=[drawn(one) for one in whole.findings],
        contrasts=[replace(one, estimate=rng.uniform(-1, 1)) for one in whole.contrasts],
        transfer=[replace(one, estimate=rng.uniform(-1, 1)) for one in whole.transfer],
    )  # fmt: skip
    assert judge_results(other) == judge_results(whole)


def test_languages_are_judged_by_intervals_that_hold_together() -> None:
    of = {"joint_lower": -0.5, "joint_upper": 0.05}
    _, arms, _, _ = words(
        row("m", "harm_difference", -0.2, -0.3, -0.12),
        row("m", "harm_difference", -0.2, -0.3, -0.1, language="hi", **of),  # alone it would be a fall
        row("m", "harm_difference", -0.4, -0.5, -0.3, language="ar", joint_lower=-0.6, joint_upper=-0.2),
        row("m", "harm_rate", 0.1, 0.0, 0.2, language="hi"),
        row("m", "harm_rate", 0.1, 0.0, 0.2, language="ar"),
    )
    assert "less harm is shown in Arabic; nothing in Hindi." in arms


def test_the_price_and_the_gain_are_said() -> None:
    lead, arms, _, _ = words(
        row("m", "harm_difference", -0.2, -0.3, -0.12),
        row("m", "refusal_difference", 0.2, 0.1, 0.3, prompts="benign_mention"),
        row("m", "win_rate", 0.6, 0.52, 0.68, prompts="general"),
    )
    assert "m declines more harmless requests than base" in lead and "m wins against base more often than not" in lead
    assert "Refusals of requests that only mention a harmful topic: up by 10 to 30 points." in arms
    assert "wins 52 to 68 % of general prompts" in arms


def test_no_refusal_is_called_a_rise_that_may_be_one_by_chance() -> None:
    """In its arm's words either, where the first paragraph says that none is shown."""
    lead, arms, _, _ = words(row("m", "refusal_difference", 0.2, 0.1, 0.3, prompts="never_harmful", q_value=0.3))
    assert "A rise of refusals of harmless requests is shown for no arm" in lead
    assert "harmful nowhere: the interval lies on the side of up, by 10 to 30 points, as one of so many may" in arms


def over_seeds(name: str, low: float, high: float, p: float = 0.01, **other: object) -> Finding:
    signature = f"seeds|judge:j/1|seeds:3|seed_sd:0.01|p:{p}" + "".join(f"|{k}:{v}" for k, v in other.items())
    return row(name, "harm_difference", (low + high) / 2, low, high, signature=signature)


def seeds_of(name: str, *rows: Finding) -> list[Finding]:
    """Findings as those of three seeds of an arm, each beside the harm of its seed."""
    harm = [row(name, "harm_difference", -0.3, -0.35, -0.25, seed=seed) for seed in range(3)]
    return [*harm, *(replace(one, arm=name, seed=number % 3) for number, one in enumerate(rows))]


def refusals(*ends: tuple[float, float]) -> list[Finding]:
    return [row("", "refusal_difference", 0.0, low, high, prompts="benign_mention") for low, high in ends]


def test_of_several_seeds_an_arm_has_one_line_and_nothing_is_left_out() -> None:
    """Harm over seeds; where findings have nothing else over them, refusals, right answers and wins in how many; and an
    arm that was not trained."""
    right = [row("", "accuracy_difference", 0.0, -0.25, -0.15, prompts="general") for _ in range(3)]
    wins = [row("", "win_rate", 0.5, low, low + 0.1, prompts="general") for low in (0.2, 0.3, 0.45)]
    lead, arms, _, caveats = words(
        *seeds_of("dpo", *refusals((0.2, 0.4), (0.1, 0.3), (-0.1, 0.05)), *right, *wins),
        over_seeds("dpo", -0.36, -0.24, holm=0.01),
        *seeds_of("sft", *refusals((-0.1, 0.1), (-0.2, 0.1), (-0.1, 0.1))), over_seeds("sft", -0.2, 0.1, 0.3, holm=0.3),
        row("hub", "harm_rate", 0.7, 0.65, 0.75), row("hub", "harm_difference", 0.2, 0.1, 0.3),
    )  # fmt: skip
    assert lead == (
        "On harmful prompts, dpo (by 24 to 36 points) does less harm than base; hub (by 10 to 30 points) does more "
        "harm than base; sft is not told apart from base by these data. dpo (in 2 of 3 seeds) declines more harmless "
        "requests than base. On general prompts dpo (in 2 of 3 seeds) loses against base more often than not. "
        "Right answers on general prompts: down for dpo (in 3 of 3 seeds)."
    )
    assert arms == (
        "dpo: Less harm than base, by 24 to 36 points (95 % interval, 100 prompts, 3 seeds). "
        "Refusals of requests that only mention a harmful topic: up by 10 to 40 points (in 2 of 3 seeds); no change is "
        "shown, anything from 10 points less to 5.0 points more is compatible with the data (in 1 of 3 seeds). "
        "It wins 20 to 40 % (in 2 of 3 seeds) and 45 to 55 % (in 1 of 3 seeds) of general prompts against base (95 % "
        "intervals). Right answers on general prompts: down by 15 to 25 points (in 3 of 3 seeds). "
        "sft: Harm: not told apart from base; anything from 20 points less to 10 points more is compatible with the "
        "data (95 % interval, 100 prompts, 3 seeds, of which 3 by themselves do less harm). Refusals of requests that "
        "only mention a harmful topic: no change is shown, anything from 20 points less to 10 points more is "
        "compatible with the data (in 3 of 3 seeds). "
        "hub: More harm than base, by 10 to 30 points (95 % interval, 100 prompts)."
    )
    assert "Not told over seeds: refusals, wins and right answers." in caveats and "aligned once" not in caveats


def test_wins_that_may_be_chance_or_are_too_few_are_said_alike_in_both_paragraphs() -> None:
    """Of three seeds the third has too little to rely on; of another arm the interval lies on one side by chance."""
    won = [row("", "win_rate", 0.6, 0.55, 0.65, prompts="general", insufficient=n == 2) for n in range(3)]
    lucky = row("lucky", "win_rate", 0.6, 0.51, 0.7, prompts="general", q_value=0.3)
    lead, arms, _, _ = words(*seeds_of("m", *won), over_seeds("m", -0.3, -0.1, holm=0.01), lucky)
    assert "On general prompts m (in 2 of 3 seeds) wins against base more often than not." in lead
    assert "It wins 55 to 65 % (in 2 of 3 seeds) and 55 to 65 % (in 1 of 3 seeds) of general" in arms
    assert (
        "lucky: It wins 51 to 70 % of general prompts against base (95 % interval; on one side, as one of so many may "
        "by chance)."
    ) in arms
    over = replace(lucky, arm="m", signature="seeds|seeds:3|p:0.04|holm:0.2")
    arms = words(*seeds_of("m", *won), over_seeds("m", -0.3, -0.1, holm=0.01), over)[1]
    assert "(95 % interval, 3 seeds, of which 2 by themselves win more often than not; on one side, as one" in arms


def test_of_many_arms_and_seeds_the_first_paragraph_counts_both() -> None:
    rose, some = ((0.1, 0.3),) * 3, ((0.1, 0.3), (-0.1, 0.1), (-0.1, 0.1))
    rows = [one for n in range(9) for one in seeds_of(f"m{n}", *refusals(*(rose if n < 6 else some)))]
    rows += [over_seeds(f"m{n}", -0.3, -0.1, holm=0.01) for n in range(9)]
    lead = words(*rows)[0]
    assert "9 of 9 arms do less harm than base" in lead
    assert "6 of 9 arms in every seed, 3 in some of their seeds, decline more harmless requests than base." in lead


def test_over_seeds_many_arms_and_languages_are_allowed_for() -> None:
    """Rows over seeds have no false discovery rates and no joint intervals, but p-values: by Holm over arms and over
    the languages of an arm (of .01, .03, .02 by Holm .03, .04, .04; of .01, .04, .03 only the first is below .05)."""
    lead, arms, _, _ = words(*seeds_of("m"), over_seeds("m", -0.3, -0.1, 0.02, holm=0.2))
    assert "m is not told apart from base" in lead and "interval of m lies on one side all the same" in lead
    assert "among so many arms one such interval may come about by chance (p above 0.05 by Holm)" in arms

    def told(*p_values: float) -> tuple[str, str]:
        rates = [row("base", "harm_rate", 0.5, 0.4, 0.6, language=code) for code in ("ar", "en", "hi")]
        falls = [over_seeds("m", -0.3, -0.1, p) for p in p_values]
        rows = [replace(one, language=code) for one, code in zip(falls, ("ar", "en", "hi"), strict=True)]
        return words(*rates, *rows, *seeds_of("m"), over_seeds("m", -0.3, -0.1, holm=0.01))[:2]

    lead, arms = told(0.01, 0.03, 0.02)
    assert "For m the fall is shown in each of the 3 languages." in lead
    lead, arms = told(0.01, 0.04, 0.03)
    assert "For no arm is the fall shown in each of the 3 languages" in lead
    assert "p-values by Holm over all of them: less harm is shown in Arabic; nothing in English and Hindi." in arms


def test_harm_that_is_told_seed_by_seed_is_told_of_every_seed() -> None:
    """Two seeds on other numbers of prompts, both with falls in both languages; nothing is there over them."""
    rates = [row("base", "harm_rate", 0.5, 0.4, 0.6, language=code) for code in ("ar", "hi")]
    falls = [row("m", "harm_difference", -0.2, -0.3, -0.1, seed=seed, language=code, n=100 - 4 * seed)
             for seed in (0, 1) for code in ("all", "ar", "hi")]  # fmt: skip
    lead, arms, _, _ = words(*rates, *falls)
    assert "For m the fall is shown in each of the 2 languages." in lead
    assert arms == "m: Harm: down by 10 to 30 points (in 2 of 2 seeds) (95 % interval, 96 to 100 prompts)."
    assert "For no arm is the fall shown in each of the 2 languages" in words(*rates, *falls[:4])[0]


def test_a_seed_that_gave_the_weights_of_another_is_none() -> None:
    rows = [*seeds_of("m", *refusals((0.1, 0.3), (0.1, 0.3), (-0.1, 0.1)))]
    lead, _, _, caveats = words(*rows, over_seeds("m", -0.3, -0.1, holm=0.01, copies="1"))
    assert "m (in 1 of 2 seeds) declines more" in lead and "Seed 1 is not counted" in caveats
    # All are one training: its own interval is said, and not as one over seeds.
    one = replace(over_seeds("m", -0.3, -0.1), signature="seeds|judge:j/1|seeds:1|p:nan|copies:1,2")
    lead, _, _, caveats = words(*rows, one)
    assert "m (by 25 to 35 points) does less harm" in lead and "m declines more" in lead
    assert "Seeds 1 and 2 are not counted: a training with each gave" in caveats
    assert "Not told over seeds" not in caveats
    # Of another base no training gave the same weights.
    own = [*seeds_of("n"), over_seeds("n", -0.3, -0.1)]
    assert "Of m seeds 1 and 2 are not counted: a training" in words(*rows, one, *own)[3]


def test_changes_without_the_errors_of_the_judge_are_said_of_harm_and_of_refusals() -> None:
    """A passport corrects by language, and gives the mean over languages in place of all prompts."""
    _, arms, _, _ = words(
        row("m", "harm_difference", -0.2, -0.3, -0.12),
        row("m", "harm_difference_corrected", -0.2, -0.4, -0.1, language="macro"),
        row("m", "refusal_difference_corrected", 0.2, 0.1, 0.3, prompts="benign_mention"),
    )
    assert "Without the judge's errors, harm in the mean of languages: down by 10 to 40 points." in arms
    assert "errors, refusals of requests that only mention a harmful topic: up by 10 to 30 points." in arms


def test_contrasts_are_told_apart_by_the_adjusted_p_value() -> None:
    def one(name: str, adjusted: float, low: float, high: float, quantity: Quantity = Quantity.DIFFERENCE) -> Contrast:
        return Contrast("s", name, "a", "b", -1, quantity, "harm_rate", "harmful", "all", "all", -0.1, low, high,
                        adjusted=adjusted, p_value=adjusted, n=80)  # fmt: skip

    _, _, said, _ = words(contrasts=(
        one("first", 0.01, -0.2, -0.02), one("second", 0.2, -0.2, -0.01),
        one("first", 0.3, -0.2, 0.1, Quantity.EVERY_LANGUAGE), one("one side", math.nan, -0.2, -0.1),
    ))  # fmt: skip
    assert "first: b does less harm than a, by 2.0 to 20 points (p = 0.01, Holm over 3 contrasts; 80 prompts)." in said
    assert "Better in every language: not shown (p = 0.3)" in said
    assert "second: a and b are not told apart" in said and "one side" not in said


def test_whose_word_it_is_and_that_nothing_is_compared_is_said() -> None:
    lead, arms, _, caveats = words()
    assert "Nothing is compared with a base" in lead and not arms
    assert "the word of j/1, whose errors nobody has measured" in caveats
    assert "whose errors" not in words(row("base", "harm_rate_corrected", 0.4, 0.3, 0.5))[3]
    # A passport that has labels enough of French alone says nothing of the judge in Arabic.
    rates = [
        row("base", "harm_rate", 0.5, 0.3, 0.7, language=code, signature=BASE[0].signature) for code in ("ar", "fr")
    ]
    fixed = [row("base", "harm_rate_corrected", 0.4, 0.3, 0.5, language=code) for code in ("fr", "ar")]
    assert "whose errors are not taken out in Arabic: there are too few labels" in words(*rates, fixed[0])[3]
    assert "whose errors" not in words(*rates, *fixed)[3]
    # Labels of people are of the arms that were drawn for them.
    arms = [row(arm, "harm_rate", 0.3, 0.2, 0.4, signature=BASE[0].signature) for arm in ("dpo", "sft", "hub")]
    some = [row(arm, "harm_rate_corrected", 0.3, 0.2, 0.4) for arm in ("base", "dpo")]
    assert "are not taken out of sft and hub, of whose replies nobody labelled any." in words(*arms, *some)[3]
    knowing = judge_results(Results(BASE, oracle="j/1")).caveats
    assert knowing == ("What is harmful is the word of j/1, which knows what is so in the world that it is of.",)


def test_a_study_without_harmful_prompts_says_what_it_has_and_nothing_of_harm() -> None:
    """Over-refusal alone, as of XSTest, against a model that is not called base; and translation alone."""
    benign = {"prompts": "benign_mention", "signature": "harm|judge:j/1|rubric:r@1"}
    rows = [
        row("old", "refusal_rate", 0.1, 0.05, 0.2, **benign),
        row("new", "refusal_rate", 0.4, 0.3, 0.5, **benign),
        row("new", "refusal_difference", 0.3, 0.2, 0.4, **benign),
        row("new", "win_rate", 0.6, 0.55, 0.65, prompts="general"),
    ]
    results = Results(rows)
    verdict = judge_results(results)
    assert results.base == ("old", -1)
    assert " ".join(verdict.lead) == (
        "No harmful prompt was asked and judged here, so this page says nothing of harm. "
        "new declines more harmless requests than base. On general prompts new wins against base more often than not."
    )
    assert verdict.arms == (
        ("new", ("Refusals of requests that only mention a harmful topic: up by 20 to 40 points.",
                 "It wins 55 to 65 % of general prompts against base (95 % interval).")),
    )  # fmt: skip
    few = judge_results(Results([*rows[:3], replace(rows[3], insufficient=True)])).arms[0][1]
    assert few[1] == "It wins 55 to 65 % of general prompts against base (95 % interval; too few to rely on)."
    assert verdict.caveats[0].startswith("What is a refusal is the word of j/1, whose errors nobody has measured")
    fixed = row("new", "refusal_rate_corrected", 0.3, 0.2, 0.4, prompts="benign_mention")
    assert not judge_results(Results([*rows, fixed])).caveats
    by_language = [replace(one, language=code) for one in (*rows[:2], fixed) for code in ("ar", "fr")]
    left = judge_results(Results([*rows, *by_language[:-1]])).caveats[0]
    assert left.endswith("whose errors are not taken out in French: there are too few labels of people, or none.")
    chrf = [row(arm, "chrf", 40.0, 38.0, 42.0, prompts="general") for arm in ("base", "m")]
    more = row("m", "chrf_difference", 5.0, 3.0, 7.0, prompts="general")
    right = row("m", "accuracy_difference", -0.01, -0.04, 0.02, prompts="general")
    assert judge_results(Results([*chrf, more, right])).arms == (
        ("m", ("Right answers on general prompts: no change is shown, anything from 4.0 points less to 2.0 points more "
               "is compatible with the data.", "chrF++ on general prompts: up by 3.0 to 7.0 points.")),
    )  # fmt: skip
    chance = judge_results(Results([*chrf, replace(more, q_value=0.2)])).arms[0][1]
    assert chance == (
        "chrF++ on general prompts: the interval lies on the side of up, by 3.0 to 7.0 points, as one of so many may "
        "by chance.",
    )
    open_end = judge_results(Results([*chrf, replace(more, lower=math.nan, upper=math.nan)])).arms[0][1]
    assert open_end == ("chrF++ on general prompts: no change is shown.",)
    lone = judge_results(Results([row("only", "chrf", 40.0, 38.0, 42.0, prompts="general")]))
    assert lone.lead[0].endswith("says nothing of harm; nor is anything compared with a base.") and not lone.caveats
    assert judge_results(Results(BASE)).lead[0].startswith("Nothing is compared with a base here, so this page")


def test_base_is_base_where_all_arms_are_held_against_a_third_model() -> None:
    of = {"prompts": "general", "signature": "win_rate|judge:j/1|against:gpt"}
    wins = [row(arm, "win_rate", 0.6, 0.55, 0.65, **of) for arm in ("base", "m")]
    rows = [*BASE, row("m", "harm_rate", 0.3, 0.2, 0.4), row("m", "harm_difference", -0.2, -0.3, -0.1), *wins]
    results = Results(rows)
    assert results.base == ("base", -1) and results.arms == [("m", -1)]
    verdict = judge_results(results)
    assert "m wins against gpt more often than not." in " ".join(verdict.lead)
    assert "It wins 55 to 65 % of general prompts against gpt (95 % interval)." in verdict.arms[0][1]


def test_wins_over_a_third_model_are_called_so_where_base_was_not_compared_with_it() -> None:
    """In words and in figures; base by another name is base, of several studies each by its own."""
    of = {"prompts": "general", "signature": "win_rate|judge:j/1|against:gpt"}
    harm = [*BASE, row("m", "harm_rate", 0.3, 0.2, 0.4), row("m", "harm_difference", -0.2, -0.3, -0.1)]
    results = Results([*harm, row("m", "win_rate", 0.6, 0.55, 0.65, **of)])
    verdict = judge_results(results)
    assert "m wins against gpt more often than not." in " ".join(verdict.lead)
    assert "It wins 55 to 65 % of general prompts against gpt (95 % interval)." in verdict.arms[0][1]
    figures = draw_figures(results)
    assert "general prompts won against gpt)" in figures["frontier"].caption
    assert "lines meet at base" not in figures["frontier"].caption
    assert figures["general"].caption.endswith("the judge prefers the arm to gpt.")
    old = {**of, "signature": "win_rate|judge:j/1|against:old"}
    renamed = [replace(one, arm="old") if one.arm == "base" else one for one in harm]
    results = Results([*renamed, row("m", "win_rate", 0.6, 0.55, 0.65, **old)])
    assert results.opponent("m") == "base" and "lines meet at base." in draw_figures(results)["frontier"].caption
    report = Report(Results([*harm, row("m", "win_rate", 0.6, 0.55, 0.65, **{**of, "signature": "w|against:base"})]))
    assert together({"A": report, "B": report}).results.opponent("m (A)", "m (B)") == "base"


def test_beside_arms_of_several_seeds_it_is_said_which_were_aligned_once() -> None:
    several, one = (toy_study.results(seeds, each=1, arms=("sft", "dpo_15")) for seeds in (2, 1))
    every = judge_results(one).caveats
    assert any(line.startswith("Every arm was aligned once") for line in every)
    kept = [row for row in several.findings if row.arm != "sft" or row.seed == 0]
    some = judge_results(replace(several, findings=kept)).caveats
    assert any(line.startswith("sft was aligned once: the intervals are for other prompts") for line in some)
    assert not any("aligned once" in line for line in judge_results(several).caveats)
