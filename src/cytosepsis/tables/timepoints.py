"""Where a draw stands in a patient's course: its day since shock onset and its timepoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from cytosepsis.protocol import Patient, Study, Window, hours_between, window_of


@dataclass(frozen=True, slots=True)
class Moment:
    """A draw's time as a sheet gives it."""

    at: datetime | None
    has_time: bool = True


@dataclass(frozen=True, slots=True)
class Placement:
    """Timepoint and day of a draw; None of what cannot be known."""

    timepoint: str | None = None
    day: int | None = None  # first 24 h after onset: 1
    # Exact days since onset, the middle of the day where only dates are known.
    elapsed_days: float | None = None
    flags: tuple[str, ...] = ()


def place(
    drawn: Moment,
    label: str | None,
    patient: Patient | None,
    study: Study,
    *,
    of_patient: bool = True,
) -> Placement:
    """Day and timepoint of a draw.

    The day is floor(hours since shock onset / 24) + 1; where draw or onset is a date without a
    time, the calendar difference + 1, flagged `day_approximate`. A label stays whatever the dates
    say; where they say otherwise it is flagged. Donors and control blood (`of_patient` false) keep
    their label and have no day.
    """
    if not of_patient:
        return Placement(label)
    onset = patient.shock_onset if patient else None
    if drawn.at is None:
        return Placement(label, flags=() if label else ("draw_unknown",))
    if patient is None or onset is None:
        return Placement(label, flags=("onset_unknown",))
    flags = []
    if drawn.has_time and patient.shock_onset_has_time:
        elapsed = hours_between(onset, drawn.at, study.timezone) / 24.0
        day = math.floor(elapsed) + 1
    else:
        difference = _date(drawn.at, study.timezone) - _date(onset, study.timezone)
        day = difference.days + 1
        elapsed = day - 0.5
        flags.append("day_approximate")
    window = window_of(study.windows, day) if day >= 1 else None
    if day < 1:
        flags.append("before_onset")
    elif label is None and window is None and study.windows:
        flags.append("out_of_window")
    if label is not None and _contradicts(label, day, window, study.windows):
        flags.append("timepoint_mismatch")
    timepoint = label if label is not None else (window.name if window else None)
    return Placement(timepoint, day, elapsed, tuple(flags))


def days_between(earlier: Moment, later: Moment, timezone: str | None) -> float | None:
    """Days from one draw to another: exact where both hours are known, else of the calendar.

    None where a date is missing.
    """
    if earlier.at is None or later.at is None:
        return None
    if earlier.has_time and later.has_time:
        return hours_between(earlier.at, later.at, timezone) / 24.0
    return float((_date(later.at, timezone) - _date(earlier.at, timezone)).days)


def distance_to_centre(placement: Placement, windows: Mapping[str, Window]) -> float:
    """Days from a draw to the centre of its window; infinite where either is unknown.

    Days are inclusive: the window of days 1 and 2 is the first 48 hours, its centre hour 24.
    """
    window = windows.get(placement.timepoint or "")
    if window is None or placement.elapsed_days is None:
        return math.inf
    centre = (window.first_day - 1 + window.last_day) / 2
    return abs(placement.elapsed_days - centre)


def _contradicts(label: str, day: int, window: Window | None, windows: tuple[Window, ...]) -> bool:
    """Whether a label says another window than the day, or a window where the day has none."""
    labelled = next((w for w in windows if w.name == label), None)
    if labelled is None:
        return window is not None
    return not (day >= 1 and labelled.first_day <= day <= labelled.last_day)


def _date(moment: datetime, timezone: str | None) -> date:
    """The calendar day in the study's timezone; a moment without a zone is in it already."""
    if moment.tzinfo is not None and timezone:
        moment = moment.astimezone(ZoneInfo(timezone))
    return moment.date()
