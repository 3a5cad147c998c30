"""Any score under any name becomes findings: by the metric's estimator, with the intervals of every other number."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from rich.console import Console

from alignment_prism.domain import (
    Comparison,
    Finding,
    Generation,
    InputError,
    Metric,
    Outcome,
    Prompt,
    PromptKind,
    Scope,
    Score,
    Winner,
    user,
)
from alignment_prism.domain.metrics import SHARE, Agreement, Denominator, JudgeCorrected, Mean, Missing, Share, Unit
from alignment_prism.evaluation import reply_findings, seed_findings, win_rate_findings
from alignment_prism.gates.decide import Status, decide
from alignment_prism.gates.spec import GateSpec
from alignment_prism.reports import outcomes_table, write_report
from alignment_prism.scoring.metrics import all_metrics
from alignment_prism.scoring.rules import RULES, Rule, score_replies

LOUDNESS = Metric(
    "loudness",
    "mean number of exclamation marks in a reply",
    "exclamations",
    Unit("marks", low=0.0),
    "lower",
    Denominator("replies"),
    Mean("marks"),
)
SHOUTING = Metric(
    "shouting_rate",
    "share of replies with three exclamation marks or more",
    "shouting",
    SHARE,
    "lower",
    Denominator("replies"),
    Share("shouts"),
    headline=(PromptKind.GENERAL,),
)


def loudness(prompt: Prompt, reply: str) -> dict[str, float]:
    marks = reply.count("!")
    return {"marks": marks, "shouts": float(marks >= 3)}


@pytest.fixture
def loud(monkeypatch: pytest.MonkeyPatch) -> Rule:
    """A rule that nobody has heard of, and the one line that makes it known."""
    rule = Rule("loud", 1, (LOUDNESS, LOUDNESS.difference(), SHOUTING, SHOUTING.difference()), loudness)
    monkeypatch.setitem(RULES, "loud", rule)
    return rule


def asked(languages: str = "en", number: int = 30, **fields: object) -> list[Prompt]:
    given = {"kind": PromptKind.GENERAL} | fields
    return [
        Prompt(f"{code}{n}", user(f"{code} {n}"), code, **given)  # type: ignore[arg-type]
        for code in languages.split()
        for n in range(number)
    ]


def replies(prompts: Sequence[Prompt], **marks: Callable[[int], int]) -> list[Generation]:
    return [
        Generation(prompt.id, arm, "m", f"{arm}{'!' * number(position)}")
        for arm, number in marks.items()
        for position, prompt in enumerate(prompts)
    ]


def find(findings: Sequence[Finding], metric: str, arm: str = "m", **where: str) -> Finding:
    wanted = {"prompts": "general", "language": "all", "scope": "all", "category": "all"} | where
    (found,) = [
        f for f in findings
        if (f.metric, f.arm) == (metric, arm) and all(getattr(f, key) == value for key, value in wanted.items())
    ]  # fmt: skip
    return found


def test_a_new_metric_arrives_in_findings_gates_and_reports(loud: Rule, tmp_path: Path) -> None:
    """One file and one line: no other place knows the metric, and all of them show it."""
    prompts = asked("en fr")
    generations = replies(prompts, base=lambda n: n % 3, m=lambda n: n % 3 + 2)  # means 1 and 3; 3 or more: 0, 2 of 3
    findings = reply_findings(prompts, generations, score_replies(prompts, generations, ["loud"]), study="s")
    assert find(findings, "loudness", "base").estimate == pytest.approx(1.0)
    assert find(findings, "loudness").estimate == find(findings, "loudness", language="macro").estimate == 3.0
    change = find(findings, "loudness_difference", language="fr")
    assert (change.estimate, change.lower, change.upper, change.n) == (2.0, 2.0, 2.0, 30)  # every prompt two marks more
    assert find(findings, "shouting_rate", language="fr").estimate == pytest.approx(2 / 3)
    assert find(findings, "shouting_rate_difference").estimate == pytest.approx(2 / 3)
    assert {f.metric for f in findings} == {metric.name for metric in loud.metrics}  # and nothing of harm
    assert (
        "|scorer:loud@1|" in find(findings, "loudness").signature
        and "judge" not in find(findings, "loudness").signature
    )

    gate = {"kind": "non_inferiority", "prompts": "general", "languages": "each"}
    checks = [
        {"name": "not louder", "metric": "loudness", "margin": 0.5, **gate},  # lower is better: the metric says so
        {"name": "seldom", "kind": "ceiling", "metric": "shouting_rate", "limit": 0.9, "prompts": "general"},
    ]
    result = decide(findings, findings, GateSpec(checks=checks), old_arm="base", new_arm="m")
    assert [(d.check, d.cell.language, d.status) for d in result.decisions] == [
        ("not louder", "en", Status.FAIL),
        ("not louder", "fr", Status.FAIL),
        ("seldom", "en", Status.PASS),
        ("seldom", "fr", Status.PASS),
    ]

    page = write_report(findings, tmp_path / "r.html").read_text(encoding="utf-8")
    for text in ("Exclamations by language", "; marks.", "+2.0 [+2.0, +2.0]", "shouting general", LOUDNESS.words):
        assert text in page, text
    stream = io.StringIO()
    Console(width=120, file=stream).print(outcomes_table(findings))
    assert "exclamations" in stream.getvalue() and "3.0" in stream.getvalue() and "66.7" in stream.getvalue()


def test_the_mean_of_prompts_that_stand_alone_is_that_of_the_t_test(loud: Rule) -> None:
    rng = np.random.default_rng(3)
    prompts = asked(number=25)
    marks = {arm: rng.poisson(mean, 25).tolist() for arm, mean in {"base": 4, "m": 6}.items()}
    generations = replies(prompts, **{arm: values.__getitem__ for arm, values in marks.items()})
    findings = reply_findings(prompts, generations, score_replies(prompts, generations, ["loud"]), study="s")
    for row, values in (
        (find(findings, "loudness"), np.array(marks["m"])),
        (find(findings, "loudness_difference"), np.array(marks["m"]) - np.array(marks["base"])),
    ):
        expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (row.estimate, row.lower, row.upper) == pytest.approx((values.mean(), *expected))
        assert (row.interval, row.n, row.clusters, row.insufficient) == ("t95", 25, 25, False)


def test_translations_of_one_prompt_are_a_cluster(loud: Rule) -> None:
    """Against the cluster-robust variance of a regression on a constant, with Student's t of G - 1."""
    rng = np.random.default_rng(4)
    prompts = [replace(p, group=p.id[2:]) for p in asked("en fr ar", 20)]
    common = rng.poisson(5, 20)
    marks = [int(common[n % 20] + rng.poisson(1)) for n in range(60)]
    generations = replies(prompts, m=marks.__getitem__)
    findings = reply_findings(prompts, generations, score_replies(prompts, generations, ["loud"]), study="s")
    row = find(findings, "loudness")
    fit = sm.OLS(np.array(marks, float), np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": np.arange(60) % 20}, use_t=True
    )
    assert (row.estimate, row.lower, row.upper) == pytest.approx((fit.params[0], *fit.conf_int()[0]))
    assert (row.interval, row.n, row.clusters) == ("t-clustered95", 60, 20)
    # All languages have the same sources and sizes, so the mean over languages is the pooled mean and as sure.
    macro = find(findings, "loudness", language="macro")
    assert (macro.estimate, macro.clusters) == (pytest.approx(row.estimate), 20)
    assert macro.upper - macro.lower == pytest.approx(row.upper - row.lower, rel=0.1)


