"""Patients over time: days and windows, which acquisition stands, markers, changes, what is left."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hand_made import (
    ACQUIRED,
    ONSET,
    assay,
    beads,
    failed_beads,
    failure,
    hours,
    override,
    result,
    sample,
    study,
)
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.errors import StudyError
from cytosepsis.flags import FLAGS
from cytosepsis.protocol import Marker, Measurement, Patient, Window
from cytosepsis.tables import all_tables
from cytosepsis.tables.describe import UNUSED_CODES
from cytosepsis.tables.timepoints import Moment, place


def at_day(sample_id, day, patient_id="p1", **fields):
    """A sample drawn so many days after onset: 0.5 is noon of day 1."""
    return sample(sample_id, patient_id, drawn_at=ONSET + timedelta(days=day), **fields)


def run(of_study, *outcomes):
    return all_tables(of_study, outcomes, [beads()])


def rows(table):
    return list(table.iter_rows(named=True))


def left(tables):
    table = tables["unused"]
    assert set(table["code"]) <= UNUSED_CODES.keys()
    return dict(zip(table["sample_id"], table["code"], strict=True))


# --- day and timepoint


def placed(drawn, label=None, *, patient=Patient("p1", ONSET), **fields):
    drawn = drawn if isinstance(drawn, Moment) else Moment(drawn)
    return place(drawn, label, patient, study(**fields))


@pytest.mark.parametrize(
    ("after_hours", "day", "window"),
    [(0, 1, "D1-2"), (23.999, 1, "D1-2"), (24, 2, "D1-2"), (48, 3, "D3-4"), (168, 8, "D6-8")],
)
def test_the_first_24_hours_are_day_1(after_hours, day, window):
    found = placed(ONSET + hours(after_hours))
    assert (found.day, found.timepoint, found.flags) == (day, window, ())


def test_a_day_between_windows_has_none():
    found = placed(ONSET + hours(100))
    assert (found.day, found.timepoint, found.flags) == (5, None, ("out_of_window",))
    assert placed(ONSET + hours(100), windows=()).flags == ()


def test_before_onset_there_is_no_window():
    found = placed(ONSET - hours(0.5))
    assert (found.day, found.timepoint, found.flags) == (0, None, ("before_onset",))
    found = placed(ONSET - hours(1), "D1-2")
    assert (found.timepoint, found.flags) == ("D1-2", ("before_onset", "timepoint_mismatch"))


def test_dates_without_times_count_calendar_days():
    date_only = Moment(datetime(2024, 3, 3, tzinfo=UTC), has_time=False)
    late = Patient("p1", datetime(2024, 3, 1, 23, tzinfo=UTC))
    found = placed(date_only, patient=late)
    assert (found.day, found.timepoint, found.flags) == (3, "D3-4", ("day_approximate",))
    no_hour = Patient("p1", datetime(2024, 3, 1, tzinfo=UTC), shock_onset_has_time=False)
    found = placed(datetime(2024, 3, 2, 1, tzinfo=UTC), patient=no_hour)
    assert (found.day, found.flags) == (2, ("day_approximate",))
    same = placed(Moment(ONSET, has_time=False), patient=no_hour)
    assert (same.day, same.timepoint) == (1, "D1-2")


def test_calendar_days_are_those_of_the_studys_timezone():
    onset = datetime(2024, 3, 1, 23, 30, tzinfo=UTC)  # 00:30 of March 2 in Paris
    drawn = Moment(datetime(2024, 3, 2, tzinfo=ZoneInfo("Europe/Paris")), has_time=False)
    found = placed(drawn, patient=Patient("p1", onset), timezone="Europe/Paris")
    assert found.day == 1


def test_summer_time_does_not_move_a_day():
    paris = ZoneInfo("Europe/Paris")
    onset = Patient("p1", datetime(2024, 3, 30, 12, tzinfo=paris))
    # The clock on the wall moved 24 hours, time moved 23: still day 1.
    assert placed(datetime(2024, 3, 31, 12, tzinfo=paris), patient=onset).day == 1
    naive = Patient("p1", datetime(2024, 3, 30, 12))
    assert placed(datetime(2024, 3, 31, 12), patient=naive, timezone="Europe/Paris").day == 1
    assert placed(datetime(2024, 3, 31, 12), patient=naive).day == 2


@pytest.mark.parametrize(
    ("label", "after_hours", "flags"),
    [
        ("D1-2", 30, ()),
        ("D3-4", 30, ("timepoint_mismatch",)),
        ("D3-4", 100, ("timepoint_mismatch",)),
        ("M6", 30, ("timepoint_mismatch",)),
        ("M6", 4000, ()),
    ],
)
def test_a_label_stays_and_is_flagged_where_dates_contradict(label, after_hours, flags):
    found = placed(ONSET + hours(after_hours), label)
    assert (found.timepoint, found.flags) == (label, flags)


def test_what_is_missing_is_said():
    assert placed(Moment(None), "D1-2").flags == ()
    assert (placed(Moment(None), "D1-2").timepoint, placed(Moment(None), "D1-2").day) == (
        "D1-2",
        None,
    )
    assert placed(Moment(None)).flags == ("draw_unknown",)
    assert placed(ONSET, patient=None).flags == ("onset_unknown",)
    assert placed(ONSET, patient=Patient("p1")).flags == ("onset_unknown",)
    donor = place(Moment(ONSET), None, None, study(), of_patient=False)
    assert (donor.timepoint, donor.day, donor.flags) == (None, None, ())


@given(st.floats(-1000, 1000))
def test_days_are_24_hours_long(after_hours):
    found = placed(ONSET + timedelta(hours=after_hours))
    elapsed = timedelta(hours=after_hours) / timedelta(hours=1)
    assert 24 * (found.day - 1) <= elapsed < 24 * found.day


# --- who enters


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"use": False, "use_reason": "clot"}, "use_no"),
        ({"role": "isotype"}, "control_role"),
        ({"group": "eqa"}, "control_group"),
        ({"group": "control"}, "control_group"),
        ({"condition": "LPS"}, "ex_vivo"),
        ({"stimulus": "LPS"}, "ex_vivo"),
        ({"drug": "IFN-γ"}, "ex_vivo"),
    ],
)
def test_rows_that_do_not_enter_are_listed(fields, code):
    tables = run(study(at_day("s1", 0.5, **fields)), result())
    assert tables["patients"].height == tables["marker_values"].height == 0
    assert tables["samples"].height == 1
    assert left(tables) == {"s1": code}


@pytest.mark.parametrize(
    ("fields", "study_fields", "code"),
    [
        ({"drawn_at": ONSET - hours(5)}, {}, "before_onset"),
        ({"drawn_at": ONSET + hours(100)}, {}, "out_of_window"),
        ({}, {"patients": ()}, "onset_unknown"),
        ({"drawn_at": None}, {}, "draw_unknown"),
        ({}, {"windows": ()}, "no_windows"),
    ],
)
def test_patients_without_a_timepoint_are_listed(fields, study_fields, code):
    tables = run(study(sample(**fields), **study_fields), result())
    assert tables["patients"].height == 0
    assert left(tables) == {"s1": code}


def test_donors_need_no_timepoint_and_have_no_change():
    donors = [
        sample("h1", "donor", group="healthy"),
        sample("h2", "donor2", group="healthy", timepoint="V1", drawn_at=None),
    ]
    tables = run(study(*donors), result("h1", abc=20_000.0), result("h2", abc=30_000.0))
    found = rows(tables["patients"])
    assert [(r["patient_id"], r["timepoint"], r["day"]) for r in found] == [
        ("donor", None, None),
        ("donor2", "V1", None),
    ]
    assert [r["group"] for r in found] == ["healthy", "healthy"]
    assert [r["delta_abc"] for r in found] == [None, None]
    assert all("no_baseline" not in r["flags"] for r in found)


# --- which acquisition stands


def test_the_latest_usable_acquisition_of_a_stain_stands():
    tubes = [at_day(name, 0.5, draw_id="d") for name in ("first", "second", "broken")]
    outcomes = (
        result("first", abc=6000.0, acquired_at=ACQUIRED),
        result("second", abc=7000.0, acquired_at=ACQUIRED + hours(1)),
        failure("broken"),
    )
    tables = run(study(*tubes), *outcomes)
    (row,) = rows(tables["patients"])
    assert (row["sample_id"], row["abc"]) == ("second", pytest.approx(7000.0))
    assert (row["n_stains"], row["stain_cv"]) == (1, None)
    assert left(tables) == {"first": "earlier_acquisition", "broken": "failed"}


def test_without_acquisition_times_the_later_row_stands():
    tubes = [at_day(name, 0.5) for name in ("a", "b")]
    s = study(*tubes, overrides=[override(n, "assign_beads", bead_run="B1") for n in ("a", "b")])
    tables = run(s, *(result(n, acquired_at=None) for n in ("a", "b")))
    assert tables["patients"]["sample_id"].to_list() == ["b"]


def test_an_acquisition_with_enough_cells_goes_before_a_later_one_without():
    tubes = [at_day(name, 0.5) for name in ("full", "scarce")]
    outcomes = (
        result("full", abc=6000.0),
        result("scarce", abc=9000.0, n_cells=100, acquired_at=ACQUIRED + hours(1)),
    )
    tables = run(study(*tubes), *outcomes)
    assert tables["patients"]["sample_id"].to_list() == ["full"]
    assert left(tables) == {"scarce": "too_few_cells"}


def test_too_few_cells_alone_are_shown_without_a_band():
    tables = run(study(at_day("s1", 0.5)), result("s1", abc=6000.0, n_cells=100))
    (row,) = rows(tables["patients"])
    assert (row["abc"], row["band"], row["status"]) == (pytest.approx(6000.0), None, "flagged")
    assert row["flags"] == "too_few_cells;few_cells"


def test_several_stains_of_a_draw_are_averaged():
    tubes = [at_day(name, 0.5, replicate=name) for name in ("r1", "r2")]
    tables = run(study(*tubes), result("r1", abc=4000.0), result("r2", abc=9000.0))
    (row,) = rows(tables["patients"])
    assert row["sample_id"] == "r1;r2"
    assert row["abc"] == pytest.approx(6000.0)
    assert row["n_stains"] == 2
    assert row["stain_cv"] == pytest.approx(math.sqrt(2) * 2500 / 6500)
    assert (row["band"], row["flags"]) == ("5000-8000", "several_stains")
    lows = tables["abc"]["abc_low"].to_list()
    assert row["abc_low"] == pytest.approx(math.sqrt(lows[0] * lows[1]))
    values = rows(tables["marker_values"])[0]
    assert (values["n_stains"], values["sample_id"]) == (2, "r1;r2")


def test_other_staining_times_are_other_stains():
    tubes = [at_day("a", 0.5), at_day("b", 0.5, stained_at=ONSET + hours(14))]
    tables = run(study(*tubes), result("a", abc=4000.0), result("b", abc=9000.0))
    assert tables["patients"]["sample_id"].to_list() == ["a;b"]


def test_stains_of_two_methods_are_not_averaged():
    methods = {"r1": "lyse-no-wash", "r2": "lyse-wash", "r3": "Lyse-Wash "}
    tubes = [at_day(n, 0.5, replicate=n, lysis=lysis) for n, lysis in methods.items()]
    outcomes = [result(n, abc=6000.0) for n in methods]
    tables = run(study(*tubes), *outcomes)
    (row,) = rows(tables["patients"])
    assert (row["sample_id"], row["lysis"]) == ("r2;r3", "lyse-wash")
    assert row["flags"] == "mixed_lysis;several_stains"
    assert left(tables) == {"r1": "other_method"}
    pooled = run(study(*tubes, compare_across_lysis=True), *outcomes)
    assert pooled["patients"]["sample_id"].to_list() == ["r1;r2;r3"]


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (0.2, 1.25, "b"),  # the centre of days 1 and 2 is hour 24
        (0.75, 1.5, "a"),
        (0.5, 1.5, "a"),  # equally near: the earlier
    ],
)
def test_the_draw_nearest_the_centre_stands(first, second, stands):
    draws = [at_day("a", first), at_day("b", second)]
    tables = run(study(*draws), result("a"), result("b"))
    (row,) = rows(tables["patients"])
    assert row["sample_id"] == stands
    assert row["flags"] == "several_draws"
    assert set(left(tables).values()) == {"other_draw"}


def test_of_equally_near_draws_the_earlier_stands_whatever_the_order_of_rows():
    draws = [at_day("late", 1.5), at_day("early", 0.5)]
    tables = run(study(*draws), result("late"), result("early"))
    assert tables["patients"]["sample_id"].to_list() == ["early"]


def test_a_draw_without_a_usable_value_does_not_stand_before_another():
    draws = [at_day("near", 1.0), at_day("far", 0.1)]
    tables = run(study(*draws), failure("near"), result("far"))
    (row,) = rows(tables["patients"])
    assert (row["sample_id"], row["flags"]) == ("far", "")


def test_labels_without_dates_make_rows_without_days():
    tubes = [sample("a", drawn_at=None, timepoint="D3-4"), sample("b", "p2", timepoint="V2")]
    tables = run(study(*tubes, patients=()), result("a"), result("b"))
    found = [(r["patient_id"], r["timepoint"], r["day"]) for r in rows(tables["patients"])]
    assert found == [("p1", "D3-4", None), ("p2", "V2", None)]


def test_rejected_samples_leave_patients_and_stay_in_the_tables():
    tables = run(study(sample(), overrides=(override("s1", "reject"),)), result())
    (row,) = rows(tables["patients"])
    assert (row["abc"], row["status"], row["sample_id"]) == (None, "failed", None)
    assert left(tables) == {"s1": "rejected"}
    assert tables["abc"]["abc"].null_count() == 0


def test_without_a_number_the_row_stays_with_the_reason():
    tables = all_tables(study(sample(bead_run="B1")), [result()], [failed_beads()])
    (row,) = rows(tables["patients"])
    assert (row["abc"], row["status"], row["day"]) == (None, "failed", 2)
    assert row["flags"] == "beads_failed"
    (value,) = rows(tables["marker_values"])
    assert value["reason"] == "s1: bead run B1 failed: 3 of 4 peaks found"
    assert value["known_at_day"] is None
    assert left(tables) == {"s1": "beads_failed"}


def test_rows_stand_by_patient_of_the_sheet_and_window_of_the_study():
    tubes = [
        at_day("a", 7, "zoë"),
        at_day("b", 0.5, "adam"),
        at_day("c", 2.5, "zoë"),
        at_day("d", 200, "zoë", timepoint="M6"),
    ]
    tables = run(study(*tubes), *(result(t.sample_id) for t in tubes))
    found = [(r["patient_id"], r["timepoint"]) for r in rows(tables["patients"])]
    assert found == [("zoë", "D3-4"), ("zoë", "D6-8"), ("zoë", "M6"), ("adam", "D1-2")]


# --- changes


def test_the_change_from_baseline():
    draws = [at_day("a", 1.5), at_day("b", 6.5)]
    tables = run(study(*draws), result("a", abc=5200.0), result("b", abc=8900.0))
    first, second = rows(tables["patients"])
    assert (first["delta_abc"], first["ratio"], first["log10_slope_per_day"]) == (None, None, None)
    assert second["delta_abc"] == pytest.approx(3700.0)
    assert second["ratio"] == pytest.approx(1.7115, abs=5e-5)
    assert second["log10_slope_per_day"] == pytest.approx(0.046677, abs=5e-7)
    assert (second["baseline_sample_id"], second["flags"]) == ("a", "")


def test_the_slope_counts_whole_days_where_hours_are_unknown():
    first = sample("a", drawn_at=datetime(2024, 3, 1, tzinfo=UTC), drawn_at_has_time=False)
    draws = [first, at_day("b", 6.5)]
    tables = run(study(*draws), result("a", abc=1000.0), result("b", abc=10_000.0))
    assert tables["patients"]["log10_slope_per_day"][1] == pytest.approx(1 / 6)


def test_labels_alone_give_a_ratio_and_no_slope():
    labelled = [sample(t, drawn_at=None, timepoint=t) for t in ("D1-2", "D3-4")]
    tables = run(study(*labelled), result("D1-2", abc=5000.0), result("D3-4", abc=10_000.0))
    row = rows(tables["patients"])[1]
    assert (row["ratio"], row["log10_slope_per_day"]) == (pytest.approx(2.0), None)


def test_without_a_baseline_value_there_is_a_note():
    tables = run(study(at_day("b", 6.5)), result("b"))
    (row,) = rows(tables["patients"])
    assert (row["flags"], row["status"], row["ratio"]) == ("no_baseline", "ok", None)
    unwanted = run(study(at_day("b", 6.5), baseline=None), result("b"))
    assert unwanted["patients"]["flags"].to_list() == [""]
    draws = [at_day("a", 0.5), at_day("b", 6.5)]
    rejected = study(*draws, overrides=(override("a", "reject"),))
    assert run(rejected, result("a"), result("b"))["patients"]["flags"][1] == "no_baseline"


def test_a_doubtful_baseline_makes_the_change_doubtful():
    draws = [at_day("a", 0.5), at_day("b", 6.5)]
    tables = run(study(*draws), result("a", flags=("no_spillover",)), result("b"))
    row = rows(tables["patients"])[1]
    assert (row["flags"], row["status"]) == ("baseline_doubtful", "flagged")
    assert row["ratio"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("column", "flag", "allow"),
    [
        ("lysis", "mixed_lysis", "compare_across_lysis"),
        ("site", "mixed_sites", "compare_across_sites"),
    ],
)
def test_changes_never_mix_methods_unless_the_study_says_so(column, flag, allow):
    draws = [at_day("a", 0.5, **{column: "X"}), at_day("b", 6.5, **{column: "Y"})]
    outcomes = result("a"), result("b")
    tables = run(study(*draws), *outcomes)
    row = rows(tables["patients"])[1]
    assert (row["ratio"], row["delta_abc"], row["log10_slope_per_day"]) == (None, None, None)
    assert row["flags"] == flag
    assert tables["abc"]["flags"].to_list() == [flag, flag]
    allowed = rows(run(study(*draws, **{allow: True}), *outcomes)["patients"])[1]
    assert (allowed["ratio"], allowed["flags"]) == (pytest.approx(1.0), "")
    empty = [draws[0], replace(draws[1], **{column: None})]
    assert rows(run(study(*empty), *outcomes)["patients"])[1]["flags"] == ""


# --- markers


def test_each_quantified_assay_is_a_marker_by_default():
    tables = run(study(at_day("s1", 0.5)), result("s1", abc=6000.0))
    (row,) = rows(tables["marker_values"])
    assert (row["marker"], row["unit"], row["day"], row["known_at_day"]) == ("mhladr", "AB/C", 1, 1)
    assert row["value"] == rows(tables["abc"])[0]["abc"]
    assert row["low"] < row["value"] < row["high"]


def markers(*others):
    return (Marker("mhladr", "abc", ("mhladr",), "monocytes", "hladr"), *others)


@pytest.mark.parametrize(
    ("marker", "value", "unit"),
    [
        (Marker("m", "intensity", ("mhladr",), "monocytes", "cd14"), 900.0, "a.u."),
        (
            Marker("m", "intensity", (), "monocytes", "cd14", statistic="geometric_mean"),
            880.0,
            "a.u.",
        ),
        (Marker("m", "fraction", ("mhladr",), "monocytes", of="root"), 0.2, "fraction"),
        (Marker("m", "fraction", ("mhladr",), "monocytes"), 0.25, "fraction"),
        (Marker("m", "fraction", (), "monocytes", of="singlets", unit="%"), 25.0, "%"),
    ],
)
def test_other_markers_have_a_column_each(marker, value, unit):
    tables = run(study(at_day("s1", 0.5), markers=markers(marker)), result("s1"))
    assert tables["patients"]["m"].to_list() == [pytest.approx(value)]
    row = rows(tables["marker_values"])[1]
    assert (row["value"], row["unit"], row["low"]) == (pytest.approx(value), unit, None)


@pytest.mark.parametrize(
    ("marker", "code", "words"),
    [
        (Marker("m", "count", (), "monocytes"), "count_unavailable", "absolute counts"),
        (Marker("m", "intensity", (), "monocytes", "cd16"), "not_measured", "cd16 in monocytes"),
        (Marker("m", "fraction", (), "blasts", of="root"), "not_measured", "population blasts"),
        (Marker("m", "fraction", (), "monocytes", of="x"), "not_measured", "population x"),
        (Marker("m", "abc", (), "singlets", "hladr"), "not_measured", "singlets, hladr"),
        (Marker("m", "abc", (), "monocytes", "cd14"), "not_measured", "monocytes, cd14"),
    ],
)
def test_a_marker_that_cannot_be_read_says_why(marker, code, words):
    both = markers(marker)
    tables = run(study(at_day("s1", 0.5), markers=both, primary_marker="mhladr"), result("s1"))
    assert tables["patients"]["m"].to_list() == [None]
    row = rows(tables["marker_values"])[1]
    assert (row["value"], row["status"], row["sample_id"]) == (None, "failed", None)
    assert words in row["reason"]
    assert rows(tables["unused"])[0]["marker"] == "m"
    assert left(tables) == {"s1": code}


def test_values_that_are_not_defined_are_absent():
    nothing = replace(result().populations[1], n_events=0)
    r = result()
    r = replace(
        r,
        populations=(r.populations[0], nothing, r.populations[2]),
        intensities=(replace(r.intensities[0], median=None),),
    )
    both = markers(
        Marker("f", "fraction", (), "monocytes", of="singlets"),
        Marker("i", "intensity", (), "monocytes", "cd14"),
    )
    tables = run(study(at_day("s1", 0.5), markers=both), r)
    assert tables["patients"].select("f", "i").row(0) == (None, None)
    assert tables["unused"]["code"].to_list() == ["no_value", "no_value"]


def test_doubts_about_beads_are_no_doubts_about_fractions():
    both = markers(Marker("m", "fraction", (), "monocytes"))
    tables = all_tables(study(at_day("s1", 0.5), markers=both), [result()], [])
    hladr, fraction = rows(tables["marker_values"])
    assert (hladr["status"], hladr["flags"]) == ("failed", "no_beads")
    assert (fraction["status"], fraction["flags"]) == ("ok", "")


def test_versions_of_a_panel_feed_one_marker():
    versions = (assay("v1"), assay("v2"))
    draws = [at_day("a", 0.5, assay="v1"), at_day("b", 6.5, assay="v2")]
    one = Marker("mhladr", "abc", ("v1", "v2"))
    tables = run(
        study(*draws, assays=versions, markers=(one,)),
        result("a", abc=5000.0, assay="v1"),
        result("b", abc=10_000.0, assay="v2"),
    )
    assert tables["patients"]["ratio"].to_list() == [None, pytest.approx(2.0)]


def test_the_primary_marker_must_be_told_among_several():
    versions = (assay("v1"), assay("v2"))
    s = study(at_day("a", 0.5, assay="v1"), assays=versions)
    with pytest.raises(StudyError, match=r"primary_marker: wanted one .* found v1, v2"):
        run(s, result("a", assay="v1"))
    tables = run(replace(s, primary_marker="v1"), result("a", abc=6000.0, assay="v1"))
    (row,) = rows(tables["patients"])
    assert (row["abc"], row["v2"]) == (pytest.approx(6000.0), None)
    with pytest.raises(StudyError, match="found v1, v2"):
        run(replace(s, primary_marker="v3"), result("a", assay="v1"))


def test_a_visit_of_another_panel_alone_has_no_primary_value_and_no_failure():
    panels = (assay(), replace(assay("lymph"), abc=None))
    other = Marker("lympho", "fraction", ("lymph",), "monocytes")
    s = study(at_day("a", 2.5, assay="lymph"), assays=panels, markers=markers(other))
    tables = run(s, result("a", assay="lymph", quantified=None))
    (row,) = rows(tables["patients"])
    assert (row["abc"], row["status"], row["day"]) == (None, "ok", 3)
    assert row["lympho"] == pytest.approx(0.25)
    unread = run(replace(s, markers=markers()), result("a", assay="lymph", quantified=None))
    assert left(unread) == {"a": "no_marker"}


def test_a_marker_with_the_name_of_a_column_is_prefixed():
    tables = run(
        study(at_day("s1", 0.5), markers=markers(Marker("day", "fraction", (), "monocytes"))),
        result("s1"),
    )
    assert tables["patients"]["marker_day"].to_list() == [pytest.approx(0.25)]


def test_measurements_join_by_patient_and_timepoint():
    ferritin = Marker("ferritin", "measurement", measurement="Ferritin", unit="µg/L")
    measured = (
        Measurement("p1", "Ferritin", 900.0, "µg/L", ONSET + hours(70)),
        Measurement("p1", "Ferritin", 800.0, "µg/L", ONSET + hours(49)),
        Measurement("p1", "Ferritin", 0.9, "mg/L", timepoint="D1-2"),
        Measurement("p1", "SOFA", 9.0, None, timepoint="D1-2"),
        Measurement("p1", "Ferritin", 1.0, "µg/L", ONSET - hours(49)),
        Measurement("p1", "Ferritin", 5.0, "µg/L", timepoint="D1-2", extra=(("drug", "IL-7"),)),
        Measurement("p1", "Ferritin", math.nan, "µg/L", timepoint="D1-2"),
        Measurement("p9", "Ferritin", 300.0, "µg/L", timepoint="D6-8"),
    )
    s = study(at_day("s1", 0.5), markers=markers(ferritin), measurements=measured)
    tables = run(s, result("s1"))
    found = [(r["patient_id"], r["timepoint"], r["ferritin"]) for r in rows(tables["patients"])]
    assert found == [("p1", "D1-2", None), ("p1", "D3-4", 900.0), ("p9", "D6-8", 300.0)]
    long = [r for r in rows(tables["marker_values"]) if r["marker"] == "ferritin"]
    assert [(r["day"], r["unit"], r["sample_id"], r["flags"]) for r in long[1:]] == [
        (3, "µg/L", None, "several_draws"),
        (None, "µg/L", None, ""),
    ]
    codes = tables["unused"]["code"].to_list()
    assert codes == ["other_draw", "unit", "no_marker", "before_onset", "ex_vivo", "no_value"]
    assert "unit mg/L, where ferritin is in µg/L" in tables["unused"]["reason"][1]


def test_measurements_without_a_declared_unit_keep_to_the_first_rows():
    sofa = Marker("sofa", "measurement", measurement="SOFA")
    measured = tuple(
        Measurement(p, "SOFA", v, unit, timepoint="D1-2")
        for p, v, unit in (("p1", 0.0, "points"), ("p2", 4.0, None))
    )
    tables = run(study(markers=markers(sofa), measurements=measured))
    assert tables["patients"]["sofa"].to_list() == [0.0, None]
    assert tables["unused"]["code"].to_list() == ["unit"]


def test_every_acquisition_stands_or_is_listed_once_per_marker():
    tubes = [at_day(f"s{i}", 0.3 * i, f"p{i % 3}", replicate=str(i % 2)) for i in range(20)]
    tubes += [at_day("x", 0.5, use=False), at_day("y", 0.5, role="fmo")]
    outcomes = [failure(t.sample_id) if i % 5 == 0 else result(t.sample_id, abc=5000.0 + i)
                for i, t in enumerate(tubes)]  # fmt: skip
    both = markers(Marker("m", "fraction", (), "monocytes"))
    tables = run(study(*tubes, markers=both), *outcomes)
    for name in ("mhladr", "m"):
        used = [
            sample_id
            for r in rows(tables["marker_values"])
            if r["marker"] == name and r["sample_id"]
            for sample_id in r["sample_id"].split(";")
        ]
        unused = [r["sample_id"] for r in rows(tables["unused"]) if r["marker"] in {name, None}]
        assert sorted(used + unused) == sorted(t.sample_id for t in tubes)


def test_flags_of_the_tables_are_in_the_documented_order():
    known = list(FLAGS)
    tubes = [at_day("a", 0.5, replicate="1"), at_day("b", 0.5, replicate="2"), at_day("c", 1.9)]
    tables = run(
        study(*tubes), result("a", flags=("full_population", "no_spillover")), result("b"),
        result("c"),
    )  # fmt: skip
    for cell in tables["patients"]["flags"]:
        codes = cell.split(";")
        assert codes == sorted(codes, key=known.index)
        assert len(codes) == 4


def test_a_window_of_its_own_day_has_its_noon_as_centre():
    one_day = (Window("D1", 1, 1),)
    draws = [at_day("dawn", 0.1), at_day("noon", 0.5), at_day("dusk", 0.95)]
    tables = run(study(*draws, windows=one_day, baseline=None), *map(result, ("dawn", "noon", "dusk")))  # fmt: skip
    assert tables["patients"]["sample_id"].to_list() == ["noon"]
