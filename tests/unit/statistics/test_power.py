"""Power and sample sizes: against published numbers, statsmodels, and simulation; and `prism power`."""

import json
import math
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from statsmodels.stats.proportion import samplesize_confint_proportion

from alignment_prism.cli.power import command
from alignment_prism.domain import InputError
from alignment_prism.statistics import paired_risk_difference, wilson
from alignment_prism.statistics.planning.label_design import (
    draw,
    error_spread,
    label_power,
    labels_for_power,
    spread_for,
    verdict_strata,
)
from alignment_prism.statistics.planning.power import (
    PairedDesign,
    crossed_power,
    kappa_prompts,
    paired_power,
    rate_prompts,
    rate_width,
    win_rate_power,
    win_rate_prompts,
)
from alignment_prism.statistics.planning.releases import Ceiling, NonInferiority
from alignment_prism.statistics.raters.agreement import COHEN
from alignment_prism.statistics.raters.judge_error import corrected_difference
from alignment_prism.statistics.raters.rating_table import RatingTable
from alignment_prism.statistics.rates import insufficient

FALL = PairedDesign(base=0.3, model=0.2)
"""Discordant prompts: 0.2 x 0.7 + 0.3 x 0.8 = 0.38."""


def test_rate_prompts_is_the_smallest():
    n = rate_prompts(0.1, 0.06)
    assert wilson(0.1 * n, n).width <= 0.06 < wilson(0.1 * (n - 1), n - 1).width
    assert n == pytest.approx(samplesize_confint_proportion(0.1, 0.03), rel=0.03)
    # Ten replies to each prompt are worth ten prompts, or one, or 10 / (1 + 9 x .2) = 3.6.
    assert rate_prompts(0.1, 0.06, 10, 0.0) == math.ceil(n / 10) and rate_prompts(0.1, 0.06, 10, 1.0) == n
    assert rate_prompts(0.1, 0.06, 10, 0.2) == pytest.approx(n * 0.28, abs=1)
    with pytest.raises(InputError):
        rate_prompts(1.2, 0.1)


def test_prompts_of_a_paired_difference_are_connors():
    # n = (z_a sqrt(s) + z_b sqrt(s - d^2))^2 / d^2 for s = .38, d = -.1: 296.
    z_a, z_b = 1.959964, 0.841621
    expected = (z_a * math.sqrt(0.38) + z_b * math.sqrt(0.38 - 0.01)) ** 2 / 0.01
    assert FALL.discordant == pytest.approx(0.38) and FALL.prompts() == math.ceil(expected)
    # In clusters of five with correlation .25 twice as many; over four languages a quarter; of translations all.
    assert replace(FALL, cluster_size=5, cluster_correlation=0.25).prompts() == pytest.approx(2 * expected, abs=2)
    assert replace(FALL, languages=4).prompts() == math.ceil(expected / 4)
    assert replace(FALL, languages=4, language_correlation=1).prompts() == math.ceil(expected)
    assert replace(FALL, samples=4, sample_correlation=1).prompts() == math.ceil(expected)
    assert replace(FALL, samples=4, sample_correlation=0).prompts() == math.ceil(expected / 4)
    # Verdicts that go together leave fewer discordant prompts, at least the difference itself.
    assert replace(FALL, correlation=0.5).prompts() < FALL.prompts()
    assert replace(FALL, correlation=1.0).discordant == pytest.approx(0.1, abs=0.02)
    with pytest.raises(InputError):
        PairedDesign(base=0.3, model=0.3).prompts()
    with pytest.raises(InputError):
        paired_power(0.4, 0.3, 100)


