"""The sheets of patients: clinical data, measurements from elsewhere, courses of drugs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from cytosepsis.cohort_rules import RULES
from cytosepsis.config.cells import Cells, Reading, point_decimals
from cytosepsis.config.clock import precedes
from cytosepsis.config.problems import listed, nearest
from cytosepsis.config.sample_sheets import GROUPS
from cytosepsis.config.study_file import FILE, StudyFile, key_path
from cytosepsis.protocol import DAY_COLUMNS, Exposure, Group, Measurement, Patient, instant
from cytosepsis.sheets import Sheet
from cytosepsis.units import conversion_factor

CLINICAL_COLUMNS = (
    *("patient_id", "shock_onset", "age", "group"),
    *("icu_admission", "extracorporeal_date"),
)
# Columns of the rules of the cohort: carried as text, understood where they are applied.
ELIGIBILITY_COLUMNS = tuple(dict.fromkeys(c for rule in RULES for c in rule.columns))
MEASUREMENT_COLUMNS = ("patient_id", "drawn_at", "timepoint", "name", "value", "unit")
_LAST_OF_DAY = timedelta(days=1, microseconds=-1)
EXPOSURE_COLUMNS = ("patient_id", "drug", "dose", "unit", "start", "stop")


@dataclass(frozen=True, slots=True)
class Clinical:
    """The clinical sheet: one row per patient, and later admissions of the same patients."""

    patients: tuple[Patient, ...] = ()
    later_episodes: tuple[Patient, ...] = ()


def read_patients(file: StudyFile, reading: Reading) -> Clinical:
    """Every row of the clinical sheet, one per patient.

    Several rows of one patient are admissions where each has an `episode_id` of its own: the first
    by admission (else shock onset, else in the sheet) is the patient.
    """
    name = file.study.clinical if file.study else None
    if name is None:
        if file.outcomes:
            reading.problems.error(FILE, "study.clinical", "is needed for [outcomes].")
        return Clinical()
    known = (*CLINICAL_COLUMNS, *DAY_COLUMNS, *ELIGIBILITY_COLUMNS)
    sheet = reading.sheet("clinical", name, known=known, needed=("patient_id",))
    if sheet is None:
        return Clinical()
    days = [*_outcome_days(file, sheet, reading), *(c for c in DAY_COLUMNS if c in sheet.columns)]
    points = {column: point_decimals(sheet, column) for column in sheet.columns}
    admissions: dict[str, list[Patient]] = {}
    rows_of: dict[str, list[int]] = {}
    for cells in reading.rows(sheet):
        patient = _patient(cells, tuple(dict.fromkeys(days)), points)
        rows_of.setdefault(patient.patient_id, []).append(cells.row.number)
        admissions.setdefault(patient.patient_id, []).append(patient)
    for patient_id, rows in rows_of.items():
        episodes = [dict(p.values).get("episode_id") for p in admissions[patient_id]]
        if patient_id and (len(set(episodes)) < len(rows) or (len(rows) > 1 and None in episodes)):
            reading.problems.error(
                sheet.name,
                f"rows {listed(rows)}",
                f"have the same patient_id {patient_id!r}; wanted one row per patient, or an "
                "episode_id of its own in each row, where they are admissions.",
            )
    ordered = [sorted(rows, key=_admitted) for rows in admissions.values()]
    return Clinical(
        tuple(rows[0] for rows in ordered), tuple(later for rows in ordered for later in rows[1:])
    )


def groups_of(patients: Iterable[Patient]) -> dict[str, Group]:
    """Collect the groups that the clinical sheet gives, by patient."""
    return {p.patient_id: p.group for p in patients if p.group is not None}


def read_measurements(file: StudyFile, reading: Reading) -> tuple[Measurement, ...]:
    """Every value of the measurement sheet; rows without a value are left out, with a warning."""
    name = file.study.measurements if file.study else None
    wanted = {m.measurement or n: n for n, m in file.markers.items() if m.kind == "measurement"}
    if name is None:
        for marker in wanted.values():
            reading.problems.error(FILE, key_path(("markers", marker)), 'a marker of kind '
                                   '"measurement" needs [study] measurements.')  # fmt: skip
        return ()
    needed = ("patient_id", "name", "value")
    sheet = reading.sheet("measurements", name, known=MEASUREMENT_COLUMNS, needed=needed)
    if sheet is None:
        return ()
    units = {m.measurement or n: m.unit for n, m in file.markers.items() if m.unit}
    measurements = tuple(
        _measurement(cells, units) for cells in reading.rows(sheet) if not _is_without_value(cells)
    )
    names = {measurement.name for measurement in measurements}
    for measured, marker in wanted.items():
        if measured not in names:
            reading.problems.warning(
                FILE,
                key_path(("markers", marker)),
                f"{sheet.name} has no value named {measured!r}.{nearest(measured, names)} "
                f"Names: {listed(sorted(names))}.",
            )
    return measurements


def read_exposures(file: StudyFile, reading: Reading) -> tuple[Exposure, ...]:
    """Every course of the exposure sheet."""
    name = file.study.exposures if file.study else None
    if name is None:
        return ()
    needed = ("patient_id", "drug")
    sheet = reading.sheet("exposures", name, known=EXPOSURE_COLUMNS, needed=needed)
    return tuple(_exposure(cells) for cells in reading.rows(sheet)) if sheet else ()


def _patient(cells: Cells, days: Iterable[str], points: Mapping[str, Mapping[int, str]]) -> Patient:
    onset, has_time = cells.moment("shock_onset")
    for column in days:
        cells.number(column)
    values = tuple(
        (column, points[column].get(cells.row.number, text))
        for column, text in cells.carried(CLINICAL_COLUMNS)
    )
    return Patient(
        patient_id=cells.needed("patient_id"),
        shock_onset=onset,
        shock_onset_has_time=has_time,
        age=cells.number("age", at_least=0),
        group=cast("Group | None", cells.choice("group", GROUPS)),
        icu_admission=cells.moment("icu_admission")[0],
        extracorporeal_date=cells.moment("extracorporeal_date")[0],
        values=values,
    )


def _admitted(patient: Patient) -> tuple[bool, float]:
    """Order of admissions; unknown ones last, in the sheet's order."""
    moment = patient.icu_admission or patient.shock_onset
    return moment is None, instant(moment).timestamp() if moment else 0.0


