"""Who enters `patients`, and which acquisition stands for a patient and timepoint."""

from __future__ import annotations

import math

import pytest

from cytosepsis.tables import all_tables
from hand_made import (
    ACQUIRED,
    ONSET,
    at_day,
    failed_beads,
    failure,
    hours,
    left,
    override,
    result,
    rows,
    run,
    sample,
    study,
)

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