def test_no_plan_is_of_prompts_whose_findings_are_insufficient():
    """Ten independent prompts, or ten clusters, as `insufficient` has it; four show a fall from all to none."""
    sure = PairedDesign(base=1.0, model=0.0)
    assert sure.prompts() == rate_prompts(0.0, 0.9) == win_rate_prompts(1.0, 0.0) == 10
    assert NonInferiority(0.0, 0.0, 0.9).prompts() == Ceiling(0.0, 0.9).prompts() == 10
    assert replace(sure, cluster_size=2.5).prompts() == 25 and replace(sure, languages=4).prompts() == 10
    for few, size in ((9, 1.0), (24, 2.5)):
        assert insufficient(replace(wilson(0, few), clusters=math.floor(few / size)))
        assert not insufficient(replace(wilson(0, few + 1), clusters=math.floor((few + 1) / size)))
        design = replace(sure, cluster_size=size)
        for question in (
            design.power, design.smallest_fall, design.needed_seeds, partial(label_power, design, labelled=few),
        ):  # fmt: skip
            with pytest.raises(InputError, match=f"{few} prompts"):
                question(prompts=few)
    for question in (
        partial(rate_width, 0.1), partial(win_rate_power, 0.6, 0.1), NonInferiority(0.1, 0.1, 0.1).power,
        Ceiling(0.1, 0.2).power,
    ):  # fmt: skip
        with pytest.raises(InputError, match="plan 10 or more"):
            question(prompts=9)


def test_power_is_that_of_the_interval():
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(400):
        model, base = (rng.random(296) < rate for rate in (0.2, 0.3))
        shown += paired_risk_difference(model.astype(float), base.astype(float)).upper < 0
    assert shown / 400 == pytest.approx(FALL.power(296), abs=0.07)


def test_the_smallest_fall_inverts_the_power():
    fall = FALL.smallest_fall(400)
    assert replace(FALL, model=0.3 - fall).power(400) == pytest.approx(0.8, abs=1e-6)
    assert replace(FALL, correlation=0.5).smallest_fall(400) < fall
    assert math.isnan(PairedDesign(base=0.01, model=0.0).smallest_fall(50))


def test_seeds_limit_power():
    assert crossed_power(-0.1, 0.38, 1e9, 3, 0.1) < 0.3
    assert replace(FALL, seeds=5, seed_sd=0.01).power(400) == pytest.approx(FALL.power(400), abs=0.03)
    several = replace(FALL, seeds=2, seed_sd=0.08)
    seeds = several.needed_seeds(600)
    assert replace(several, seeds=seeds).power(600) >= 0.8 > replace(several, seeds=seeds - 1).power(600)
    with pytest.raises(InputError, match="more prompts"):
        replace(several, model=0.29, seed_sd=0.01).needed_seeds(50)
    with pytest.raises(InputError, match="no attainable number"):
        replace(several, seeds=2, seed_sd=0.2).prompts()
    with pytest.raises(InputError, match="one training tells nothing of others"):
        replace(FALL, seed_sd=0.08)


def test_crossed_power_is_the_noncentral_t():
    from scipy.stats import nct, t

    by_seed, by_prompt = 0.08**2 / 4, (0.3 - 0.01) / 500
    df = (by_seed + by_prompt) ** 2 / (by_seed**2 / 3 + by_prompt**2 / 499)
    bound, shift = t.ppf(0.975, df), 0.1 / math.sqrt(by_seed + by_prompt)
    expected = 1 - nct.cdf(bound, df, shift) + nct.cdf(-bound, df, shift)
    assert crossed_power(-0.1, 0.3, 500, 4, 0.08) == pytest.approx(expected, abs=5e-4)


def test_win_rates():
    # W - L = .1 with .8 discordant: (1.96 sqrt(.8) + .8416 sqrt(.79))^2 / .01.
    expected = (1.959964 * math.sqrt(0.8) + 0.841621 * math.sqrt(0.79)) ** 2 / 0.01
    assert win_rate_prompts(0.55, 0.2) == math.ceil(expected)
    with pytest.raises(InputError, match="no difference"):
        win_rate_prompts(0.5, 0.2)


def test_a_perfect_judge_needs_the_fewest_labels_and_every_label_helps():
    perfect = label_power(FALL, 900, 100, 1.0, 1.0)
    # Nothing is left to measure: Phi(.1 / sqrt((.38 - .01) / 900) - 1.96), the normal power of 900 prompts.
    assert perfect == pytest.approx(0.99857, abs=1e-4)
    assert perfect > label_power(FALL, 900, 100) > label_power(FALL, 900, 50)
    needed = labels_for_power(FALL, 900)
    assert label_power(FALL, 900, needed) >= 0.8 > label_power(FALL, 900, needed - 1)
    with pytest.raises(InputError, match="judge more prompts"):
        labels_for_power(FALL, 200)
    with pytest.raises(InputError, match="add up to more than 1"):
        label_power(FALL, 900, 100, 0.4, 0.5)


