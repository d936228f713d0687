"""Which beads a sample gets, which number comes of it, and what is said about both."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cytosepsis.protocol import BeadRun, Limits, hours_between
from cytosepsis.quantify import (
    BeadChoice,
    band_of,
    choose_beads,
    preanalytic_flags,
    quantify,
    rack_beads,
    review_of,
)
from hand_made import (
    ACQUIRED,
    ONSET,
    assay,
    beads,
    cells,
    failed_beads,
    hours,
    line,
    override,
    result,
    sample,
    study,
)


def choose(runs, s=None, r=None, **study_fields) -> BeadChoice:
    s = s or sample()
    of_study = study(s, **study_fields)
    return choose_beads(s, r or result(), rack_beads(runs, of_study), of_study)


def abc_of(r=None, runs=None, s=None, **study_fields):
    s = s or sample()
    of_study = study(s, **study_fields)
    runs = [beads()] if runs is None else runs
    return quantify(s, r or result(), rack_beads(runs, of_study), of_study)


# --- choosing by rule


def test_the_latest_usable_run_before_the_sample_is_taken():
    runs = [beads("early", 20), beads("late", 1), beads("after", -0.5), failed_beads("bad", 0.1)]
    chosen = choose(runs)
    assert chosen.run is not None
    assert (chosen.run.bead_run, chosen.flags, chosen.reason) == ("late", (), None)
    assert chosen.calibration == line()


def test_a_run_at_the_very_moment_of_the_sample_precedes_it():
    assert choose([beads("now", 0), beads("early", 3)]).run.bead_run == "now"


def test_without_a_run_before_the_first_after_is_taken():
    chosen = choose([beads("later", -9), beads("next", -1)])
    assert (chosen.run.bead_run, chosen.flags) == ("next", ("beads_after_sample",))


@pytest.mark.parametrize(
    ("other", "code", "words"),
    [
        (beads(cytometer="Navios"), "beads_other_cytometer", "1 of another cytometer"),
        (
            beads(calibration=replace(line(), voltage=500.0)),
            "beads_other_voltage",
            "1 at another voltage",
        ),
        (beads(calibration=replace(line(), gain=2.0)), "beads_other_gain", "1 at another gain"),
        (beads("B1", 24.5), "beads_too_old", "1 too far away in time"),
        (beads("B1", -24.5), "beads_too_old", "1 too far away in time"),
    ],
)
def test_a_run_that_does_not_match_is_not_chosen_but_used_when_named(other, code, words):
    chosen = choose([other])
    assert (chosen.run, chosen.calibration) == (None, None)
    assert chosen.flags == ("no_beads", code)
    assert words in chosen.reason
    assert "24 h" in chosen.reason
    named = choose([other], sample(bead_run="B1"))
    assert (named.run, named.flags) == (other, (code,))


def test_the_age_limit_itself_is_in_time():
    assert choose([beads("B1", 24)]).flags == ()
    assert choose([beads("B1", 24)], bead_max_age_hours=23.9).flags[0] == "no_beads"


def test_two_obstacles_in_one_run_are_counted_but_not_flagged():
    chosen = choose([beads("B1", 30, cytometer="Navios"), failed_beads("B2")])
    assert chosen.flags == ("no_beads",)
    found = "of 2 bead run(s): 1 failed, 1 of another cytometer, 1 too far away in time"
    assert found in chosen.reason


def test_runs_of_another_detector_or_statistic_are_not_considered():
    runs = [
        beads("apc", channel="APC-A"),
        beads("mean", statistic="geometric_mean"),
    ]
    chosen = choose(runs)
    assert chosen.flags == ("no_beads",)
    assert "no bead run was measured for it" in chosen.reason
    assert "PE-A (median)" in chosen.reason


def test_a_run_that_failed_before_its_detector_was_known_is_counted():
    broken = replace(failed_beads(), channel="HLA-DR")
    assert "of 1 bead run(s): 1 failed" in choose([broken]).reason


def test_the_voltage_tolerance_of_the_assay_counts():
    close = beads(calibration=replace(line(), voltage=451.0))
    tolerant = replace(assay(), limits=Limits(voltage_tolerance=1.0))
    assert choose([close]).run is None
    assert choose([close], assays=(tolerant,)).run is close


def test_a_missing_gain_is_one():
    assert choose([beads(calibration=replace(line(), gain=None))]).flags == ()


def test_cytometers_are_compared_without_case():
    assert choose([beads(cytometer=" canto ")]).flags == ()


# --- what is unknown


@pytest.mark.parametrize(
    "run", [beads(cytometer=None), beads(calibration=replace(line(), voltage=None))]
)
def test_an_unknown_setting_contradicts_nothing_and_is_noted(run):
    chosen = choose([run])
    assert (chosen.run, chosen.flags) == (run, ("beads_settings_unknown",))


def test_a_run_known_to_match_goes_before_a_later_one_that_is_not():
    known, unknown = beads("known", 9), beads("unknown", 1, cytometer=None)
    assert choose([known, unknown]).run is known


def test_runs_that_differ_in_what_the_sample_leaves_open_are_ambiguous():
    runs = [beads("A", 3, cytometer="Canto"), beads("B", 2, cytometer="Navios")]
    chosen = choose(runs, r=result(cytometer=None))
    assert (chosen.run, chosen.flags) == (None, ("no_beads",))
    assert "2 bead runs" in chosen.reason
    assert "Name one in `bead_run`" in chosen.reason
    volts = [beads("A", 3), beads("B", 2, calibration=replace(line(), voltage=500.0))]
    assert choose(volts, r=result(voltage=None)).run is None
    alike = [beads("A", 3), beads("B", 2)]
    chosen = choose(alike, r=result(cytometer=None))
    assert (chosen.run.bead_run, chosen.flags) == ("B", ("beads_settings_unknown",))


def test_a_run_of_unknown_age_is_taken_only_where_no_other_is_left():
    alone = choose([beads("B1", None), beads("B2", 2, cytometer="Navios")])
    assert (alone.run.bead_run, alone.flags) == ("B1", ("beads_age_unknown",))
    assert choose([beads("B1", None), beads("B2", 5)]).run.bead_run == "B2"
    assert choose([beads("B1", None), beads("B2", None)]).run is None
    assert choose([beads("B1"), beads("B2", 5)], r=result(acquired_at=None)).run is None
    assert choose([beads("B1")], r=result(acquired_at=None)).flags == ("beads_age_unknown",)


def test_a_sheets_name_and_a_files_serial_are_not_compared():
    s = sample(cytometer="Canto")
    serial = beads(cytometer="BD FACSCanto II V33")
    chosen = choose([serial], s)
    assert (chosen.run, chosen.flags) == (serial, ("beads_settings_unknown",))
    in_sheet = BeadRun("B1", "b.fcs", "/b.fcs", "96597", cytometer="Navios")
    assert choose([beads(cytometer="Navios")], s, bead_runs=(in_sheet,)).run is None


def test_times_without_a_zone_are_in_the_studys():
    naive = result(acquired_at=datetime(2024, 3, 2, 16, 0))  # 15:00 UTC in Paris
    assert choose([beads("B1", 0)], r=naive, timezone="Europe/Paris").flags == ()
    assert choose([beads("B1", 0)], r=naive, bead_max_age_hours=0.5).run is None


# --- named and reviewed runs


def test_a_named_run_is_used_and_its_unknowns_are_noted():
    chosen = choose([beads("B1", None)], sample(bead_run="B1"))
    assert chosen.flags == ("beads_age_unknown",)


def test_a_doubtful_run_is_flagged_named_or_not():
    run = beads(status="flagged", flags=("slope",))
    assert choose([run]).flags == ("beads_doubtful",)
    assert choose([run], sample(bead_run="B1")).flags == ("beads_doubtful",)


def test_a_sample_hears_how_its_own_assay_judged_the_beads():
    strict = beads(status="flagged", flags=("slope",), assays=("strict",))
    runs = [strict, beads(assays=("lenient", "mhladr"))]
    both = {"assays": (assay(), assay("strict"))}
    assert choose(runs, **both).flags == ()
    assert choose(runs, sample(assay="strict"), **both).flags == ("beads_doubtful",)
    assert choose(runs, sample(bead_run="B1", assay="strict"), **both).flags == ("beads_doubtful",)


def test_a_named_run_that_failed_gives_no_line_and_says_why():
    chosen = choose([failed_beads(), beads("B2")], sample(bead_run="B1"))
    assert (chosen.calibration, chosen.flags) == (None, ("beads_failed",))
    assert chosen.reason == "bead run B1 failed: 3 of 4 peaks found"
    judged = beads(status="failed", flags=("slope",))
    chosen = choose([judged], sample(bead_run="B1"))
    assert chosen.calibration is None
    assert "no line that the limits accept" in chosen.reason


def test_a_named_run_of_another_detector_is_used_where_it_can_mean_only_one():
    other = beads(channel="FL2-A")
    assert choose([other], sample(bead_run="B1")).flags == ("beads_other_detector",)
    two = [other, beads(channel="APC-A")]
    chosen = choose(two, sample(bead_run="B1"))
    assert chosen.flags == ("no_beads",)
    assert "measured for APC-A (median), FL2-A (median)" in chosen.reason


def test_a_named_run_that_was_not_measured_leaves_none():
    chosen = choose([beads("B1")], sample(bead_run="B7"))
    assert (chosen.flags, chosen.named) == (("no_beads",), "B7")
    assert "B7 was wanted for PE-A (median); it was measured for nothing" in chosen.reason


def test_a_reviewer_assigns_and_rejects_runs():
    runs = [beads("B1"), beads("B2", 5)]
    assigned = override("s1", "assign_beads", bead_run="B2")
    chosen = choose(runs, sample(bead_run="B1"), overrides=(assigned,))
    assert chosen.run.bead_run == "B2"
    rejected = (override("B1", "reject"),)
    assert choose(runs, overrides=rejected).run.bead_run == "B2"
    chosen = choose(runs, sample(bead_run="B1"), overrides=rejected)
    assert (chosen.flags, chosen.run) == (("no_beads",), None)
    assert "rejected by a reviewer" in chosen.reason
    none_left = choose(runs[:1], overrides=rejected)
    assert "1 rejected by a reviewer" in none_left.reason
    taken_back = (*rejected, override("B1", "accept"))
    assert choose(runs, overrides=taken_back).run.bead_run == "B1"
    assert review_of("B1", study(overrides=taken_back)) == "accepted"
    assert review_of("B2", study(overrides=taken_back)) == "pending"


def test_the_order_of_bead_results_does_not_matter():
    runs = [beads("B2", 3), beads("B1", 3), beads("B3", 5)]
    assert choose(runs).run.bead_run == choose(runs[::-1]).run.bead_run == "B1"


# --- the number


def test_value_band_and_interval_come_from_the_line():
    abc = abc_of(result(abc=6000.0))
    assert abc.abc == pytest.approx(6000.0)
    assert abc.abc_low < 6000.0 < abc.abc_high
    assert (abc.band, abc.bead_run, abc.status, abc.flags) == ("5000-8000", "B1", "ok", ())
    assert (abc.reason, abc.reason_code) == (None, None)
    wider = abc_of(result(abc=6000.0), assay_cv=0.1)
    assert wider.abc_high > abc.abc_high
    halved = abc_of(result(abc=6000.0), assays=(assay(pe_per_antibody=2.0),))
    assert (halved.abc, halved.band) == (pytest.approx(3000.0), "<5000")


def test_without_an_interval_of_the_cells_there_is_a_value_alone():
    abc = abc_of(result(quantified=cells(low=None, high=None)))
    assert abc.abc == pytest.approx(8000.0)
    assert (abc.abc_low, abc.abc_high) == (None, None)


def test_nothing_is_quantified_without_settings():
    assert abc_of(result(quantified=None)) is None


@pytest.mark.parametrize(
    ("value", "band"),
    [
        (0.0, "<5000"),
        (math.nextafter(5000, 0), "<5000"),
        (5000, "5000-8000"),
        (math.nextafter(15000, 0), "8000-15000"),
        (15000, ">=15000"),
    ],
)
def test_bands_hold_their_lower_end(value, band):
    assert band_of(value, (5000, 8000, 15000)) == band
    assert band_of(value, (15000.0, 5000, 8000)) == band


def test_bands_of_odd_cutoffs():
    assert band_of(10, ()) is None
    assert band_of(10, (2.5,)) == ">=2.5"
    assert band_of(10, (1_500_000,)) == "<1500000"


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({"n_cells": 499}, ("too_few_cells", "few_cells")),
        ({"n_cells": 500}, ("few_cells",)),
        ({"n_cells": 2999}, ("few_cells",)),
        ({"n_cells": 3000}, ()),
        ({"n_saturated": 21}, ("saturated_events",)),
        ({"n_saturated": 20}, ()),
        ({"intensity": 499.0}, ("outside_bead_range",)),
        ({"intensity": 500.0}, ()),
        ({"intensity": 65_000.0}, ()),
        ({"intensity": 65_001.0}, ("outside_bead_range",)),
    ],
)
def test_doubts_about_the_cells_leave_the_value(change, flags):
    abc = abc_of(result(quantified=cells(**change)))
    assert abc.flags == flags
    assert abc.abc is not None
    assert (abc.band is None) == ("too_few_cells" in flags)


def test_flags_of_the_file_are_carried():
    abc = abc_of(result(flags=("no_spillover", "full_population")))
    assert (abc.flags, abc.status) == (("no_spillover", "full_population"), "flagged")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"n_cells": 0, "intensity": None}, "empty_population", "is empty"),
        ({"intensity": None}, "non_positive_intensity", "is not defined"),
        ({"intensity": 0.0}, "non_positive_intensity", "is 0;"),
        ({"intensity": -3.5}, "non_positive_intensity", "is -3.5;"),
        ({"intensity": math.nan}, "non_positive_intensity", "is nan;"),
        ({"intensity": math.inf}, "non_positive_intensity", "is inf;"),
    ],
)
def test_a_number_that_cannot_stand_is_absent_with_the_reason(change, code, words):
    abc = abc_of(result(quantified=cells(**change)))
    assert (abc.abc, abc.abc_low, abc.abc_high, abc.band) == (None, None, None, None)
    assert (abc.status, abc.reason_code) == ("flagged", code)
    assert words in abc.reason
    assert code in abc.flags


def test_no_beads_and_failed_beads_leave_no_number():
    none = abc_of(runs=[])
    assert (none.abc, none.status, none.reason_code) == (None, "flagged", "no_beads")
    failed = abc_of(runs=[failed_beads()], s=sample(bead_run="B1"))
    assert (failed.abc, failed.status, failed.bead_run) == (None, "failed", "B1")
    assert failed.reason_code == "beads_failed"
    both = abc_of(result(quantified=cells(n_cells=0, intensity=None)), runs=[])
    assert both.reason_code == "empty_population"
    assert "no usable bead run" in both.reason


# --- pre-analytics


@pytest.mark.parametrize(
    ("tube", "delay", "flags"),
    [
        ("EDTA", 4.0, ()),
        ("EDTA", 4.01, ("late_staining",)),
        ("K2-edta", 5.0, ("late_staining",)),
        ("Cyto-Chex BCT", 71.0, ()),
        ("CytoChex", 73.0, ("late_staining",)),
        ("citrate", 1.0, ("preanalytics_unknown",)),
        (None, 1.0, ("preanalytics_unknown",)),
        ("EDTA", -0.5, ("staining_before_draw",)),
    ],
)
def test_the_delay_to_staining_is_judged_by_the_tube(tube, delay, flags):
    s = sample(tube=tube, stained_at=ONSET + hours(30 + delay))
    assert preanalytic_flags(s, Limits(), None) == flags
    assert abc_of(s=s).flags == flags


@pytest.mark.parametrize(
    "missing", [{"drawn_at": None}, {"stained_at": None}, {"drawn_at_has_time": False}]
)
def test_an_unknown_delay_is_a_note(missing):
    abc = abc_of(s=sample(**missing))
    assert (abc.flags, abc.status) == (("preanalytics_unknown",), "ok")


def test_hours_are_counted_across_summer_time():
    paris = ZoneInfo("Europe/Paris")
    before, after = datetime(2024, 3, 30, 12, tzinfo=paris), datetime(2024, 3, 31, 12, tzinfo=paris)
    assert hours_between(before, after) == 23.0
    naive = before.replace(tzinfo=None), after.replace(tzinfo=None)
    assert hours_between(*naive, "Europe/Paris") == 23.0
    assert hours_between(*naive) == 24.0
    assert hours_between(after, before) == -23.0
    assert hours_between(ACQUIRED, ACQUIRED) == 0.0
