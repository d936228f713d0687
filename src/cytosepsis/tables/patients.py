"""Frames of one row per patient and timepoint: values, changes, and what was not used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from cytosepsis import flags
from cytosepsis.flags import Status, worst
from cytosepsis.protocol import Marker, Study
from cytosepsis.tables.markers import (
    Candidate,
    candidate_of,
    feeds,
    markers_of,
    measured_candidate,
    primary_of,
    unit_of,
)
from cytosepsis.tables.readings import Reading, exclusion
from cytosepsis.tables.schemas import MARKER_VALUES, PATIENTS, UNUSED, Column, frame
from cytosepsis.tables.standing import Change, Standing, Unused, by_window, change_from, stand
from cytosepsis.tables.timepoints import Moment, Placement, place

Visit = tuple[str, str | None]  # patient_id, timepoint


@dataclass(frozen=True, slots=True)
class Cohort:
    """What stands for each patient, timepoint and marker, and what does not."""

    visits: tuple[Visit, ...]  # in the order of the tables
    markers: tuple[Marker, ...]
    primary: Marker | None
    standings: Mapping[tuple[Visit, str], Standing]  # by visit and marker's name
    groups: Mapping[str, str]  # by patient_id
    unused: tuple[UnusedRow, ...]


@dataclass(frozen=True, slots=True)
class UnusedRow:
    """One row of `unused`."""

    rank: tuple[int, int, int]  # acquisitions before measurements, the sheet's row, the marker
    sample_id: str | None
    patient_id: str
    timepoint: str | None
    marker: str | None
    code: str
    reason: str


def gather_cohort(study: Study, readings: Sequence[Reading]) -> Cohort:
    """Choose, for each patient, timepoint and marker, the acquisitions that stand.

    Raises StudyError where the primary marker cannot be told.
    """
    markers = markers_of(study)
    primary = primary_of(study)
    groups: dict[str, str] = {p.patient_id: p.group for p in study.patients if p.group}
    groups |= {r.sample.patient_id: r.sample.group for r in readings if exclusion(r.sample) is None}
    unused = [row for reading in readings if (row := _row_without_marker(reading, markers))]
    visits = dict.fromkeys(
        (reading.sample.patient_id, reading.placement.timepoint)
        for reading in readings
        if exclusion(reading.sample) is None
        and not _nowhere(reading.placement, reading.sample.group)
    )
    standings: dict[tuple[Visit, str], Standing] = {}
    for rank, marker in enumerate(markers):
        by_visit: dict[Visit, list[Candidate]] = defaultdict(list)
        for candidate in _candidates(study, readings, marker, groups):
            nowhere = _nowhere(candidate.placement, groups.get(candidate.patient_id, "patient"))
            if nowhere:
                unused.append(_unused_row(Unused(candidate, *nowhere), marker, rank))
            else:
                by_visit[candidate.patient_id, candidate.placement.timepoint].append(candidate)
        for visit, candidates in by_visit.items():
            visits.setdefault(visit)
            standing = stand(candidates, study)
            standings[visit, marker.name] = standing
            unused += [_unused_row(item, marker, rank) for item in standing.unused]
    unused += _measurements_without_marker(study, markers)
    return Cohort(
        visits=_in_order(visits, study),
        markers=markers,
        primary=primary,
        standings=standings,
        groups=groups,
        unused=tuple(sorted(unused, key=lambda row: row.rank)),
    )


def patients_frame(study: Study, cohort: Cohort) -> pl.DataFrame:
    """The `patients` table: the primary marker, its changes, and a column per other marker."""
    others = [marker for marker in cohort.markers if marker is not cohort.primary]
    columns = _marker_columns(others)
    rows = [_course(visit, study, cohort) for visit in cohort.visits]
    standings = [row.standing for row in rows]
    values: dict[str, list[object]] = {
        "patient_id": [patient_id for patient_id, _ in cohort.visits],
        "timepoint": [timepoint for _, timepoint in cohort.visits],
        "day": [row.day for row in rows],
        "sample_id": [s.sample_id if s else None for s in standings],
        "abc": [s.value if s else None for s in standings],
        "abc_low": [s.low if s else None for s in standings],
        "abc_high": [s.high if s else None for s in standings],
        "delta_abc": [row.change.delta for row in rows],
        "ratio": [row.change.ratio for row in rows],
        "log10_slope_per_day": [row.change.log10_slope_per_day for row in rows],
        "band": [s.band if s else None for s in standings],
        "status": [row.status for row in rows],
        "flags": [flags.join(row.flags) for row in rows],
        "group": [cohort.groups.get(patient_id, "patient") for patient_id, _ in cohort.visits],
        "baseline_sample_id": [row.baseline_sample_id for row in rows],
        "n_stains": [len(s.chosen) if s else None for s in standings],
        "stain_cv": [s.stain_cv if s else None for s in standings],
        "lysis": [s.samples[0].lysis if s and s.samples else None for s in standings],
        "site": [s.samples[0].site if s and s.samples else None for s in standings],
    }
    for marker, column in zip(others, columns, strict=True):
        found = [cohort.standings.get((visit, marker.name)) for visit in cohort.visits]
        values[column.name] = [s.value if s else None for s in found]
    return frame((*PATIENTS.columns, *columns), values)


def marker_values_frame(cohort: Cohort) -> pl.DataFrame:
    """The `marker_values` table, long; a marker that was not sought at a visit has no row."""
    rows = [
        (visit, marker, cohort.standings[visit, marker.name])
        for visit in cohort.visits
        for marker in cohort.markers
        if (visit, marker.name) in cohort.standings
    ]
    standings = [s for _, _, s in rows]
    return frame(
        MARKER_VALUES.columns,
        {
            "patient_id": [patient_id for (patient_id, _), _, _ in rows],
            "timepoint": [timepoint for (_, timepoint), _, _ in rows],
            "day": [s.placement.day for s in standings],
            "marker": [marker.name for _, marker, _ in rows],
            "value": [s.value for s in standings],
            "low": [s.low for s in standings],
            "high": [s.high for s in standings],
            "unit": [s.unit for s in standings],
            "sample_id": [s.sample_id for s in standings],
            # One draw stands for a visit, so its day is when the value was known.
            "known_at_day": [s.placement.day if s.chosen else None for s in standings],
            "status": [s.status for s in standings],
            "flags": [flags.join(s.flags) for s in standings],
            "reason": [s.reason for s in standings],
            "group": [cohort.groups.get(patient_id, "patient") for (patient_id, _), _, _ in rows],
            "n_stains": [len(s.chosen) for s in standings],
            "stain_cv": [s.stain_cv for s in standings],
        },
    )


def unused_frame(cohort: Cohort) -> pl.DataFrame:
    """The `unused` table."""
    return frame(
        UNUSED.columns,
        {name: [getattr(row, name) for row in cohort.unused] for name in UNUSED.names},
    )


# --- the primary marker over time


@dataclass(frozen=True, slots=True)
class _Course:
    """A visit's value of the primary marker with its change from the baseline."""

    standing: Standing | None
    day: int | None
    change: Change
    baseline_sample_id: str | None
    status: Status
    flags: tuple[str, ...]


