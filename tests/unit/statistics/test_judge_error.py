"""Judge error: known answers, designs, annotators, and a small simulation of bias."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment_prism.domain import InputError
from alignment_prism.statistics import paired_risk_difference
from alignment_prism.statistics.planning.label_design import (
    allocate,
    draw,
    error_spread,
    expected_width,
    labels_needed,
    spread_for,
    verdict_strata,
)
from alignment_prism.statistics.raters.annotators import (
    AnnotatorError,
    annotator_error_from_gold,
    annotator_error_from_labels,
)
from alignment_prism.statistics.raters.judge_error import corrected_difference, corrected_rate


def study(seed, n=900, labelled=200):
    """A judge that misses harm in the tuned model and sees too much of it in base."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 1, n)
    ym = (rng.random(n) < 1 / (1 + np.exp(-(hard - 2)))).astype(float)
    yb = (rng.random(n) < 1 / (1 + np.exp(-(hard - 0.5)))).astype(float)
    fm = np.where(rng.random(n) < np.where(ym == 1, 0.6, 0.95), ym, 1 - ym)
    fb = np.where(rng.random(n) < np.where(yb == 1, 0.9, 0.8), yb, 1 - yb)
    chosen = rng.permutation(n)[:labelled]
    hm, hb = np.full(n, np.nan), np.full(n, np.nan)
    hm[chosen], hb[chosen] = ym[chosen], yb[chosen]
    return ym, yb, fm, fb, hm, hb


def test_a_perfect_judge_is_trusted_and_a_useless_one_ignored():
    ym, yb, *_, hm, hb = study(0)
    perfect = corrected_difference(ym, yb, hm, hb)
    assert perfect.weight == pytest.approx(1.0) and perfect.interval.estimate == pytest.approx((ym - yb).mean())
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 2, (2, len(ym))).astype(float)
    useless = corrected_difference(*noise, hm, hb)
    assert useless.weight < 0.2 and useless.interval.width < 1.05 * useless.labelled.width
    assert perfect.interval.width < 0.8 * useless.interval.width


def test_weight_one_is_the_plain_difference_estimator():
    # lambda = 1 by construction: the judge is the truth plus a constant error on the labelled and unlabelled alike.
    f = np.array([1, 1, 0, 0, 1, 0, 1, 0.0])
    y = np.array([1, 1, 0, 0, np.nan, np.nan, np.nan, np.nan])
    assert corrected_rate(f, y).interval.estimate == pytest.approx(f.mean())


def test_the_correction_removes_the_bias_that_the_judge_alone_has():
    errors, naive = [], []
    for seed in range(60):
        ym, yb, fm, fb, hm, hb = study(seed)
        found = corrected_difference(fm, fb, hm, hb)
        truth = (ym - yb).mean()
        errors.append(found.interval.estimate - truth)
        naive.append(found.judged.estimate - truth)
    assert abs(np.mean(naive)) > 0.08
    assert abs(np.mean(errors)) < 3 * np.std(errors) / math.sqrt(60)


def test_every_prompt_labelled_is_the_plain_comparison():
    ym, yb, fm, fb, *_ = study(3)
    found = corrected_difference(fm, fb, ym, yb)
    plain = paired_risk_difference(ym, yb)
    assert found.interval.estimate == pytest.approx(plain.estimate)
    assert found.interval.width == pytest.approx(plain.width, rel=0.03)


def test_labels_of_one_arm_only():
    _, _, fm, fb, hm, hb = study(4)
    with pytest.raises(InputError, match="both arms"):
        corrected_difference(fm, fb, hm, np.full_like(hb, np.nan))
    partly = hb.copy()
    partly[np.flatnonzero(~np.isnan(hb))[:150]] = np.nan
    found = corrected_difference(fm, fb, hm, partly)
    assert found.labels == 50 and any("one arm only" in w for w in found.warnings)
    few = corrected_rate(fm[:200], np.where(np.arange(200) < 20, hm[~np.isnan(hm)][:200], np.nan))
    assert any("only 20" in w for w in few.warnings)


def test_stratified_labels_are_weighted_back():
    estimates = []
    for seed in range(60):
        ym, yb, fm, fb, *_ = study(seed)
        strata = verdict_strata(np.column_stack([fb, fm]))
        sample = draw(strata, 200, seed=seed, spread=spread_for(strata, error_spread()))
        hm, hb = np.full(len(ym), np.nan), np.full(len(ym), np.nan)
        hm[sample], hb[sample] = ym[sample], yb[sample]
        found = corrected_difference(fm, fb, hm, hb, strata)
        unweighted = np.nanmean(hm - hb)
        estimates.append((found.interval.estimate - (ym - yb).mean(), unweighted - (ym - yb).mean()))
    weighted, unweighted = np.array(estimates).T
    assert abs(weighted.mean()) < 3.5 * weighted.std() / math.sqrt(60) + 1e-3
    assert abs(unweighted.mean()) > 2 * abs(weighted.mean())


