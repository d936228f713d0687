"""The study's markers, and what one acquisition or one outside measurement says of a marker."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime

from cytosepsis.counting import PER_UL
from cytosepsis.errors import Problem, StudyError
from cytosepsis.file_results import SampleResult
from cytosepsis.population_counts import PopulationCount
from cytosepsis.protocol import Marker, Measurement, Sample, Study, instant
from cytosepsis.tables.blood_counts import EX_VIVO
from cytosepsis.tables.readings import Reading
from cytosepsis.tables.timepoints import Moment, Placement
from cytosepsis.units import conversion_factor

_UNITS = {"abc": "AB/C", "intensity": "a.u.", "fraction": "fraction", "count": PER_UL}
_PERCENT = {"%", "percent"}
_UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one acquisition or one measurement says of a marker, or why it says nothing."""

    patient_id: str
    placement: Placement
    drawn: Moment
    draw: Hashable  # the same for what was drawn together
    stain: Hashable  # within a draw: the same for acquisitions of one stain
    # Later acquisitions are greater: (acquired at, row of the sheet); an unknown time is the least.
    order: tuple[datetime, int]
    sample: Sample | None = None  # None of a measurement
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str | None = None
    band: str | None = None
    flags: tuple[str, ...] = ()
    code: str | None = None  # why there is no usable value; None where there is one
    reason: str | None = None
    # How far stains of one draw may lie from their mean, a fraction; None: not judged.
    duplicate_tolerance: float | None = None

    @property
    def enough_cells(self) -> bool:
        """Whether nobody has called the cells too few."""
        return "too_few_cells" not in self.flags


def markers_of(study: Study) -> tuple[Marker, ...]:
    """The declared markers; without any, each quantified assay's AB/C under the assay's name."""
    if study.markers:
        return study.markers
    return tuple(
        Marker(assay.name, "abc", (assay.name,), assay.abc.population, assay.abc.channel)
        for assay in study.assays
        if assay.abc
    )


def primary_of(study: Study) -> Marker | None:
    """The marker of `patients`' `abc` column: the named one, else the only one of kind abc.

    None where the study quantifies nothing. Raises StudyError where it cannot be told.
    """
    quantified = [marker for marker in markers_of(study) if marker.kind == "abc"]
    if study.primary_marker is None and len(quantified) <= 1:
        return quantified[0] if quantified else None
    named = [marker for marker in quantified if marker.name == study.primary_marker]
    if named:
        return named[0]
    found = ", ".join(marker.name for marker in quantified) or "none"
    message = f"wanted one marker of kind abc, found {found}. Name one of them, or leave it out."
    raise StudyError([Problem("study.toml", "[study] primary_marker", message)])


def feeds(reading: Reading, marker: Marker) -> bool:
    """Whether a marker is read from this acquisition's assay."""
    if marker.kind == "measurement":
        return False
    return not marker.assay or reading.sample.assay in marker.assay


def candidate_of(reading: Reading, marker: Marker, study: Study) -> Candidate:
    """What an acquisition says of a marker; with `code` and `reason` where it says nothing."""
    sample, result = reading.sample, reading.result
    said = _Said()
    if result is None:
        code, text, _ = reading.error
        said = _Said(code="failed", reason=f"failed ({code}): {text}")
    else:
        said = _say(marker, reading, result)
        if said.code is None and reading.review == "rejected":
            said = _Said(code="rejected", reason="rejected by a reviewer")
    acquired = result.acquired_at if result else None
    stained = instant(sample.stained_at, study.timezone) if sample.stained_at else None
    return Candidate(
        patient_id=sample.patient_id,
        placement=reading.placement,
        drawn=reading.drawn,
        draw=_draw_of(sample, study),
        stain=(sample.assay, sample.replicate, stained),
        order=(instant(acquired, study.timezone) if acquired else _UNKNOWN_TIME, reading.index),
        sample=sample,
        value=said.value,
        low=said.low,
        high=said.high,
        unit=unit_of(marker),
        band=said.band,
        flags=said.flags,
        code=said.code,
        reason=said.reason,
        duplicate_tolerance=_duplicate_tolerance(marker, sample, study),
    )


def _duplicate_tolerance(marker: Marker, sample: Sample, study: Study) -> float | None:
    counting = study.assay(sample.assay).counting
    return counting.duplicate_tolerance if counting and marker.kind == "count" else None


def measured_candidate(
    measurement: Measurement, index: int, marker: Marker, placement: Placement, unit: str | None
) -> Candidate:
    """What a row of the measurements' sheet says of a marker whose values are in `unit`.

    A value in another unit is converted where the two measure the same, and else not used.
    """
    factor = conversion_factor(measurement.unit, unit)
    given = dict(measurement.extra)
    ex_vivo = ", ".join(f"{name} {given[name]}" for name in EX_VIVO if given.get(name))
    code = reason = None
    if ex_vivo:
        code, reason = "ex_vivo", f"ex vivo: {ex_vivo}"
    elif factor is None:
        found = measurement.unit or "none"
        text = f"unit {found}, where {marker.name} is in {unit or 'none'}: they do not convert"
        code, reason = "unit", text
    elif not math.isfinite(measurement.value):
        code, reason = "no_value", "the value is not a number"
    return Candidate(
        patient_id=measurement.patient_id,
        placement=placement,
        drawn=Moment(measurement.drawn_at, measurement.drawn_at_has_time),
        draw=(measurement.drawn_at, measurement.drawn_at_has_time),
        stain=None,
        order=(_UNKNOWN_TIME, index),
        value=measurement.value * factor if code is None and factor is not None else None,
        unit=unit,
        flags=placement.flags,
        code=code,
        reason=reason,
    )