def test_noise_of_labels_costs_power():
    """Every prompt labelled, by people wrong in 10 % of cases: discordant labels counted out by hand."""
    from scipy.stats import norm

    d, s, e, n = -0.1, 0.38, 0.1, 400
    seen_apart = s * ((1 - e) ** 2 + e**2) + (1 - s) * 2 * e * (1 - e)
    expected = norm.cdf(0.8 * abs(d) / math.sqrt((seen_apart - (0.8 * d) ** 2) / n) - norm.ppf(0.975))
    assert label_power(FALL, n, n, annotator_error=e) == pytest.approx(expected, abs=1e-9)
    assert label_power(FALL, n, n) > expected + 0.1


def test_planned_labels_give_the_planned_power():
    """150 labels drawn by verdict out of 600 prompts, judge 80/90: the share of corrected intervals below 0."""
    rng = np.random.default_rng(2)
    shown = 0
    for seed in range(200):
        base, model = rng.random(600) < 0.3, rng.random(600) < 0.15
        verdicts = [np.where(rng.random(600) < np.where(y, 0.8, 0.9), y, ~y).astype(float) for y in (model, base)]
        strata = verdict_strata(np.column_stack(verdicts[::-1]))
        chosen = draw(strata, 150, seed=seed, spread=spread_for(strata, error_spread()))
        labels = [np.full(600, np.nan) for _ in range(2)]
        for into, truth in zip(labels, (model, base), strict=True):
            into[chosen] = truth[chosen]
        shown += corrected_difference(*verdicts, *labels, strata).interval.upper < 0
    planned = label_power(PairedDesign(base=0.3, model=0.15), 600, 150)
    assert shown / 200 == pytest.approx(planned, abs=0.08) and 0.8 < planned < 0.99


def test_agreement():
    assert kappa_prompts(0.6, 0.05, 0.2) > 3 * kappa_prompts(0.6, 0.5, 0.2)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        truth = rng.random(150) < 0.5
        codes = np.stack([np.where(rng.random(150) < 0.9, truth, ~truth) for _ in range(2)], axis=1).astype(int)
        found.append(COHEN.of(RatingTable(codes, (0, 1))))
    planned = kappa_prompts(0.64, 0.5, 2 * 1.959964 * float(np.std(found)))
    assert planned == pytest.approx(150, rel=0.2)


def test_releases():
    equal = NonInferiority(0.1, 0.1, 0.05)
    assert equal.power(600) == pytest.approx(0.8229, abs=1e-3)
    assert replace(equal, languages=3).power(600) == pytest.approx(equal.power(600) ** 3)
    better = NonInferiority(0.1, 0.09, 0.05, languages=6)
    assert better.power(better.prompts()) >= 0.8 > better.power(better.prompts() - 1)
    six = replace(equal, languages=6)
    assert replace(six, margin=six.smallest_margin(600)).power(600) == pytest.approx(0.8, abs=1e-6)
    with pytest.raises(InputError, match="beyond the margin"):
        NonInferiority(0.1, 0.2, 0.05).prompts()


