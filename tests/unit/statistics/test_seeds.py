"""Seeds and prompts crossed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment_prism.domain import InputError
from alignment_prism.statistics import paired_risk_difference, relative_change
from alignment_prism.statistics.changes.ranks import rank_arms
from alignment_prism.statistics.changes.seed_variance import SeedLaw
from alignment_prism.statistics.changes.seeds import SeedModel, crossed_difference


def simulate(rng, seeds, prompts, rate, shift, seed_sd):
    hard = rng.normal(0, 1, prompts)
    base = rng.random(prompts) < 1 / (1 + np.exp(-(rate + hard)))
    by_seed = rng.normal(0, seed_sd, (seeds, 1))
    model = rng.random((seeds, prompts)) < 1 / (1 + np.exp(-(rate + shift + hard + by_seed)))
    return model.astype(float), base.astype(float)


def test_one_seed_is_the_paired_interval_and_cannot_rank():
    model, base = simulate(np.random.default_rng(0), 1, 300, 0.0, -1.0, 0.5)
    found = crossed_difference(model, base)
    paired = paired_risk_difference(model[0], base)
    assert found.seeds == 1 and math.isnan(found.p_value) and found.interval.name == "crossed-one-seed95"
    assert found.interval.estimate == pytest.approx(paired.estimate)
    assert found.interval.width == pytest.approx(paired.width, rel=0.02)
    for seeds in (1, 2):
        with pytest.raises(InputError, match="one seed or two: a"):
            rank_arms({"a": np.repeat(model, seeds, axis=0), "b": np.repeat(model, 3, axis=0)})


def test_components_are_those_of_a_two_way_analysis_of_variance():
    model, base = simulate(np.random.default_rng(1), 5, 200, 0.0, -1.0, 0.8)
    d = model - base
    s, p = d.shape
    ms_seed = p * np.var(d.mean(axis=1), ddof=1)
    ms_prompt = s * np.var(d.mean(axis=0), ddof=1)
    rest = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0) + d.mean()
    ms_rest = np.sum(rest**2) / ((s - 1) * (p - 1))
    found = crossed_difference(model, base)
    assert found.seed_sd == pytest.approx(math.sqrt((ms_seed - ms_rest) / p), rel=1e-9)
    assert found.prompt_se == pytest.approx(math.sqrt(ms_prompt / (s * p)), rel=1e-9)


def test_clusters_of_one_prompt_change_nothing_and_copies_add_nothing():
    model, base = simulate(np.random.default_rng(2), 4, 150, 0.0, -1.0, 0.3)
    plain = crossed_difference(model, base)
    named = crossed_difference(model, base, [f"p{i}" for i in range(150)])
    assert named.interval.lower == pytest.approx(plain.interval.lower)
    copies = crossed_difference(np.tile(model, 3), np.tile(base, 3), np.tile(np.arange(150), 3))
    assert copies.interval.width == pytest.approx(plain.interval.width, rel=0.05)


def test_seed_variance_widens_the_interval():
    calm, base = simulate(np.random.default_rng(3), 3, 400, 0.0, -1.0, 0.0)
    wild = calm.copy()
    wild[0] = 0.0
    assert crossed_difference(wild, base).interval.width > 2 * crossed_difference(calm, base).interval.width


def test_ranks_are_ranges():
    rng = np.random.default_rng(4)
    same = [(rng.random((5, 300)) < 0.3).astype(float) for _ in range(2)]
    worse = (rng.random((5, 300)) < 0.6).astype(float)
    ranks = {rank.arm: (rank.best, rank.worst) for rank in rank_arms({"a": same[0], "b": same[1], "c": worse})}
    assert ranks == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}


def arms_of(rng, seeds, seed_sd, first=0.0):
    """Five arms on 200 prompts, one of them better by `first`; normal seed effects."""
    hard = rng.normal(0, 0.15, 200)
    shifts = [rng.normal(0, seed_sd, (seeds, 1)) - (first if arm == 0 else 0.0) for arm in range(5)]
    return {f"a{arm}": (rng.random((seeds, 200)) < 0.4 + hard + shift) * 1.0 for arm, shift in enumerate(shifts)}


@pytest.mark.parametrize(("seeds", "seed_sd"), [(3, 0.11), (3, 0.05)])
def test_equal_arms_are_seldom_put_in_order(seeds, seed_sd):
    """Variances of each pair's own, on two degrees of freedom or so, ordered 16 and 13 % of such studies."""
    rng = np.random.default_rng(6)
    wrong = sum(any(r.best > 1 for r in rank_arms(arms_of(rng, seeds, seed_sd))) for _ in range(150))
    assert wrong <= 13  # 5 % are allowed; more than 13 of 150 has a probability of 2 %