def test_of_several_replies_the_prompt_is_the_unit(loud: Rule) -> None:
    """Means of the prompts 1, 3 and 5: mean 3, standard error 2 / sqrt(3)."""
    prompts = asked(number=3)
    generations = [
        Generation(prompt.id, "m", "x", "!" * (2 * n + 1 + off), sample=sample)
        for n, prompt in enumerate(prompts)
        for sample, off in enumerate((-1, 0, 1))
    ]
    findings = reply_findings(prompts, generations, score_replies(prompts, generations, ["loud"]), study="s")
    row = find(findings, "loudness")
    arm = scipy.stats.t.ppf(0.975, 2) * 2 / math.sqrt(3)
    assert (row.estimate, row.lower, row.upper, row.n) == pytest.approx((3, 3 - arm, 3 + arm, 3))
    assert row.insufficient and "|k:3|" in row.signature


def test_a_mean_of_one_prompt_has_no_bounds_and_of_none_no_value(loud: Rule) -> None:
    prompts = asked(number=2)
    generations = replies(prompts, base=lambda n: 1, m=lambda n: 2)
    scores = [s for s in score_replies(prompts, generations, ["loud"]) if (s.arm, s.prompt_id) != ("m", "en0")]
    one = find(reply_findings(prompts, generations, scores, study="s"), "loudness")
    assert (one.estimate, one.lower, one.upper, one.n) == (2.0, -math.inf, math.inf, 1)
    scores = [score for score in scores if score.arm == "base"]
    none = find(reply_findings(prompts, generations, scores, study="s"), "loudness")
    assert math.isnan(none.estimate) and none.n == 0 and none.insufficient


