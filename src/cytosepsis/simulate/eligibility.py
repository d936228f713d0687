"""What a registry notes of simulated patients: criteria, drugs, reactivations; the true verdict.

By turns, so that every study has patients who are excluded, and one of whom it is not known. All
draws are of streams of their own: the files and courses are the same without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from cytosepsis.simulate.patients import RECOVERER, SimulatedPatient
from cytosepsis.simulate.settings import SimulationSettings, generator

CRITERIA_COLUMNS = (
    *("icu_admission", "infection_site", "hypotension_despite_fluids", "vasopressors"),
    *("systemic_inflammatory_response", "hiv", "cancer", "cancer_status"),
    *("primary_immune_deficiency", "steroids_before_admission", "immunosuppressive_treatment"),
    *("neutrophils", "extracorporeal_circulation"),
)
REACTIVATION_COLUMNS = ("fungal_day", "cmv_day", "hsv_day")
EXPOSURE_COLUMNS = ("patient_id", "drug", "dose", "unit", "start", "stop")
COHORT_TRUTH_COLUMNS = ("patient_id", "verdict", "rule")

_SITES = ("lung", "abdomen", "urinary tract", "soft tissue", "blood")
# Probability in intensive care, of those who recover and of the others.
_REACTIVATIONS = {"fungal_day": (0.04, 0.12), "cmv_day": (0.08, 0.28), "hsv_day": (0.10, 0.25)}
_SHOCK_STEROIDS = 0.6  # share of patients given hydrocortisone for the shock


@dataclass(frozen=True, slots=True)
class _Case:
    """How a patient differs from one who meets everything."""

    cells: Mapping[str, str | None] = field(default_factory=dict)
    courses: tuple[tuple[str, float, int, int], ...] = ()  # drug, mg/day, first and last day
    verdict: str = "include"
    rule: str | None = None


_ASKED = {"steroids_before_admission": "yes"}
# Days count back from admission: -1 is the day before.
_CASES = (
    _Case(),
    _Case(),
    _Case(_ASKED, (("prednisone", 5.0, -200, -1),)),
    _Case(_ASKED, (("prednisone", 20.0, -30, -1),), "exclude", "steroids"),
    _Case(),
    _Case({"cancer": "solid", "cancer_status": "treated"}, (), "exclude", "cancer"),
    _Case(),
    _Case({"hiv": None}, (), "unknown", "hiv"),
    _Case(),
    _Case(_ASKED, (("dexamethasone", 6.0, -12, -3),), "exclude", "steroids"),
    _Case(),
    _Case({"neutrophils": "310"}, (), "exclude", "aplasia"),
)


def criteria(
    settings: SimulationSettings, patient: SimulatedPatient, number: int
) -> dict[str, object]:
    """The eligibility columns of a patient's row of the clinical sheet."""
    rng = generator(settings.seed, "eligibility", patient.patient_id)
    before = timedelta(hours=float(rng.uniform(0, 20)))
    met: dict[str, object] = {
        "icu_admission": (patient.shock_onset - before).date().isoformat(),
        "infection_site": _SITES[int(rng.integers(len(_SITES)))],
        "neutrophils": f"{rng.lognormal(np.log(9_500), 0.5):.0f}",
    }
    met |= dict.fromkeys(
        ("hypotension_despite_fluids", "vasopressors", "systemic_inflammatory_response"), "yes"
    )
    met |= dict.fromkeys(
        (
            *("hiv", "cancer", "primary_immune_deficiency", "steroids_before_admission"),
            *("immunosuppressive_treatment", "extracorporeal_circulation"),
        ),
        "no",
    )
    return {**met, **_case(number).cells}


def reactivations(settings: SimulationSettings, patient: SimulatedPatient) -> dict[str, object]:
    """Days of fungal infection and viral reactivation, more often of those who do not recover."""
    rng = generator(settings.seed, "reactivation", patient.patient_id)
    recovers = bool(patient.draws) and patient.draws[0].trajectory == RECOVERER.name
    ends = (patient.death_day, patient.icu_discharge_day, patient.followup_days)
    leaves = min(day for day in ends if day is not None)
    days: dict[str, object] = {}
    for column, (seldom, often) in _REACTIVATIONS.items():
        happens, day = rng.random() < (seldom if recovers else often), 5 + int(rng.exponential(7.0))
        days[column] = day if happens and day < leaves else None
    return days


def exposures(
    settings: SimulationSettings, patient: SimulatedPatient, number: int
) -> list[dict[str, object]]:
    """A patient's courses: before admission, and hydrocortisone for the shock."""
    admitted = date.fromisoformat(str(criteria(settings, patient, number)["icu_admission"]))
    rows = [
        _course(patient.patient_id, drug, mg, admitted, (first, last))
        for drug, mg, first, last in _case(number).courses
    ]
    rng = generator(settings.seed, "shock steroids", patient.patient_id)
    if rng.random() < _SHOCK_STEROIDS:
        onset = (patient.shock_onset.date() - admitted).days
        span = (onset, onset + int(rng.integers(4, 8)))
        rows.append(_course(patient.patient_id, "hydrocortisone", 200.0, admitted, span))
    return rows


def cohort_truth(patient: SimulatedPatient, number: int) -> dict[str, object]:
    """The verdict that the rules should come to, and by which rule."""
    case = _case(number)
    return {"patient_id": patient.patient_id, "verdict": case.verdict, "rule": case.rule}


def _case(number: int) -> _Case:
    """The case of patient `number`, from 1; one who is there for a fault (0) meets everything."""
    return _CASES[(number - 1) % len(_CASES)] if number else _Case()


def _course(
    patient_id: str, drug: str, mg: float, admitted: date, span: tuple[int, int]
) -> dict[str, object]:
    first, last = (admitted + timedelta(days=day) for day in span)
    return {
        "patient_id": patient_id,
        "drug": drug,
        "dose": f"{mg:g}",
        "unit": "mg/day",
        "start": first.isoformat(),
        "stop": last.isoformat(),
    }
