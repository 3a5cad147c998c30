"""Power and sample sizes: against published numbers, statsmodels, and simulation."""

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import samplesize_confint_proportion

from alignment_prism.domain import InputError
from alignment_prism.statistics import paired_risk_difference, wilson
from alignment_prism.statistics.missing import paired_bounds
from alignment_prism.statistics.planning.designs import (
    adjusted_alpha,
    bounded_power,
    crossed_detectable,
    crossed_power,
    detectable_score,
    harm_at_k_prompts,
    k_sample_prompts,
    macro_size,
    seeds_needed,
    win_rate_sample_size,
)
from alignment_prism.statistics.planning.labels import (
    corrected_detectable,
    corrected_labels,
    corrected_power,
    corrected_rate_width,
    detectable_kappa,
    kappa_sample_size,
    paired_error_variance,
)
from alignment_prism.statistics.planning.power import (
    design_effect,
    detectable_difference,
    detectable_relative_change,
    mcnemar_power,
    paired_power,
    paired_sample_size,
    rate_sample_size,
)
from alignment_prism.statistics.planning.releases import (
    ceiling_power,
    ceiling_sample_size,
    non_inferiority_power,
    non_inferiority_sample_size,
    smallest_margin,
)
from alignment_prism.statistics.raters.agreement import COHEN
from alignment_prism.statistics.raters.annotators import AnnotatorError
from alignment_prism.statistics.raters.judge_error import corrected_difference
from alignment_prism.statistics.raters.rating_table import RatingTable
from alignment_prism.statistics.samples import harm_at_k, k_sample_rate


def test_rate_sample_size_is_the_smallest():
    n = rate_sample_size(0.1, 0.06)
    assert wilson(0.1 * n, n).width <= 0.06 < wilson(0.1 * (n - 1), n - 1).width
    assert n == pytest.approx(samplesize_confint_proportion(0.1, 0.03), rel=0.03)
    with pytest.raises(InputError):
        rate_sample_size(1.2, 0.1)


def test_paired_sample_size_is_connors():
    # n = (z_a sqrt(s) + z_b sqrt(s - d^2))^2 / d^2 for s = .3, d = .1: 234.2, so 235.
    z_a, z_b = 1.959964, 0.841621
    expected = (z_a * math.sqrt(0.3) + z_b * math.sqrt(0.3 - 0.01)) ** 2 / 0.01
    assert paired_sample_size(-0.1, 0.3) == math.ceil(expected)
    assert paired_sample_size(-0.1, 0.3, design_effect=2.0) == pytest.approx(2 * expected, abs=2)
    with pytest.raises(InputError):
        paired_sample_size(0.0, 0.3)
    with pytest.raises(InputError):
        paired_power(0.4, 0.3, 100)


def test_power_is_that_of_the_interval():
    rng = np.random.default_rng(0)
    cells = rng.multinomial(1, [0.1, 0.2, 0.7], size=(400, 235))
    shown = 0
    for prompts in cells:
        shown += paired_risk_difference(prompts[:, 0], prompts[:, 1]).upper < 0
    assert shown / 400 == pytest.approx(paired_power(-0.1, 0.3, 235), abs=0.07)


def test_non_inferiority_needs_more_the_nearer_the_margin():
    near, far = (paired_sample_size(d, 0.3, margin=0.05, alpha=0.025) for d in (0.02, -0.02))
    assert near > 4 * far
    assert paired_power(0.05, 0.3, 10_000, 0.025, margin=0.05) == pytest.approx(0.025, abs=0.002)
    with pytest.raises(InputError):
        paired_sample_size(0.06, 0.3, margin=0.05)


def test_detectable_difference_inverts_power():
    fall = detectable_difference(0.2, 400)
    discordant = 0.2 + (0.2 - fall) - 2 * 0.2 * (0.2 - fall)
    assert paired_power(-fall, discordant, 400) == pytest.approx(0.8, abs=1e-6)
    assert detectable_difference(0.2, 400, correlation=0.5) < fall
    assert math.isnan(detectable_difference(0.01, 50))


