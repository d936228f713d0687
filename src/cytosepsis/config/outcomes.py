"""Outcomes of a study: those it declares, and ready ones where the clinical sheet has their day."""

from __future__ import annotations

from cytosepsis.config.study_file import StudyFile
from cytosepsis.protocol import Outcome, Patient

_FOLLOWUP = "followup_days"
_HORIZON = 28.0  # days; mortality of septic shock is reported at day 28

# What else may end the wait: death for all, and leaving intensive care for what is acquired there.
READY = (
    Outcome("death", "death_day", (), _FOLLOWUP, _HORIZON),
    Outcome(
        "icu_infection", "infection_day", ("death_day", "icu_discharge_day"), _FOLLOWUP, _HORIZON
    ),
    Outcome("fungal_infection", "fungal_day", ("death_day",), _FOLLOWUP, _HORIZON),
    Outcome("cmv_reactivation", "cmv_day", ("death_day",), _FOLLOWUP, _HORIZON),
    Outcome("hsv_reactivation", "hsv_day", ("death_day",), _FOLLOWUP, _HORIZON),
)


def outcomes_of(file: StudyFile, patients: tuple[Patient, ...]) -> tuple[Outcome, ...]:
    """The declared outcomes, then each ready one whose event no declared one describes.

    A ready outcome needs the columns of its event and of the end of observation: without the
    latter nobody is known to be free of the event.
    """
    declared = tuple(Outcome(name, **table.given()) for name, table in file.outcomes.items())
    columns = {name for patient in patients for name, _ in patient.values}
    taken = {outcome.event_day for outcome in declared} | {o.name for o in declared}
    ready = tuple(
        Outcome(
            outcome.name,
            outcome.event_day,
            tuple(day for day in outcome.competing_day if day in columns),
            outcome.observed_until,
            outcome.horizon,
        )
        for outcome in READY
        if not {outcome.event_day, outcome.name} & taken
        and {outcome.event_day, _FOLLOWUP} <= columns
    )
    return (*declared, *ready)
