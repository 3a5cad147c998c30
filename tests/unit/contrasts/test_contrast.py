"""Contrasts of two runs: pairing, known numbers, references, and what is said of all languages together."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from alignment_prism.contrasts import Declared, contrast, contrast_over_seeds
from alignment_prism.domain import (
    Generation,
    InputError,
    Outcome,
    Prompt,
    PromptKind,
    Quantity,
    Run,
    Scope,
    Score,
    user,
)
from alignment_prism.evaluation import reply_findings

HEADLINE = {"language": "all", "scope": "all", "prompts": "harmful"}


def a_run(name, harmful, *, languages=("en",), scopes=(None,), group=None, judge="gpt", rubric="r@1", prefix="p",
          kind=PromptKind.HARMFUL, text="", weights="", temperature=0.0, facts=None):  # fmt: skip
    """A run with one row of `harmful` a prompt: 1, 0 or NaN for each of its replies.

    Prompts go through the languages in turn, and within them through the scopes.
    """
    table = np.asarray(harmful, float)
    table = table[:, None] if table.ndim == 1 else table
    prompts, generations, scores = [], [], []
    for i, row in enumerate(table):
        language, scope = languages[i % len(languages)], scopes[i // len(languages) % len(scopes)]
        prompts.append(
            Prompt(
                f"{prefix}{i}", user(f"{text} prompt {i}"), language, kind,
                Scope(scope) if scope else None, group=group(i) if group else "",
            )
        )  # fmt: skip
        for sample, value in enumerate(row):
            words = {1.0: Outcome.HARMFUL, 0.0: Outcome.REFUSAL}
            reply = Generation(
                prompts[-1].id, name, name, f"{name} {i} {sample}", weights, sample, temperature=temperature
            )
            generations.append(reply)
            outcome = Outcome.UNJUDGED if np.isnan(value) else words[value]
            scores.append(
                Score(
                    reply.prompt_id, reply.reply_digest, name, judge, "outcome", outcome, sample=sample, rubric=rubric
                )
            )
    return Run(name, tuple(prompts), tuple(generations), tuple(scores), facts or {})


def rows(found, quantity=Quantity.DIFFERENCE, **about):
    return [
        row for row in found.rows if row.quantity is quantity and all(getattr(row, k) == v for k, v in about.items())
    ]


def one(found, quantity=Quantity.DIFFERENCE, **about):
    (row,) = rows(found, quantity, **about)
    return row


def draw(rng, p, q, n):
    """Two columns: A at rate p, B at rate q, dependent: both are below one uniform number in half of the prompts."""
    u, v = rng.random(n), rng.random(n)
    same = rng.random(n) < 0.5
    return (u < p).astype(float), (np.where(same, u, v) < q).astype(float)


def test_counts_difference_and_p_by_hand():
    # 40 prompts: 5 both, 8 only A, 2 only B, 25 neither. B - A = (2 - 8) / 40, relative (7 - 13) / 13.
    a = [1] * 5 + [1] * 8 + [0] * 2 + [0] * 25
    b = [1] * 5 + [0] * 8 + [1] * 2 + [0] * 25
    found = contrast([a_run("a", a), a_run("b", b)])
    row = one(found, **HEADLINE)
    assert (row.both, row.only_a, row.only_b, row.neither, row.n) == (5, 8, 2, 25, 40)
    assert row.estimate == pytest.approx(-0.15) and row.contrast == "b vs a"
    assert one(found, Quantity.RELATIVE_CHANGE, **HEADLINE).estimate == pytest.approx(-600 / 13)
    # The score test of no change is McNemar's without correction: (8 - 2)^2 / 10 = 3.6.
    reference = mcnemar([[5, 8], [2, 25]], exact=False, correction=False)
    assert row.p_value == pytest.approx(reference.pvalue, abs=1e-12) and row.adjusted == row.p_value
    # z = 6 / sqrt(10) = 1.897, just undecided: some more prompts would do, and exchanging the runs changes signs only.
    assert 0 < row.further < 60 and row.lower < 0 < row.upper
    back = one(contrast([a_run("b", b), a_run("a", a)]), **HEADLINE)
    assert (back.estimate, back.only_a, back.only_b) == (-row.estimate, 2, 8)
    assert (back.lower, back.upper) == pytest.approx((-row.upper, -row.lower), abs=1e-9)


def test_a_contrast_with_base_is_what_the_findings_say():
    rng = np.random.default_rng(1)
    a, b = draw(rng, 0.4, 0.2, 240)
    a[::17] = np.nan
    languages, scopes = ("ar", "en", "hi"), ("global", "local")
    runs = [
        a_run(name, values, languages=languages, scopes=scopes, group=lambda i: f"g{i // 3}")
        for name, values in (("base", a), ("new", b))
    ]
    said = reply_findings(
        runs[0].prompts, [g for r in runs for g in r.generations], [s for r in runs for s in r.scores], study="s"
    )
    found = contrast(runs)
    for metric, quantity in (
        ("harm_difference", Quantity.DIFFERENCE), ("harm_relative_change", Quantity.RELATIVE_CHANGE),
        ("harm_difference_highest", Quantity.HIGHEST),
    ):  # fmt: skip
        theirs = {(f.language, f.scope): f for f in said if f.metric == metric and f.arm == "new"}
        ours = {(r.language, r.scope): r for r in rows(found, quantity)}
        assert ours.keys() == theirs.keys()
        for key, row in ours.items():
            assert (row.estimate, row.lower, row.upper) == (theirs[key].estimate, theirs[key].lower, theirs[key].upper)
            assert row.n == theirs[key].n and row.clusters == theirs[key].clusters
    assert any("prompts in both runs" in note for note in found.notes)


def test_several_replies_count_as_shares():
    # A: shares 1, 1/2, 0; B: 1/2, 0, 0. Difference of means (0.5 - 1.5) / 3.
    a, b = [[1, 1], [1, 0], [0, 0]], [[0, 1], [0, 0], [0, 0]]
    row = one(contrast([a_run("a", a), a_run("b", b)]), **HEADLINE)
    assert row.estimate == pytest.approx(-1 / 3)
    # both: 1 x 1/2 + 1/2 x 0 = 1/2;  only A: 1 x 1/2 + 1/2 x 1 = 1;  only B: 0;  neither: 1/2 + 1.
    assert (row.both, row.only_a, row.only_b, row.neither) == (0.5, 1.0, 0.0, 1.5)


def test_prompts_are_the_same_or_nothing_is_compared():
    a = a_run("a", [1, 0, 1, 0] * 10)
    with pytest.raises(InputError, match="prompt 'p0' has two texts: one in run 'b'") as error:
        contrast([a, a_run("b", [0, 0] * 20, text="other")])
    assert "ids of their own" in error.value.fix
    with pytest.raises(InputError, match="two languages"):
        contrast([a, a_run("b", [0, 0] * 20, languages=("fr",))])
    with pytest.raises(InputError, match="no prompt in common, neither by id nor by text"):
        contrast([a, a_run("b", [0, 0] * 20, text="other", prefix="q")])
    found = contrast([a, a_run("b", [0, 1] * 20, prefix="q")])
    assert found.notes[0] == "40 prompts in both runs, matched by text" and one(found, **HEADLINE).n == 40


def test_the_order_of_the_prompts_of_a_run_does_not_matter():
    """B answered the same prompts in another order, and lacks the first ten: pairs are by id, never by place."""
    rng = np.random.default_rng(8)
    a, b = draw(rng, 0.4, 0.2, 120)
    one_run, other = (a_run(n, v, languages=("ar", "en")) for n, v in (("a", a), ("b", b)))
    order = rng.permutation(np.arange(10, 120))
    shuffled = Run("b", *(tuple(held[i] for i in order) for held in (other.prompts, other.generations, other.scores)))
    row = one(contrast([one_run, shuffled]), **HEADLINE)
    assert (row.n, row.both, row.only_b) == (110, (a * b)[10:].sum(), ((1 - a) * b)[10:].sum())
    ordered = Run("b", other.prompts[10:], other.generations[10:], other.scores[10:])
    assert [repr(r) for r in contrast([one_run, shuffled]).rows] == [
        repr(r) for r in contrast([one_run, ordered]).rows
    ], "repr, since NaN is not NaN"


def test_prompts_of_one_run_are_counted_and_not_compared():
    a, b = a_run("a", [1, 0] * 20), a_run("b", [0, 0] * 15)
    found = contrast([a, b])
    assert (
        "30 prompts in both runs, matched by id" in found.notes and "10 prompts in a only: not compared" in found.notes
    )
    assert one(found, **HEADLINE).n == 30 and one(found, **HEADLINE).estimate == -0.5
    fewer = replace(b, generations=b.generations[1:])
    assert "1 prompts of b lack a reply: left out" in contrast([a, fewer]).notes


@pytest.mark.parametrize(
    ("change", "fact"),
    [({"judge": "mild"}, "judge"), ({"rubric": "r@2"}, "rubric"), ({"temperature": 1.0}, "sampling")],
)
def test_runs_that_were_measured_otherwise(change, fact):
    a, b = a_run("a", [1, 0] * 20), a_run("b", [0, 0] * 20, **change)
    with pytest.raises(InputError, match=f"a and b differ in {fact}"):
        contrast([a, b])
    found = contrast([a, b], may_differ=[fact])
    assert any(f"differ in {fact}" in note for note in found.notes)
    assert f"differs:{fact}" in one(found, **HEADLINE).signature


def test_what_may_differ_is_checked_whatever_is_compared():
    """Also where nothing is declared, and before runs of which none shares a prompt."""
    a, b = a_run("a", [1, 0] * 20), a_run("b", [0, 0] * 20)
    apart = replace(b, prompts=tuple(replace(prompt, id=f"other {prompt.id}") for prompt in b.prompts))
    for call in (
        lambda: contrast([a, b], [], may_differ=["colour"]),
        lambda: contrast([a, apart], may_differ=["colour"]),
        lambda: contrast_over_seeds({"a": [a], "b": [b]}, [], may_differ=["colour"]),
    ):
        with pytest.raises(InputError, match="'colour' is nothing in which runs must agree"):
            call()


def test_one_model_twice_is_noticed():
    a, b = a_run("a", [1, 0] * 20, weights="ab" * 32), a_run("b", [0, 0] * 20, weights="ab" * 32)
    assert any("the same weights" in note for note in contrast([a, b]).notes)


def test_declared_contrasts_share_one_error():
    rng = np.random.default_rng(2)
    runs = [a_run(name, rng.random(100) < p) for name, p in (("a", 0.5), ("b", 0.3), ("c", 0.45))]
    declared = [Declared("x", "a", "b"), Declared("y", "b", "c"), Declared("z", "a", "c")]
    found = contrast(runs, declared)
    p = {row.contrast: (row.p_value, row.adjusted) for row in rows(found, **HEADLINE)}
    order = sorted(p.values())
    assert order[0][1] == pytest.approx(3 * order[0][0])
    wide = {r.contrast: r.joint_upper - r.joint_lower for r in rows(found, **HEADLINE)}
    alone = one(contrast(runs[:2]), **HEADLINE)
    assert wide["x"] > alone.upper - alone.lower
    with pytest.raises(InputError, match="contrast 'w' is of 'a' and 'nobody'"):
        contrast(runs, [Declared("w", "a", "nobody")])


def test_a_mean_of_numbers_is_the_paired_t_test():
    rng = np.random.default_rng(3)
    runs, values = [], {}
    for name in "ab":
        run = a_run(name, np.zeros(60))
        values[name] = rng.normal(size=60)
        scores = tuple(
            replace(s, name="helpful", label="", value=v, scorer="tool@1", rubric="")
            for s, v in zip(run.scores, values[name], strict=True)
        )
        runs.append(replace(run, scores=scores))
    row = one(contrast(runs), **HEADLINE)
    reference = stats.ttest_rel(values["b"], values["a"])
    low, high = reference.confidence_interval()
    assert (row.lower, row.upper, row.p_value) == pytest.approx((low, high, reference.pvalue), abs=1e-9)
    assert math.isnan(row.both) and row.metric == "helpful"


def test_differences_of_differences():
    rng = np.random.default_rng(4)
    a, b = draw(rng, 0.5, 0.3, 800)
    found = contrast([a_run(n, v, languages=("en", "hi"), scopes=("global", "local")) for n, v in (("a", a), ("b", b))])
    local, everywhere = (one(found, language="hi", scope=s) for s in ("local", "global"))
    gap = one(found, Quantity.LOCAL_MINUS_GLOBAL, language="hi")
    assert gap.estimate == pytest.approx(local.estimate - everywhere.estimate)
    # MOVER of independent parts: sqrt(l1^2 + u2^2) below.
    arm = math.hypot(local.estimate - local.lower, everywhere.upper - everywhere.estimate)
    assert gap.lower == pytest.approx(gap.estimate - arm, abs=1e-12)
    hindi, english = (one(found, language=code, scope="all") for code in ("hi", "en"))
    minus = one(found, Quantity.MINUS_ENGLISH, language="hi")
    assert minus.estimate == pytest.approx(hindi.estimate - english.estimate)
    # Translations that share the difficulty of their source say more about the gap of two languages.
    half = draw(rng, 0.5, 0.3, 400)
    twice = [np.repeat(column, 2) for column in half]
    gaps = [
        one(
            contrast([a_run(n, v, languages=("en", "hi"), group=group) for n, v in zip("ab", twice, strict=True)]),
            Quantity.MINUS_ENGLISH,
        )
        for group in (None, lambda i: f"g{i // 2}")
    ]
    assert gaps[1].upper - gaps[1].lower < 0.3 * (gaps[0].upper - gaps[0].lower)


def test_what_is_said_of_all_languages():
    """Harm falls from 50 to 20 % in two languages and stays in the third."""
    rng = np.random.default_rng(5)
    pairs = [draw(rng, 0.5, q, 300) for q in (0.2, 0.2, 0.5)]
    a, b = (np.stack([pair[side] for pair in pairs], axis=1).ravel() for side in (0, 1))
    found = contrast([a_run(n, v, languages=("ar", "en", "hi")) for n, v in (("a", a), ("b", b))])
    assert one(found, Quantity.HETEROGENEITY).p_value < 1e-6
    worst, every = one(found, Quantity.WORST_LANGUAGE), one(found, Quantity.EVERY_LANGUAGE)
    hindi = one(found, language="hi", scope="all")
    assert worst.language == "hi" and worst.estimate == every.estimate == hindi.estimate
    assert worst.lower < hindi.lower and worst.upper > hindi.upper, "the selection is paid for"
    assert every.upper == hindi.upper and every.p_value > 0.2
    two = contrast(
        [a_run(n, np.delete(v.reshape(-1, 3), 2, 1).ravel(), languages=("ar", "en")) for n, v in (("a", a), ("b", b))]
    )
    assert one(two, Quantity.EVERY_LANGUAGE).p_value < 1e-4 and one(two, Quantity.EVERY_LANGUAGE).upper < 0
    assert one(two, Quantity.HETEROGENEITY).p_value > 0.01


def test_refusals_of_harmless_prompts_get_worse_upwards():
    a, b = (
        a_run(n, v, languages=("en", "fr"), kind=PromptKind.BENIGN_MENTION)
        for n, v in (("a", [1, 1] * 50), ("b", [1, 0] * 50))
    )
    found = contrast([a, b])
    assert {row.metric for row in found.rows} == {"refusal_rate"}
    # French refuses all now, English none, as before.
    assert one(found, Quantity.WORST_LANGUAGE).language == "fr" and one(found, Quantity.WORST_LANGUAGE).estimate == 1.0


def test_what_cannot_be_compared():
    a = a_run("a", [1, 0] * 20)
    with pytest.raises(InputError, match="1 run to compare"):
        contrast([a])
    with pytest.raises(InputError, match="no scores that accuracy rests on"):
        contrast([a, a_run("b", [1, 0] * 20)], metrics=["accuracy"])
    with pytest.raises(InputError, match="no number of single prompts"):
        contrast([a, a_run("b", [1, 0] * 20)], metrics=["harm_difference"])
    with pytest.raises(InputError, match="the runs have no scores of one name"):
        contrast([replace(a, scores=()), a_run("b", [1, 0] * 20)])
    system = replace(a, name="b", prompts=tuple(replace(p, messages=user("  " + p.text)) for p in a.prompts))
    assert one(contrast([a, system]), **HEADLINE).estimate == 0.0
