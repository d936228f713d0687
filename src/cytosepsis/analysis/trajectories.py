"""Each marker of each patient over time: changes, slopes, nadir, days below a cut-off, course."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from cytosepsis import flags
from cytosepsis.analysis.clinical import patients_of
from cytosepsis.analysis.trajectory_tables import TRAJECTORIES, TRAJECTORY_CODES
from cytosepsis.protocol import Study
from cytosepsis.tables.markers import markers_of
from cytosepsis.tables.readings import incomparable
from cytosepsis.tables.schemas import frame
from cytosepsis.tables.timepoints import Moment, place
from cytosepsis.trajectory_rules import REAL_CHANGE_FACTOR, TrajectoryRules


@dataclass(frozen=True, slots=True)
class Point:
    """One value on a patient's course."""

    timepoint: str | None
    day: int | None  # as the tables count: the first 24 h are day 1
    at: float | None  # exact days since shock onset
    value: float
    sample_ids: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """What a patient's values of one marker say together; None of what cannot be said."""

    n_values: int
    first: Point
    last: Point | None = None
    delta: float | None = None
    ratio: float | None = None
    days: float | None = None  # between first and last draw
    log10_slope_per_day: float | None = None
    log10_slope_fit: float | None = None
    nadir: Point | None = None
    days_below: float | None = None
    real_change: bool | None = None
    name: str | None = None  # improver, non_improver, decliner
    known_at_day: int | None = None
    code: str | None = None

    @property
    def percent_change(self) -> float | None:
        """100 · (ratio - 1)."""
        return None if self.ratio is None else 100.0 * (self.ratio - 1.0)

    @property
    def delta_per_day(self) -> float | None:
        """Delta / days; None of draws at one moment."""
        return None if self.delta is None or not self.days else self.delta / self.days


