"""Many comparisons at once, and draws of the bootstrap."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from alignment_prism.domain import InputError
from alignment_prism.statistics.bootstrap import cluster_draws
from alignment_prism.statistics.multiplicity import benjamini_yekutieli, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@settings(max_examples=30, deadline=None)
@given(p_values)
def test_adjusted_p_values_equal_statsmodels_and_scipy(p):
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)
    np.testing.assert_allclose(benjamini_yekutieli(p), multipletests(p, method="fdr_by")[1], atol=1e-12)
    np.testing.assert_allclose(benjamini_yekutieli(p), false_discovery_control(p, method="by"), atol=1e-12)


def test_missing_p_values_do_not_count():
    assert holm([0.01, math.nan, 0.04])[0] == pytest.approx(0.02)
    assert math.isnan(holm([0.01, math.nan])[1])
    assert len(benjamini_yekutieli([])) == 0
    with pytest.raises(InputError):
        holm([1.2])


def test_draws_are_multinomial():
    counts = np.concatenate(list(cluster_draws(50, 2500, seed=1, chunk=400)))
    assert counts.shape == (2500, 50) and (counts.sum(axis=1) == 50).all()
    assert counts.mean() == 1.0 and counts.var() == pytest.approx(1 - 1 / 50, rel=0.02)
