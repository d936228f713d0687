"""People of the study: courses of mHLA-DR after septic shock, outcomes, and when blood was drawn.

Levels follow published medians (D3-4: 4,944 AB/C, IQR 3,104-8,266, Crit Care cohort of 301) and
three of the courses of Leijte et al. 2020, 10.1186/s13054-020-2830-x; those who do not improve are
infected and die more often. Exact numbers are chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

import numpy as np

from cytosepsis.simulate.settings import SimulationSettings, generator

Window = tuple[str, int, int]
WINDOWS: tuple[Window, ...] = (("D1-2", 1, 2), ("D3-4", 3, 4), ("D6-8", 6, 8))
FOLLOWUP_DAYS = 90
LOST_DRAW = 0.05  # probability of a later draw lost for no recorded reason
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Course:
    """Median AB/C of one kind of patient on days 1.5, 3.5 and 7, and what becomes of them."""

    name: str
    levels: tuple[float, float, float]
    infection: float  # probability, in the intensive care unit
    death: float  # probability, by day 90
    stay_days: float  # median, in the intensive care unit

    def at(self, day: float) -> float:
        """Interpolate the median AB/C of a day, on the log scale."""
        return float(np.exp(np.interp(day, (1.5, 3.5, 7.0), np.log(self.levels))))


RECOVERER = Course("recoverer", (6_200, 8_200, 13_500), 0.12, 0.10, 9)
NON_IMPROVER = Course("non_improver", (5_000, 4_600, 5_200), 0.40, 0.30, 15)
DECLINER = Course("decliner", (8_000, 5_600, 3_800), 0.45, 0.45, 15)
# By turns, so that every study has them all and a patient's course does not depend on the others.
COURSES = (RECOVERER, NON_IMPROVER, DECLINER, RECOVERER, NON_IMPROVER)
BETWEEN_PATIENTS_SD = 0.30  # of ln AB/C
BETWEEN_DRAWS_SD = 0.08  # of ln AB/C, around the patient's own course


@dataclass(frozen=True, slots=True)
class Draw:
    """One blood draw: `abc` is the person's true level at that moment."""

    sample_id: str
    patient_id: str
    group: Literal["patient", "healthy"]
    timepoint: str | None
    drawn_at: datetime
    abc: float
    trajectory: str
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class SimulatedPatient:
    """One row of clinical.csv, and the draws that were taken. Days count from shock onset, 1 up."""

    patient_id: str
    shock_onset: datetime
    age: int
    followup_days: int
    death_day: int | None
    icu_discharge_day: int | None
    infection_day: int | None
    draws: tuple[Draw, ...]


def simulated_patient(settings: SimulationSettings, number: int) -> SimulatedPatient:
    """Make patient `number` (from 1): course, outcomes, and the draws that took place.

    Death, discharge, week-ends and, rarely, chance prevent draws.
    """
    patient_id = f"P{number:03d}"
    rng = generator(settings.seed, "patient", patient_id)
    course = COURSES[(number - 1) % len(COURSES)]
    onset_day = _weekday(settings.start + timedelta(days=2 * (number - 1)))
    onset = datetime.combine(onset_day, time()) + timedelta(minutes=int(rng.integers(0, 1440)))
    age = int(np.clip(rng.normal(66, 12), 20, 92))
    death, discharge, infection = _outcomes(course, rng)
    own = float(np.exp(BETWEEN_PATIENTS_SD * rng.standard_normal()))
    last_day = min(death or FOLLOWUP_DAYS, discharge or FOLLOWUP_DAYS)
    draws = []
    for window in WINDOWS:
        # Drawn in any case, so that one lost draw does not change the next.
        minute, lost = int(rng.integers(0, 180)), rng.random() < LOST_DRAW
        level = own * np.exp(BETWEEN_DRAWS_SD * rng.standard_normal())
        found = _moment(onset, window, time(7, 30), minute)
        if found is None:
            continue
        moment, day = found
        if day >= last_day or (lost and window is not WINDOWS[0]):
            continue
        abc = float(level * course.at((moment - onset) / timedelta(days=1)))
        sample_id = f"{patient_id}_{window[0]}"
        draws.append(Draw(sample_id, patient_id, "patient", window[0], moment, abc, course.name))
    return SimulatedPatient(
        patient_id=patient_id,
        shock_onset=onset,
        age=age,
        followup_days=min(FOLLOWUP_DAYS, death or FOLLOWUP_DAYS),
        death_day=death,
        icu_discharge_day=discharge,
        infection_day=infection,
        draws=tuple(draws),
    )


def healthy_draw(settings: SimulationSettings, number: int) -> Draw:
    """Make the one draw of healthy control `number` (from 1); 15,000 to 45,000 AB/C."""
    person = f"H{number:03d}"
    rng = generator(settings.seed, "healthy", person)
    day = _weekday(settings.start + timedelta(days=2 * number - 1))
    minute = int(rng.integers(0, 180))
    abc = float(np.clip(26_000 * np.exp(0.25 * rng.standard_normal()), 15_500, 44_500))
    moment = datetime.combine(day, time(7, 30)) + timedelta(minutes=minute)
    return Draw(person, person, "healthy", None, moment, abc, "healthy")


def _outcomes(
    course: Course, rng: np.random.Generator
) -> tuple[int | None, int | None, int | None]:
    """Days of death, of leaving intensive care alive, and of an infection acquired there."""
    dies, infected = rng.random() < course.death, rng.random() < course.infection
    death_day = 3 + int(rng.exponential(14.0))
    stay = max(4, round(course.stay_days * float(np.exp(0.5 * rng.standard_normal()))))
    infection_day = 4 + int(rng.exponential(6.0))
    death = death_day if dies and death_day <= FOLLOWUP_DAYS else None
    discharge = stay if death is None or stay < death else None
    leaves = min(day for day in (death, discharge) if day is not None)
    infection = infection_day if infected and infection_day < leaves else None
    return death, discharge, infection


def _moment(
    onset: datetime, window: Window, opens: time, minute: int
) -> tuple[datetime, int] | None:
    """Morning of the working day in a window nearest its centre, with its day; None: week-end."""
    _, first, last = window
    candidates = []
    for offset in range(last + 1):
        moment = datetime.combine(onset.date() + timedelta(days=offset), opens)
        moment += timedelta(minutes=minute)
        elapsed = (moment - onset) / timedelta(days=1)
        day = int(np.floor(elapsed)) + 1
        if elapsed >= 0 and first <= day <= last and moment.weekday() < SATURDAY:
            candidates.append((abs(day - (first + last) / 2), day, moment))
    if not candidates:
        return None
    _, day, moment = min(candidates)
    return moment, day


def _weekday(day: date) -> date:
    """Give the day itself, or the Monday after a week-end: enrolment is on working days."""
    return day + timedelta(days=max(0, 7 - day.weekday())) if day.weekday() >= SATURDAY else day
