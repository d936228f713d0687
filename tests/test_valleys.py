"""Cuts in a density: against the analytic crossing, and the laws that every cut keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.gating.singlets import singlet_band
from cytosepsis.gating.valleys import (
    cut_at_quantile,
    cut_at_tail,
    cut_at_valley,
    density_of,
    ordered_finite,
    valleys_of,
)
from effort import examples

CUTS = {
    "valley": cut_at_valley,
    "tail": cut_at_tail,
    "quantile": lambda ordered: cut_at_quantile(ordered, 0.95),
}


def normals(n, apart, seed, share=0.5):
    rng = np.random.default_rng(seed)
    n_right = round(share * n)
    return np.concatenate([rng.normal(0, 1, n - n_right), rng.normal(apart, 1, n_right)])


@pytest.mark.parametrize("apart", [3.0, 3.5, 4.0, 5.0, 6.0])
@pytest.mark.parametrize("n", [5_000, 40_000])
def test_two_equal_normals_are_cut_at_their_crossing(apart, n):
    cuts = [cut_at_valley(ordered_finite(normals(n, apart, seed))) for seed in range(12)]
    assert {cut.status for cut in cuts} == {"ok"}
    off = np.array([cut.value for cut in cuts]) - apart / 2
    assert np.abs(off).max() < (0.35 if n == 5_000 else 0.2)  # of a standard deviation
    assert abs(off.mean()) < 0.1


@pytest.mark.parametrize("apart", [0.0, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("n", [300, 5_000, 100_000])
def test_what_has_one_peak_is_not_cut(apart, n):
    cuts = [cut_at_valley(ordered_finite(normals(n, apart, seed))) for seed in range(12)]
    assert {cut.status for cut in cuts} == {"one_peak"}


@pytest.mark.parametrize("share", [0.3, 0.1, 0.02, 0.005])
def test_a_small_population_is_cut_off_with_few_errors(share):
    n, apart = 50_000, 7.0
    for seed in range(5):
        cut = cut_at_valley(ordered_finite(normals(n, apart, seed, share)))
        assert cut.status == "ok"
        lost = 0.5 * math.erfc((apart - cut.value) / math.sqrt(2))
        gained = 0.5 * math.erfc(cut.value / math.sqrt(2)) * (1 - share) / share
        assert lost < 0.02
        assert gained < 0.05


def test_a_long_tail_and_a_wide_flat_top_are_one_peak():
    rng = np.random.default_rng(1)
    for values in (
        rng.lognormal(0, 1, 20_000),
        rng.standard_t(2, 20_000),
        rng.uniform(0, 1, 20_000),
        rng.exponential(1, 20_000),
    ):
        assert cut_at_valley(ordered_finite(values)).status == "one_peak"


def test_whole_numbers_are_no_comb_of_peaks():
    rng = np.random.default_rng(2)
    values = np.round(np.concatenate([rng.normal(8, 1.5, 5000), rng.normal(20, 1.5, 5000)]))
    cut = cut_at_valley(ordered_finite(values))
    assert cut.status == "ok"
    assert cut.value == pytest.approx(14, abs=1)


def test_a_pile_at_the_end_of_the_scale_is_no_peak():
    values = np.minimum(np.random.default_rng(3).normal(0, 1, 20_000), 1.5)
    assert cut_at_valley(ordered_finite(values)).status == "one_peak"


def test_which_valley_is_meant_must_be_said_where_two_are_alike():
    rng = np.random.default_rng(4)
    values = ordered_finite(np.concatenate([rng.normal(6 * k, 1, 4000) for k in range(3)]))
    assert len(valleys_of(density_of(values))) == 2
    assert cut_at_valley(values).status == "no_valley"
    assert cut_at_valley(values, which="first").value == pytest.approx(3, abs=0.3)
    assert cut_at_valley(values, which="last").value == pytest.approx(9, abs=0.3)
    assert cut_at_valley(values, near=8.0).value == pytest.approx(9, abs=0.3)
    assert cut_at_valley(values, low=5.0).value == pytest.approx(9, abs=0.3)


def test_the_tail_of_a_normal_runs_out_after_three_standard_deviations():
    values = ordered_finite(np.random.default_rng(5).normal(10, 2, 100_000))
    right = cut_at_tail(values)
    left = cut_at_tail(values, side="left")
    assert (right.value - 10) / 2 == pytest.approx(3.5, abs=0.3)
    assert (10 - left.value) / 2 == pytest.approx(3.5, abs=0.3)
    assert cut_at_tail(values, tolerance=0.2).value < right.value - 1


def test_the_tail_of_one_of_two_peaks():
    values = ordered_finite(normals(40_000, 9.0, 6, share=0.3))
    assert cut_at_tail(values).value == pytest.approx(3.6, abs=0.5)
    assert cut_at_tail(values, peak="highest").value == pytest.approx(12.9, abs=0.7)
    assert cut_at_tail(values, peak="highest", side="left").value == pytest.approx(5.1, abs=0.7)


def test_a_quantile_needs_events_on_its_rarer_side():
    values = ordered_finite(np.arange(1000.0))
    assert cut_at_quantile(values, 0.99).value == pytest.approx(np.quantile(values, 0.99))
    assert cut_at_quantile(values, 0.999).status == "few_events"


MIXTURES = st.tuples(
    st.integers(0, 2**32 - 1), st.integers(100, 900), st.floats(2.0, 9.0), st.floats(0.05, 0.5)
)


@pytest.mark.parametrize("method", CUTS)
@examples(300)
@given(MIXTURES, st.floats(-9, 9), st.floats(-9, 9))
def test_a_cut_moves_with_the_axis_and_no_order_of_events_moves_it(method, mixture, log, shift):
    seed, n, apart, share = mixture
    values = normals(n, apart, seed, share)
    shuffled = np.random.default_rng(seed).permutation(values)
    before = CUTS[method](ordered_finite(values))
    assert CUTS[method](ordered_finite(shuffled)) == before
    scale = 10.0 ** (log / 3)
    after = CUTS[method](ordered_finite(values * scale + shift))
    assert after.status == before.status
    if before.value is not None:
        assert after.value == pytest.approx(
            before.value * scale + shift, rel=1e-6, abs=1e-6 * scale
        )


@examples(100)
@given(st.integers(0, 2**32 - 1), st.integers(100, 600), st.floats(-2, 2), st.floats(-2, 2))
def test_the_band_of_singlets_moves_with_its_axes(seed, n, log_x, log_y):
    rng = np.random.default_rng(seed)
    area = rng.lognormal(10, 0.4, n)
    height = area * rng.normal(0.8, 0.02, n)
    one = singlet_band(area, height, width=4, min_events=50)
    order = rng.permutation(n)
    assert singlet_band(area[order], height[order], width=4, min_events=50) == one
    a, b = 10.0**log_x, 10.0**log_y
    other = singlet_band(area * a + 100, height * b - 7, width=4, min_events=50)
    moved = [(x * a + 100, y * b - 7) for x, y in one.region.vertices]
    assert np.allclose(other.region.vertices, moved, rtol=1e-6, atol=1e-3 * max(a, b))


def test_singlets_are_told_from_doublets():
    rng = np.random.default_rng(7)
    n = 20_000
    one, two = rng.lognormal(11, 0.35, n), rng.lognormal(11, 0.35, n)
    double = rng.random(n) < 0.08
    area = one + np.where(double, two, 0)
    height = 0.85 * np.maximum(one, np.where(double, two, 0)) * rng.normal(1, 0.025, n)
    found = singlet_band(area, height, width=4, min_events=100)
    xy = np.array(found.region.vertices)
    low = np.interp(area, xy[:4, 0], xy[:4, 1])
    high = np.interp(area, xy[7:3:-1, 0], xy[7:3:-1, 1])
    kept = (height >= low) & (height <= high)
    assert found.status == "ok"
    assert kept[~double].mean() > 0.995
    assert kept[double].mean() < 0.12  # a large particle with a piece of debris


def test_what_has_no_band_is_not_singlets():
    rng = np.random.default_rng(8)
    found = singlet_band(rng.random(2000), np.zeros(2000), width=4, min_events=100)
    assert found.status == "not_converged"
    assert singlet_band(rng.random(50), rng.random(50), width=4, min_events=100).status == (
        "few_events"
    )
