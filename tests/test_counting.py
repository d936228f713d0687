"""Cells per microlitre: worked vectors, exact intervals, lots that cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cytosepsis.counting import CountingLot, count_with_beads, count_with_blood_count
from cytosepsis.errors import CalibrationError


def test_a_pellet_in_every_tube():
    lot = CountingLot("T1", beads_per_tube=52_300)
    count = count_with_beads(3200, 10_500, beads_in_tube=lot.beads_in_tube(), blood_volume_ul=50)
    assert round(count.value, 2) == 318.78


def test_a_suspension_that_is_pipetted():
    lot = CountingLot("F1", beads_per_ul=1010)
    assert lot.needs_bead_volume
    beads = lot.beads_in_tube(100.0)
    count = count_with_beads(3200, 5100, beads_in_tube=beads, blood_volume_ul=100)
    assert round(count.value, 2) == 633.73


def test_two_platforms():
    # white cells × % lymphocytes × % of a subset: 41 of 100 lymphocytes
    count = count_with_blood_count(4100, 10_000, reference_per_ul=9800 * 0.09)
    assert round(count.value, 1) == 361.6


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_interval_is_the_exact_one_of_a_ratio_of_counts(cells, beads):
    count = count_with_beads(cells, beads, beads_in_tube=1.0, blood_volume_ul=1.0)
    exact = binomtest(cells, cells + beads).proportion_ci(0.95, method="exact")
    assert count.low == pytest.approx(exact.low / (1 - exact.low), rel=1e-9, abs=1e-12)
    assert count.high == pytest.approx(exact.high / (1 - exact.high), rel=1e-6)
    assert count.low <= count.value <= count.high


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_interval_of_a_fraction_is_the_exact_one(cells, others):
    if cells + others == 0:
        return
    count = count_with_blood_count(cells, cells + others, reference_per_ul=1000.0)
    exact = binomtest(cells, cells + others).proportion_ci(0.95, method="exact")
    assert count.low == pytest.approx(1000 * exact.low, rel=1e-9, abs=1e-9)
    assert count.high == pytest.approx(1000 * exact.high, rel=1e-9)


def test_a_lots_uncertainty_widens_the_interval_and_leaves_the_value():
    bare = count_with_beads(10_000, 10_000, beads_in_tube=50_000, blood_volume_ul=50)
    wide = count_with_beads(10_000, 10_000, beads_in_tube=50_000, blood_volume_ul=50, cv=0.05)
    assert wide.value == bare.value
    # in quadrature on the logarithm: 1.96 · sqrt(1/10000 + 1/10000 + ln(1 + 0.05²))
    reach = 1.959964 * math.sqrt(2e-4 + math.log(1 + 0.05**2))
    assert math.log(wide.high / wide.value) == pytest.approx(reach, rel=0.01)
    assert math.log(wide.value / wide.low) == pytest.approx(reach, rel=0.01)
    # an analyser's uncertainty alone, where every cell is of the kind
    whole = count_with_blood_count(10**7, 10**7, reference_per_ul=500.0, cv=0.03)
    assert whole.high == pytest.approx(500 * math.exp(1.959964 * math.sqrt(math.log1p(9e-4))))


def test_no_cell_is_none_with_an_upper_limit():
    count = count_with_beads(0, 3000, beads_in_tube=50_000, blood_volume_ul=50, cv=0.05)
    assert (count.value, count.low) == (0.0, 0.0)
    # nothing seen: at most 3.69 of an expectation (97.5 %), a little more for bead and lot
    assert 3.68 < count.high / (50_000 / 50 / 3000) < 3.69 * 1.12


@pytest.mark.parametrize("cv", [0.0, 0.04])
def test_the_interval_covers_the_truth_as_often_as_it_says(cv):
    rng = np.random.default_rng(11)
    inside = 0
    n = 2000
    for _ in range(n):
        beads_truly = 50_000 * math.exp(math.sqrt(math.log1p(cv**2)) * rng.standard_normal())
        seen = 0.05  # of the tube
        beads = rng.poisson(beads_truly * seen)
        cells = rng.poisson(80.0 * 50 * seen)  # 80 per µL in 50 µL
        count = count_with_beads(
            int(cells), int(beads), beads_in_tube=50_000, blood_volume_ul=50, cv=cv
        )
        inside += count.low <= 80.0 <= count.high
    assert 0.94 < inside / n < 0.975, "95 %, an exact interval a little more"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "needs one of beads_per_tube and beads_per_ul"),
        ({"beads_per_tube": 1.0, "beads_per_ul": 1.0}, "needs one of"),
        ({"beads_per_tube": 0.0}, "has 0 beads"),
        ({"beads_per_ul": math.nan}, "has nan beads"),
        ({"beads_per_ul": 1000.0, "cv": 1.0}, "has cv 1"),
    ],
)
def test_a_lot_that_cannot_be_is_refused(values, words):
    with pytest.raises(CalibrationError, match=words) as raised:
        CountingLot("L", **values)
    assert raised.value.code == "counting_lot"
