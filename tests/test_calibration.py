"""Bead files with known truth: the right line, or a refusal or flag; never a wrong line as `ok`."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytosepsis.bead_fit import calibrate_levels, fit_calibration
from cytosepsis.bead_levels import fit_line, match_levels
from cytosepsis.bead_peaks import find_peaks
from cytosepsis.bead_scatter import scatter_columns, single_beads
from cytosepsis.calibration import BeadLevel, BeadLimits, BeadLot, Calibration
from cytosepsis.errors import CalibrationError, ChannelError
from cytosepsis.fcs import read_fcs

CORPUS = Path(os.environ.get("CYTOSEPSIS_CORPUS", Path(__file__).parents[2] / "shared" / "fcs"))
BEADS = CORPUS / "flowBeads" / "beads1.fcs"
needs_beads = pytest.mark.skipif(not BEADS.exists(), reason=f"no {BEADS}")

QUANTI = (474.0, 5359.0, 23843.0, 62336.0)
LOTS = {
    "four": QUANTI,
    "three": (1000.0, 10000.0, 60000.0),
    "five": (1500.0, 4400.0, 14500.0, 43800.0, 131200.0),
    "seven": (792.0, 2079.0, 6588.0, 16471.0, 47497.0, 137049.0, 271647.0),
    "eight": (300.0, 800.0, 2000.0, 5500.0, 15000.0, 42000.0, 120000.0, 330000.0),
    "geometric": (1000.0, 4000.0, 16000.0, 64000.0),
}
LEVEL_LOTS = pytest.mark.parametrize("levels", LOTS.values(), ids=LOTS)
SLOPE, BRIGHTEST = 0.98, 80000.0


def truth(levels, slope=SLOPE):
    """Intercept that puts the brightest level at a fixed intensity."""
    return math.log10(BRIGHTEST) - slope * math.log10(max(levels))


@dataclass(frozen=True)
class Beads:
    """A bead file to simulate; sizes are relative."""

    levels: tuple[float, ...] = QUANTI
    sizes: tuple[float, ...] | None = None
    n: int = 10_000
    cv: float = 0.05
    noise: float = 0.0
    blank: float | None = None
    debris: float = 0.0
    doublets: float = 0.0
    top: float = 262143.0
    shift: float = 0.0  # of scatter from level to level
    seed: int = 1

    def events(self):
        """PE (n,) and FSC, SSC (n, 2)."""
        rng = np.random.default_rng([self.seed, self.n])
        intensity = 10 ** (SLOPE * np.log10(self.levels) + truth(self.levels))
        sizes = np.array(self.sizes or [1.0] * len(self.levels))
        if self.blank is not None:
            intensity, sizes = np.append(intensity, self.blank), np.append(sizes, 1.0)
        n_debris, n_doublets = int(self.debris * self.n), int(self.doublets * self.n)
        which = rng.choice(sizes.size, (2, self.n), p=sizes / sizes.sum())
        pe = intensity[which] * (1 + self.cv * rng.standard_normal((2, self.n)))
        size = 1 + 0.02 * rng.standard_normal((2, self.n)) + self.shift * which
        pe[1, n_doublets:] = size[1, n_doublets:] = 0
        pe, size = pe.sum(axis=0), size.sum(axis=0)
        scatter = size[:, None] * (30000, 60000) * (1 + 0.02 * rng.standard_normal((self.n, 2)))
        debris = slice(self.n - n_debris, self.n)
        pe[debris] = 10 ** rng.normal(np.log10(min(intensity[:1])), 0.6, n_debris)
        scatter[debris] = 10 ** rng.normal(3.6, 0.3, (n_debris, 2))
        pe += self.noise * rng.standard_normal(self.n)
        order = rng.permutation(self.n)
        return np.minimum(pe, self.top)[order], scatter[order]


def line_of(beads, *, with_scatter=True, lot=None, **options):
    pe, scatter = beads.events()
    return calibrate_levels(
        pe, scatter if with_scatter else None, BeadLot("96597", lot or beads.levels), **options
    )


def assert_right(calibration, levels, tolerance=0.02):
    assert calibration.slope == pytest.approx(SLOPE, abs=tolerance)
    intensity = 10 ** (SLOPE * np.log10(levels) + truth(levels))
    assert calibration.to_abc(intensity) == pytest.approx(np.array(levels), rel=0.05)


# ---------------------------------------------------------------- inputs on which others fail


@LEVEL_LOTS
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"cv": 0.02},
        {"cv": 0.15},
        {"debris": 0.25},
        {"doublets": 0.10},
        {"debris": 0.25, "doublets": 0.08, "cv": 0.08},
        {"blank": 0.0, "noise": 15.0},
        {"shift": 0.004},
    ],
    ids=str,
)
def test_the_right_line_with_scatter(levels, change):
    calibration = line_of(Beads(levels, **change))
    assert calibration.status == "ok", calibration.flags
    assert [level.pe_molecules for level in calibration.levels] == sorted(levels)
    assert_right(calibration, levels)


@LEVEL_LOTS
@pytest.mark.parametrize("change", [{}, {"cv": 0.02}, {"doublets": 0.08}], ids=str)
def test_the_right_line_without_scatter(levels, change):
    calibration = line_of(Beads(levels, **change), with_scatter=False)
    assert calibration.status == "ok", calibration.flags
    assert_right(calibration, levels)


@pytest.mark.parametrize("with_scatter", [True, False])
@pytest.mark.parametrize(
    "sizes", [(3, 1, 1, 1), (10, 1, 1, 1), (1, 1, 1, 10), (1, 10, 1, 10), (1, 10, 2, 1)], ids=str
)
def test_unequal_levels(sizes, with_scatter):
    calibration = line_of(Beads(sizes=sizes, doublets=0.05), with_scatter=with_scatter)
    assert calibration.status == "ok", calibration.flags
    assert_right(calibration, QUANTI)


def test_a_quarter_of_debris_without_scatter():
    calibration = line_of(Beads(debris=0.25), with_scatter=False)
    assert calibration.status == "ok", calibration.flags
    assert_right(calibration, QUANTI)


def test_a_top_level_of_less_than_a_hundred_events_is_right_and_flagged():
    calibration = line_of(Beads(sizes=(1, 1, 1, 0.021), n=14_000))
    assert calibration.flags == ("level_few_events",)
    assert calibration.status == "flagged"
    assert_right(calibration, QUANTI)


def test_a_level_of_a_few_events_fails_the_run():
    calibration = line_of(Beads(sizes=(1, 1, 1, 0.01)))
    assert calibration.status == "failed"
    assert "level_few_events" in calibration.flags


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (1, 0, 3, 2)], ids=str)
def test_the_order_of_the_lot_does_not_matter(order):
    shuffled = tuple(QUANTI[k] for k in order)
    assert line_of(Beads(), lot=shuffled) == line_of(Beads())


@pytest.mark.parametrize("absent", range(4))
@pytest.mark.parametrize("with_scatter", [True, False])
def test_a_level_that_is_absent_is_refused(absent, with_scatter):
    sizes = tuple(0.0 if k == absent else 1.0 for k in range(4))
    with pytest.raises(CalibrationError, match="3 of 4 peaks found") as caught:
        line_of(Beads(sizes=sizes), with_scatter=with_scatter)
    assert caught.value.code == "levels_missing"
    assert "Check the bead file or lot 96597" in str(caught.value)


@pytest.mark.parametrize("absent", range(4))
@pytest.mark.parametrize("change", [{"debris": 0.25}, {"doublets": 0.1}, {"blank": 20.0}], ids=str)
def test_nothing_else_is_taken_for_an_absent_level(absent, change):
    sizes = tuple(0.0 if k == absent else 1.0 for k in range(4))
    try:
        calibration = line_of(Beads(sizes=sizes, **change), with_scatter=False)
    except CalibrationError:
        return
    assert calibration.status != "ok"


def test_a_lot_of_many_levels_without_one_is_flagged_and_right():
    levels = LOTS["eight"]
    calibration = line_of(Beads(levels, sizes=(1, 1, 1, 0, 1, 1, 1, 1)))
    assert calibration.flags == ("levels_missing",)
    assert len(calibration.levels) == 7
    assert_right(calibration, levels)


@pytest.mark.parametrize(
    "lot", [(474, 1000, 23843, 62336), (500, 1500, 4500, 13500), (100, 5359, 23843, 62336)], ids=str
)
def test_a_wrong_lot_is_never_ok(lot):
    calibration = line_of(Beads(), lot=lot)
    assert calibration.status in ("flagged", "failed")
    assert "level_recovery" in calibration.flags


def test_a_lot_with_fewer_levels_than_the_file_is_never_ok():
    calibration = line_of(Beads(LOTS["five"]), lot=(1500.0, 4400.0, 14500.0))
    assert {"peaks_unexplained", "levels_ambiguous"} & set(calibration.flags)


def test_two_lines_that_are_as_straight_are_flagged():
    # five levels four times apart, a lot of four such levels, and nothing that says which four
    levels = tuple(500.0 * 4**k for k in range(5))
    for lot in (levels[1:], levels[:4]):
        assert "levels_ambiguous" in line_of(Beads(levels), lot=lot).flags


def test_a_blank_that_continues_the_line_is_no_level():
    levels = LOTS["geometric"]
    dimmest = 10 ** (SLOPE * math.log10(levels[0]) + truth(levels))
    calibration = line_of(Beads(levels, blank=dimmest / 4, noise=dimmest / 8))
    assert_right(calibration, levels)


def test_a_slope_far_off_fails_the_run():
    lot = tuple(10 * (level / 10) ** 0.75 for level in QUANTI)
    calibration = line_of(Beads(), lot=lot)
    assert calibration.status == "failed"
    assert "slope" in calibration.flags
    assert calibration.slope == pytest.approx(SLOPE / 0.75, abs=0.03)


def test_low_r_squared_and_wide_levels_are_flagged():
    limits = BeadLimits(r_squared=1.0, level_cv=0.04)
    calibration = line_of(Beads(noise=20.0), limits=limits)
    assert {"r_squared", "level_wide"} <= set(calibration.flags)
    assert calibration.status == "flagged"


def test_overlapping_levels_are_flagged():
    levels = (1000.0, 1500.0, 20000.0)
    calibration = line_of(Beads(levels, cv=0.11))
    assert "levels_not_separated" in calibration.flags


def test_too_few_events_are_refused():
    with pytest.raises(CalibrationError, match="100 events; 4 levels need at least 200") as caught:
        line_of(Beads(n=100))
    assert caught.value.code == "too_few_beads"


def test_an_empty_file_and_nan_are_refused():
    lot = BeadLot("x", QUANTI)
    for pe in (np.empty(0), np.full(5000, np.nan)):
        with pytest.raises(CalibrationError, match="0 events"):
            calibrate_levels(pe, None, lot)


def test_cells_are_refused_or_fail():
    rng = np.random.default_rng(5)
    negative, b_cells = rng.normal(40, 60, 6000), 10 ** rng.normal(4.2, 0.35, 1500)
    pe = np.concatenate((negative, b_cells, 10 ** rng.normal(3.2, 0.3, 3000)))
    for levels in LOTS.values():
        try:
            status = calibrate_levels(pe, None, BeadLot("x", levels)).status
        except CalibrationError:
            continue
        assert status == "failed"


def test_a_saturated_top_level_is_refused_or_left_out():
    top = BRIGHTEST * 0.9
    with pytest.raises(CalibrationError, match=r"3 of 4 peaks.*saturates at 72000") as caught:
        line_of(Beads(top=top), top=top)
    assert caught.value.code == "levels_missing"
    levels = LOTS["eight"]
    calibration = line_of(Beads(levels, top=top), top=top)
    assert calibration.flags == ("levels_missing", "level_saturated")
    assert_right(calibration, levels)


def test_a_partly_saturated_level_is_flagged():
    top = BRIGHTEST * 1.05
    calibration = line_of(Beads(top=top))  # the top is seen from the pile of events
    assert calibration.flags == ("level_saturated",)
    assert_right(calibration, QUANTI)


def test_levels_lost_by_scatter_are_found_without_it_and_flagged():
    pe, scatter = Beads().events()
    scatter[pe > 40000] *= 1.6
    calibration = calibrate_levels(pe, scatter, BeadLot("x", QUANTI))
    assert calibration.flags == ("scatter_not_used",)
    assert_right(calibration, QUANTI)


# ------------------------------------------------------------------------------------------ laws


def as_log_amplifier(pe, decades=4.0):
    """Ten-bit channels of a log amplifier whose top is just above the data."""
    scale = 10**decades / 2.0e5
    channel = np.floor(np.log10(np.maximum(pe * scale, 1.0)) * 1024 / decades)
    return 10 ** (np.clip(channel, 0, 1023) * decades / 1024) / scale


@pytest.mark.parametrize("cv", [0.02, 0.05, 0.15])
def test_a_log_amplifier_of_ten_bits_gives_the_same_abc(cv):
    pe, scatter = Beads(cv=cv, debris=0.1, doublets=0.05).events()
    lot = BeadLot("x", QUANTI)
    linear = calibrate_levels(pe, scatter, lot)
    logarithmic = calibrate_levels(as_log_amplifier(pe), scatter, lot)
    assert logarithmic.status == "ok", logarithmic.flags
    cells = np.array([700.0, 5000.0, 40000.0])
    assert logarithmic.to_abc(cells) == pytest.approx(linear.to_abc(cells), rel=0.015)


def test_a_linear_amplifier_of_ten_bits():
    levels = (474.0, 5359.0, 23843.0)
    pe, scatter = Beads(levels).events()
    coarse = np.floor(pe / BRIGHTEST * 900)  # the dimmest level lies in channels 17 to 20
    calibration = calibrate_levels(coarse, scatter, BeadLot("x", levels))
    assert calibration.slope == pytest.approx(SLOPE, abs=0.02)


@settings(deadline=None, max_examples=15)
@given(st.floats(-4.0, 4.0))
def test_scaling_intensities_leaves_abc(power):
    scale = 10.0**power
    beads = Beads(n=3000, blank=0.0, noise=10.0)
    pe, scatter = beads.events()
    lot = BeadLot("x", QUANTI)
    one, other = calibrate_levels(pe, scatter, lot), calibrate_levels(pe * scale, scatter, lot)
    assert other.to_abc(4321.0 * scale) == pytest.approx(one.to_abc(4321.0), rel=1e-9)
    assert other.flags == one.flags


def test_shuffling_events_changes_nothing():
    beads = Beads(debris=0.2, doublets=0.1)
    pe, scatter = beads.events()
    order = np.random.default_rng(3).permutation(pe.size)
    lot = BeadLot("x", QUANTI)
    assert calibrate_levels(pe[order], scatter[order], lot) == calibrate_levels(pe, scatter, lot)


def test_the_statistic_of_the_levels_is_the_one_asked_for():
    pe, _ = Beads(cv=0.1).events()
    lot = BeadLot("x", QUANTI)
    median = calibrate_levels(pe, None, lot, statistic="median")
    mean = calibrate_levels(pe, None, lot, statistic="geometric_mean")
    for by_median, by_mean, peak in zip(median.levels, mean.levels, find_peaks(pe), strict=True):
        inside = pe[(pe >= peak.low) & (pe <= peak.high)]
        assert by_median.intensity == np.median(inside)
        assert by_mean.intensity == pytest.approx(math.exp(np.log(inside).mean()), rel=1e-12)
        assert by_mean.n_events == by_median.n_events == inside.size


def test_a_geometric_mean_needs_positive_events():
    # the dimmest level at three SDs of the noise above zero
    beads = Beads((474.0, 5359.0, 23843.0), noise=BRIGHTEST * 474 / 23843 / 1.5)
    with pytest.raises(CalibrationError, match="Use the median") as caught:
        line_of(beads, statistic="geometric_mean", limits=BeadLimits(level_cv_fail=1))
    assert caught.value.code == "level_not_positive"


@settings(deadline=None, max_examples=40)
@given(st.floats(0.5, 1.5), st.floats(-3.0, 3.0), st.sets(st.integers(1, 60), min_size=3))
def test_points_on_a_line_give_that_line(slope, intercept, tenths):
    pe = [10 ** (k / 10) for k in tenths]
    line = fit_line(pe, [10 ** (slope * math.log10(value) + intercept) for value in pe])
    assert line.slope == pytest.approx(slope, rel=1e-9)
    assert line.intercept == pytest.approx(intercept, abs=1e-8)
    assert line.residual_sd == pytest.approx(0.0, abs=1e-9)


def test_no_peaks_no_levels():
    assert find_peaks(np.arange(11.0)) == ()
    assert match_levels((), QUANTI) is None


def test_scatter_that_cannot_tell_keeps_everything():
    assert single_beads(np.full((1000, 2), 5.0)).all()
    assert single_beads(np.full((1000, 2), -5.0)).all()
    assert single_beads(np.empty((0, 2))).size == 0


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (("Time", "SSC-A", "FSC-A", "FSC-H", "PE-A"), (2, 1, 3)),
        (("FSC-H", "SSC-H", "FL2-H"), (0, 1)),
        (("FS PEAK LIN", "FS INT LIN", "SS INT LIN", "FL2 INT LOG"), (1, 2, 0)),
        (("FSC", "PE"), ()),
    ],
)
def test_scatter_parameters_by_the_names_of_the_makers(names, columns):
    assert scatter_columns(names) == columns


def test_a_height_tells_doublets_that_area_does_not():
    _, scatter = Beads().events()
    height = scatter[:, 0].copy()
    height[:500] /= 1.5
    single = single_beads(np.column_stack((scatter, height)))
    assert not single[:500].any()
    assert single[500:].mean() > 0.9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1000.0, 2000.0), "has 2 levels"),
        ((0.0, 1000.0, 2000.0), "leave the blank out"),
        ((math.nan, 1000.0, 2000.0), "not positive"),
        ((1000.0, 2000.0, 1000.0), "lists a value twice"),
    ],
)
def test_values_that_are_no_lot(values, message):
    with pytest.raises(CalibrationError, match=message) as caught:
        BeadLot("96597", values)
    assert caught.value.code == "bead_lot"


# ------------------------------------------------------------------------------------------ AB/C


def by_hand(pe, intensity):
    """A calibration through given points."""
    line = fit_line(pe, intensity)
    levels = tuple(BeadLevel(p, i, 500, 0.05, 1.0) for p, i in zip(pe, intensity, strict=True))
    return Calibration(
        "x", "PE-A", "median", line.slope, line.intercept, line.r_squared, line.residual_sd,
        levels, "ok",
    )  # fmt: skip


def test_a_published_line():
    # CytoFLEX, lot 96597: log10(MFI) = 1.022 log10(PE) + 0.921, F:P 1.445
    line = replace(by_hand(QUANTI, QUANTI), slope=1.022, intercept=0.921)
    assert line.to_abc(16439.0) == pytest.approx(1674.74, rel=1e-6, abs=0.005)
    assert line.to_abc(16439.0, 1.445) == pytest.approx(1158.99, rel=1e-6, abs=0.005)
    assert line.to_abc(np.array([215754.0])) == pytest.approx(np.array([20795.2]), abs=0.05)


def test_worked_examples_of_the_line():
    synthetic = by_hand(QUANTI, (120.0, 1430.0, 6610.0, 17600.0))
    assert synthetic.slope == pytest.approx(1.022665, abs=5e-7)
    assert synthetic.intercept == pytest.approx(-0.657445, abs=5e-7)
    lot = by_hand((638.0, 6930.0, 31008.0, 67601.0), (6000.0, 70200.0, 331000.0, 712000.0))
    assert (lot.slope, lot.intercept) == pytest.approx((1.026788, 0.900524), abs=5e-7)
    assert lot.r_squared == pytest.approx(0.999952, abs=5e-7)
    cells = np.array([50000.0, 90000.0, 160000.0, 330000.0])
    assert lot.to_abc(cells) == pytest.approx(
        np.array([5004.4, 8870.8, 15535.3, 31442.1]), rel=1e-6, abs=0.05
    )


def test_an_intensity_that_is_not_positive_has_no_abc():
    line = by_hand(QUANTI, QUANTI)
    assert math.isnan(line.to_abc(0.0))
    assert np.isnan(line.to_abc(np.array([-1.0, math.nan]))).all()
    assert all(math.isnan(value) for value in line.interval(-1.0, -2.0, 3.0))


def test_the_interval_of_an_exact_line_is_that_of_the_cells_and_the_assay():
    line = by_hand(QUANTI, QUANTI)
    assert line.interval(5000.0, 4800.0, 5300.0, pe_per_antibody=2.0) == pytest.approx(
        (2500.0, 2400.0, 2650.0)
    )
    abc, low, high = line.interval(5000.0, 5000.0, 5000.0, assay_cv=0.03)
    assert low / abc == pytest.approx(math.exp(-1.959964 * 0.03), rel=1e-4)
    assert high / abc == pytest.approx(math.exp(1.959964 * 0.03), rel=1e-4)
    assert line.interval(5.0, 0.0, 6.0)[1] == 0.0
    assert math.isnan(line.interval(5.0, math.nan, 6.0)[1])


def test_levels_that_determine_no_slope_give_no_interval():
    line = by_hand((1000.0, 1010.0, 1020.0), (900.0, 1200.0, 1000.0))
    assert np.isnan(line.interval(1000.0, 990.0, 1010.0)[1:]).all()


@pytest.mark.parametrize(("levels", "seed"), [(QUANTI, 1), (LOTS["three"], 2), (LOTS["eight"], 3)])
def test_the_interval_covers_the_truth(levels, seed):
    """Levels off the line by 1 %, cells known to 1.5 %: 95 % of intervals hold the true AB/C."""
    rng = np.random.default_rng(seed)
    n_runs, sd = 1500, 0.015 / math.log(10)
    covered = 0
    for _ in range(n_runs):
        y = 0.97 * np.log10(levels) + 0.3 + rng.normal(0, 0.01 / math.log(10), len(levels))
        line = by_hand(levels, tuple(10**y))
        true = 10 ** rng.uniform(math.log10(levels[0]), math.log10(levels[-1]))
        cells = 0.97 * math.log10(true) + 0.3 + rng.normal(0, sd)
        _, low, high = line.interval(
            10**cells, 10 ** (cells - 1.96 * sd), 10 ** (cells + 1.96 * sd)
        )
        covered += low <= true <= high
    # binomial: 1500 · 0.95 ± 3.5 SD; quadrature errs on the wide side where t is far from normal
    assert 0.93 <= covered / n_runs <= (0.995 if len(levels) == 3 else 0.985)


# ------------------------------------------------------------------------------------ real beads

FLUOROSPHERES = BeadLot("fluorospheres-pe", (1500.0, 4400.0, 14500.0, 43800.0, 131200.0))


@needs_beads
@pytest.mark.parametrize("statistic", ["median", "geometric_mean"])
def test_real_beads(statistic):
    raw = read_fcs(BEADS)
    calibration = fit_calibration(raw, FLUOROSPHERES, "PE-A", statistic=statistic)
    assert calibration.status == "ok"
    assert calibration.slope == pytest.approx(0.968, abs=0.02)
    assert calibration.intercept == pytest.approx(-0.358, abs=0.02)
    assert calibration.r_squared >= 0.999
    # published means of the peaks (gbeads1_clustering_stats.csv); a stricter scatter gate than ours
    published = np.array([520.25, 1511.13, 4641.93, 13072.33, 40833.83])
    found = np.array([level.intensity for level in calibration.levels])
    assert found == pytest.approx(published, rel=0.01)
    assert (calibration.channel, calibration.voltage, calibration.gain) == ("PE-A", 555.0, 1.0)
    assert calibration.acquired_at == datetime(2008, 1, 21, 18, 59, 26)
    assert calibration.cytometer == "LSRII 1"


@needs_beads
def test_an_expired_lot_is_flagged():
    lot = replace(FLUOROSPHERES, expires=date(2008, 1, 20))
    assert fit_calibration(read_fcs(BEADS), lot, "PE-A").flags == ("lot_expired",)
    lot = replace(FLUOROSPHERES, expires=date(2008, 1, 21))
    assert fit_calibration(read_fcs(BEADS), lot, "PE-A").status == "ok"


@needs_beads
def test_a_channel_that_is_not_there():
    with pytest.raises(ChannelError, match="FL2-H"):
        fit_calibration(read_fcs(BEADS), FLUOROSPHERES, "FL2-H")


@pytest.mark.skipif(not (CORPUS / "hally166").exists(), reason="no hally166 in the corpus")
def test_eight_real_peaks():
    raw = read_fcs(CORPUS / "hally166" / "8peak700v.fcs")
    column = raw.pnn.index("530/30 (488)-A")
    peaks = find_peaks(raw.linear()[:, column], top=262143.0)
    assert len(peaks) == 8
    assert [peak.is_saturated for peak in peaks] == [False] * 7 + [True]