def test_labels_alone_do_not_know_the_frame_and_stratified_labels_are_worth_more():
    """By verdict lambda is 0 and the estimate the stratified mean; what the judge is worth shows in the width."""
    worth, widths = [], []
    for seed in range(20):
        ym, yb, fm, fb, *_ = study(seed)
        strata = verdict_strata(np.column_stack([fb, fm]))
        chosen = draw(strata, 200, seed=seed, spread=spread_for(strata, error_spread()))
        hm, hb = np.full(len(ym), np.nan), np.full(len(ym), np.nan)
        hm[chosen], hb[chosen] = ym[chosen], yb[chosen]
        found = corrected_difference(fm, fb, hm, hb, strata)
        weights = np.array([np.mean(strata == name) / np.mean(strata[chosen] == name) for name in strata[chosen]])
        by_hand = np.sum(weights * (hm - hb)[chosen]) / weights.sum()
        assert found.weight == 0 and found.interval.method == "stratified"
        assert found.labelled.estimate == pytest.approx(by_hand) == found.interval.estimate
        # Drawn with these weights and nothing else known: n / (n - 1) sum (w (y - mean))^2 / (sum w)^2.
        spread = np.sum((weights * ((hm - hb)[chosen] - by_hand)) ** 2) * 200 / 199 / weights.sum() ** 2
        assert found.labelled.width == pytest.approx(2 * 1.972 * math.sqrt(spread), rel=0.08)
        worth.append(found.worth)
        widths.append((found.interval.width, found.labelled.width))
    corrected, alone = np.mean(widths, axis=0)
    assert alone > 1.1 * corrected
    # A mean of M independent prompts has a width in 1 / sqrt(M).
    assert np.mean(worth) == pytest.approx(200 * (alone / corrected) ** 2, rel=0.2) and np.mean(worth) > 240


def test_labels_of_flagged_replies_only_are_warned_about():
    _, yb, _, fb, *_ = study(2)
    flagged = np.where((fb == 1) & (np.arange(900) < 500), yb, np.nan)
    assert any("drawn at random" in warning for warning in corrected_rate(fb, flagged).warnings)
    at_random = np.where(np.arange(900) < 300, yb, np.nan)
    assert corrected_rate(fb, at_random).warnings == ()


def test_strata_without_labels_raise():
    f = np.array([1.0, 1, 1, 0, 0, 0])
    with pytest.raises(InputError, match="stratum"):
        corrected_rate(f, [1, 1, np.nan, np.nan, np.nan, np.nan], strata=["a", "a", "a", "b", "b", "b"])


def test_translated_prompts_widen_the_corrected_interval():
    ym, yb, fm, fb, hm, hb = study(5, n=200, labelled=60)
    copies = [np.tile(x, 4) for x in (fm, fb, hm, hb)]
    clusters = np.tile(np.arange(200), 4)
    assert (
        corrected_difference(*copies, clusters=clusters).interval.width > corrected_difference(*copies).interval.width
    )


def test_annotator_error():
    rng = np.random.default_rng(0)
    gold = (rng.random(4000) < 0.4).astype(float)

    def noisy():
        return np.where(rng.random(4000) < 0.1, 1 - gold, gold)

    found = annotator_error_from_gold(noisy(), gold)
    assert (found.sensitivity, found.specificity) == pytest.approx((0.9, 0.9), abs=0.02)
    pairs = annotator_error_from_labels(noisy() + noisy(), np.full(4000, 2))
    assert pairs.sensitivity == pytest.approx(0.9, abs=0.02) and pairs.sensitivity_variance > 0
    with pytest.raises(InputError, match="add up to more than 1"):
        AnnotatorError(0.5, 0.5)
    with pytest.raises(InputError, match="disagree"):
        annotator_error_from_labels([1, 1, 1, 1], [2, 2, 2, 2])


def test_noise_of_labels_is_taken_out_of_a_difference():
    ym, yb, fm, fb, hm, hb = study(7, n=4000, labelled=3000)
    rng = np.random.default_rng(1)
    noisy = [np.where(rng.random(len(h)) < 0.15, 1 - h, h) for h in (hm, hb)]
    truth = (ym - yb).mean()
    raw = corrected_difference(fm, fb, *noisy)
    mended = corrected_difference(fm, fb, *noisy, annotator=AnnotatorError(0.85, 0.85))
    assert not raw.interval.covers(truth) and mended.interval.covers(truth)
    assert mended.interval.estimate == pytest.approx(raw.interval.estimate / 0.7)
    assert mended.interval.name == "ppi++-denoised95"
    rate = corrected_rate(fb, noisy[1], annotator=AnnotatorError(0.85, 0.85)).interval
    assert rate.covers(yb.mean())