def unit_of(marker: Marker) -> str | None:
    """The unit of a marker's values; None of a measurement that declares none."""
    return marker.unit or _UNITS.get(marker.kind)


@dataclass(frozen=True, slots=True)
class _Said:
    value: float | None = None
    low: float | None = None
    high: float | None = None
    band: str | None = None
    flags: tuple[str, ...] = ()
    code: str | None = None
    reason: str | None = None


def _say(marker: Marker, reading: Reading, result: SampleResult) -> _Said:
    match marker.kind:
        case "abc":
            return _say_abc(marker, reading)
        case "intensity":
            return _say_intensity(marker, reading, result)
        case "fraction":
            return _say_fraction(marker, reading, result)
        case "count":
            return _say_count(marker, reading, result)
        case _:
            raise AssertionError(f"a {marker.kind} is not read from an acquisition")


def _say_abc(marker: Marker, reading: Reading) -> _Said:
    abc = reading.abc
    wanted = f"{marker.population or 'any population'}, {marker.channel or 'any channel'}"
    if abc is None:
        return _not_measured(f"assay {reading.sample.assay} quantifies nothing")
    names = {abc.population, _name(reading.result, abc.population)}
    if (marker.population or abc.population) not in names or (
        (marker.channel or abc.channel) != abc.channel
    ):
        found = f"{abc.population}, {abc.channel}"
        return _not_measured(f"AB/C of {wanted} was wanted; the assay quantifies {found}")
    if abc.abc is None:
        return _Said(code=abc.reason_code, reason=abc.reason, flags=reading.flags)
    return _Said(abc.abc, abc.abc_low, abc.abc_high, abc.band, reading.flags)


def _say_intensity(marker: Marker, reading: Reading, result: SampleResult) -> _Said:
    population = _population(marker.population, result)
    found = [
        intensity
        for intensity in result.intensities
        if population and intensity.path == population.path and intensity.channel == marker.channel
    ]
    if not found:
        wanted = f"{marker.channel} in {marker.population}"
        return _not_measured(
            f"the intensity of {wanted} was not measured. Name it in the assay's `statistics`."
        )
    value = found[0].median if marker.statistic == "median" else found[0].geometric_mean
    if value is None or not math.isfinite(value):
        text = f"the {marker.statistic} of {found[0].n_events} events is not defined"
        return _Said(code="no_value", reason=text)
    return _Said(value, flags=reading.base_flags)


def _say_fraction(marker: Marker, reading: Reading, result: SampleResult) -> _Said:
    part = _population(marker.population, result)
    whole = _population(marker.of or _parent(part), result)
    if part is None or whole is None:
        missing = marker.population if part is None else (marker.of or "its parent")
        return _not_measured(
            f"population {missing} is not in the assay's plan, or its name is not unique in it"
        )
    missing_gate = next((p for p in (part, whole) if p.n_events is None), None)
    if missing_gate is not None:
        return _gate_not_found(missing_gate)
    if whole.n_counted == 0:
        return _Said(code="no_value", reason=f"{whole.path} is empty: no fraction of it")
    scale = 100.0 if (marker.unit or "").strip() in _PERCENT else 1.0
    return _Said(scale * part.n_counted / whole.n_counted, flags=reading.base_flags)


def _gate_not_found(population: PopulationCount) -> _Said:
    text = f"the gate of {population.path} was not found: {population.gate_status}"
    return _Said(code="gate_not_found", reason=text)


def _say_count(marker: Marker, reading: Reading, result: SampleResult) -> _Said:
    found = [c for c in reading.counts if c.path == marker.population]
    found = found or [c for c in reading.counts if c.name == marker.population]
    if not reading.counts:
        name = reading.sample.assay
        text = f"assay {name} says not how cells are counted: see [assays.{name}.counting]"
        return _Said(code="count_unavailable", reason=text)
    population = _population(marker.population, result)
    if population is not None and population.n_events is None:
        return _gate_not_found(population)
    if len(found) != 1:
        return _not_measured(
            f"population {marker.population} is not counted by assay {reading.sample.assay}, "
            f"or its name is not unique in its plan"
        )
    count = found[0]
    if count.value is None:
        return _Said(code=count.reason_code, reason=count.reason)
    factor = conversion_factor(PER_UL, unit_of(marker))
    if factor is None:
        text = f"a count is in {PER_UL}, which does not convert to {marker.unit}"
        return _Said(code="unit", reason=text)
    assert count.low is not None
    assert count.high is not None
    flags = (*reading.base_flags, *count.flags)
    return _Said(factor * count.value, factor * count.low, factor * count.high, flags=flags)


def _not_measured(reason: str) -> _Said:
    return _Said(code="not_measured", reason=reason)


def _population(name: str | None, result: SampleResult) -> PopulationCount | None:
    """The population of a full path, or of a name that is unique in the plan."""
    of_path = [p for p in result.populations if p.path == name]
    of_name = [p for p in result.populations if p.name == name]
    found = of_path or of_name
    return found[0] if len(found) == 1 else None


def _parent(population: PopulationCount | None) -> str | None:
    return population.path.removesuffix(f"/{population.name}") if population else None


def _name(result: SampleResult | None, path: str) -> str:
    populations = result.populations if result else ()
    return next((p.name for p in populations if p.path == path), path.rpartition("/")[2])


def _draw_of(sample: Sample, study: Study) -> Hashable:
    """The draw of a tube: as the sheet names it, else the draw time, else the label."""
    if sample.draw_id is not None:
        return ("named", sample.draw_id)
    if sample.drawn_at is None:
        return ("label", sample.timepoint)
    if sample.drawn_at_has_time:
        return ("time", instant(sample.drawn_at, study.timezone))
    return ("date", sample.drawn_at.date())
