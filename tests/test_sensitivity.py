"""Q, B and the beads' own CV: recovered from simulated beads, and never made up."""

from datetime import datetime

import numpy as np
import pytest

from cytosepsis.analysis.charted import sensitivity_frame
from cytosepsis.analysis.sensitivity import LevelSpread, detector_sensitivity
from cytosepsis.bead_fit import fit_calibration
from cytosepsis.calibration import BeadLot
from cytosepsis.fcs import read_fcs
from cytosepsis.file_results import BeadRunResult
from cytosepsis.simulate.beads import BEAD_CV, PE_MOLECULES, draw_beads
from cytosepsis.simulate.instrument import (
    ELECTRONIC_SD,
    UNITS_PER_PHOTOELECTRON,
    Acquisition,
    Response,
    acquire,
    save,
)
from cytosepsis.tables.samples import bead_levels_frame, calibrations_frame
from hand_made import study as study_of


def exact(q, b, cv, levels=PE_MOLECULES, n=10_000):
    return [LevelSpread(m, ((b + m) / q + (cv * m) ** 2) ** 0.5, n) for m in levels]


@pytest.mark.parametrize("q", [0.02, 0.4, 3.0])
@pytest.mark.parametrize("cv", [0.0, 0.03, 0.1])
def test_exact_variances_give_the_numbers_they_were_made_of(q, cv):
    found = detector_sensitivity(exact(q, 120.0, cv, n=10**9))

    assert found.q == pytest.approx(q, rel=1e-6)
    assert found.b == pytest.approx(120.0, rel=1e-5)
    assert found.bead_cv is None or found.bead_cv == pytest.approx(cv, abs=1e-5)
    assert found.reason is None


def test_photons_of_eight_levels_give_q_and_b_within_five_per_cent():
    rng = np.random.default_rng(11)
    q, b, cv, n = 0.15, 2_000.0, 0.02, 60_000
    levels = []
    for m in np.geomspace(600, 150_000, 8):
        beads = m * (1 + cv * rng.standard_normal(n))
        photoelectrons = rng.poisson(np.maximum(beads, 0) * q) + rng.normal(0, (b * q) ** 0.5, n)
        pe = photoelectrons / q
        levels.append(LevelSpread(pe.mean(), pe.std(ddof=1), n))

    found = detector_sensitivity(levels)

    assert found.q == pytest.approx(q, rel=0.05)
    assert found.b == pytest.approx(b, rel=0.05)
    assert abs(found.q - q) < 4 * found.q_se
    assert abs(found.b - b) < 4 * found.b_se


def test_the_standard_errors_are_those_of_repeated_runs():
    rng = np.random.default_rng(3)
    n = 2_000
    runs = []
    for _ in range(300):
        levels = [
            LevelSpread(lv.pe_molecules, lv.sd * (rng.chisquare(n - 1) / (n - 1)) ** 0.5, n)
            for lv in exact(0.2, 400.0, 0.03, np.geomspace(500, 100_000, 6))
        ]
        runs.append(detector_sensitivity(levels))

    for value, error in (("q", "q_se"), ("b", "b_se")):
        seen = np.std([getattr(run, value) for run in runs], ddof=1)
        told = np.median([getattr(run, error) for run in runs])
        assert told == pytest.approx(seen, rel=0.15)


def test_beads_through_the_instrument_and_the_calibration(tmp_path):
    # A faint detector, whose levels say much about photons, yet no level is too wide.
    response = Response(gain=0.5, slope=1.0)
    rng = np.random.default_rng(20)
    events = acquire(draw_beads(400_000, level_sd=0.0, rng=rng), response, rng=rng)
    save(tmp_path / "beads.fcs", events, Acquisition(datetime(2024, 1, 8), "S1"))
    line = fit_calibration(
        read_fcs(tmp_path / "beads.fcs"), lot=BeadLot("L", PE_MOLECULES), channel="PE-A"
    )
    run = BeadRunResult("b", "PE-A", "median", "L", None, line)
    study = study_of()
    found = sensitivity_frame(
        calibrations_frame(study, [run]), bead_levels_frame(study, [run])
    ).row(0, named=True)

    q = response.gain / UNITS_PER_PHOTOELECTRON
    assert found["q"] == pytest.approx(q, rel=0.05)
    assert found["b"] == pytest.approx((ELECTRONIC_SD / response.gain) ** 2 * q, rel=0.05)
    assert found["bead_cv"] == pytest.approx(BEAD_CV, rel=0.05)


def test_what_cannot_be_told_has_a_reason():
    flat = [LevelSpread(m, 50.0, 1_000) for m in PE_MOLECULES]
    falling = [LevelSpread(m, 1e5 / m, 1_000) for m in PE_MOLECULES]

    assert "2 usable levels" in detector_sensitivity(exact(0.2, 1, 0.02)[:2]).reason
    assert "not told from none" in detector_sensitivity(falling).reason
    assert detector_sensitivity(flat).q is None
    assert detector_sensitivity(flat).reason
    assert detector_sensitivity([]).reason.startswith("0 usable")
