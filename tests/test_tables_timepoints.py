"""Where a draw stands: its day since onset and its timepoint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.protocol import Patient
from cytosepsis.tables.timepoints import Moment, place
from hand_made import (
    ONSET,
    hours,
    study,
)

PATIENT = Patient("p1", ONSET)


def placed(drawn, label=None, *, patient=PATIENT, **fields):
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