def test_shares_of_labels_and_of_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    whose = Denominator("replies with a tone")
    polite = Metric("polite_rate", "share of polite replies", "polite", SHARE, "higher", whose, Share("tone", "polite"))
    unheard = Metric(
        "toneless_rate", "share of replies without a tone", "toneless", SHARE, None, whose, Missing("tone")
    )
    monkeypatch.setitem(RULES, "tone", Rule("tone", 1, (polite, unheard), lambda prompt, reply: {}))
    prompts = asked(number=10)
    generations = replies(prompts, m=lambda n: n)
    words = ["polite"] * 6 + ["rude"] * 2 + [""] * 2
    scores = [
        Score(g.prompt_id, g.reply_digest, "m", "human:anna", "tone", label=word)
        for g, word in zip(generations, words, strict=True)
        if word or g.prompt_id == "en9"  # of en8 nothing is said, of en9 that there is nothing to say
    ]
    findings = reply_findings(prompts, generations, scores, study="s")
    assert (find(findings, "polite_rate").estimate, find(findings, "polite_rate").n) == (6 / 8, 8)
    assert find(findings, "toneless_rate").n == 8 and find(findings, "toneless_rate").estimate == 0


def test_judge_and_rule_say_side_by_side_what_is_right() -> None:
    prompts = asked(number=12, reference="4")
    generations = [
        Generation(p.id, arm, "x", "4." if arm == "base" else "Four") for arm in ("base", "m") for p in prompts
    ]
    scores = score_replies(prompts, generations, ["exact_match"])
    for g in generations:
        said = Score(g.prompt_id, g.reply_digest, g.arm, "j", "outcome", Outcome.SAFE_HELP, rubric="r@1")
        scores += [said, replace(said, name="correct", label="", value=1.0)]
    findings = reply_findings(prompts, generations, scores, study="s")
    assert find(findings, "accuracy").estimate == 1 and "judge:j" in find(findings, "accuracy").signature
    assert find(findings, "exact_match").estimate == 0 and find(findings, "exact_match_difference").estimate == -1
    assert find(findings, "refusal_rate").estimate == 0


def test_two_scorers_of_one_name_are_refused_and_shares_of_numbers_too(loud: Rule) -> None:
    prompts = asked(number=12)
    generations = replies(prompts, m=lambda n: n)
    scores = score_replies(prompts, generations, ["loud"])
    other = [replace(score, scorer="human:omar") for score in scores if score.name == "marks"]
    with pytest.raises(InputError, match="'marks' are of several scorers: human:omar, loud@1") as error:
        reply_findings(prompts, generations, scores + other, study="s")
    assert error.value.fix
    with pytest.raises(InputError, match="two scores"):
        reply_findings(prompts, generations, [*scores, replace(scores[0], value=7.0)], study="s")
    half = [replace(score, value=0.5) if score.name == "shouts" else score for score in scores]
    with pytest.raises(InputError, match="0.5 as shouts"):
        reply_findings(prompts, generations, half, study="s")


def test_intervals_of_means_cover_what_they_should(loud: Rule) -> None:
    """Records in, findings out: 20 sources in three languages, skewed counts that go together within a source."""
    rng = np.random.default_rng(8)
    prompts = [replace(p, group=p.id[2:]) for p in asked("en fr ar", 20)]
    covered = {"all": 0, "macro": 0}
    for _ in range(150):
        common = rng.exponential(4.0, 20)
        marks = rng.poisson(np.tile(common, 3)).tolist()
        generations = replies(prompts, m=marks.__getitem__)
        findings = reply_findings(prompts, generations, score_replies(prompts, generations, ["loud"]), study="s")
        for language in covered:
            row = find(findings, "loudness", language=language)
            covered[language] += row.lower <= 4.0 <= row.upper
    assert min(covered.values()) / 150 > 0.86, covered  # nominal 0.95; skewness costs a few points with 20 sources