def _course(visit: Visit, study: Study, cohort: Cohort) -> _Course:
    patient_id, timepoint = visit
    at_visit = {
        marker.name: cohort.standings[visit, marker.name]
        for marker in cohort.markers
        if (visit, marker.name) in cohort.standings
    }
    name = cohort.primary.name if cohort.primary else ""
    standing = at_visit.get(name)
    days = [s.placement.day for s in (standing, *at_visit.values()) if s]
    day = next((day for day in days if day is not None), None)
    if standing is None:
        return _Course(None, day, Change(), None, "ok", ())
    change, baseline_sample_id = Change(), None
    if standing.value is not None and study.baseline not in {None, timepoint}:
        baseline = cohort.standings.get(((patient_id, study.baseline), name))
        if baseline is not None and baseline.value is not None:
            change = change_from(standing, baseline, study)
            baseline_sample_id = baseline.sample_id
        elif cohort.groups.get(patient_id) == "patient":
            change = Change(flags=("no_baseline",))
    status = worst([standing.status, flags.status_of(change.flags)])
    codes = (*standing.flags, *change.flags)
    return _Course(standing, day, change, baseline_sample_id, status, codes)


def _marker_columns(markers: Sequence[Marker]) -> list[Column]:
    taken = set(PATIENTS.names)
    columns = []
    for marker in markers:
        name = marker.name
        while name in taken:
            name = f"marker_{name}"
        taken.add(name)
        columns.append(Column(name, pl.Float64, unit_of(marker) or "", f"Marker {marker.name}."))
    return columns