def test_design_effect():
    assert design_effect(8, 0.5) == 4.5 and design_effect(1, 0.9) == 1.0 and design_effect(5, -0.1) == 1.0
    assert design_effect(8, 0.5, variation=0.5) == pytest.approx(1 + (1.25 * 8 - 1) * 0.5)


def test_seeds_limit_power():
    assert crossed_power(-0.1, 0.3, 1e9, 3, 0.1) < 0.3
    assert crossed_power(-0.1, 0.3, 400, 5, 0.01) == pytest.approx(paired_power(-0.1, 0.3, 400), abs=0.03)
    seeds = seeds_needed(-0.1, 0.3, 600, 0.08)
    assert crossed_power(-0.1, 0.3, 600, seeds, 0.08) >= 0.8 > crossed_power(-0.1, 0.3, 600, seeds - 1, 0.08)
    with pytest.raises(InputError, match="one seed"):
        crossed_power(-0.1, 0.3, 400, 1, 0.1)
    with pytest.raises(InputError, match="more prompts"):
        seeds_needed(-0.01, 0.3, 50, 0.01)


def test_crossed_power_is_the_noncentral_t():
    from scipy.stats import nct, t

    by_seed, by_prompt = 0.08**2 / 4, (0.3 - 0.01) / 500
    df = (by_seed + by_prompt) ** 2 / (by_seed**2 / 3 + by_prompt**2 / 499)
    bound, shift = t.ppf(0.975, df), 0.1 / math.sqrt(by_seed + by_prompt)
    expected = 1 - nct.cdf(bound, df, shift) + nct.cdf(-bound, df, shift)
    assert crossed_power(-0.1, 0.3, 500, 4, 0.08) == pytest.approx(expected, abs=5e-4)
    effect = crossed_detectable(0.3, 500, 4, 0.08)
    assert crossed_power(effect, 0.3, 500, 4, 0.08) == pytest.approx(0.8, abs=1e-4)
    assert crossed_detectable(0.3, 500, 10, 0.08) < effect
    assert math.isnan(crossed_detectable(0.3, 500, 2, 1.0))


def test_relative_change_is_the_same_test():
    assert detectable_relative_change(0.2, 400) == pytest.approx(-100 * detectable_difference(0.2, 400) / 0.2)


def test_mcnemar_power_is_that_of_the_exact_test():
    from scipy.stats import binom, binomtest, multinomial

    d, s, n, expected = -0.2, 0.5, 14, 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            if b + c and binomtest(b, b + c, 0.5).pvalue <= 0.05 + 1e-12:
                expected += multinomial.pmf([b, c, n - b - c], n, [(s + d) / 2, (s - d) / 2, 1 - s])
    assert mcnemar_power(d, s, n) == pytest.approx(expected, abs=1e-9)
    # The textbook case: all n discordant.
    rejected = [x for x in range(21) if binomtest(x, 20, 0.5).pvalue <= 0.05]
    assert mcnemar_power(0.6, 1.0, 20) == pytest.approx(binom.pmf(rejected, 20, 0.8).sum(), abs=1e-9)
    assert mcnemar_power(0.0, 0.3, 500) <= 0.05 and mcnemar_power(-0.1, 0.3, 235) < paired_power(-0.1, 0.3, 235)


