"""Density kernels against their naive twins, and the laws they keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label

import naive
from cytosepsis.kernels import density

FINITE = st.floats(-50.0, 50.0, allow_nan=False)
COUNTS = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=40)
laws = settings(deadline=None, max_examples=60)

HARD = np.array(
    [math.nan, -math.inf, math.inf, -0.0, 0.0, 1.0, 1.0 - 2**-53, 0.3, 0.3, 5e-324, 2.0]
)


@laws
@given(st.lists(FINITE | st.sampled_from(list(HARD)), max_size=40), st.integers(1, 9))
def test_bin_counts_is_its_twin(values, n_bins):
    got = density.bin_counts(np.array(values, dtype=float), 0.0, 1.0, n_bins)
    assert got.tolist() == naive.bin_counts(values, 0.0, 1.0, n_bins)


def test_bins_hold_their_lower_edge_and_not_their_upper():
    got = density.bin_counts(np.array([0.0, 0.5, 1.0]), 0.0, 1.0, 2)
    assert got.tolist() == [1.0, 1.0]


@laws
@given(st.lists(st.tuples(FINITE, FINITE), max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_bin_counts_2d_is_its_twin(pairs, n_x, n_y):
    x = np.array([pair[0] for pair in pairs] + list(HARD))
    y = np.array([pair[1] for pair in pairs] + list(HARD[::-1]))
    got = density.bin_counts_2d(x, y, -10.0, 10.0, 0.0, 2.0, n_x, n_y)
    assert got.tolist() == naive.bin_counts_2d(x, y, -10.0, 10.0, 0.0, 2.0, n_x, n_y)


@laws
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_connected_regions_are_their_twins_and_those_of_scipy(inside):
    got = density.connected_regions(inside)
    assert got.tolist() == naive.connected_regions(inside.tolist())
    assert got.tolist() == label(inside, np.ones((3, 3)))[0].tolist()


def test_connected_regions_of_a_large_grid_are_those_of_scipy():
    for share in (0.02, 0.3, 0.42, 0.9):
        inside = np.random.default_rng(1).random((192, 192)) < share
        assert np.array_equal(density.connected_regions(inside), label(inside, np.ones((3, 3)))[0])


@laws
@given(st.lists(st.integers(0, 60).map(lambda k: k / 4), min_size=1, max_size=40))
def test_spread_counts_is_its_twin_and_keeps_every_event(values):
    ordered = np.sort(np.array(values))
    got = density.spread_counts(ordered, -2.0, 18.0, 57, 0.7)
    assert got == pytest.approx(naive.spread_counts(ordered.tolist(), -2.0, 18.0, 57, 0.7))
    assert got.sum() == pytest.approx(ordered.size)


def test_spread_counts_of_a_comb_is_flat():
    comb = np.repeat(np.arange(10.0), 7)
    got = density.spread_counts(comb, 0.0, 9.0, 36, 1.0)
    assert got[2:-2] == pytest.approx(np.full(32, 7 / 4))  # the end cells are open


def test_spread_counts_of_neighbouring_doubles_keeps_every_event():
    ordered = np.array([1.0, np.nextafter(1.0, 2.0)])
    got = density.spread_counts(ordered, 0.0, 2.0, 4, 1e-300)
    assert got.tolist() == [0.0, 0.0, 2.0, 0.0]


@laws
@given(COUNTS, st.sampled_from([0.0, 0.4, 1.0, 2.5]))
def test_smooth_is_its_twin(counts, sigma):
    got = density.smooth(np.array(counts), sigma)
    assert got == pytest.approx(naive.smooth(counts, sigma), abs=1e-12)


def test_smooth_keeps_the_mass_away_from_the_ends():
    counts = np.zeros(41)
    counts[20] = 3.0
    assert density.smooth(counts, 2.0).sum() == pytest.approx(3.0)


def test_smooth_2d_is_its_twin():
    counts = np.random.default_rng(1).poisson(2.0, (7, 5)).astype(float)
    assert density.smooth_2d(counts, 1.3) == pytest.approx(
        np.array(naive.smooth_2d(counts.tolist(), 1.3))
    )


@laws
@given(COUNTS)
def test_local_maxima_is_its_twin(counts):
    assert density.local_maxima(np.array(counts)).tolist() == naive.local_maxima(counts)


def test_a_flat_line_and_nothing_have_no_maximum():
    assert density.local_maxima(np.full(5, 2.0)).size == 0
    assert density.local_maxima(np.zeros(0)).size == 0


@laws
@given(COUNTS, st.data())
def test_lowest_between_is_its_twin(counts, data):
    left = data.draw(st.integers(0, len(counts) - 1))
    right = data.draw(st.integers(left, len(counts) - 1))
    got = density.lowest_between(np.array(counts), left, right)
    assert got == naive.lowest_between(counts, left, right)


@laws
@given(st.lists(st.integers(0, 30).map(float), max_size=30), st.integers(1, 12))
def test_shortest_interval_is_its_twin(values, n_inside):
    ordered = np.sort(np.array(values, dtype=float))
    got = density.shortest_interval(ordered, n_inside)
    assert got == pytest.approx(naive.shortest_interval(sorted(values), n_inside), nan_ok=True)