# --- candidates and what is not used


def _candidates(
    study: Study, readings: Sequence[Reading], marker: Marker, groups: Mapping[str, str]
) -> list[Candidate]:
    """All acquisitions that the marker is read from, or the measurements of its name."""
    if marker.kind != "measurement":
        return [
            candidate_of(reading, marker, study)
            for reading in readings
            if exclusion(reading.sample) is None and feeds(reading, marker)
        ]
    patients = {patient.patient_id: patient for patient in study.patients}
    name = marker.measurement or marker.name
    rows = [(i, m) for i, m in enumerate(study.measurements) if m.name == name]
    # Units are never guessed: without a declared one, the first row's is everybody's.
    unit = marker.unit or next((m.unit for _, m in rows), None)
    return [
        measured_candidate(
            m,
            index,
            marker,
            place(
                Moment(m.drawn_at, m.drawn_at_has_time),
                m.timepoint,
                patients.get(m.patient_id),
                study,
                of_patient=groups.get(m.patient_id, "patient") == "patient",
            ),
            unit,
        )
        for index, m in rows
    ]


_NOWHERE = {
    "before_onset": "drawn before shock onset",
    "out_of_window": "the day lies in none of the study's windows",
    "onset_unknown": "no shock onset is given, and no timepoint",
    "draw_unknown": "neither a draw time nor a timepoint is given",
}


def _nowhere(placement: Placement, group: str) -> tuple[str, str] | None:
    """Why a draw belongs to no visit, as (code, words); donors need no timepoint."""
    if placement.timepoint is not None or group != "patient":
        return None
    code = next((flag for flag in placement.flags if flag in _NOWHERE), "no_windows")
    return code, _NOWHERE.get(code, "the study has no timepoints, and the sheet gives none")


def _row_without_marker(reading: Reading, markers: Sequence[Marker]) -> UnusedRow | None:
    sample = reading.sample
    why = exclusion(sample)
    if why is None and not any(feeds(reading, marker) for marker in markers):
        why = ("no_marker", f"no marker is read from assay {sample.assay}")
    if why is None:
        return None
    return UnusedRow(
        rank=(0, reading.index, 0),
        sample_id=sample.sample_id,
        patient_id=sample.patient_id,
        timepoint=reading.placement.timepoint,
        marker=None,
        code=why[0],
        reason=why[1],
    )


def _unused_row(item: Unused, marker: Marker, rank: int) -> UnusedRow:
    candidate = item.candidate
    return UnusedRow(
        rank=(0 if candidate.sample else 1, candidate.order[1], rank),
        sample_id=candidate.sample.sample_id if candidate.sample else None,
        patient_id=candidate.patient_id,
        timepoint=candidate.placement.timepoint,
        marker=marker.name,
        code=item.code,
        reason=item.reason,
    )


def _measurements_without_marker(study: Study, markers: Sequence[Marker]) -> list[UnusedRow]:
    wanted = {m.measurement or m.name for m in markers if m.kind == "measurement"}
    return [
        UnusedRow(
            rank=(1, index, 0),
            sample_id=None,
            patient_id=row.patient_id,
            timepoint=row.timepoint,
            marker=None,
            code="no_marker",
            reason=f"no marker of the study reads the measurement {row.name}",
        )
        for index, row in enumerate(study.measurements)
        if row.name not in wanted
    ]


def _in_order(visits: Mapping[Visit, object], study: Study) -> tuple[Visit, ...]:
    """Patients as they first appear, each one's timepoints in the study's order."""
    appearing = [row.patient_id for row in study.samples]
    appearing += [row.patient_id for row in study.measurements]
    patients = {patient: index for index, patient in enumerate(dict.fromkeys(appearing))}
    ranks = by_window((timepoint for _, timepoint in visits), study)
    return tuple(sorted(visits, key=lambda visit: (patients[visit[0]], ranks[visit[1]])))