def test_three_seeds_rank_an_arm_that_is_far_better():
    """It was ranked first in 13 % of such studies."""
    rng = np.random.default_rng(7)
    ranks = [rank_arms(arms_of(rng, 3, 0.017, first=0.2)) for _ in range(40)]
    assert sum(rank[0].arm == "a0" and rank[0].worst == 1 for rank in ranks) >= 36


def test_over_strata_it_is_the_plain_mean_and_their_levels_are_no_noise():
    """A variance by hand: of each stratum's mean the spread about its own mean, on 90 prompts less one."""
    model, base = simulate(np.random.default_rng(8), 4, 90, 0.0, -1.0, 0.4)
    groups = np.repeat([0, 1, 2], [60, 20, 10])
    model[:, groups == 2] = 1.0  # a language of its own kind
    found = crossed_difference(model, base, strata=groups)
    d = (model - base).mean(axis=0)
    means = np.array([d[groups == group].mean() for group in range(3)])
    assert found.interval.estimate == pytest.approx(means.mean())
    sizes = np.bincount(groups)[groups]
    by_hand = 90 / 89 * np.sum(((d - means[groups]) / (3 * sizes)) ** 2)
    assert found.prompt_se == pytest.approx(math.sqrt(by_hand))


def test_base_that_is_given_for_every_seed_is_one_base():
    model, base = simulate(np.random.default_rng(12), 3, 60, 0.0, -1.0, 0.4)
    assert crossed_difference(model, np.tile(base, (3, 1))) == crossed_difference(model, base)


def test_arms_nested_and_pooled_by_hand():
    """a of 3 seeds, b of 5, c of 4: the variance from seed to seed on 2 + 4 + 3 degrees of freedom."""
    rng = np.random.default_rng(9)
    arms = {name: (rng.random((seeds, 80)) < 0.4) * 1.0 for name, seeds in (("a", 3), ("b", 5), ("c", 4))}
    squares = sum(np.sum((rows.mean(axis=1) - rows.mean()) ** 2) for rows in arms.values())
    found = SeedModel(arms).variance("b", "a", np.full(80, 1 / 80), np.full(80, 1 / 80))
    assert found.seed == pytest.approx(squares / 9 * (1 / 3 + 1 / 5))
    cells = sum(
        np.sum((rows - rows.mean(1, keepdims=True) - rows.mean(0) + rows.mean()) ** 2) for rows in arms.values()
    )
    assert found.both == pytest.approx(cells / (9 * 79) / 80 * (1 / 3 + 1 / 5))
    gap = arms["b"].mean(axis=0) - arms["a"].mean(axis=0)
    assert found.cluster == pytest.approx(gap.var(ddof=1) / 80)