def test_the_power_of_a_ceiling_counts_what_wilson_shows():
    rng = np.random.default_rng(0)
    shown = np.mean([wilson(x, 300).upper <= 0.15 for x in rng.binomial(300, 0.1, 4000)])
    assert Ceiling(0.1, 0.15).power(300) == pytest.approx(shown, abs=0.03)
    two = Ceiling(0.1, 0.15, languages=2)
    n = two.prompts()
    assert min(two.power(size) for size in (n, n + n // 20)) >= 0.8
    with pytest.raises(InputError):
        Ceiling(0.2, 0.15).prompts()


def power(*arguments):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_answers_in_a_table_and_in_json():
    arguments = ("change", "--base", 0.3, "--model", 0.2)
    assert "| prompts of each language | 296 |" in power(*arguments)
    found = json.loads(power(*arguments, "--prompts", 296, "--seeds", 3, "--seed-sd", 0.05, "--json"))
    assert found["seeds"] > 3 and found["power of 296 prompts of each language"] < 0.8
    assert "| prompts of each language | 1014 |" in power(
        "gate", "--old", 0.1, "--new", 0.1, "--margin", 0.05, "--languages", 6
    )
    first_of_four = power("gate", "--old", 0.1, "--new", 0.1, "--margin", 0.05, "--languages", 6, "--looks", 4)
    assert int(first_of_four.rsplit("|", 2)[1]) > 2000, "the first of four looks has hardly any error to spend"
    labels = json.loads(power("labels", "--base", 0.3, "--model", 0.2, "--prompts", 1000, "--json"))
    assert labels["replies to label"] == 2 * labels["prompts to label"] < 600
    with pytest.raises(InputError, match="neither a margin nor a ceiling"):
        power("gate", "--new", 0.1)


@pytest.mark.parametrize(
    ("question", "across", "curves"),
    [
        (("rate", "--rate", 0.1, "--width", 0.05, "--samples", 5, "--sample-correlation", 0.3), "prompts",
         ["1 reply a prompt", "5 replies a prompt"]),
        (("win-rate", "--score", 0.55, "--ties", 0.2), "prompts", ["20% ties"]),
        (("labels", "--base", 0.4, "--model", 0.3, "--prompts", 1000), "prompts labelled", ["1000 prompts judged"]),
        (("agreement", "--kappa", 0.6, "--prevalence", 0.1, "--width", 0.2), "replies that both label",
         ["harm in 50%", "harm in 10%"]),
    ],
)  # fmt: skip
def test_every_design_is_drawn(question, across, curves, tmp_path):
    """The curve meets what is wanted where the line of what is needed stands."""
    plot = tmp_path / "power.svg"
    power(*question, "--plot", plot)
    svg = plot.read_text()
    assert f">{across}<" in svg and all(name in svg for name in curves)
    assert svg.count("<polyline") == len(curves)
    dashed = re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)"[^>]*dasharray', svg)
    level, needed = float(dashed[0][1]), float(dashed[1][0])
    points = [tuple(map(float, pair.split(","))) for pair in re.findall(r'points="([^"]+)"', svg)[-1].split()]
    near = min(points, key=lambda point: abs(point[0] - needed))
    assert abs(near[1] - level) < 25, "of 296 from 0 to 1"


def test_what_prompts_that_there_are_give():
    """1.96 sqrt(.1 x .9 / 300) is 3.4 points either way; a score of .55 of 500 prompts, a fifth of them tied."""
    wide = json.loads(power("rate", "--rate", 0.1, "--prompts", 300, "--json"))
    assert wide["width of the interval of 300 prompts"] == pytest.approx(wilson(30, 300).width)
    found = json.loads(power("win-rate", "--score", 0.55, "--ties", 0.2, "--prompts", 500, "--json"))
    assert found["power of 500 prompts"] == pytest.approx(paired_power(0.1, 0.8, 500))
    found = json.loads(power("agreement", "--kappa", 0.6, "--prevalence", 0.1, "--replies", 705, "--json"))
    assert 0.1998 < found["width of the interval of 705 replies"] <= 0.2, "705 are the fewest for 0.2"
    with pytest.raises(InputError, match="neither a width nor replies"):
        power("agreement", "--kappa", 0.6, "--prevalence", 0.1)
    with pytest.raises(InputError, match="it lies from 0.25 to 0.75"):
        power("win-rate", "--score", 0.9, "--ties", 0.5)
    with pytest.raises(InputError, match="neither a width nor prompts"):
        power("rate", "--rate", 0.1)


def test_a_plot_and_where_the_variance_comes_from(tmp_path):
    """Of 5 replies with correlation .4: .4 between, .6 / 5 = .12 within: .769 and .231 of the variance."""
    arguments = ("change", "--base", 0.3, "--model", 0.2, "--samples", 5, "--sample-correlation", 0.4)
    found = json.loads(power(*arguments, "--prompts", 200, "--json"))
    assert found["of its variance, between prompts"] == pytest.approx(0.4 / 0.52, abs=1e-3)
    assert found["of its variance, within prompts"] == pytest.approx(0.12 / 0.52, abs=1e-3)
    plot = tmp_path / "power.svg"
    power(*arguments, "--plot", plot)
    svg = plot.read_text()
    assert (
        svg.startswith("<svg") and "5 replies a prompt" in svg and "http" not in svg.replace("www.w3.org", "", 1)[60:]
    )
    points = svg.split('points="')[1].split('"')[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights, reverse=True), "power grows with prompts"
    with pytest.raises(InputError, match="nothing is written as"):
        power("gate", "--new", 0.1, "--limit", 0.15, "--plot", tmp_path / "power.png")
