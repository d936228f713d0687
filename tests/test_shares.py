"""Shares of cells beyond a threshold in AB/C, carried back through a sample's bead line."""

from __future__ import annotations

import numpy as np
import pytest

from cytosepsis.file_results import Quantified
from cytosepsis.quantify.antibodies import share_below
from cytosepsis.sample import N_QUANTILES
from hand_made import line as calibration


def cells(values):
    quantiles = tuple(np.quantile(values, np.linspace(0, 1, N_QUANTILES)).tolist())
    median = float(np.median(values)) if len(values) else None
    return Quantified(
        "root/m", "hladr", "PE-A", "median", len(values), median, None, None, 0, quantiles=quantiles
    )


@pytest.mark.parametrize("pe_per_antibody", [1.0, 1.4])
def test_the_share_is_that_of_the_cells_in_antibodies(pe_per_antibody):
    values = np.random.default_rng(1).lognormal(9, 0.4, 20_000)
    bead_line = calibration()
    abc = bead_line.to_abc(values, pe_per_antibody)
    for threshold in np.quantile(abc, [0.02, 0.3, 0.5, 0.97]):
        share = share_below(cells(values), bead_line, float(threshold), pe_per_antibody)
        assert share == pytest.approx((abc < threshold).mean(), abs=0.0015)


def test_beyond_all_cells_it_is_nothing_or_all():
    values = np.linspace(100.0, 200.0, 50)
    assert share_below(cells(values), calibration(), 1e-3, 1.0) == 0.0
    assert share_below(cells(values), calibration(), 1e9, 1.0) == 1.0


def test_without_cells_there_is_no_share():
    none = Quantified("root/m", "hladr", "PE-A", "median", 0, None, None, None, 0)
    assert share_below(none, calibration(), 8_000.0, 1.0) is None