def test_the_table_of_metrics_has_what_evaluation_gives_and_nothing_else() -> None:
    first, second, *others_of_twelve = asked(number=12)
    prompts = [
        replace(
            prompt,
            id=f"{kind}{prompt.id}",
            kind=kind,
            reference="A" if kind is PromptKind.GENERAL else "",
            scope=Scope.LOCAL if kind is PromptKind.HARMFUL else prompt.scope,
            metadata={
                "choices": ["4", "5"],
                "norm": prompt.id,
                **({"variant_of": f"{kind}{first.id}"} if prompt == second else {}),
            },
        )
        for kind in PromptKind
        for prompt in (first, second, *others_of_twelve)
    ]
    needs_a_model = {"spbleu"}  # and its metrics are as those of chrf
    runs: dict[int, tuple[list[Generation], list[Score]]] = {}
    five = [outcome for outcome in Outcome if outcome not in (Outcome.UNJUDGED, Outcome.NOT_HARMFUL)]
    for seed in (0, 1, 2):  # fewer are not ranked
        generations = [
            Generation(p.id, arm, "x", f"{arm} {seed} {'long ' * ((n + sample) % 3)}", sample=sample)
            for arm in ("base", "m", "other")
            for n, p in enumerate(prompts)
            for sample in (0, 1)
        ]
        scores = []
        for n, g in enumerate(generations):
            said = Score(g.prompt_id, g.reply_digest, g.arm, "j", "outcome", five[(n + seed) % 5], rubric="r@1")
            said = replace(said, label=Outcome.UNJUDGED) if n % 40 == 3 else said
            scores += [said, replace(said, name="correct", label="", value=float(n % 2))]
        runs[seed] = generations, [*scores, *score_replies(prompts, generations, set(RULES) - needs_a_model)]
    winners = [Winner.WIN, Winner.LOSS, Winner.TIE, Winner.UNJUDGED]
    comparisons = [
        Comparison(p.id, "m", "base", first, "j", "r@1", winners[(n + first * (n // 4)) % 4])
        for n, p in enumerate(prompts)
        for first in (True, False)
    ]
    generations, scores = runs[0]
    told = {"refusal": "not_harmful", "safe_help": "not_harmful"}  # by a judge that knows of harm only
    binary = [replace(score, label=told.get(score.label, score.label)) for score in scores]
    findings = [
        *reply_findings(prompts, generations, scores, study="s"),
        *reply_findings(prompts, generations, binary, study="s"),
        *seed_findings(prompts, runs, study="s"),
        *win_rate_findings(comparisons, prompts, runs[0][0], study="s"),
    ]
    elsewhere = (JudgeCorrected, Agreement)  # of people's labels, of panels
    others = {metric.name for metric in all_metrics().values() if isinstance(metric.estimator, elsewhere)}
    others |= {"spbleu", "spbleu_difference"}
    assert {row.metric for row in findings} == set(all_metrics()) - others


def test_a_judge_that_knows_of_harm_only_says_nothing_of_refusals() -> None:
    """Of four replies one is harmful: harm 1/4 and not harmful 3/4, and no rate of refusals, which would be 0/4."""
    prompts = [replace(prompt, kind=PromptKind.HARMFUL) for prompt in asked(number=4)]
    generations = [Generation(p.id, arm, "x", f"{arm} {p.id}") for arm in ("base", "m") for p in prompts]
    labels = ["harmful", "not_harmful", "not_harmful", "not_harmful"] * 2
    scores = [
        Score(g.prompt_id, g.reply_digest, g.arm, "j", "outcome", label, rubric="binary@1")
        for g, label in zip(generations, labels, strict=True)
    ]
    rows = {(r.metric, r.arm): r.estimate for r in reply_findings(prompts, generations, scores, study="s")
            if r.language == "all" and r.prompts == "harmful" and r.scope == "all" and r.category == "all"}  # fmt: skip
    assert rows["harm_rate", "m"] == 0.25 and rows["not_harmful_rate", "m"] == 0.75
    assert rows["harmful_to_harmful", "m"] == 1.0 and rows["harmful_to_not_harmful", "m"] == 0.0
    assert not [metric for metric, _ in rows if "refusal" in metric or "safe_help" in metric]