def analyze_trajectories(
    study: Study, tables: Mapping[str, pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """The tables of `cytosepsis trajectories`, from `marker_values`."""
    return {"trajectories": trajectories_frame(study, tables["marker_values"])}


def trajectories_frame(study: Study, marker_values: pl.DataFrame) -> pl.DataFrame:
    """The `trajectories` table."""
    points, units = _points(study, marker_values)
    samples = {sample.sample_id: sample for sample in study.samples}
    cutoffs = _cutoffs(study)
    is_abc = {marker.name: marker.kind == "abc" for marker in markers_of(study)}
    rows: list[dict[str, object]] = []
    for (patient_id, marker), found in points.items():
        used = _until(found, study.trajectories.until_day)
        if not used:
            continue
        repeatability = study.assay_cv if is_abc.get(marker) else None
        mixed = incomparable(
            [samples[name] for p in used for name in p.sample_ids if name in samples], study
        )
        course = describe(
            used,
            study.trajectories,
            cutoff=cutoffs.get(marker),
            cv=repeatability,
            mixed=next(iter(mixed), None),
        )
        codes = [code for point in used for code in point.flags]
        rows.append(
            {
                "patient_id": patient_id,
                "marker": marker,
                "unit": units[marker],
                "cutoff": cutoffs.get(marker),
                "smallest_real_change": (
                    None if repeatability is None else REAL_CHANGE_FACTOR * repeatability
                ),
                "flags": flags.join([*codes, *mixed]),
                **_cells(course),
            }
        )
    return frame(
        TRAJECTORIES.columns,
        {name: [row[name] for row in rows] for name in TRAJECTORIES.names},
    )


def describe(
    points: Sequence[Point],
    rules: TrajectoryRules,
    *,
    cutoff: float | None = None,
    cv: float | None = None,
    mixed: str | None = None,
) -> Course:
    """What the values of one patient and marker, in the order of time, say together.

    Parameters
    ----------
    points
        At least one.
    rules
        Where improvers and decliners begin.
    cutoff
        Days below it are counted; a value on it is not below.
    cv
        Repeatability of the assay; without it no change is called real.
    mixed
        Why the values may not be compared (a flag); then there is no change, slope or nadir.
    """
    first, last = points[0], points[-1]
    known = _known_at(points)
    if len(points) == 1:
        return Course(1, first, nadir=first, known_at_day=known, code="one_value")
    if mixed is not None:
        return Course(len(points), first, last, known_at_day=known, code=mixed)
    days = None if first.at is None or last.at is None else last.at - first.at
    positive = all(point.value > 0 for point in points)
    ratio = last.value / first.value if first.value > 0 else None
    slope = None
    if ratio is not None and ratio > 0 and days:
        slope = math.log10(ratio) / days
    code = None if positive else "not_positive"
    if days is None and code is None:
        code = "undated"
    return Course(
        n_values=len(points),
        first=first,
        last=last,
        delta=last.value - first.value,
        ratio=ratio,
        days=days,
        log10_slope_per_day=slope,
        log10_slope_fit=_fitted_slope(points) if positive else None,
        nadir=min(points, key=lambda point: point.value),
        days_below=None if cutoff is None or not positive else _days_below(points, cutoff),
        real_change=_is_real(first.value, last.value, cv),
        name=_name(ratio, rules),
        known_at_day=known,
        code=code,
    )


def _fitted_slope(points: Sequence[Point]) -> float | None:
    """Least-squares slope of log10 over the days of at least three draws."""
    dated = [(point.at, math.log10(point.value)) for point in points if point.at is not None]
    if len(dated) < 3 or len(dated) < len(points):
        return None
    mean_at = math.fsum(at for at, _ in dated) / len(dated)
    mean = math.fsum(value for _, value in dated) / len(dated)
    spread = math.fsum((at - mean_at) ** 2 for at, _ in dated)
    if spread == 0:
        return None
    return math.fsum((at - mean_at) * (value - mean) for at, value in dated) / spread


def _days_below(points: Sequence[Point], cutoff: float) -> float | None:
    """Days on which straight lines between the draws, on log10, run below a cut-off."""
    if cutoff <= 0 or any(point.at is None for point in points):
        return None
    total = 0.0
    for before, after in pairwise(points):
        assert before.at is not None
        assert after.at is not None
        days = after.at - before.at
        low, high = sorted((math.log10(before.value), math.log10(after.value)))
        line = math.log10(cutoff)
        if high < line or low == high:
            total += days if high < line else 0.0
        elif low < line:
            total += days * (line - low) / (high - low)
    return total


def _is_real(first: float, last: float, cv: float | None) -> bool | None:
    """Whether two values differ by more than repeating one measurement would."""
    if cv is None or first <= 0:
        return None
    return abs(last / first - 1.0) > REAL_CHANGE_FACTOR * cv


def _name(ratio: float | None, rules: TrajectoryRules) -> str | None:
    if ratio is None:
        return None
    if ratio >= rules.improver_ratio:
        return "improver"
    return "decliner" if ratio <= rules.decliner_ratio else "non_improver"


def _known_at(points: Sequence[Point]) -> int | None:
    """The last day that contributes; None where any is unknown: it might be the last."""
    days = [point.day for point in points]
    return None if None in days else max(day for day in days if day is not None)


def _until(points: Sequence[Point], day: float | None) -> list[Point]:
    return [p for p in points if day is None or p.day is None or p.day <= day]


def _points(
    study: Study, marker_values: pl.DataFrame
) -> tuple[dict[tuple[str, str], list[Point]], dict[str, str | None]]:
    """Usable values by patient and marker, in the order of time; and each marker's unit."""
    people = frozenset(patients_of(study))
    elapsed = _elapsed(study)
    points: dict[tuple[str, str], list[Point]] = {}
    units: dict[str, str | None] = {}
    for row in marker_values.iter_rows(named=True):
        if row["value"] is None or row["patient_id"] not in people:
            continue
        ids = tuple(filter(None, (row["sample_id"] or "").split(";")))
        at = next((elapsed[name] for name in ids if elapsed.get(name) is not None), None)
        if at is None and row["day"] is not None:
            at = row["day"] - 0.5
        codes = tuple(code for code in (row["flags"] or "").split(";") if code in flags.FLAGS)
        point = Point(row["timepoint"], row["day"], at, row["value"], ids, codes)
        points.setdefault((row["patient_id"], row["marker"]), []).append(point)
        units.setdefault(row["marker"], row["unit"])
    for found in points.values():
        # Undated draws keep the place that their window has.
        if all(point.at is not None for point in found):
            found.sort(key=lambda point: point.at or 0.0)
    return points, units


def _elapsed(study: Study) -> dict[str, float | None]:
    """Sample → exact days since shock onset."""
    patients = {patient.patient_id: patient for patient in study.patients}
    return {
        sample.sample_id: place(
            Moment(sample.drawn_at, sample.drawn_at_has_time),
            sample.timepoint,
            patients.get(sample.patient_id),
            study,
        ).elapsed_days
        for sample in study.samples
        if sample.group == "patient"
    }


def _cutoffs(study: Study) -> dict[str, float]:
    given = dict(study.trajectories.cutoffs)
    of_abc = {m.name: study.trajectories.abc_cutoff for m in markers_of(study) if m.kind == "abc"}
    return of_abc | given


def _cells(course: Course) -> dict[str, object]:
    last, nadir = course.last, course.nadir
    return {
        "n_values": course.n_values,
        "first_timepoint": course.first.timepoint,
        "first_day": course.first.at,
        "first_value": course.first.value,
        "last_timepoint": last.timepoint if last else None,
        "last_day": last.at if last else None,
        "last_value": last.value if last else None,
        "delta": course.delta,
        "ratio": course.ratio,
        "percent_change": course.percent_change,
        "delta_per_day": course.delta_per_day,
        "log10_slope_per_day": course.log10_slope_per_day,
        "log10_slope_fit": course.log10_slope_fit,
        "nadir": nadir.value if nadir else None,
        "nadir_day": nadir.at if nadir else None,
        "days_below": course.days_below,
        "days_observed": course.days,
        "real_change": course.real_change,
        "course": course.name,
        "known_at_day": course.known_at_day,
        "code": course.code,
        "reason": TRAJECTORY_CODES[course.code] if course.code else None,
    }
