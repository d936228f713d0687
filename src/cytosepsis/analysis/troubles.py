"""What a person has to put right in the sheets of patients: cells that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cytosepsis import answers
from cytosepsis.analysis.clinical import DEATH, FOLLOWUP
from cytosepsis.protocol import DAY_COLUMNS, Patient, Study, hours_between

_NEAR_DAYS = 30  # between admission and shock onset; further apart is a slip of the keyboard


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in one cell, or one row, of a sheet."""

    sheet: str
    column: str
    found: str | None
    code: str
    message: str


TROUBLE_CODES = {
    "unreadable": "A cell of an eligibility column cannot be understood; it counts as not given.",
    "impossible": "A value that cannot be; it counts as not given.",
    "contradiction": "Two statements contradict each other; the one against inclusion counts.",
    "before_onset": "A day of an outcome lies before day 1, which begins with shock onset.",
    "order": "An event lies after the patient's death or after the end of observation.",
    "far_from_onset": "Admission and shock onset lie more than a month apart.",
    "unknown_drug": "A drug that is in none of the lists: it may be a steroid.",
    "unknown_unit": "A dose in a unit that is not understood, or that may mean two things.",
    "no_dose": "A course of a steroid without a dose.",
    "course_undated": "A course without a start or a stop.",
    "duplicate_course": "The same course stands twice; it counts once.",
    "unknown_patient": "A row of a patient who stands in no other sheet.",
    "several_rows": "Several admissions of one patient; the first counts.",
    "neutrophils_unit": "Neutrophils in a unit that does not convert to cells/µL; not used.",
}


def day_troubles(patient: Patient, study: Study) -> Iterator[Trouble]:
    """Days of one clinical row that cannot all be true."""
    cells = dict(patient.values)
    columns = (*DAY_COLUMNS, *(o.event_day for o in study.outcomes))
    days = {
        column: value
        for column in dict.fromkeys(columns)
        if (value := answers.number(cells.get(column) or "")) is not None
    }
    for column, day in days.items():
        if day < 1:
            text = f"{column} is day {day:g}; day 1 is the first"
            yield Trouble("clinical", column, cells[column], "before_onset", f"{text}.")
    for last in (DEATH, FOLLOWUP):
        end = days.get(last)
        if end is None:
            continue
        for column, day in days.items():
            if day > end and column != FOLLOWUP:
                text = f"{column} is day {day:g}, after {last} {end:g}"
                yield Trouble("clinical", column, cells[column], "order", f"{text}.")
    admitted, onset = patient.icu_admission, patient.shock_onset
    if admitted is not None and onset is not None:
        apart = hours_between(admitted, onset, study.timezone) / 24
        if abs(apart) > _NEAR_DAYS:
            side = "after" if apart > 0 else "before"
            text = f"shock onset lies {abs(apart):.0f} days {side} icu_admission"
            yield Trouble("clinical", "icu_admission", str(admitted), "far_from_onset", f"{text}.")