def test_missing_verdicts_cost_power_as_the_bounds_do():
    assert bounded_power(-0.2, 0.3, 300, 0.4, (0.0, 0.0)) == pytest.approx(paired_power(-0.2, 0.3, 300))
    assert bounded_power(-0.2, 0.3, 10**6, 0.4, (0.3, 0.3)) == 0.0
    worst, moved = -0.15 * 0.92 + 0.06 * 0.8 + 0.02 * 0.05, 0.19 * 0.92 + 0.06 * 0.8 + 0.02 * 0.05
    planned = bounded_power(-0.15, 0.19, 250, 0.2, (0.06, 0.02))
    assert planned == pytest.approx(paired_power(worst, moved, 250), abs=1e-12)
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(200):
        kinds = rng.choice(4, 250, p=[0.03, 0.02, 0.17, 0.78])
        model, base = np.isin(kinds, (0, 1)).astype(float), np.isin(kinds, (0, 2)).astype(float)
        lost = rng.random(250)
        model[lost < 0.06], base[(lost >= 0.06) & (lost < 0.08)] = np.nan, np.nan
        shown += paired_bounds(model, base).upper < 0
    assert shown / 200 == pytest.approx(planned, abs=0.08) and planned < 0.9


def test_samples_and_languages():
    assert k_sample_prompts(0.1, 0.06, 10, 1.0) == rate_sample_size(0.1, 0.06)
    assert k_sample_prompts(0.1, 0.06, 10, 0.0) == math.ceil(rate_sample_size(0.1, 0.06) / 10)
    assert harm_at_k_prompts(0.1, 0.08, 1, 1, 0.3) == rate_sample_size(0.1, 0.08)
    rng = np.random.default_rng(1)
    hard = rng.beta(0.1 * 7 / 3, 0.9 * 7 / 3, (60, k_sample_prompts(0.1, 0.08, 5, 0.3)))
    widths = [k_sample_rate((rng.random((len(p), 5)) < p[:, None]).astype(float)).width for p in hard]
    assert np.mean(widths) == pytest.approx(0.08, rel=0.08)
    hard = rng.beta(0.1 * 7 / 3, 0.9 * 7 / 3, (60, harm_at_k_prompts(0.1, 0.1, 3, 6, 0.3)))
    widths = [harm_at_k(rng.binomial(6, p), np.full(len(p), 6), 3).width for p in hard]
    assert np.mean(widths) == pytest.approx(0.1, rel=0.08)
    assert macro_size(100, 6) == 600 and macro_size(100, 6, 1.0) == 100
    assert adjusted_alpha(0.05, 5) == pytest.approx(0.01)
    assert adjusted_alpha(0.05, 3, cells=True) == pytest.approx(0.05 / 3 / (1 + 1 / 2 + 1 / 3))


def test_win_rates():
    assert win_rate_sample_size(0.55, 0.2) == paired_sample_size(0.1, 0.8)
    assert win_rate_sample_size(detectable_score(0.2, 300), 0.2) in (300, 301)
    assert math.isnan(detectable_score(0.99, 20))


def test_labels():
    perfect = corrected_power(-0.1, 0.3, 900, 150, 0.0)
    assert perfect > corrected_power(-0.1, 0.3, 900, 150, 0.3) > corrected_power(-0.1, 0.3, 900, 50, 0.3)
    needed = corrected_labels(-0.1, 0.3, 900, 0.2)
    assert corrected_power(-0.1, 0.3, 900, needed, 0.2) >= 0.8 > corrected_power(-0.1, 0.3, 900, needed - 1, 0.2)
    least = corrected_detectable(0.3, 900, 150, 0.2)
    assert corrected_power(least, 0.3, 900, 150, 0.2) == pytest.approx(0.8, abs=1e-6)
    assert corrected_rate_width(0.2, 900, 900, 0.2) == pytest.approx(2 * 1.959964 * math.sqrt(0.16 / 900), rel=1e-6)
    with pytest.raises(InputError):
        corrected_power(-0.1, 0.3, 100, 200, 0.3)
    with pytest.raises(InputError, match="more prompts"):
        corrected_labels(-0.02, 0.3, 300, 0.2)


