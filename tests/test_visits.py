"""Visits: each patient × window is there, with what was drawn or why nothing was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from cytosepsis.analysis.visit_tables import VISIT_CODES, VISITS
from cytosepsis.analysis.visits import visits_frame
from cytosepsis.protocol import Marker, Measurement, Patient, Sample, Study, Window
from hand_made import ONSET, at_day, failure, hours, markers, result, rows, run, sample, study

# ONSET is a Friday, midnight: days 2 and 3 are Saturday and Sunday.


def visits(of_study: Study, *, failed: tuple[str, ...] = ()) -> pl.DataFrame:
    outcomes = [
        failure(s.sample_id) if s.sample_id in failed else result(s.sample_id)
        for s in of_study.samples
    ]
    tables = run(of_study, *outcomes)
    frame = visits_frame(of_study, tables["samples"], tables["marker_values"])
    assert dict(frame.schema) == {c.name: c.dtype for c in VISITS.columns}
    assert set(frame["code"].drop_nulls()) <= VISIT_CODES.keys()
    assert ((frame["status"] == "drawn") == frame["code"].is_null()).all()
    return frame


def patient(patient_id: str = "p1", onset: Any = ONSET, **values: object) -> Patient:
    cells = tuple((name, None if v is None else str(v)) for name, v in values.items())
    return Patient(patient_id, onset, values=cells)


def said(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    return frame.select("patient_id", "timepoint", "status", "code").rows()


def test_every_patient_has_every_window() -> None:
    frame = visits(study(at_day("a", 0.5), at_day("b", 6.5), at_day("c", 2.5, "p2")))
    assert said(frame) == [
        ("p1", "D1-2", "drawn", None),
        ("p1", "D3-4", "missing", "not_drawn"),
        ("p1", "D6-8", "drawn", None),
        ("p2", "D1-2", "missing", "not_drawn"),
        ("p2", "D3-4", "drawn", None),
        ("p2", "D6-8", "missing", "not_drawn"),
    ]
    first = rows(frame)[0]
    assert (first["first_day"], first["last_day"]) == (1, 2)
    assert (first["n_samples"], first["n_values"], first["days"], first["sample_ids"]) == (
        1, 1, "1", "a"
    )  # fmt: skip


def test_donors_and_controls_have_none_and_patients_without_samples_do() -> None:
    people = (patient("p1"), patient("p9"), Patient("h2", group="healthy"))
    frame = visits(
        study(
            at_day("a", 0.5),
            sample("h", "h1", group="healthy"),
            sample("c", "k1", group="control"),
            patients=people,
        )
    )
    assert frame["patient_id"].unique(maintain_order=True).to_list() == ["p1", "p9"]


@pytest.mark.parametrize(
    ("ends", "status", "code", "reason"),
    [
        ({"death_day": 5}, "not_expected", "died", "died on day 5"),
        ({"death_day": 6}, "missing", "died", "died on day 6"),
        ({"death_day": 9}, "missing", "not_drawn", VISIT_CODES["not_drawn"]),
        (
            {"icu_discharge_day": 4, "death_day": 5},
            "not_expected",
            "discharged",
            "left intensive care on day 4",
        ),
        ({"followup_days": 5, "death_day": 5}, "not_expected", "died", "died on day 5"),
        ({"followup_days": 3.5}, "not_expected", "observation_ended", "was observed until day 3.5"),
        ({"death_day": None}, "missing", "not_drawn", VISIT_CODES["not_drawn"]),
        ({"death_day": "?"}, "missing", "not_drawn", VISIT_CODES["not_drawn"]),
    ],
)
def test_why_nothing_was_drawn(ends, status, code, reason) -> None:
    frame = visits(study(at_day("a", 0.5), at_day("b", 2.5), patients=(patient(**ends),)))
    last = rows(frame)[2]
    assert (last["status"], last["code"], last["reason"]) == (status, code, reason)


def test_a_draw_in_the_window_of_death_is_drawn() -> None:
    frame = visits(study(at_day("a", 6.5), patients=(patient(death_day=6),)))
    assert rows(frame)[2]["status"] == "drawn"


@pytest.mark.parametrize(
    ("onset", "has_time", "weekend"),
    [
        (datetime(2024, 3, 1, 11, tzinfo=UTC), True, False),  # noons: Fri (day 1), Sat
        (datetime(2024, 3, 1, 12, tzinfo=UTC), True, False),  # Friday's noon is hour 0: day 1
        (datetime(2024, 3, 1, 13, tzinfo=UTC), True, True),  # Sat, Sun
        (datetime(2024, 3, 2, 12, tzinfo=UTC), True, True),  # Sat, Sun
        (datetime(2024, 3, 2, 13, tzinfo=UTC), True, False),  # Sun, Mon
        (datetime(2024, 3, 2, tzinfo=UTC), False, True),  # calendar days Sat, Sun
        (datetime(2024, 3, 1, tzinfo=UTC), False, False),
    ],
)
def test_a_closed_laboratory_is_seen(onset, has_time, weekend) -> None:
    one = Patient("p1", onset, has_time)
    made = study(sample(drawn_at=onset + timedelta(days=2.5)), patients=(one,))
    assert rows(visits(made))[0]["code"] == ("weekend" if weekend else "not_drawn")


def test_the_week_is_the_studys_own() -> None:
    # 23:30 UTC on Thursday is Friday 00:30 in Paris, whose noons are Fri and Sat.
    one = Patient("p1", datetime(2024, 2, 29, 23, 30, tzinfo=UTC))
    made = study(sample(drawn_at=None, timepoint="D3-4"), patients=(one,), timezone="Europe/Paris")
    windows = (Window("weekend", 2, 3),)
    assert rows(visits(made))[0]["code"] == "not_drawn"
    frame = visits(study(*made.samples, patients=(one,), timezone="Europe/Paris", windows=windows))
    assert rows(frame)[0]["code"] == "weekend"


def test_what_was_acquired_and_gives_no_value_is_not_missing() -> None:
    frame = visits(study(at_day("a", 0.5), at_day("b", 2.5)), failed=("b",))
    assert said(frame)[1] == ("p1", "D3-4", "unusable", "no_value")
    assert rows(frame)[1]["sample_ids"] == "b"


def test_what_lies_outside_is_listed_with_its_reason() -> None:
    frame = visits(
        study(
            at_day("a", 0.5),
            at_day("late", 4.5),
            at_day("later", 11.5),
            at_day("early", -1.0),
            sample("dateless", drawn_at=None),
            sample("unknown", "p2"),
            patients=(patient(),),
        )
    )
    outside = frame.filter(frame["status"] == "outside")
    assert outside.select("patient_id", "code", "days", "sample_ids").rows() == [
        ("p1", "before_onset", "0", "early"),
        ("p1", "draw_unknown", "", "dateless"),
        ("p1", "out_of_window", "5;12", "late;later"),
        ("p2", "onset_unknown", "", "unknown"),
    ]
    assert outside["timepoint"].null_count() == outside.height


def test_labels_that_contradict_and_doubles_are_told() -> None:
    frame = visits(
        study(
            at_day("a", 0.5),
            at_day("b", 1.5),
            at_day("c", 4.5, timepoint="D3-4"),
            at_day("d", 30.5, timepoint="M1"),
        )
    )
    by_name = {row["timepoint"]: row for row in rows(frame)}
    assert (by_name["D1-2"]["days"], by_name["D1-2"]["n_samples"]) == ("1;2", 2)
    assert by_name["D3-4"]["flags"] == "timepoint_mismatch"
    assert (by_name["M1"]["status"], by_name["M1"]["first_day"]) == ("drawn", None)
    assert frame["timepoint"].to_list() == ["D1-2", "D3-4", "D6-8", "M1"]


def test_controls_ex_vivo_wells_and_rejected_rows_of_the_sheet_are_no_visit() -> None:
    rows_ = (
        at_day("a", 0.5, role="fmo"),
        at_day("b", 0.5, stimulus="LPS"),
        at_day("c", 0.5, use=False),
    )
    frame = visits(study(*rows_))
    assert frame["status"].to_list() == ["missing"] * 3


def test_a_measurement_alone_makes_a_visit() -> None:
    ferritin = Measurement("p1", "ferritin", 900.0, "ng/mL", ONSET + hours(60))
    made = study(
        at_day("a", 0.5),
        measurements=(ferritin,),
        markers=markers(Marker("ferritin", "measurement", unit="ng/mL")),
    )
    row = rows(visits(made))[1]
    assert (row["status"], row["n_samples"], row["n_values"], row["days"]) == ("drawn", 0, 1, "3")


def test_studies_without_windows_patients_or_samples() -> None:
    assert visits(study(at_day("a", 0.5), windows=(), baseline=None)).select(
        "status", "code"
    ).rows() == [("outside", "no_windows")]
    assert visits(study()).height == 0
    labelled: Sample = sample("a", drawn_at=None, timepoint="T1")
    assert said(visits(study(labelled, windows=(), baseline=None))) == [("p1", "T1", "drawn", None)]