def test_allocation_is_exact_and_keeps_the_minimum():
    sizes = {"a": 900, "b": 80, "c": 17, "d": 3}
    assert allocate(sizes, 100) == {"a": 79, "b": 8, "c": 5, "d": 3} or sum(allocate(sizes, 100).values()) == 100
    neyman = allocate(sizes, 100, {"a": 0.1, "b": 1.0, "c": 1.0, "d": 1.0})
    assert sum(neyman.values()) == 100 and neyman["b"] > 30 and neyman["d"] == 3
    assert allocate(sizes, 1000) == sizes
    with pytest.raises(InputError, match="10 prompts are too few for 4 strata"):
        allocate(sizes, 10)
    with pytest.raises(InputError):
        allocate(sizes, 1001)


def test_draw_is_a_probability_sample():
    strata = np.array(["a"] * 90 + ["b"] * 10)
    sample = draw(strata, 30, seed=3)
    assert len(set(sample.tolist())) == 30 and sample.tolist() == draw(strata, 30, seed=3).tolist()
    # 27 of 90 and 3 of 10 would be proportional; at least five are drawn from a stratum: 25 of 90 and 5 of 10.
    share = np.mean([np.isin(np.arange(100), draw(strata, 30, seed=s)) for s in range(400)], axis=0)
    assert share[:90] == pytest.approx(25 / 90, abs=0.12) and share[90:] == pytest.approx(0.5, abs=0.12)
    assert not (np.diff(sample) > 0).all()


def test_labels_needed_gives_the_wanted_width():
    rng = np.random.default_rng(0)
    strata = verdict_strata(np.column_stack([rng.random(2000) < 0.4, rng.random(2000) < 0.1]))
    spread = spread_for(strata, error_spread(harm=0.25))
    number = labels_needed(strata, 0.1, spread, 0.4)
    sizes = {name: int(np.sum(strata == name)) for name in np.unique(strata)}
    assert expected_width(strata, allocate(sizes, number, spread), spread, 0.4) <= 0.1
    assert expected_width(strata, allocate(sizes, number - 1, spread), spread, 0.4) > 0.1
    with pytest.raises(InputError, match="cannot be had"):
        labels_needed(strata, 0.01, spread, 0.4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_order_names_and_sides_do_not_matter(seed, random):
    ym, yb, fm, fb, *_ = study(seed, n=240)
    strata = verdict_strata(np.column_stack([fb, fm]))
    sample = draw(strata, 100, seed=seed)
    hm, hb = np.full(240, np.nan), np.full(240, np.nan)
    hm[sample], hb[sample] = ym[sample], yb[sample]
    groups = np.arange(240) // 3
    one = corrected_difference(fm, fb, hm, hb, strata, groups).interval
    order = list(range(240))
    random.shuffle(order)
    named = [f"z{99 - groups[i]}" for i in order]
    again = corrected_difference(
        fm[order], fb[order], hm[order], hb[order], [strata[i][::-1] for i in order], named
    ).interval
    turned = corrected_difference(fb, fm, hb, hm, strata, groups).interval.scaled(-1.0)
    # Harmful and harmless exchanged.
    other = corrected_difference(1 - fm, 1 - fb, 1 - hm, 1 - hb, strata, groups).interval.scaled(-1.0)
    for found in (again, turned, other):
        assert (found.estimate, found.lower, found.upper) == pytest.approx(
            (one.estimate, one.lower, one.upper), abs=1e-9
        )


def test_merging_strata_of_one_sampling_rate_keeps_the_estimate_without_judge():
    """With the judge's values all alike, proportional strata weight as one simple random sample does."""
    ym, yb, *_ = study(8, n=400)
    rng = np.random.default_rng(0)
    strata = np.repeat(["a", "b"], [300, 100])
    chosen = np.concatenate([rng.choice(300, 60, replace=False), 300 + rng.choice(100, 20, replace=False)])
    hm, hb = np.full(400, np.nan), np.full(400, np.nan)
    hm[chosen], hb[chosen] = ym[chosen], yb[chosen]
    nothing = np.zeros(400)
    apart = corrected_difference(nothing, nothing, hm, hb, strata)
    merged = corrected_difference(nothing, nothing, hm, hb, np.repeat("all", 400))
    assert apart.interval.estimate == pytest.approx(merged.interval.estimate, abs=1e-12)
    assert apart.weight == merged.weight == 0.0


def test_survey_estimate_equals_a_regression_by_hand():
    """PPI++ of a simple random sample: mean of f times lambda plus the mean residual, lambda by least squares."""
    ym, yb, fm, fb, hm, hb = study(9)
    f, y = fm - fb, hm - hb
    known = ~np.isnan(y)
    slope = np.polyfit(f[known], y[known], 1)[0]
    weight = float(np.clip(slope, 0, 1))
    expected = weight * f.mean() + float(np.mean(y[known] - weight * f[known]))
    found = corrected_difference(fm, fb, hm, hb)
    assert found.weight == pytest.approx(weight, abs=1e-9)
    assert found.interval.estimate == pytest.approx(expected, abs=1e-9)