def test_mean_squares_small_by_luck_are_those_of_the_law_that_they_were_drawn_from():
    """Variances about 3 as one of 8 degrees of freedom is, and mean squares of two or four about each of them."""
    rng = np.random.default_rng(13)
    for df in (2, 4):
        squares = 3 * 8 / rng.chisquare(8, 40_000) * rng.chisquare(df, 40_000) / df
        every = [(float(square), float(df)) for square in squares]
        square, freedom = SeedLaw.of(every).not_by_luck(0.3, df)
        assert square == pytest.approx((8 * 3 + 0.3 * df) / (8 + df), rel=0.03)
        assert freedom == pytest.approx(8 + df, rel=0.1)
        assert SeedLaw.of(every).not_by_luck(30.0, df) == (30.0, df)
    # No more apart than mean squares of one variance are: that is pooled. Nothing to learn from: the arm's own.
    alike = [(0.9, 2), (1.0, 2), (1.1, 4)]
    assert SeedLaw.of(alike).not_by_luck(0.9, 2) == (pytest.approx((1.8 + 2.0 + 4.4) / 8), 8)
    for every in ([(0.4, 2)], [(0.4, 2), (0.0, 2), (0.0, 2)]):
        assert SeedLaw.of(every).not_by_luck(0.4, 2) == (0.4, 2)


def test_relative_changes_are_those_of_the_rates_and_tell_seeds():
    model, base = simulate(np.random.default_rng(10), 3, 400, 0.0, -1.0, 0.0)
    calm = SeedModel({"m": model, "base": base}).relative_change("m", "base").interval
    assert calm.estimate == pytest.approx(100 * (model.mean() - base.mean()) / base.mean())
    one = relative_change(model[0], base)
    assert one.width * 0.5 < calm.width < one.width * 1.1  # two more seeds take part of the noise off
    model[0] = 0.0
    wild = SeedModel({"m": model, "base": base}).relative_change("m", "base").interval
    assert wild.width > 2 * calm.width and wild.lower >= -100
    groups = np.repeat([0, 1], 200)
    both = SeedModel({"m": model, "base": base}, strata=groups)
    parts = [both.subset(np.flatnonzero(groups == group)).relative_change("m", "base").interval for group in (0, 1)]
    mean = both.relative_change("m", "base").interval
    assert mean.estimate == pytest.approx(sum(part.estimate for part in parts) / 2)
    # The collapsed seed is one seed in both languages: the mean is hardly narrower than its parts, not by sqrt(2).
    assert mean.width > 0.9 * min(part.width for part in parts)


def test_a_gap_of_two_languages_does_not_vary_with_the_seed():
    """A seed that shifts both languages alike is no part of the difference of their differences."""
    rng = np.random.default_rng(11)
    base = (rng.random(400) < 0.5) * 1.0
    shift = np.array([-0.3, 0.0, 0.3])[:, None]
    model = (rng.random((3, 400)) < 0.5 + shift) * 1.0
    found = SeedModel({"m": model, "base": base})
    gap, p = found.gap("m", "base", np.arange(200), np.arange(200, 400), 0.95)
    apart = found.subset(np.arange(200)).difference("m", "base").interval
    assert apart.width > 0.8  # t of two degrees of freedom on a standard deviation of 30 points
    d = (model - base).mean(axis=0)
    assert gap.estimate == pytest.approx(d[:200].mean() - d[200:].mean())
    assert gap.width < 0.6 * apart.width and gap.covers(0.0) and p > 0.05


def test_shapes_that_do_not_fit():
    with pytest.raises(InputError, match="shape"):
        crossed_difference(np.zeros((2, 5)), np.zeros(4))
    with pytest.raises(InputError, match="outside 0 to 1"):
        crossed_difference(np.full((2, 5), 1.5), np.zeros(5))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_seeds_and_prompts_and_relabelling_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    model, base = simulate(rng, 4, 40, 0.0, -0.5, 0.5)
    groups = np.arange(40) // 2
    one = crossed_difference(model, base, groups)
    seeds, prompts = rng.permutation(4), rng.permutation(40)
    again = crossed_difference(model[seeds][:, prompts], base[prompts], [f"c{g}" for g in groups[prompts]])
    turned = crossed_difference(1 - model, 1 - base, groups)
    assert (again.interval.lower, again.interval.upper) == pytest.approx((one.interval.lower, one.interval.upper))
    assert (again.seed_sd, again.p_value) == pytest.approx((one.seed_sd, one.p_value), abs=1e-6)
    assert (-turned.interval.upper, -turned.interval.lower) == pytest.approx((one.interval.lower, one.interval.upper))
