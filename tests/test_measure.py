"""Statistics of a population: against numpy and scipy, on awkward values, and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cytosepsis.measure import P_HIGH, P_LOW, estimate, summarize

finite = st.floats(-1e6, 1e6, allow_subnormal=False)
samples = st.lists(finite, min_size=1, max_size=60).map(np.array)


@given(samples)
def test_summary_equals_numpy(values):
    found = summarize(values)
    low, median, high = np.quantile(values, (P_LOW, 0.5, P_HIGH))
    assert (found.n, found.median, found.mean) == (len(values), median, np.mean(values))
    if len(values) > 1:
        assert found.sd == np.std(values, ddof=1)
    else:
        assert found.sd is None
    if median > 0:
        assert found.robust_cv == pytest.approx((high - low) / (2 * median), rel=1e-12)
    else:
        assert found.robust_cv is None


@given(samples, st.randoms(use_true_random=False))
def test_the_order_of_events_changes_nothing(values, random):
    shuffled = values.tolist()
    random.shuffle(shuffled)
    one, other = summarize(values), summarize(np.array(shuffled))
    assert (one.n, one.median, one.robust_cv) == (other.n, other.median, other.robust_cv)
    assert one.mean == pytest.approx(other.mean, rel=1e-9, abs=1e-6)
    assert estimate(values, "median") == estimate(np.array(shuffled), "median")


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=60).map(np.array))
def test_geometric_mean_equals_scipy(values):
    assert summarize(values).geometric_mean == pytest.approx(stats.gmean(values), rel=1e-12)
    assert estimate(values, "geometric_mean").value == summarize(values).geometric_mean


def test_nothing_has_no_statistics():
    for values in (np.empty(0), np.array([math.nan, math.inf])):
        found = summarize(values)
        assert found.n == len(values)
        assert (found.median, found.geometric_mean, found.mean, found.sd) == (None,) * 4
        assert found.robust_cv is None
        assert estimate(values, "median").value is None
        assert estimate(values, "geometric_mean").value is None


def test_values_that_are_not_finite_take_no_part():
    found = summarize(np.array([1.0, 2.0, 3.0, math.nan, math.inf]))
    assert (found.n, found.median, found.mean) == (5, 2.0, 2.0)


def test_a_geometric_mean_of_non_positive_values_is_not_defined():
    for bad in (0.0, -1.0):
        values = np.array([1.0, 10.0, bad])
        assert summarize(values).geometric_mean is None
        assert estimate(values, "geometric_mean").value is None
        assert summarize(values).median == 1.0


def test_one_value_is_its_own_interval():
    for statistic in ("median", "geometric_mean"):
        found = estimate(np.array([7.0]), statistic)
        assert (found.low, found.high) == pytest.approx((7.0, 7.0))
        assert found.value == pytest.approx(7.0)


def test_the_median_of_huge_values_does_not_overflow():
    assert estimate(np.array([1.7e308, 1.7e308]), "median").value == 1.7e308


@given(samples)
def test_the_interval_holds_the_value(values):
    found = estimate(values, "median")
    assert found.value == np.median(values)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("statistic", ["median", "geometric_mean"])
@pytest.mark.parametrize("n", [20, 151, 1000])
def test_intervals_cover_as_often_as_they_say(statistic, n):
    """Log-normal cells: the true median is the true geometric mean, 1."""
    rng = np.random.default_rng(11)
    trials = 1500
    covered = 0
    for _ in range(trials):
        found = estimate(np.exp(0.4 * rng.standard_normal(n)), statistic)
        covered += found.low <= 1.0 <= found.high
    slack = 4 * math.sqrt(0.95 * 0.05 / trials)
    assert covered / trials > 0.95 - slack
    if statistic == "geometric_mean" or n > 100:
        assert covered / trials < 0.95 + slack + 0.012  # ranks are rounded outwards