@pytest.mark.parametrize("error", [0.0, 0.15])
def test_power_of_the_correction_is_that_of_its_interval(error):
    rng = np.random.default_rng(2)
    annotator = AnnotatorError(1 - error, 1 - error) if error else None
    shown = 0
    for _ in range(150):
        base, model = rng.random(600) < 0.3, rng.random(600) < 0.2
        verdicts = [np.where(rng.random(600) < np.where(y, 0.8, 0.9), y, ~y).astype(float) for y in (model, base)]
        labels = [np.where(rng.random(600) < error, ~y, y).astype(float) for y in (model, base)]
        for values in labels:
            values[150:] = np.nan
        shown += corrected_difference(*verdicts, *labels, annotator=annotator).interval.upper < 0
    variance = paired_error_variance((0.2, 0.3), (0.8, 0.8), (0.9, 0.9))
    planned = corrected_power(-0.1, 0.2 * 0.7 + 0.3 * 0.8, 600, 150, variance, annotator=annotator)
    # The plan takes the judge at full weight, the interval at the best one (0.45 to 0.65 here).
    assert -0.05 < shown / 150 - planned < 0.15


def test_noise_of_labels_costs_power():
    """Every prompt labelled, by people wrong in 10 % of cases: discordant labels counted out by hand."""
    from scipy.stats import norm

    d, s, e, n = -0.08, 0.3, 0.1, 300
    told_apart = s * ((1 - e) ** 2 + e**2) + (1 - s) * 2 * e * (1 - e)
    spread = math.sqrt((told_apart - (0.8 * d) ** 2) / n)
    expected = norm.cdf(0.8 * abs(d) / spread - norm.ppf(0.975))
    annotator = AnnotatorError(1 - e, 1 - e)
    assert corrected_power(d, s, n, n, 0.2, annotator=annotator) == pytest.approx(expected, abs=1e-9)
    assert corrected_power(d, s, n, n, 0.2) > expected + 0.1
    unsure = AnnotatorError(1 - e, 1 - e, 0.002, 0.002)
    assert corrected_power(d, s, n, n, 0.2, annotator=unsure) < expected


def test_agreement():
    assert kappa_sample_size(0.6, 0.05, 0.2) > 3 * kappa_sample_size(0.6, 0.5, 0.2)
    least = detectable_kappa(0.4, 0.3, 200)
    assert 0.5 < least < 0.65 and detectable_kappa(0.4, 0.3, 2000) < least
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        truth = rng.random(150) < 0.5
        codes = np.stack([np.where(rng.random(150) < 0.9, truth, ~truth) for _ in range(2)], axis=1).astype(int)
        found.append(COHEN.of(RatingTable(codes, (0, 1))))
    planned = kappa_sample_size(0.64, 0.5, 2 * 1.959964 * float(np.std(found)))
    assert planned == pytest.approx(150, rel=0.2)


def test_releases():
    power = non_inferiority_power(0.1, 0.1, 0.05, 600)
    assert power == pytest.approx(0.8229, abs=1e-3)
    assert non_inferiority_power(0.1, 0.1, 0.05, 600, languages=3) == pytest.approx(power**3)
    n = non_inferiority_sample_size(0.1, 0.09, 0.05, languages=6)
    assert non_inferiority_power(0.1, 0.09, 0.05, n, languages=6) >= 0.8
    assert non_inferiority_power(0.1, 0.09, 0.05, n - 1, languages=6) < 0.8
    margin = smallest_margin(0.1, 600, languages=6)
    assert non_inferiority_power(0.1, 0.1, margin, 600, languages=6) == pytest.approx(0.8, abs=1e-6)
    with pytest.raises(InputError, match="beyond the margin"):
        non_inferiority_sample_size(0.1, 0.2, 0.05)


def test_ceiling_power_counts_what_wilson_shows():
    rng = np.random.default_rng(0)
    shown = np.mean([wilson(x, 300).upper <= 0.15 for x in rng.binomial(300, 0.1, 4000)])
    assert ceiling_power(0.1, 0.15, 300) == pytest.approx(shown, abs=0.03)
    n = ceiling_sample_size(0.1, 0.15, languages=2)
    assert min(ceiling_power(0.1, 0.15, size, languages=2) for size in (n, n + n // 20)) >= 0.8
    with pytest.raises(InputError):
        ceiling_sample_size(0.2, 0.15)