def _outcome_days(file: StudyFile, sheet: Sheet, reading: Reading) -> list[str]:
    """List the clinical columns that outcomes are made of, each checked to be there."""
    found = []
    for name, outcome in file.outcomes.items():
        columns = [("event_day", outcome.event_day), ("observed_until", outcome.observed_until)]
        columns += [("competing_day", column) for column in outcome.competing_day]
        for key, column in columns:
            if column is None:
                continue
            if column in sheet.columns:
                found.append(column)
                continue
            reading.problems.error(
                FILE,
                key_path(("outcomes", name, key)),
                f"found {column!r}, which is no column of {sheet.name}."
                f"{nearest(column, sheet.columns)}",
            )
    return found


def _is_without_value(cells: Cells) -> bool:
    if cells.row.cells.get("value") is None:
        cells.warning("value", "is empty: the row was left out.")
        return True
    return False


def _measurement(cells: Cells, units: Mapping[str, str]) -> Measurement:
    drawn_at, has_time = cells.moment("drawn_at")
    timepoint = cells.text("timepoint")
    if cells.row.cells.get("drawn_at") is None and timepoint is None:
        cells.error("drawn_at", "is empty, as is timepoint; one of them is needed.")
    value = cells.number("value")
    name, unit = cells.needed("name"), cells.text("unit")
    if name in units and conversion_factor(unit, units[name]) is None:
        cells.warning(
            "unit",
            f"found {unit or 'none'}, which does not convert to {units[name]}: the value of {name} "
            "is not used.",
        )
    return Measurement(
        patient_id=cells.needed("patient_id"),
        name=name,
        value=float("nan") if value is None else value,  # reported; the study is refused
        unit=unit,
        drawn_at=drawn_at,
        drawn_at_has_time=has_time,
        timepoint=timepoint,
        extra=cells.carried(MEASUREMENT_COLUMNS),
    )


def _exposure(cells: Cells) -> Exposure:
    start, _ = cells.moment("start")
    stop, stop_has_time = cells.moment("stop")
    # A stop without a time is some hour of its day, the last at most.
    last = stop if stop is None or stop_has_time else stop + _LAST_OF_DAY
    if precedes(last, start):
        cells.error("stop", "lies before start. Check both.")
    return Exposure(
        patient_id=cells.needed("patient_id"),
        drug=cells.needed("drug"),
        dose=cells.number("dose", at_least=0),
        unit=cells.text("unit"),
        start=start,
        stop=stop,
        extra=cells.carried(EXPOSURE_COLUMNS),
    )
