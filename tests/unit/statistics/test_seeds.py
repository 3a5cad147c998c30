"""Seeds and prompts crossed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment_prism.domain import InputError
from alignment_prism.statistics import paired_risk_difference
from alignment_prism.statistics.changes.seeds import crossed_difference, rank_arms


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
    with pytest.raises(InputError, match="one seed"):
        rank_arms({"a": model, "b": np.repeat(model, 2, axis=0)})


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


@pytest.mark.parametrize(("seeds", "seed_sd"), [(2, 0.11), (3, 0.05)])
def test_equal_arms_are_seldom_put_in_order(seeds, seed_sd):
    """Variances of each pair's own, on one to three degrees of freedom, ordered 40 and 13 % of such studies."""
    rng = np.random.default_rng(6)
    wrong = sum(any(r.best > 1 for r in rank_arms(arms_of(rng, seeds, seed_sd))) for _ in range(150))
    assert wrong <= 13  # 5 % are allowed; more than 13 of 150 has a probability of 2 %


def test_three_seeds_rank_an_arm_that_is_far_better():
    """It was ranked first in 13 % of such studies."""
    rng = np.random.default_rng(7)
    ranks = [rank_arms(arms_of(rng, 3, 0.017, first=0.2)) for _ in range(40)]
    assert sum(rank[0].arm == "a0" and rank[0].worst == 1 for rank in ranks) >= 36


def test_weights_make_the_mean_over_groups():
    model, base = simulate(np.random.default_rng(8), 4, 90, 0.0, -1.0, 0.4)
    groups = np.repeat([0, 1, 2], [60, 20, 10])
    found = crossed_difference(model, base, weights=1.0 / np.bincount(groups)[groups])
    means = [float((model - base)[:, groups == group].mean()) for group in range(3)]
    assert found.interval.estimate == pytest.approx(np.mean(means))
    copies = np.concatenate(
        [np.flatnonzero(groups == group).repeat(times) for group, times in ((0, 1), (1, 3), (2, 6))]
    )
    repeated = crossed_difference(model[:, copies], base[copies], copies)
    assert repeated.interval.estimate == pytest.approx(found.interval.estimate)
    assert repeated.prompt_se == pytest.approx(found.prompt_se)
    assert repeated.interval.width == pytest.approx(found.interval.width, rel=0.03)


def test_shapes_that_do_not_fit():
    with pytest.raises(InputError, match="shape"):
        crossed_difference(np.zeros((2, 5)), np.zeros(4))
    with pytest.raises(InputError, match="other than 0 and 1"):
        crossed_difference(np.full((2, 5), 0.5), np.zeros(5))


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
