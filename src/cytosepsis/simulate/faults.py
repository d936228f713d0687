"""Faulty samples: what each fault changes before the acquisition, and how it damages the file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

from cytosepsis.simulate.instrument import Clog
from cytosepsis.simulate.patients import NON_IMPROVER, Draw, SimulatedPatient
from cytosepsis.simulate.settings import FAULTS, SimulationSettings, generator

NO_EVENTS_IN_FILE = frozenset({"empty", "garbage", "missing", "no_events"})


@dataclass(frozen=True, slots=True)
class Acquiring:
    """What a fault changes before and while a sample is acquired."""

    events: int | None = None  # None: as the settings say
    pe_voltage: float | None = None
    cytometer: str | None = None
    clog: Clog | None = None
    staining_hours: float | None = None
    drift: float = 1.0  # factor on HLA-DR from waiting
    without: str | None = None  # a detector that the file lacks


ACQUIRING: dict[str, Acquiring] = {
    "missing_channel": Acquiring(without="PE-A"),
    "no_events": Acquiring(events=0),
    "wrong_voltage": Acquiring(pe_voltage=550.0),
    "other_cytometer": Acquiring(cytometer="SIM0002"),
    "unstable": Acquiring(clog=Clog()),
    "late_staining": Acquiring(staining_hours=7.0, drift=1.12),
    "few_cells": Acquiring(events=1_200),
}


def faulty_patient(settings: SimulationSettings, fault: str) -> SimulatedPatient:
    """Make the patient of one fault, on a day weeks from the study and from other faults."""
    patient_id = f"F_{fault}"
    weeks = 3 + list(FAULTS).index(fault)
    day = settings.start - timedelta(weeks=weeks)
    drawn_at = datetime.combine(day, time(8, 30))
    rng = generator(settings.seed, "faulty", fault)
    abc = NON_IMPROVER.at(1.5) * float(rng.uniform(0.7, 1.4))
    return SimulatedPatient(
        patient_id=patient_id,
        shock_onset=drawn_at - timedelta(hours=20),
        age=60,
        followup_days=28,
        death_day=None,
        icu_discharge_day=14,
        infection_day=None,
        draws=(Draw(patient_id, patient_id, "patient", "D1-2", drawn_at, abc, "faulty", fault),),
    )


def damage(path: Path, fault: str, seed: int) -> None:
    """Damage a complete file as the fault says; nothing for faults of another kind."""
    match fault:
        case "truncated":
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) * 6 // 10])
        case "empty":
            path.write_bytes(b"")
        case "garbage":
            path.write_bytes(generator(seed, "garbage").bytes(4_096))
        case "missing":
            path.unlink()
        case "wrong_tot":
            _raise_total(path)


def _raise_total(path: Path) -> None:
    """Write a larger $TOT of as many digits: every offset stays right but the count."""
    whole = path.read_bytes()
    key = b"/$TOT/"
    begin = whole.index(key) + len(key)
    end = whole.index(b"/", begin)
    digits = whole[begin:end]
    larger = b"9" * len(digits) if digits.strip(b"9") else b"8" * len(digits)
    path.write_bytes(whole[:begin] + larger + whole[end:])
